// Load: text cut and put together, as in every script and server: lines split into words, words changed, moved between
// vectors and joined again. Many strings of 16 – 200 bytes, copied and moved; `growing` has the long ones.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "common.hpp"

namespace {

std::string text(loads::Random& random, std::size_t words) {
  std::string all;
  for (std::size_t i = 0; i < words; ++i) {
    for (std::size_t n = random.between(3, random.below(8) == 0 ? 60 : 20); n > 0; --n) {
      all += static_cast<char>('a' + random.below(26));
    }
    all += random.below(12) == 0 ? '\n' : ' ';
  }
  return all;
}

std::vector<std::string> split(std::string_view whole, char by) {
  std::vector<std::string> parts;
  while (!whole.empty()) {
    const std::size_t end = std::min(whole.find(by), whole.size());
    parts.emplace_back(whole.substr(0, end));
    whole.remove_prefix(std::min(end + 1, whole.size()));
  }
  return parts;
}

std::string join(const std::vector<std::string>& parts, char by) {
  std::string whole;
  for (const std::string& part : parts) whole += part + by;
  return whole;
}

std::string changed(std::string line, loads::Random& random) {
  std::vector<std::string> words = split(line, ' ');
  std::vector<std::string> kept;
  for (std::string& word : words) {
    if (word.size() > 12) word = word.substr(0, 6) + '-' + word.substr(6);
    if (word.size() > 80) word.resize(20);
    if (random.below(16) != 0) kept.push_back(std::move(word));
  }
  if (kept.size() > 2) std::rotate(kept.begin(), kept.begin() + 1, kept.end());
  return join(kept, ' ');
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  loads::Random random(15);
  loads::Checksum sum;
  for (std::size_t round = arguments.scaled(20); round > 0; --round) {
    std::string whole = text(random, 40'000);
    for (unsigned pass = 0; pass < 3; ++pass) {
      std::vector<std::string> lines = split(whole, '\n');
      std::vector<std::string> done;
      for (std::string& line : lines) done.push_back(changed(std::move(line), random));
      std::sort(done.begin(), done.end());
      whole = join(done, '\n');
      sum.add(whole.size() * 256 + static_cast<unsigned char>(whole[whole.size() / 2]));
    }
  }
  sum.print("strings");
}
