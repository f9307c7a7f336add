// See classes.hpp.
#include "engine/classes.hpp"

#include "arena/arena.hpp"

namespace stealth {

constinit ClassList g_classes;
constinit std::uint16_t g_bin_of[kClassesBySize + kSpanLists];
constinit std::uint8_t g_serving[kClassesBySize];

constinit std::atomic<std::size_t> g_counted_below{0};

namespace {

constexpr std::size_t kLinearEnd = 128;

// Blocks that a thread's list holds: 4 KiB worth at first, up to 32 KiB worth (16 above 1 KiB), but never less than
// two.
std::uint32_t blocks_worth(std::size_t bytes, std::size_t block) {
  return static_cast<std::uint32_t>(max(bytes / block, std::size_t{2}));
}

std::uint32_t slab_slots(std::size_t block) {
  std::uint32_t slots = 1;
  while (slots < kLargestSlab && slots * kSlot / block < 16) slots *= 2;
  return slots;
}

bool add_small(std::size_t block, std::uint64_t most, std::uint64_t prealloc) {
  for (std::uint32_t i = 1; i < g_classes.count; ++i) {
    if (g_classes.classes[i].block == block) return true;  // an earlier item of the list named it
  }
  if (g_classes.count == kClasses) return false;
  SizeClass& c = g_classes.classes[g_classes.count++];
  c.block = static_cast<std::uint32_t>(block);
  c.slots = slab_slots(block);
  c.capacity = static_cast<std::uint32_t>(c.slots * kSlot / block);
  c.unit_pages = static_cast<std::uint32_t>(divide_up(std::size_t{c.slots} * kPagesPerSlot, 64));
  c.first_limit = blocks_worth(4 * kKiB, block);
  c.last_limit = blocks_worth(block <= kKiB ? 32 * kKiB : 16 * kKiB, block);
  c.batch = static_cast<std::uint32_t>(min(divide_up(kBatchBytes, block), kBatchBlocks));
  c.inverse = reciprocal_of(block);
  c.twos = static_cast<std::uint8_t>(__builtin_ctz(c.block));
  c.odd_inverse = inverse_of(c.block >> c.twos);
  c.max = most;
  c.prealloc = prealloc;
  c.shared = most != 0 || prealloc != 0;
  return true;
}

bool add_rule(std::size_t lo, ClassRequest const& request, bool unrounded) {
  if (g_classes.rule_count == kSpanRules) return false;
  SpanRule& rule = g_classes.rules[g_classes.rule_count++];
  rule.lo = lo;
  rule.hi = request.hi;
  rule.exact = !request.ladder;
  rule.unrounded = unrounded;
  rule.max = request.max;
  rule.prealloc = request.prealloc;
  return true;
}

}  // namespace

std::size_t ladder_step(std::size_t size) {
  if (size <= kLinearEnd) return size <= kGranule ? kGranule : align_up(size, kGranule);
  int const exponent = 63 - __builtin_clzll(size - 1);  // 2^exponent < size <= 2^(exponent + 1)
  return align_up(size, std::size_t{1} << (exponent - 2));
}

std::size_t ladder_step_below(std::size_t size) {
  if (size <= kGranule) return 0;
  if (size <= kLinearEnd + kGranule) return align_down(size - 1, kGranule);
  int const exponent = 63 - __builtin_clzll(size - 1);
  return align_down(size - 1, std::size_t{1} << (exponent - 2));
}

bool add_classes(ClassRequest const& request) {
  if (!request.ladder) {
    if (request.hi > kMaxSmall) return add_rule(max(ladder_step_below(request.hi), kMaxSmall), request, false);
    return add_small(align_up(max(request.hi, kGranule), kGranule), request.max, request.prealloc);
  }
  for (std::size_t step = ladder_step(request.lo); step <= min(request.hi, kMaxSmall); step = ladder_step(step + 1)) {
    if (!add_small(step, request.max, request.prealloc)) return false;
  }
  if (request.hi <= kMaxSmall) return true;
  return add_rule(max(request.lo > kMaxSmall ? ladder_step_below(request.lo) : 0, kMaxSmall), request, false);
}

bool add_all_classes() {
  return add_classes({kGranule, kMaxSmall, true, 0, 0}) && add_rule(kMaxSmall, {0, ~std::size_t{0}, true, 0, 0}, true);
}

void publish_classes() {
  for (std::uint32_t i = 1; i < g_classes.count; ++i) {
    // A class serves from above the next smaller ladder step up to its own size; of two that would, the smaller one
    // does.
    std::size_t const block = g_classes.classes[i].block;
    for (std::size_t granule = ladder_step_below(block) / kGranule + 1; granule <= block / kGranule; ++granule) {
      std::uint8_t& entry = g_serving[granule];
      if (entry == 0 || block < g_classes.classes[entry].block) entry = static_cast<std::uint8_t>(i);
    }
  }
  g_serving[0] = g_serving[1];  // a request for nothing gets the smallest block
  show_classes();
}

void hide_classes() noexcept {
  for (std::uint16_t& entry : g_bin_of) __atomic_store_n(&entry, std::uint16_t{0}, __ATOMIC_RELAXED);
}

namespace {

// Of the table, for requests of fewer bytes.
std::size_t entries_below(std::size_t bytes) noexcept {
  return bytes == 0 ? 0 : min((bytes - 1) / kGranule + 1, kClassesBySize);
}

// Entries [from, to) lead to lists that begin at `first`.
void show_blocks(std::size_t from, std::size_t to, std::size_t first) noexcept {
  for (std::size_t i = from; i < to; ++i) {
    std::size_t const bin = g_serving[i] == 0 ? 0 : (first + g_serving[i]) << kBinShift;
    __atomic_store_n(&g_bin_of[i], static_cast<std::uint16_t>(bin), __ATOMIC_RELAXED);
  }
}

}  // namespace

void show_classes(std::size_t below) noexcept {
  std::size_t const end = entries_below(below);
  std::size_t const counted = min(entries_below(g_counted_below.load(std::memory_order_relaxed)), end);
  show_blocks(0, counted, kLists);
  show_blocks(counted, end, 0);
  for (std::uint32_t i = 0; i < kSpanLists && bytes_in_list(i) < below; ++i) {
    std::size_t const bin = is_counted(bytes_in_list(i)) ? 0 : (kClasses + i) << kBinShift;
    __atomic_store_n(&g_bin_of[kClassesBySize + i], static_cast<std::uint16_t>(bin), __ATOMIC_RELAXED);
  }
}

void count_requests_below(std::size_t bytes) noexcept { g_counted_below.store(bytes, std::memory_order_relaxed); }

}  // namespace stealth
