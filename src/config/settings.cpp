// See settings.hpp.
#include "config/settings.hpp"

#include <algorithm>

namespace stealth::config {

namespace {

constexpr std::size_t longest_compared = 64;

constexpr char folded(char c) noexcept {
  if (c == '-') {
    return '_';
  }
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return folded(x) == folded(y); });
}

// The name without its prefix, if it bears it.
std::string_view bare(std::string_view name) noexcept {
  if (name.size() >= prefix.size() && same_name({name.data(), prefix.size()}, prefix)) {
    name.remove_prefix(prefix.size());
  }
  return name;
}

}  // namespace

Setting const* find_setting(std::string_view name) noexcept {
  for (Setting const& setting : settings) {
    if (same_name(bare(name), setting.name())) {
      return &setting;
    }
  }
  return nullptr;
}

Setting const& nearest_setting(std::string_view name) noexcept {
  Setting const* best = settings.data();
  std::size_t best_distance = 1;  // distance / letters, compared without dividing; 1 is as far as two names can be
  std::size_t best_letters = 1;
  for (Setting const& setting : settings) {
    std::size_t const distance = edit_distance(bare(name), setting.name());
    std::size_t const letters = std::min(bare(name).size(), longest_compared) + setting.name().size();
    if (distance * best_letters < best_distance * letters) {
      best_distance = distance;
      best_letters = letters;
      best = &setting;
    }
  }
  return *best;
}

// Replacing a letter counts two (one out, one in), so that letters in common are what counts: with the distance taken
// in proportion to the lengths, MAX_WAIT is nearer to BACKOFF_MAX_WAIT than to a short name that it shares little with.
std::size_t edit_distance(std::string_view a, std::string_view b) noexcept {
  std::size_t const rows = std::min(a.size(), longest_compared);
  std::size_t const columns = std::min(b.size(), longest_compared);
  // After each row, cost[j] is the distance from that much of `a` to the first j letters of `b`.
  std::array<std::size_t, longest_compared + 1> cost{};
  for (std::size_t j = 0; j <= columns; ++j) {
    cost[j] = j;
  }
  for (std::size_t i = 1; i <= rows; ++i) {
    std::size_t diagonal = cost[0];
    cost[0] = i;
    for (std::size_t j = 1; j <= columns; ++j) {
      std::size_t const above = cost[j];
      bool const same = folded(a[i - 1]) == folded(b[j - 1]);
      cost[j] = same ? diagonal : 1 + std::min(above, cost[j - 1]);
      diagonal = above;
    }
  }
  return cost[columns];
}

}  // namespace stealth::config
