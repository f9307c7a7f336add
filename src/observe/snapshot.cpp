// See snapshot.hpp.
#include "observe/snapshot.hpp"

#include <cstring>
#include <utility>

#include "arena/arena.hpp"
#include "capacity/budget.hpp"
#include "engine/classes.hpp"
#include "engine/outside.hpp"
#include "observe/profile.hpp"

namespace stealth::observe {

namespace {

static_assert(kBuckets == kStallBuckets);
static_assert(kWaitingRows >= Stalls::kRows);
static_assert(kClassRows >= kClasses + kSpanRules);

std::uint64_t or_none(std::uint64_t capacity) { return capacity == CapacityLimits::kNoCapacity ? 0 : capacity; }

void add_class(void* context, ClassFacts const& c) {
  Snapshot& snapshot = *static_cast<Snapshot*>(context);
  snapshot.class_rows[snapshot.classes++] = {.size = c.size,
                                             .max = c.max,
                                             .slabs = c.slabs,
                                             .carved = c.blocks,
                                             .in_use = c.in_use,
                                             .in_lists = c.in_lists,
                                             .in_slabs = c.in_slabs,
                                             .waits = c.stalls.waits,
                                             .waited_ns = c.stalls.waited_ns,
                                             .grants = c.stalls.grants};
}

std::uint64_t block_size_of(std::uint32_t kind) noexcept {
  if (kind == 0) return 0;
  return kind < kClasses ? g_classes.classes[kind].block : g_classes.rules[kind - kClasses].hi;
}

void add_waiting(Snapshot& snapshot) noexcept {
  snapshot.waiting = 0;
  for (std::uint32_t i = 0; i < Stalls::kRows; ++i) {
    WaitingThread const row = g_budget.waiting_in_row(i);
    if (row.thread == 0) continue;
    snapshot.waiting_rows[snapshot.waiting++] = {row.thread, row.since_ns, row.bytes, block_size_of(row.kind)};
  }
}

}  // namespace

void take_snapshot(Snapshot& snapshot, Surroundings const& surroundings) noexcept {
  // Where heaps are changing hands just now, what they had is told once more.
  static constinit EngineFacts engine = {};
  std::uint32_t const classes_before = std::exchange(snapshot.classes, 0);
  if (!gather_facts_as_keeper(add_class, &snapshot, engine)) snapshot.classes = classes_before;
  StallFacts const stalls = g_budget.facts();
  CapacityLimits const limits = g_budget.limits();
  Figures& now = snapshot.figures;
  now.capacity = or_none(g_budget.capacity());
  now.soft_point = or_none(g_budget.soft_point());
  now.held = stalls.held;
  now.used = stalls.used;
  now.over = stalls.over_bytes;
  now.peak = stalls.peak_held;
  now.live = engine.live;
  now.idle = g_arena.free_dirty_bytes();
  now.purged = g_arena.purged_bytes();
  now.pools = g_budget.held_outside();
  now.large_blocks = engine.large_blocks < 0 ? 0 : static_cast<std::uint64_t>(engine.large_blocks);
  now.large_bytes = engine.large_bytes;
  now.heaps = engine.heaps;
  surroundings.passed_on(now.passed_calls, now.passed_bytes);
  now.waiting_now = stalls.waiting_now;
  now.waits = stalls.waits;
  now.waited_ns = stalls.waited_ns;
  now.longest_call_ns = stalls.longest_ns;
  now.longest_sleep_ns = stalls.longest_sleep_ns;
  now.grants = stalls.grants;
  now.refusals = stalls.refusals;
  now.observed_ns = stalls.observed_ns;
  std::memcpy(now.histogram, stalls.histogram, sizeof now.histogram);
  now.group_members = g_budget.group().members();
  now.mode = static_cast<std::uint64_t>(limits.mode);
  now.policy = static_cast<std::uint64_t>(limits.on_exhausted);
  now.profile_interval = profile::interval();
  now.profile_samples = profile::live_samples();
  add_waiting(snapshot);
  std::memset(snapshot.settings, 0, sizeof snapshot.settings);
  config::Line settings{std::span(snapshot.settings, sizeof snapshot.settings - 1)};
  surroundings.print_settings(settings);
}

}  // namespace stealth::observe
