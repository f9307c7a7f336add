// See group_page.hpp.
#include "capacity/group_page.hpp"

#include "base/units.hpp"

namespace stealth {

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "processes cannot share a lock of the library's");

GroupIdentity GroupIdentity::of(os::ProcessWorld const& world) noexcept {
  constexpr std::uint64_t kMagic = 0x70756F7267747473;  // "sttgroup"
  return {kMagic, kLayout, GroupPage::kCells, world};
}

bool GroupPage::is_usable(GroupIdentity const& wanted) const noexcept {
  if (identity != wanted || used_cells.load(std::memory_order_relaxed) > kCells) return false;
  for (std::uint32_t i = 0; i < kCells; ++i) {
    if (share(i) > kMostShare) return false;
  }
  return true;
}

// seq_cst: two members that charge at the same time each write their own share and then add up; one at least must see
// both.
std::uint64_t GroupPage::sum() const noexcept {
  std::uint32_t const end = min(used_cells.load(std::memory_order_seq_cst), kCells);
  std::uint64_t all = 0;
  for (std::uint32_t i = 0; i < end; ++i) all += min(share(i), kMostShare);
  return all;
}

std::uint32_t GroupPage::members() const noexcept {
  std::uint32_t count = 0;
  for (auto const& owner : owners) count += owner.load(std::memory_order_relaxed) != 0 ? 1 : 0;
  return count;
}

int GroupPage::take_cell(os::ProcessMark owner) noexcept {
  for (std::uint32_t i = 0; i < kCells; ++i) {
    if (!take_over(i, os::ProcessMark(), owner)) continue;
    shares[i].store(0, std::memory_order_seq_cst);
    std::uint32_t end = used_cells.load(std::memory_order_seq_cst);
    while (end < i + 1 && !used_cells.compare_exchange_weak(end, i + 1, std::memory_order_seq_cst)) {
    }
    return static_cast<int>(i);
  }
  return -1;
}

bool GroupPage::take_over(std::uint32_t cell, os::ProcessMark from, os::ProcessMark by) noexcept {
  std::uint64_t expected = from.word();
  return owners[cell].load(std::memory_order_relaxed) == expected &&
         owners[cell].compare_exchange_strong(expected, by.word(), std::memory_order_seq_cst);
}

std::uint64_t GroupPage::empty(std::uint32_t cell) noexcept {
  std::uint64_t const word = shares[cell].exchange(0, std::memory_order_seq_cst);
  owners[cell].store(0, std::memory_order_seq_cst);
  return word >> kShareShift;
}

}  // namespace stealth
