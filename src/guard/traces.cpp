// See traces.hpp. A hash table without locks: stacks are never changed once a slot leads to them.
#include "guard/traces.hpp"

#include <atomic>
#include <cstring>

#include "base/mappings.hpp"
#include "engine/backtrace.hpp"
#include "os/os.hpp"

namespace stealth::guard {

namespace {

constexpr std::uint32_t kDepth = 8;
constexpr std::uint32_t kSlots = 1 << 18, kMost = kSlots / 2;
constexpr std::uint32_t kWords = 1 << 21;  // 16 MiB, touched as it fills

// A stack is its hash and depth in one word, and its frames.
struct Table {
  std::atomic<std::uint32_t> slots[kSlots];
  std::uint64_t words[kWords];
};

// What holds one stack after another.
constexpr std::uint32_t kPlaceDepth = 16;
struct Place {
  std::uint32_t depth;
  void* frames[kPlaceDepth];
};
constinit Place g_places[kTracePlaces] = {};
constexpr Trace kFirstPlace = kWords;  // past the table's numbers

constinit std::atomic<Table*> g_table{nullptr};
constinit std::atomic<std::uint32_t> g_count{0}, g_used{1};  // number 0 is none

std::uint64_t header_of(void* const* frames, std::uint32_t depth) noexcept {
  std::uint64_t hash = depth;
  for (std::uint32_t i = 0; i < depth; ++i)
    hash = (hash ^ reinterpret_cast<std::uintptr_t>(frames[i])) * 0x9E3779B97F4A7C15u;
  hash ^= hash >> 32;
  return hash << 8 | depth;
}

// The slot that leads to the stack, or the empty one where it is looked for in the end.
std::uint32_t find_slot(Table const& table, std::uint64_t header, void* const* frames, std::uint32_t depth) noexcept {
  std::uint32_t slot = static_cast<std::uint32_t>(header >> 8) % kSlots;
  for (;; slot = (slot + 1) % kSlots) {
    Trace const trace = table.slots[slot].load(std::memory_order_acquire);
    if (trace == kNoTrace) return slot;
    bool const same = table.words[trace] == header;
    if (same && std::memcmp(&table.words[trace + 1], frames, depth * sizeof(void*)) == 0) return slot;
  }
}

}  // namespace

bool map_traces() noexcept {
  g_table.store(static_cast<Table*>(os::map(sizeof(Table))), std::memory_order_release);
  return g_table.load(std::memory_order_relaxed) != nullptr;
}

Trace trace_here() noexcept {
  Table* const table = g_table.load(std::memory_order_acquire);
  void* frames[kDepth];
  std::uint32_t const depth = table == nullptr ? 0 : backtrace(frames, kDepth);
  if (depth == 0) return kNoTrace;
  std::uint64_t const header = header_of(frames, depth);
  std::atomic<Trace>* slot = &table->slots[find_slot(*table, header, frames, depth)];
  if (Trace const known = slot->load(std::memory_order_acquire); known != kNoTrace) return known;
  // Whoever has the same stack just now takes room for it, too, and one of the two is used.
  if (g_count.load(std::memory_order_relaxed) >= kMost || g_used.load(std::memory_order_relaxed) > kWords / 2)
    return kNoTrace;
  Trace const fresh = g_used.fetch_add(1 + depth, std::memory_order_relaxed);
  table->words[fresh] = header;
  std::memcpy(&table->words[fresh + 1], frames, depth * sizeof(void*));
  g_count.fetch_add(1, std::memory_order_relaxed);
  for (Trace found = kNoTrace; !slot->compare_exchange_strong(found, fresh, std::memory_order_release);) {
    slot = &table->slots[find_slot(*table, header, frames, depth)];
    found = slot->load(std::memory_order_acquire);
    if (found != kNoTrace) return found;
  }
  return fresh;
}

Trace trace_here_into(std::uint32_t place) noexcept {
  Place& into = g_places[place];
  into.depth = backtrace(into.frames, kPlaceDepth);
  return into.depth == 0 ? kNoTrace : kFirstPlace + place;
}

void write_trace(Text& into, char const* what, Trace trace) noexcept {
  if (trace == kNoTrace) return;
  into << "stealth:   " << what;
  if (trace >= kFirstPlace) {
    Place const& place = g_places[trace - kFirstPlace];
    for (std::uint32_t i = 0; i < place.depth; ++i) {
      into << ' ';
      write_place(into, place.frames[i]);
    }
    into << '\n';
    return;
  }
  Table const* const table = g_table.load(std::memory_order_acquire);
  auto const depth = static_cast<std::uint32_t>(table->words[trace] & 0xFF);
  for (std::uint32_t i = 0; i < depth; ++i) {
    into << ' ';
    write_place(into, reinterpret_cast<void const*>(static_cast<std::uintptr_t>(table->words[trace + 1 + i])));
  }
  into << '\n';
}

}  // namespace stealth::guard
