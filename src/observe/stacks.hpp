// Call stacks, each kept once for each group that its callers tell apart, and what is counted for it. A hash table in
// memory that is mapped whole at first and touched as it fills. The caller has a lock.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stealth::observe {

struct Stack {
  std::uint64_t hash;
  std::uint32_t first, depth;  // of the frames; depth 0: the entry for all that had no room
  std::uint32_t group;
  std::uint64_t live, live_bytes;  // samples whose memory is in use
  std::uint64_t all, all_bytes;    // samples, ever
  std::uint64_t stalls, stalled_ns;
};

class Stacks {
 public:
  [[nodiscard]] bool map() noexcept;  // once; false: no memory
  [[nodiscard]] bool is_there() const noexcept { return stacks_ != nullptr; }
  // The number of the entry for the stack and group, from 0; that of the one without frames where there is no more
  // room.
  [[nodiscard]] std::uint32_t find_or_add(void* const* frames, std::uint32_t depth, std::uint32_t group = 0) noexcept;
  [[nodiscard]] Stack& at(std::uint32_t number) noexcept { return stacks_[number]; }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] void* const* frames_of(Stack const& stack) const noexcept { return frames_ + stack.first; }

 private:
  static constexpr std::uint32_t kMost = 1 << 15, kSlots = kMost * 2, kAllFrames = 1 << 20;

  Stack* stacks_ = nullptr;
  std::uint32_t* slots_ = nullptr;  // number + 1 of the stack whose hash leads here; 0: none
  void** frames_ = nullptr;
  std::uint32_t count_ = 0, frames_used_ = 0;
};

}  // namespace stealth::observe
