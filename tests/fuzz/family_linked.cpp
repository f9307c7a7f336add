// The target `family` with the engine linked into it: sampling and a capacity for some inputs, and the engine's own
// invariants after each.
#include <pthread.h>

#include <cstdlib>
#include <cstring>

#include "base/report.hpp"
#include "capacity/budget.hpp"
#include "engine/backtrace.hpp"
#include "engine/guarding.hpp"
#include "engine/outside.hpp"
#include "family.hpp"
#include "guard/guard.hpp"
#include "input.hpp"
#include "observe/profile.hpp"
#include "starting.hpp"

namespace fuzz {

namespace {

using namespace stealth;

std::uintptr_t g_frame = 0x1000;
int unwind(void** into, int) noexcept {
  into[0] = reinterpret_cast<void*>(g_frame);
  return 1;
}

// One that lets nobody wait for long.
CapacityLimits limits_of(std::uint8_t choice) {
  CapacityLimits limits;
  if (choice == 0) return limits;
  limits.capacity = (std::uint64_t{choice} & 15U) << 18U;
  if (limits.capacity == 0) limits.capacity = kMiB;
  limits.backoff = {1000, 1000, 5000, 1000, 0};
  limits.on_exhausted = (choice & 16U) != 0 ? OnExhausted::enomem : OnExhausted::grant;
  return limits;
}

// As the interposer orders them.
void before_fork() {
  fork_prepare();
  observe::profile::fork_prepare();
}
void after_fork_in_parent() {
  observe::profile::fork_in_parent();
  fork_in_parent();
}
void after_fork_in_child() {
  observe::profile::fork_in_child();
  fork_in_child();
}

}  // namespace

void start_family() {
  g_verbosity = Verbosity::silent;
  REQUIRE(test::start_engine({}));
  char const* const wanted = std::getenv("STEALTH_GUARD");
  if (wanted != nullptr && std::strcmp(wanted, "full") == 0) guard::begin_full(1);
  REQUIRE(pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0);
}

bool is_guarded() { return active_guard() != nullptr; }

bool reads_as_zero_once_freed(void const* block) {
  return g_arena.owner_word(g_arena.offset_of(block) >> kSlotShift) == kGuardedBlock &&
         FAMILY(malloc_usable_size)(const_cast<void*>(block)) != 0;
}

bool begin_conditions(Conditions const& wanted) {
  if (wanted.sampled) {
    tell_stacks_by(unwind, {nullptr, nullptr});
    REQUIRE(observe::profile::begin(2048));
  }
  CapacityLimits const limits = limits_of(wanted.capacity);
  g_budget.configure(limits);
  return wanted.capacity != 0 && limits.on_exhausted == OnExhausted::enomem;
}

void trim_family() { trim(); }
void check_family() {
  REQUIRE(engine_is_valid());
  guard::check_everything();
}

void end_conditions(Conditions const& wanted) {
  if (wanted.sampled) observe::profile::end();
  g_budget.configure({});
  check_family();
  if (!wanted.census) return;
  trim();  // collects what was freed to others
  std::uint64_t in_use = 0;
  EngineFacts const facts = gather_facts(
      [](void* sum, ClassFacts const& one) {
        *static_cast<std::uint64_t*>(sum) += one.in_use;
        REQUIRE(one.in_use + one.in_lists + one.in_slabs <= one.blocks);
      },
      &in_use);
  REQUIRE(facts.live == 0 && facts.large_blocks == 0 && in_use == 0);
  REQUIRE(observe::profile::live_samples() == 0);
  check_family();
}

}  // namespace fuzz
