// See traces.hpp. All stacks are in a hash table without locks: one is never changed once a slot leads to it.
#include "guard/traces.hpp"

#include <atomic>
#include <cstring>
#include <utility>

#include "base/mappings.hpp"
#include "base/units.hpp"
#include "engine/backtrace.hpp"
#include "os/os.hpp"

namespace stealth::guard {

namespace {

using Address = std::uintptr_t;

constexpr std::uint32_t kDepth = 24;  // some eight of them are ours
constexpr std::uint32_t kSlots = 1 << 18, kMost = kSlots / 2;
constexpr std::uint32_t kWords = 1 << 22;  // 32 MiB, touched as they fill

struct Frame {
  Address code;
  Address up;  // from where the stack ended to where `code` stands; 0: not known
  friend bool operator==(Frame const&, Frame const&) = default;
};
struct Stack {
  Frame frames[kDepth];
  std::uint32_t depth;
};

// A stack is a word of its hash and depth, and its frames.
struct Table {
  std::atomic<Trace> slots[kSlots];
  std::uint64_t words[kWords];
};
constexpr std::uint32_t kFrameWords = sizeof(Frame) / sizeof(std::uint64_t);
static_assert(sizeof(Address) == sizeof(std::uint64_t));

constinit std::atomic<Table*> g_table{nullptr};
constinit std::atomic<std::uint32_t> g_count{0}, g_used{1};  // number 0 is none

std::uint32_t depth_of(Table const& table, Trace trace) noexcept {
  return static_cast<std::uint32_t>(table.words[trace] & 0xFF);
}
Frame frame_of(Table const& table, Trace trace, std::uint32_t i) noexcept {
  std::uint64_t const* const words = &table.words[trace + 1 + i * kFrameWords];
  return {words[0], words[1]};
}

std::uint64_t header_of(Stack const& stack) noexcept {
  std::uint64_t hash = stack.depth;
  for (std::uint32_t i = 0; i < stack.depth; ++i)
    hash = (hash ^ stack.frames[i].code ^ stack.frames[i].up << 48) * 0x9E3779B97F4A7C15u;
  hash ^= hash >> 32;
  return hash << 8 | stack.depth;
}

bool is_same(Table const& table, Trace trace, std::uint64_t header, Stack const& stack) noexcept {
  return table.words[trace] == header &&
         std::memcmp(&table.words[trace + 1], stack.frames, stack.depth * sizeof(Frame)) == 0;
}

// The slot that leads to the stack, or the empty one where the search for it ends.
std::atomic<Trace>& find_slot(Table& table, std::uint64_t header, Stack const& stack) noexcept {
  for (auto slot = static_cast<std::uint32_t>(header >> 8) % kSlots;; slot = (slot + 1) % kSlots) {
    Trace const trace = table.slots[slot].load(std::memory_order_acquire);
    if (trace == kNoTrace || is_same(table, trace, header, stack)) return table.slots[slot];
  }
}

Trace find_or_add(Table& table, Stack const& stack) noexcept {
  std::uint64_t const header = header_of(stack);
  std::atomic<Trace>* slot = &find_slot(table, header, stack);
  if (Trace const known = slot->load(std::memory_order_acquire); known != kNoTrace) return known;
  // Whoever has the same stack just now takes room for it, too, and one of the two is used.
  if (g_count.load(std::memory_order_relaxed) >= kMost || g_used.load(std::memory_order_relaxed) > kWords / 2)
    return kNoTrace;
  Trace const fresh = g_used.fetch_add(1 + stack.depth * kFrameWords, std::memory_order_relaxed);
  table.words[fresh] = header;
  std::memcpy(&table.words[fresh + 1], stack.frames, stack.depth * sizeof(Frame));
  g_count.fetch_add(1, std::memory_order_relaxed);
  for (Trace found = kNoTrace; !slot->compare_exchange_strong(found, fresh, std::memory_order_release);) {
    slot = &find_slot(table, header, stack);
    found = slot->load(std::memory_order_acquire);
    if (found != kNoTrace) return found;
  }
  return fresh;
}

// Whether its return addresses stand above `end` as they did. Each one that does says that the next frame is there.
__attribute__((no_sanitize("address", "thread"))) bool still_stands(Table const& table, Trace trace,
                                                                    Address end) noexcept {
  std::uint32_t const depth = depth_of(table, trace);
  for (std::uint32_t i = 0; i < depth; ++i) {
    Frame const frame = frame_of(table, trace, i);
    if (*reinterpret_cast<Address const*>(end + frame.up) != frame.code) return false;
  }
  return true;
}

// The frames above `end`, with where they stand if that is known.
void walk(Address end, Stack& stack) noexcept {
  stack.depth = 0;
  void* codes[kDepth];
  void const* places[kDepth];
  std::uint32_t const known = backtrace_known(codes, places, kDepth);
  for (std::uint32_t i = 0; i < known; ++i) {
    auto const place = reinterpret_cast<Address>(places[i]);
    if (place > end) stack.frames[stack.depth++] = {reinterpret_cast<Address>(codes[i]), place - end};
  }
  if (stack.depth != 0) return;
  stack.depth = backtrace(codes, kDepth);
  for (std::uint32_t i = 0; i < stack.depth; ++i) stack.frames[i] = {reinterpret_cast<Address>(codes[i]), 0};
}

}  // namespace

bool map_traces() noexcept {
  g_table.store(static_cast<Table*>(os::map(sizeof(Table))), std::memory_order_release);
  return g_table.load(std::memory_order_relaxed) != nullptr;
}

__attribute__((noinline)) Trace trace_here(RecentTraces* recent) noexcept {
  Table* const table = g_table.load(std::memory_order_acquire);
  if (table == nullptr || !stacks_are_told()) return kNoTrace;
  auto const end = reinterpret_cast<Address>(__builtin_frame_address(0));
  auto const by = reinterpret_cast<Address>(__builtin_return_address(0));
  Trace* set = nullptr;
  if (recent != nullptr) {
    std::uint64_t const key = (end ^ by << 20) * 0x9E3779B97F4A7C15u;
    set = recent->sets[key >> 32 & (RecentTraces::kSets - 1)];
    for (std::uint32_t way = 0; way < RecentTraces::kWays && set[way] != kNoTrace; ++way) {
      Trace const trace = set[way];
      if (!still_stands(*table, trace, end)) continue;
      if (way != 0) std::swap(set[way], set[way - 1]);
      return trace;
    }
  }
  Stack stack;
  walk(end, stack);
  if (stack.depth == 0) return kNoTrace;
  Trace const trace = find_or_add(*table, stack);
  if (set != nullptr && trace != kNoTrace && stack.frames[0].up != 0) {
    std::memmove(set + 1, set, (RecentTraces::kWays - 1) * sizeof(Trace));
    set[0] = trace;
  }
  return trace;
}

void write_trace(Text& into, char const* what, Trace trace) noexcept {
  Table const* const table = g_table.load(std::memory_order_acquire);
  if (trace == kNoTrace || table == nullptr) return;
  into << "stealth:   " << what;
  bool begun = false;
  for (std::uint32_t i = 0; i < depth_of(*table, trace); ++i) {
    auto const* const code = reinterpret_cast<void const*>(frame_of(*table, trace, i).code);
    begun = begun || !is_own_code(code);
    if (!begun) continue;
    into << ' ';
    write_place(into, code);
  }
  into << '\n';
}

}  // namespace stealth::guard
