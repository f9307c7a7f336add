// See stacks.hpp.
#include "observe/stacks.hpp"

#include <cstring>
#include <span>

#include "base/hash.hpp"
#include "os/os.hpp"

namespace stealth::observe {

namespace {

// With its high half folded in: the low bits choose the slot.
std::uint64_t hash_of(void* const* frames, std::uint32_t depth, std::uint32_t group) noexcept {
  std::uint64_t const hash = stealth::hash_of(
      std::span(frames, depth), [](void const* frame) { return reinterpret_cast<std::uintptr_t>(frame); });
  return (hash ^ hash >> 32) + group;
}

}  // namespace

bool Stacks::map() noexcept {
  constexpr std::size_t kBytes = kMost * sizeof(Stack) + kSlots * sizeof(std::uint32_t) + kAllFrames * sizeof(void*);
  auto* const memory = static_cast<char*>(os::map(kBytes));
  if (memory == nullptr) return false;
  frames_ = reinterpret_cast<void**>(memory + kMost * sizeof(Stack));
  slots_ = reinterpret_cast<std::uint32_t*>(frames_ + kAllFrames);
  stacks_ = reinterpret_cast<Stack*>(memory);
  count_ = 1;  // the entry without frames
  return true;
}

std::uint32_t Stacks::find_or_add(void* const* frames, std::uint32_t depth, std::uint32_t group) noexcept {
  if (depth == 0) return 0;
  std::uint64_t const hash = hash_of(frames, depth, group);
  auto slot = static_cast<std::uint32_t>(hash % kSlots);
  for (; slots_[slot] != 0; slot = (slot + 1) % kSlots) {
    Stack const& stack = stacks_[slots_[slot] - 1];
    bool const same = stack.hash == hash && stack.depth == depth && stack.group == group;
    if (same && std::memcmp(frames_of(stack), frames, depth * sizeof(void*)) == 0) return slots_[slot] - 1;
  }
  if (count_ == kMost || frames_used_ + depth > kAllFrames) return 0;
  std::uint32_t const number = count_++;
  stacks_[number] = {.hash = hash,
                     .first = frames_used_,
                     .depth = depth,
                     .group = group,
                     .live = 0,
                     .live_bytes = 0,
                     .all = 0,
                     .all_bytes = 0,
                     .stalls = 0,
                     .stalled_ns = 0};
  std::memcpy(frames_ + frames_used_, frames, depth * sizeof(void*));
  frames_used_ += depth;
  slots_[slot] = number + 1;
  return number;
}

}  // namespace stealth::observe
