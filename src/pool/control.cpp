// See control.hpp.
#include "pool/control.hpp"

#include <cstddef>
#include <cstring>

#include "arena/arena.hpp"
#include "capacity/budget.hpp"
#include "engine/outside.hpp"
#include "pool/buffer_pool.hpp"
#include "pool/charge.hpp"
#include "pool/live.hpp"
#include "pool/pool_heads.hpp"
#include "pool/subscribers.hpp"

namespace stealth {

namespace {

static_assert(STEALTH_STALL_BUCKETS == kStallBuckets);
static_assert(STEALTH_MODE_OBSERVE == static_cast<int>(Mode::observe) &&
              STEALTH_MODE_OFF == static_cast<int>(Mode::off));
static_assert(STEALTH_POLICY_ENOMEM == static_cast<int>(OnExhausted::enomem) &&
              STEALTH_POLICY_ABORT == static_cast<int>(OnExhausted::abort));

// Settings come from the environment before anything is changed.
void see_to_start() noexcept { static_cast<void>(g_outside.start()); }

std::uint64_t or_none(std::uint64_t capacity) { return capacity == CapacityLimits::kNoCapacity ? 0 : capacity; }

int stats(struct stealth_statistics* into) {
  if (into == nullptr || into->size < offsetof(struct stealth_statistics, capacity) + sizeof into->capacity)
    return STEALTH_INVALID_ARGUMENT;
  CapacityLimits const limits = g_budget.limits();
  StallFacts const facts = g_budget.facts();
  struct stealth_statistics now = {};
  now.size = min(into->size, std::uint64_t{sizeof now});
  now.capacity = or_none(g_budget.capacity());
  now.soft_point = or_none(g_budget.soft_point());
  now.held = facts.held;
  now.used = facts.used;
  now.over = facts.over_bytes;
  now.peak = facts.peak_held;
  now.idle = g_arena.free_dirty_bytes();
  now.waiting_now = facts.waiting_now;
  now.waits = facts.waits;
  now.waited_ns = facts.waited_ns;
  now.longest_call_ns = facts.longest_ns;
  now.longest_sleep_ns = facts.longest_sleep_ns;
  now.grants = facts.grants;
  now.refusals = facts.refusals;
  now.observed_ns = facts.observed_ns;
  for (std::uint32_t i = 0; i < kStallBuckets; ++i) now.histogram[i] = facts.histogram[i];
  now.group_members = g_budget.group().members();
  now.mode = static_cast<std::uint32_t>(limits.mode);
  now.policy = static_cast<std::uint32_t>(limits.on_exhausted);
  now.pools = g_budget.held_outside();
  std::memcpy(into, &now, static_cast<std::size_t>(now.size));
  return STEALTH_OK;
}

int set(char const* name, char const* value) {
  if (name == nullptr || value == nullptr) return STEALTH_INVALID_ARGUMENT;
  see_to_start();
  return live::set(name, value);
}

int check(char const* name, char const* value, char* why, std::size_t size) {
  if (why == nullptr) size = 0;
  if (size != 0) why[0] = '\0';
  if (name == nullptr || value == nullptr) return STEALTH_INVALID_ARGUMENT;
  config::Line line{{why, size == 0 ? 0 : size - 1}};
  stealth_error const error = live::check(name, value, line);
  if (size != 0) why[line.view().size()] = '\0';
  return error;
}

int trim_all(std::uint64_t* given_back) {
  std::uint64_t const before = g_budget.held();
  static_cast<void>(trim());
  std::uint64_t const after = g_budget.held();
  std::size_t const from_pools = trim_explicit_pools();
  if (given_back != nullptr) *given_back = (before > after ? before - after : 0) + from_pools;
  return STEALTH_OK;
}

int on_pressure(stealth_pressure_callback* callback, void* context, std::uint64_t* handle) {
  if (handle != nullptr) *handle = 0;
  if (callback == nullptr || handle == nullptr) return STEALTH_INVALID_ARGUMENT;
  see_to_start();
  return subscribers::add(callback, context, *handle);
}

int pressure_end(std::uint64_t handle) { return subscribers::end(handle); }

int charge(std::uint64_t bytes, std::uint32_t how) {
  see_to_start();
  return charge_outside(bytes, static_cast<Waiting>(how)) ? STEALTH_OK : STEALTH_NOT_ENOUGH_MEMORY;
}

void release(std::uint64_t bytes) { release_outside(bytes); }

}  // namespace

constinit Control const g_own_control = {sizeof(Control), stats,        set,    check,  trim_all,
                                         on_pressure,     pressure_end, charge, release};

std::size_t trim_explicit_pools() noexcept { return trim_pools() + trim_buffer_pools(); }

void control_before_fork() noexcept {
  buffers_fork_prepare();
  pools_fork_prepare();
}

void control_after_fork_in_parent() noexcept {
  pools_fork_in_parent();
  buffers_fork_in_parent();
}

void control_after_fork_in_child() noexcept {
  std::size_t const held = pools_fork_in_child() + buffers_fork_in_child();
  live::after_fork_in_child();
  subscribers::after_fork_in_child();
  memory::fork_in_child(held);
}

}  // namespace stealth
