// Who may charge what a plain addition does not cover: what is above the soft point, and above the capacity.
#include "base/report.hpp"
#include "capacity/budget.hpp"

namespace stealth {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

bool refuse(Charge& charge, Refusal why) {
  charge.refusal = why;
  return false;
}

}  // namespace

bool Budget::admit(std::size_t bytes, Charge& charge) noexcept {
  std::uint64_t const after = held_.load(kRelaxed) + bytes;
  if (charge.level == Level::calm && after > calm_limit_.load(kRelaxed)) return refuse(charge, Refusal::idle_first);
  if (mode_.load(kRelaxed) == Mode::off) return take(bytes, kNoLimit);
  if (after > look_at_.load(kRelaxed)) look(after - bytes, os::monotonic_ns());
  // Others may charge at the same moment: what is taken without a thought must still fit then.
  if (used_with(after) <= soft_point() && take(bytes, soft_point())) return true;

  std::uint64_t const now = os::monotonic_ns();
  pressed_.store(true, kRelaxed);
  look_if_due(now);
  if (used_with(after) <= soft_point() && take(bytes, soft_point())) return true;
  pressure_.raise(PressureLevel::soft);
  if (mode_.load(kRelaxed) == Mode::observe) {
    observe(bytes, used_with(after), now, charge);
    return take(bytes, kNoLimit);
  }
  return admit_above_soft(bytes, used_with(after), now, charge);
}

bool Budget::admit_above_soft(std::size_t bytes, std::uint64_t used, std::uint64_t now, Charge& charge) noexcept {
  if (charge.level == Level::over || stopped_.load(kRelaxed)) {
    look_ns_.store(0, kRelaxed);  // the next one may find that these pages are not even touched
    return take(bytes, kNoLimit);
  }
  std::uint64_t const whole = capacity();
  ThreadAccount* const account = charge.account;
  if (account != nullptr && used > whole) {
    std::uint64_t const most = whole + credit_margin(now);
    for (std::uint64_t* const left : {&account->granted_left, &account->credit}) {
      if (*left < bytes || !take(bytes, left == &account->credit ? most : kNoLimit)) continue;
      *left -= bytes;
      return true;
    }
  }
  if (queue_.pages_wanted()) return refuse(charge, Refusal::full);  // newcomers do not overtake
  if (used <= whole) {
    std::uint64_t const busy = used - min(charge.idle, used);  // the rest can be purged at once
    bool const purging_would_do = busy <= soft_point();
    if (account != nullptr && !charge.paid && !purging_would_do && flow_.feeds(this_thread(), now)) {
      BackoffLimits const backoff = limits().backoff;
      std::uint64_t const rate = admission_rate(whole, busy, flow_.rates(now).pages.now);
      Flow::Terms const terms = {rate, debt_quantum(whole)};
      if (account->credit >= bytes) {  // those who have not released anything sleep for it
        if (!take(bytes, whole)) return refuse(charge, Refusal::full);
        account->credit -= bytes;
        flow_.book_for_others(bytes, terms, now);
        return true;
      }
      std::uint64_t const debt = flow_.book(bytes, terms, now);
      if (debt != 0) {
        std::uint64_t const own = delay_ns(backoff, {Phase::approach, whole, used, debt, rate, account->fruitless});
        charge.delay_ns = flow_.queue_up(own, backoff.max_wait_ns, now);
        if (charge.delay_ns >= kShortestSleep) return refuse(charge, Refusal::delay);
      }
    }
    return take(bytes, whole) || refuse(charge, Refusal::full);
  }
  return refuse(charge, Refusal::full);
}

// Whether nobody but this thread frees anything. Of what other members of a group free is nothing known here.
bool Budget::frees_alone(std::uint64_t now) const noexcept {
  return !group_.joined() && flow_.only_by(this_thread(), now);
}

// How far over the capacity a thread may go for what it has freed itself: far for the only one that frees anything at
// all, and nowhere where going over is not what the user wants.
std::uint64_t Budget::credit_margin(std::uint64_t now) const noexcept {
  if (on_exhausted_.load(kRelaxed) != OnExhausted::grant) return 0;
  if (group_.joined()) return capacity() / kMarginOfEach;
  return capacity() / (frees_alone(now) ? kWideMargin : kMargin);
}

// What would be waited: what goes over the capacity would have had to be released first, and all who ask for memory
// would wait for it together.
void Budget::observe(std::size_t bytes, std::uint64_t used, std::uint64_t now, Charge& charge) noexcept {
  std::uint64_t const whole = capacity();
  if (charge.account == nullptr || used <= whole) return;
  if (charge.account->credit >= bytes && credit_margin(now) != 0) {
    charge.account->credit -= bytes;
    return;
  }
  if (!first_delay_reported_.exchange(true, kRelaxed)) {
    report("STEALTH_MODE=observe: capacity ", Bytes{whole}, ": ", Bytes{used},
           " used: allocation would slow down; nothing is delayed");
  }
  std::uint64_t const askers = flow_.count_asker(charge.account->asked_at_ns, now);
  if (!flow_.feeds(this_thread(), now)) {
    stalls_.observed(delay_ns(limits().backoff, {Phase::overdraft, whole, used, bytes, 1, 0}));
    return;
  }
  Flow::Rates const rates = flow_.rates(now);
  std::uint64_t unpriced = unpriced_.fetch_add(bytes, kRelaxed) + bytes;
  if (!rates.known || !unpriced_.compare_exchange_strong(unpriced, 0, kRelaxed)) return;
  stalls_.observed(unpriced * 1'000'000 / (max(rates.reusable.now, std::uint64_t{kMiB}) / 1000) * askers);
}

// By all threads together, beyond the capacity or what the policy has granted beyond it.
bool Budget::take_in_advance(std::size_t bytes) noexcept {
  std::uint64_t const whole = capacity();
  if (used() <= whole) granted_to_.store(0, kRelaxed);
  return take(bytes, max(whole, granted_to_.load(kRelaxed)) + advance_bytes(whole));
}

}  // namespace stealth
