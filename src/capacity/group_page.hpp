// What the members of a group share: one mapped file of cells, one cell a member, and the group's capacity. It holds no
// sum: what a member holds stands in its cell and nowhere else, written by one instruction, so that a member killed at
// any other leaves nothing behind that has to be guessed.
//
// Anybody with the user's rights can write here. So every figure is looked at as if it were random: none is an index, a
// divisor or a length without a check, and the worst that wrong ones do is a wrong sum, until the next sweep.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "os/process_mark.hpp"

namespace stealth {

// What makes a page one that we can use; its first bytes.
struct GroupIdentity {
  std::uint64_t magic;
  std::uint32_t layout;
  std::uint32_t cells;
  os::ProcessWorld world;  // whose marks the owners are

  // To be raised with every change of GroupPage. It is in the file's name, too: versions do not meet.
  static constexpr std::uint32_t kLayout = 1;
  [[nodiscard]] static GroupIdentity of(os::ProcessWorld const& world) noexcept;
  friend bool operator==(GroupIdentity const&, GroupIdentity const&) = default;
};

// All members are for any thread of any process at any time; none waits for another.
struct GroupPage {
  static constexpr std::uint32_t kCells = 1024;
  static constexpr std::uint64_t kMostShare = std::uint64_t{1} << 50;  // 1 PiB of one member: sums cannot overflow

  GroupIdentity identity;
  std::atomic<std::uint64_t> capacity;

  // Bit 0: somebody waits. The other bits change with each announcement.
  alignas(64) std::atomic<std::uint32_t> wake_word;

  // All cells that were ever taken are below it; only grows.
  alignas(64) std::atomic<std::uint32_t> used_cells;
  std::atomic<std::uint32_t> cursor;    // where the next sweep begins
  std::atomic<std::uint32_t> swept_ms;  // when the last one began (coarse_ms)

  // A cell is free (owner 0, share 0), or its owner's, or that of a member which empties it after its owner's end.
  // Whoever wants a cell exchanges the owner first, and only the owner writes the share; so a cell is never emptied
  // under a new owner, and one whose taker was killed half-way is again the cell of somebody dead.
  alignas(64) std::atomic<std::uint64_t> owners[kCells];
  // Bytes << kShareShift | a number that changes with each write.
  alignas(64) std::atomic<std::uint64_t> shares[kCells];
  static constexpr unsigned kShareShift = 11;

  // False where there is anything that no member of ours ever writes.
  [[nodiscard]] bool is_usable(GroupIdentity const& wanted) const noexcept;
  [[nodiscard]] std::uint64_t sum() const noexcept;
  [[nodiscard]] std::uint32_t members() const noexcept;

  [[nodiscard]] std::uint64_t share(std::uint32_t cell) const noexcept {
    return shares[cell].load(std::memory_order_seq_cst) >> kShareShift;
  }
  // What stands in the share after `before`: another number even if the share is the same, so that whoever has read
  // `before` and lags behind cannot write any more.
  [[nodiscard]] static constexpr std::uint64_t next_word(std::uint64_t before, std::uint64_t share) noexcept {
    return share << kShareShift | ((before + 1) & ((std::uint64_t{1} << kShareShift) - 1));
  }

  // The index of a cell that is now `owner`'s, share 0; -1: all are taken.
  [[nodiscard]] int take_cell(os::ProcessMark owner) noexcept;
  // Makes the cell `by`'s, who must give it back; false where it was not `from`'s any more. Its share stands yet.
  [[nodiscard]] bool take_over(std::uint32_t cell, os::ProcessMark from, os::ProcessMark by) noexcept;
  // Empties the caller's cell and gives it back. Returns the share that stood in it.
  std::uint64_t empty(std::uint32_t cell) noexcept;
  [[nodiscard]] os::ProcessMark owner(std::uint32_t cell) const noexcept {
    return os::ProcessMark(owners[cell].load(std::memory_order_seq_cst));
  }
};

}  // namespace stealth
