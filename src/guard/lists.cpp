// See lists.hpp.
#include "guard/lists.hpp"

#include "os/os.hpp"

namespace stealth::guard {

namespace {

constexpr std::size_t kChunk = 256 * kKiB, kSize = align_up(sizeof(Lists), 64);
// Where the next ones come from: address and bytes left of a chunk, in one word, since a lock would have to be known to
// fork.
constinit std::atomic<std::uintptr_t> g_next{0};

}  // namespace

Lists* make_lists(Heap& heap) noexcept {
  std::uintptr_t next = g_next.load(std::memory_order_relaxed);
  while (next % kChunk != 0 && next % kChunk + kSize <= kChunk) {
    if (!g_next.compare_exchange_weak(next, next + kSize, std::memory_order_relaxed)) continue;
    heap.guarded = reinterpret_cast<void*>(next);  // all zero is what they begin with
    return static_cast<Lists*>(heap.guarded);
  }
  auto* const chunk = static_cast<char*>(os::map(2 * kChunk));
  if (chunk == nullptr) return nullptr;
  auto const first = align_up(reinterpret_cast<std::uintptr_t>(chunk), kChunk);
  heap.guarded = reinterpret_cast<void*>(first);
  g_next.store(first + kSize, std::memory_order_relaxed);
  return static_cast<Lists*>(heap.guarded);
}

}  // namespace stealth::guard
