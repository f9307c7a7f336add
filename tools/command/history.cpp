// See history.hpp.
#include "history.hpp"

#include <algorithm>

namespace stealth::command {
namespace {

constexpr std::size_t kMostColumns = 600;
constexpr std::uint64_t kRateOver = 2'000'000'000;  // nanoseconds

}  // namespace

void History::note(View const& view) {
  observe::Figures const& figures = view.figures();
  auto const column = static_cast<std::uint64_t>(static_cast<double>(view.now) / 1e9 / kColumnSeconds);
  std::uint64_t const missing = held_.empty() ? 1 : column > column_ ? column - column_ : 0;
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(missing, kMostColumns); ++i) {
    held_.push_back(static_cast<double>(figures.held));
    waits_.push_back(0);
  }
  if (held_.size() > 2 * kMostColumns) {
    held_.erase(held_.begin(), held_.end() - kMostColumns);
    waits_.erase(waits_.begin(), waits_.end() - kMostColumns);
  }
  column_ = std::max(column_, column);
  held_.back() = std::max(held_.back(), static_cast<double>(figures.held));
  if (!marks_.empty() && (figures.at_ns < marks_.back().at || figures.waits < marks_.back().waits)) marks_.clear();
  if (!marks_.empty()) waits_.back() += static_cast<double>(figures.waits - marks_.back().waits);
  if (marks_.empty() || figures.at_ns > marks_.back().at) marks_.push_back({figures.at_ns, figures.waits});
  while (marks_.size() > 2 && marks_[1].at + kRateOver <= figures.at_ns) marks_.erase(marks_.begin());
}

double History::waits_per_second() const {
  if (marks_.size() < 2 || marks_.back().at == marks_.front().at) return 0;
  return static_cast<double>(marks_.back().waits - marks_.front().waits) * 1e9 /
         static_cast<double>(marks_.back().at - marks_.front().at);
}

std::vector<double> History::last(std::vector<double> const& columns, int count) {
  auto const wanted = static_cast<std::size_t>(std::max(0, count));
  std::size_t const there = std::min(wanted, columns.size());
  std::vector<double> result(wanted - there, 0.0);
  result.insert(result.end(), columns.end() - static_cast<std::ptrdiff_t>(there), columns.end());
  return result;
}

}  // namespace stealth::command
