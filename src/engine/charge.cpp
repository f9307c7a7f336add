// Memory that is not the engine's and yet the program's: explicit pools charge theirs here, by the same loop and the
// same law as malloc. See outside.hpp.
#include "engine/slow.hpp"

namespace stealth {

namespace {

// Takes what fits, also when that means to collect what lies idle; never sleeps.
bool charge_what_fits(std::size_t bytes) noexcept {
  Charge charge{.idle = g_arena.free_dirty_bytes()};
  if (g_budget.try_charge(bytes, charge)) return true;
  if (charge.refusal != Refusal::idle_first) return false;
  collect_idle();
  charge.level = Level::within;
  return g_budget.try_charge(bytes, charge);
}

bool charge_as_malloc(Heap& heap, std::size_t bytes) noexcept {
  Outcome const outcome = until_admitted(heap, {0, nullptr}, [bytes](Charge& charge) {
    return g_budget.try_charge(bytes, charge) ? Outcome::done : Outcome::over_capacity;
  });
  return outcome == Outcome::done;
}

bool try_to_charge(std::size_t bytes, Waiting how) noexcept {
  // From a signal handler that interrupted the slow path: no lock may be wanted, and no wait begun.
  if (how == Waiting::never || t_thread.busy) {
    g_budget.charge_anyhow(bytes);
    return true;
  }
  Busy const busy;
  if (how == Waiting::refused_instead) return charge_what_fits(bytes);
  if (Heap* const heap = own_heap(); heap != nullptr) return charge_as_malloc(*heap, bytes);
  g_budget.charge_anyhow(bytes);
  return true;
}

}  // namespace

bool charge_outside(std::size_t bytes, Waiting how) noexcept {
  if (bytes == 0) return true;
  if (!try_to_charge(bytes, how)) return false;
  g_budget.count_outside(static_cast<std::int64_t>(bytes));
  return true;
}

void release_outside(std::size_t bytes) noexcept {
  if (bytes == 0) return;
  auto const signed_bytes = static_cast<std::int64_t>(bytes);
  g_budget.count_outside(-signed_bytes);
  g_budget.pages_freed(signed_bytes);
  g_budget.release(bytes);
  bool const has_account = !t_thread.busy && t_thread.own != nullptr;
  g_budget.freed(bytes, nullptr, has_account ? &t_thread.own->account : nullptr);
}

std::uint32_t thread_number() noexcept {
  if (t_thread.own == nullptr) {
    if (t_thread.busy) return kNoThreadNumber;
    Busy const busy;
    if (own_heap() == nullptr) return kNoThreadNumber;
  }
  return t_thread.own->id >> kIdShift;
}

}  // namespace stealth
