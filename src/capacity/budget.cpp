// See budget.hpp. Lost wake-ups: whoever frees publishes, then looks for waiters; a waiter announces itself, then looks
// once more for memory, and only then sleeps (all seq_cst). Every sleep is bounded as well.
#include "capacity/budget.hpp"

#include "base/report.hpp"
#include "os/os.hpp"

namespace stealth {

constinit Budget g_budget;

namespace {

void raise_to(std::atomic<std::uint64_t>& record, std::uint64_t value) {
  std::uint64_t seen = record.load(std::memory_order_relaxed);
  while (value > seen && !record.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

bool Budget::try_charge(std::size_t bytes, Charge how) noexcept {
  std::uint64_t const after = held_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  bool const fits = how == Charge::over || (after <= limits_.capacity || !limits_.delays);
  bool const calm = how != Charge::calm || after <= calm_limit_.load(std::memory_order_relaxed);
  if (!fits || !calm) [[unlikely]] {
    held_.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }
  raise_to(peak_, after);
  return true;
}

// Collecting costs time in proportion to what is there; so it comes back only after a growth in proportion.
void Budget::raise_calm_limit() noexcept {
  std::uint64_t const now = held();
  raise_to(calm_limit_, now + max(now / 32, std::uint64_t{kMiB}));
}

void Budget::release(std::size_t bytes) noexcept {
  held_.fetch_sub(bytes, std::memory_order_seq_cst);
  announce_free();
}

void Budget::wake_waiters() noexcept {
  releases_.fetch_add(1, std::memory_order_seq_cst);
  os::futex_wake(reinterpret_cast<std::uint32_t const*>(&releases_), 1 << 30);
}

void Budget::restore_patience() noexcept {
  patience_ns_.store(kFirstPatience, std::memory_order_relaxed);
  no_wait_before_.store(0, std::memory_order_relaxed);
}

StallFacts Budget::facts() const noexcept {
  auto const get = [](auto const& counter) { return std::uint64_t{counter.load(std::memory_order_relaxed)}; };
  return {get(held_),      get(peak_),       get(waiting_), get(waits_),
          get(waited_ns_), get(longest_ns_), get(grants_),  get(refusals_)};
}

Budget::Verdict Budget::Wait::step(char const* what) noexcept {
  std::uint64_t const before = os::monotonic_ns();
  if (!begun_) {
    if (before < budget_.no_wait_before_.load(std::memory_order_relaxed)) return exhausted(what, before);
    begun_ = true;
    began_ns_ = last_release_ns_ = before;
    limits_ = budget_.limits_.backoff;
    if (budget_.limits_.on_exhausted == OnExhausted::grant) {
      limits_.patience_ns = min(limits_.patience_ns, budget_.patience_ns_.load(std::memory_order_relaxed));
    }
    budget_.waiting_.fetch_add(1, std::memory_order_seq_cst);
    seen_ = budget_.releases_.load(std::memory_order_seq_cst);
    if (!budget_.first_wait_reported_.exchange(true, std::memory_order_relaxed)) {
      report(what, " reached: allocation slows down; holding ", Bytes{budget_.held()});
    }
    return Verdict::again;
  }
  std::uint64_t const wait = next_wait_ns(limits_, fruitless_, before - last_release_ns_, before - began_ns_);
  if (wait == 0) return exhausted(what, before);
  os::futex_wait(reinterpret_cast<std::uint32_t const*>(&budget_.releases_), seen_, wait);
  std::uint32_t const releases = budget_.releases_.load(std::memory_order_seq_cst);
  if (releases != seen_) {
    last_release_ns_ = os::monotonic_ns();
    fruitless_ = 0;
    limits_ = budget_.limits_.backoff;
  } else {
    ++fruitless_;
  }
  seen_ = releases;
  return Verdict::again;
}

Budget::Verdict Budget::Wait::exhausted(char const* what, std::uint64_t now) noexcept {
  if (begun_) {
    // As long without waits: at most half of the time goes into them.
    if (limits_.patience_ns > kFirstPatience) {
      budget_.no_wait_before_.store(now + (now - last_release_ns_), std::memory_order_relaxed);
    }
    budget_.patience_ns_.store(min(limits_.patience_ns * 2, budget_.limits_.backoff.patience_ns),
                               std::memory_order_relaxed);
  }
  bool const first = !budget_.exhaustion_reported_.exchange(true, std::memory_order_relaxed);
  switch (budget_.limits_.on_exhausted) {
    case OnExhausted::abort:
      die(what, " exhausted: nothing was released in time; holding ",
          Bytes{budget_.held_.load(std::memory_order_relaxed)}, "; STEALTH_ON_EXHAUSTED=abort ends the process");
    case OnExhausted::enomem:
      if (first)
        report(what, " exhausted: nothing was released in time; allocations fail with ENOMEM until something is freed");
      budget_.count_refusal();
      return Verdict::refused;
    case OnExhausted::grant:
      break;
  }
  if (first) report(what, " exhausted: nothing was released in time; going over it (STEALTH_ON_EXHAUSTED=grant)");
  budget_.count_grant();
  return Verdict::granted;
}

Budget::Wait::~Wait() {
  if (!begun_) return;
  budget_.waiting_.fetch_sub(1, std::memory_order_seq_cst);
  std::uint64_t const waited = os::monotonic_ns() - began_ns_;
  budget_.waits_.fetch_add(1, std::memory_order_relaxed);
  budget_.waited_ns_.fetch_add(waited, std::memory_order_relaxed);
  raise_to(budget_.longest_ns_, waited);
}

}  // namespace stealth
