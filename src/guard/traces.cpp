// See traces.hpp. All stacks are in a hash table without locks: one is never changed once a slot leads to it.
#include "guard/traces.hpp"

#include <array>
#include <atomic>
#include <cstring>

#include "base/mappings.hpp"
#include "base/units.hpp"
#include "engine/backtrace.hpp"
#include "engine/heap.hpp"
#include "os/os.hpp"

namespace stealth::guard {

namespace {

using Address = std::uintptr_t;
using Shape = RecentTraces::Shape;

constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15u;
constexpr std::uint32_t kDepth = kToldFrames + 1;  // with the one of ours that the program called
constexpr std::uint32_t kWalked = kDepth + 7;      // with all of ours above trace_here()
constexpr std::uint32_t kUnwound =
    kWalked + 12;  // with those that an unwinder sees, so that it learns all that is walked
constexpr std::uint32_t kSlots = 1 << 18, kMost = kSlots / 2;
constexpr std::uint32_t kKeptForReports = kMost / 8;
constexpr std::uint32_t kWords = (kMost + kKeptForReports) * (1 + kDepth);  // touched as they fill

// What each frame's address counts in the sum that tells a stack.
constexpr auto kFactors = [] {
  std::array<std::uint64_t, kDepth> factors{};
  std::uint64_t factor = kGolden;
  for (std::uint64_t& each : factors) each = factor = factor * kGolden * kGolden;
  return factors;
}();

struct Stack {
  Address codes[kDepth];
  std::uint32_t ups[kDepth];
  std::uint32_t depth;
  bool stands;  // `ups` are known
};

// A slot is taken by the number that tells a stack, and then has it: its depth and addresses, in `words`.
struct Slot {
  std::atomic<std::uint64_t> stack;
  std::atomic<Trace> trace;
};
struct Table {
  Slot slots[kSlots];
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
constinit std::atomic<std::uint32_t> g_count{0}, g_used{1};  // stacks, and words of them; number 0 is none

// For those who ask often. That a thread each goes beyond it does no harm.
bool is_full() noexcept { return g_count.load(std::memory_order_relaxed) >= kMost; }

// So that there are fewer stacks, the more there are.
std::uint32_t told_now() noexcept {
  constexpr std::uint8_t kTold[] = {kToldFrames, kToldFrames, kToldFrames, kToldFrames, 6, 6, 2, 1};
  return kTold[min(g_count.load(std::memory_order_relaxed) / (kMost / 8), 7u)];
}

// --- what tells a stack ---

std::uint64_t told_by(std::uint64_t sum) noexcept {
  sum ^= sum >> 32;
  return sum != 0 ? sum : 1;
}

std::uint64_t seed_of(std::uint32_t const* ups, std::uint32_t depth) noexcept {
  std::uint64_t seed = depth;
  for (std::uint32_t i = 0; i < depth; ++i) seed = (seed ^ ups[i]) * kGolden;
  return seed ^ seed >> 32;
}

// Of what stands at the shape's places now.
__attribute__((no_sanitize("address", "thread"))) std::uint64_t stack_like(Shape const& shape, Address end) noexcept {
  std::uint64_t sum = shape.seed;
  for (std::uint32_t i = 0; i < shape.depth; ++i)
    sum += *reinterpret_cast<Address const*>(end + shape.up[i]) * kFactors[i];
  return told_by(sum);
}

std::uint64_t number_of(Stack const& stack) noexcept {
  std::uint64_t sum = stack.stands ? seed_of(stack.ups, stack.depth) : 0;
  for (std::uint32_t i = 0; i < stack.depth; ++i) sum += stack.codes[i] * kFactors[i];
  return told_by(sum);
}

// --- the table ---

// The slot that is the stack's, or the empty one where the search for it ends.
Slot& slot_of(Table& table, std::uint64_t stack) noexcept {
  for (auto at = static_cast<std::uint32_t>(stack * kGolden >> 46);; at = (at + 1) % kSlots) {
    static_assert(kSlots == 1 << (64 - 46));
    std::uint64_t const there = table.slots[at].stack.load(std::memory_order_acquire);
    if (there == stack || there == 0) return table.slots[at];
  }
}

Trace find(Table& table, std::uint64_t stack) noexcept {
  return slot_of(table, stack).trace.load(std::memory_order_acquire);
}

Trace find_or_add(Table& table, Stack const& stack, std::uint64_t number) noexcept {
  for (;;) {
    Slot& slot = slot_of(table, number);
    std::uint64_t there = slot.stack.load(std::memory_order_relaxed);
    if (there == number) return slot.trace.load(std::memory_order_acquire);  // none yet: somebody is about to
    if (g_count.load(std::memory_order_relaxed) >= kMost + kKeptForReports / 2) return kNoTrace;
    if (!slot.stack.compare_exchange_strong(there, number, std::memory_order_acq_rel)) continue;
    g_count.fetch_add(1, std::memory_order_relaxed);
    Trace const fresh = g_used.fetch_add(1 + stack.depth, std::memory_order_relaxed);
    table.words[fresh] = stack.depth;
    std::memcpy(&table.words[fresh + 1], stack.codes, stack.depth * sizeof(Address));
    slot.trace.store(fresh, std::memory_order_release);
    return fresh;
  }
}

// --- a thread's recent ones ---

Shape* set_of(RecentTraces& recent, std::uint64_t key) noexcept {
  static_assert(RecentTraces::kSets == 1 << (64 - 57));
  return recent.shapes[key >> 57];
}

bool is_own(RecentTraces const& recent) noexcept { return recent.thread == &t_thread && recent.told == told_now(); }

// Beyond the end of another stack than the thread's own nothing need be mapped.
bool is_on_own_stack(RecentTraces const& recent, Address end) noexcept {
  return end - recent.stack < recent.stack_bytes;
}

// A thread's stack reaches up to what is its own, and few are shorter than this; the first one's, which grows, has a
// name, and the kernel leaves at least so much room for it.
void find_own_stack(RecentTraces& recent) noexcept {
  constexpr Address kLeast = 128 * kKiB, kFirst = 64 * kMiB;
  recent.stack = reinterpret_cast<Address>(&t_thread) - kLeast;
  recent.stack_bytes = kLeast;
  if (os::thread_id() != os::process_id()) return;
  recent.stack_bytes = 0;
  for_each_mapping(&recent, [](void* context, Mapping const& mapping) noexcept {
    if (mapping.path != "[stack]") return true;
    RecentTraces& it = *static_cast<RecentTraces*>(context);
    it.stack = mapping.end - kFirst;
    it.stack_bytes = kFirst;
    return false;
  });
}

RecentTraces::Found& found_of(RecentTraces& recent, std::uint64_t stack) noexcept {
  return recent.found[stack % RecentTraces::kFound];
}

void remember(RecentTraces& recent, std::uint64_t key, Stack const& stack) noexcept {
  Shape shape = {.key = key, .seed = seed_of(stack.ups, stack.depth), .depth = stack.depth, .up = {}};
  std::memcpy(shape.up, stack.ups, stack.depth * sizeof *stack.ups);
  Shape* const set = set_of(recent, key);
  for (std::uint32_t way = 0; way < RecentTraces::kWays; ++way) {
    if (set[way].key == key && set[way].seed == shape.seed) return;
  }
  std::memmove(set + 1, set, (RecentTraces::kWays - 1) * sizeof *set);
  set[0] = shape;
}

// --- walking ---

// The unwinder takes some fifty microseconds to learn what it then knows for good. A program of very many frames would
// wait for that for seconds: it is done at most for so long, and for a share of the time since it began; until the next
// occasion a stack ends where nothing is known.
constexpr std::uint64_t kLearnAtOnceNs = 20'000'000, kLearnShare = 20;
constinit std::atomic<std::uint64_t> g_learned_ns{0}, g_began_ns{0};

bool may_learn() noexcept {
  std::uint64_t const learned = g_learned_ns.load(std::memory_order_relaxed);
  if (learned <= kLearnAtOnceNs) return true;
  std::uint64_t const passed = os::monotonic_ns() - g_began_ns.load(std::memory_order_relaxed);
  return learned <= kLearnAtOnceNs + passed / kLearnShare;
}

// The frames above trace_here()'s, which ends at `end`, from the one of ours on that the program called: as many as are
// wanted, or up to one whose size varies. None where the unwinder has something to learn, and may.
void walk_known(Address end, std::uint32_t told, Stack& stack) noexcept {
  void* codes[kWalked];
  void const* places[kWalked];
  int const known = backtrace_known(reinterpret_cast<void const*>(end + sizeof end), codes, places, kWalked);
  bool ours = true;
  for (int i = 0; i < (known < 0 ? -known : known) && stack.depth <= told; ++i) {
    ours = ours && is_own_code(codes[i]);
    if (ours) stack.depth = 0;
    stack.codes[stack.depth] = reinterpret_cast<Address>(codes[i]);
    stack.ups[stack.depth++] = static_cast<std::uint32_t>(reinterpret_cast<Address>(places[i]) - end);
  }
  stack.stands = true;
  if (ours || (known < 0 && stack.depth <= told && may_learn())) stack.depth = 0;
}

void walk(std::uint32_t told, Stack& stack) noexcept {
  std::uint64_t const began = os::monotonic_ns();
  std::uint64_t first = 0;
  g_began_ns.compare_exchange_strong(first, began, std::memory_order_relaxed);
  void* codes[kUnwound];
  stack.depth = min(backtrace(codes, kUnwound), told);
  stack.stands = false;
  std::memcpy(stack.codes, codes, stack.depth * sizeof *codes);
  g_learned_ns.fetch_add(os::monotonic_ns() - began, std::memory_order_relaxed);
}

// --- what trace_here() does where its thread has not had the stack just before ---

Trace find_in_table(Table& table, RecentTraces& recent, std::uint64_t key, Address end) noexcept {
  Shape const* const set = set_of(recent, key);
  for (std::uint32_t way = 0; way < RecentTraces::kWays; ++way) {
    if (set[way].key != key) continue;
    std::uint64_t const stack = stack_like(set[way], end);
    Trace const trace = find(table, stack);
    if (trace == kNoTrace) continue;
    found_of(recent, stack) = {stack, trace};
    return trace;
  }
  return kNoTrace;
}

__attribute__((noinline)) Trace find_slowly(Table& table, RecentTraces* recent, std::uint64_t key,
                                            Address end) noexcept {
  if (!stacks_are_told()) return kNoTrace;
  bool is_own_stack = false;
  if (recent != nullptr) {
    if (!is_own(*recent)) {
      std::memset(recent->shapes, 0, sizeof recent->shapes);
      recent->thread = &t_thread;
      recent->told = told_now();
      find_own_stack(*recent);
    }
    is_own_stack = is_on_own_stack(*recent, end);
    if (is_own_stack) {
      if (Trace const trace = find_in_table(table, *recent, key, end); trace != kNoTrace) return trace;
    }
    if (is_full()) return kNoTrace;
  }
  Stack stack = {};
  if (recent != nullptr) walk_known(end, recent->told, stack);
  if (stack.depth == 0) walk(recent != nullptr ? recent->told : kToldFrames, stack);
  if (stack.depth == 0) return kNoTrace;
  Trace const trace = find_or_add(table, stack, number_of(stack));
  if (is_own_stack && stack.stands && trace != kNoTrace) remember(*recent, key, stack);
  return trace;
}

}  // namespace

bool map_traces() noexcept {
  g_table.store(static_cast<Table*>(os::map(sizeof(Table))), std::memory_order_release);
  return g_table.load(std::memory_order_relaxed) != nullptr;
}

__attribute__((noinline)) Trace trace_here(RecentTraces* recent) noexcept {
  Table* const table = g_table.load(std::memory_order_acquire);
  if (table == nullptr) return kNoTrace;
  auto const end = reinterpret_cast<Address>(__builtin_frame_address(0));
  auto const by = reinterpret_cast<Address>(__builtin_return_address(0));
  std::uint64_t const key = (end ^ by << 32) * kGolden;
  if (recent != nullptr && is_own(*recent) && is_on_own_stack(*recent, end)) [[likely]] {
    Shape const* const set = set_of(*recent, key);
    for (std::uint32_t way = 0; way < RecentTraces::kWays; ++way) {
      if (set[way].key != key) continue;
      std::uint64_t const stack = stack_like(set[way], end);
      RecentTraces::Found const& found = found_of(*recent, stack);
      if (found.stack == stack) return found.trace;
    }
  }
  return find_slowly(*table, recent, key, end);
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
  bool begun = false;
  std::uint64_t const* const codes = &table->words[trace + 1];
  for (std::uint64_t i = 0; i < table->words[trace]; ++i) {
    auto const* const code = reinterpret_cast<void const*>(codes[i]);
    begun = begun || !is_own_code(code);
    if (!begun) continue;
    into << ' ';
    write_place(into, code);
  }
  into << '\n';
}

}  // namespace stealth::guard
