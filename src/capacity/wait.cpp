// See wait.hpp, and docs/backpressure.md for the reasons.
#include "capacity/wait.hpp"

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

#include <utility>

#include "base/report.hpp"

namespace stealth {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
// Policy decisions less than this apart belong to one episode, which is reported once.
constexpr std::uint64_t kEpisodeNs = 10'000'000'000;

constexpr std::uint64_t kCgroupHope = 16;
// A sleep that ends so much later than it should was not one: the process was stopped (SIGSTOP, a frozen container).
constexpr std::uint64_t kStoppedFromNs = 1'000'000'000;

bool single_threaded() {
#if __has_include(<sys/single_threaded.h>)
  return __libc_single_threaded != 0;
#else
  return false;
#endif
}

std::uint32_t next_random(std::uint32_t& state) {
  state = state * 1664525 + 1013904223;
  return state;
}

}  // namespace

Wait::~Wait() {
  if (joined_) charge_.account->prepaid += budget_.queue_.leave(waiter());
  if (joined_ && !in_vain_) {
    charge_.account->in_vain = 0;
    if (charge_.account->trust < kMostTrust) ++charge_.account->trust;
  }
  std::uint64_t const waited = begun() ? os::monotonic_ns() - began_ns_ : 0;
  if (begun()) {
    budget_.stalls_.ends_to_wait(row_);
    budget_.stalls_.waited(place_.kind, waited);
  }
  budget_.settle(*charge_.account);
  if (joined_ && budget_.has_waiters()) budget_.hand_out();  // it stood before others
  if (!begun()) return;
  if (StallWitness* const witness = g_stall_witness.load(std::memory_order_acquire); witness != nullptr)
    witness(waited);
}

Verdict Wait::step(bool for_pages) noexcept {
  for_pages_ = for_pages;
  if (budget_.stopped_.load(kRelaxed) || (!begun() && !may_wait_())) {
    may_not_wait_ = true;
    return Verdict::exhausted;
  }
  std::uint32_t const known = std::exchange(changes_, budget_.changes_.load(std::memory_order_seq_cst));
  limits_ = budget_.limits().backoff;
  if (joined_) {
    if (changes_ != known) set_patience();
    return wait_for_release();
  }
  if (for_pages && put_off()) return Verdict::again;
  return for_pages && charge_.refusal == Refusal::delay ? sleep_delay() : announce();
}

bool Wait::claim() noexcept {
  if (!joined_) return false;
  std::uint64_t const granted = budget_.queue_.take_grant(waiter(), for_pages_ ? charge_.wanted : 0);
  charge_.account->prepaid += granted;
  if (granted != 0) fed(os::monotonic_ns());
  return granted != 0;
}

void Wait::begin(std::uint64_t now, std::uint64_t first_sleep) noexcept {
  if (begun()) return;
  began_ns_ = fed_ns_ = now;
  row_ = budget_.stalls_.waiting(place_.kind, for_pages_ ? charge_.wanted : 0, now);
  if (charge_.account->random == 0) charge_.account->random = static_cast<std::uint32_t>(now) | 1;
  if (budget_.first_delay_reported_.exchange(true, kRelaxed)) return;
  if (!for_pages_) return report("a class has reached its max: allocation slows down");
  std::uint64_t const used = budget_.used();
  std::uint64_t const soft = budget_.soft_point();
  std::uint64_t const reached = used > soft ? used : used + charge_.wanted;
  report("capacity ", Bytes{budget_.capacity()}, ": ", Bytes{used}, " used, ", Bytes{reached - min(soft, reached)},
         " over the soft point: allocation slows down; ", budget_.queue_.count() + 1, " waiting, for ",
         first_sleep / 1000, " us now and at most ", limits_.max_wait_ns / 1000, " us at a time");
}

// What a thread may still wait for nothing: `ns`, or less.
std::uint64_t Wait::affordable(std::uint64_t ns, std::uint64_t now) noexcept {
  ThreadAccount& account = *charge_.account;
  std::uint64_t const most = FruitlessTime::kSpanNs / 1000 * limits_.budget;
  std::uint64_t const gone = account.fruitless_time.within(now);
  std::uint64_t const left = gone < most ? most - gone : 0;
  if (left < kShortestSleep) account.spent = true;
  if (left >= most / 4 && left >= kShortestSleep) account.spent = false;
  return min(ns, left);
}

void Wait::join(void const* key, std::uint64_t wanted, std::uint64_t now) noexcept {
  charge_.account->prepaid += budget_.queue_.join(waiter(), key, wanted, now);
}

void Wait::look_at_waiter() noexcept {
  seen_fed_ = waiter().fed.load(std::memory_order_relaxed);
  seen_ = waiter().word.load(std::memory_order_seq_cst);
}

// Sleeps, and learns whether it brought anything.
void Wait::sleep(std::uint64_t ns) noexcept {
  ThreadAccount& account = *charge_.account;
  std::uint32_t const releases = budget_.flow_.releases();
  std::uint64_t const before = os::monotonic_ns();
  if (!joined_) {  // a delay: no release ends it, but new settings do
    look_at_waiter();
    join(nullptr, 0, before);
  }
  waiter().back_by_ns.store(before + ns, kRelaxed);
  auto const* const word = reinterpret_cast<std::uint32_t const*>(&waiter().word);
  std::uint64_t const nap = min(ns, kShortestSleep);
  os::futex_wait(word, seen_, nap);  // whoever is woken by every little block wakes too often
  bool others = false;
  if (ns > nap && waiter().word.load(std::memory_order_seq_cst) == seen_) {
    waiter().listening.store(true, std::memory_order_seq_cst);
    if (joined_ && budget_.group_.joined()) {
      others = sleep_in_group(ns - nap);
    } else {
      os::futex_wait(word, seen_, ns - nap);
    }
    waiter().listening.store(false, kRelaxed);
  }
  if (!joined_) static_cast<void>(budget_.queue_.leave(waiter()));
  std::uint64_t const now = os::monotonic_ns();
  // Nobody could release anything meanwhile: it is no silence, and this call has not waited for it.
  std::uint64_t const stopped = now - before > ns + kStoppedFromNs ? now - before - ns : 0;
  began_ns_ += stopped;
  fed_ns_ += stopped;
  std::uint64_t const slept = now - before - stopped;
  budget_.stalls_.slept(slept);
  bool const mine = waiter().fed.load(std::memory_order_relaxed) != seen_fed_;
  look_at_waiter();
  if (mine || others || (for_pages_ && budget_.flow_.releases() != releases && hopeful())) {
    fed(now);
    account.fruitless /= 2;
  } else {
    ++fruitless_;
    account.fruitless_time.add(now, slept);
    in_silence_ns_ += slept / 1000 * 1000;
    if (account.fruitless < 8) ++account.fruitless;
  }
}

// Something was released: the sleeps before that were part of a wait for it, and not for nothing.
void Wait::fed(std::uint64_t now) noexcept {
  fed_ns_ = now;
  fruitless_ = 0;
  charge_.account->fruitless_time.take_back(now, std::exchange(in_silence_ns_, 0));
}

// In a group all waiters of all processes sleep on one word; true if it moved.
bool Wait::sleep_in_group(std::uint64_t ns) noexcept {
  Group& group = budget_.group_;
  std::uint32_t const seen = group.begin_wait();
  budget_.hand_out();
  std::uint32_t const* const word = group.word();
  if (word == nullptr || waiter().word.load(std::memory_order_seq_cst) != seen_) return true;
  os::shared_futex_wait(word, seen, ns);
  bool const moved = __atomic_load_n(word, __ATOMIC_SEQ_CST) != seen;
  return group.sweep() || moved;  // which may leave the word's page: it is not to be read afterwards
}

// Whether what is being released can make room for this call within the time that it may wait at all.
bool Wait::hopeful() noexcept {
  std::uint64_t const needed = budget_.used() + (joined_ && for_pages_ ? charge_.wanted : 0);
  std::uint64_t const whole = budget_.capacity();
  if (needed <= whole) return true;
  Flow::Rates const rates = budget_.flow_.rates(os::monotonic_ns());
  if (!rates.known) return true;
  std::uint64_t const per_s = min(rates.any().now, std::uint64_t{1} << 40);
  return needed - whole <= per_s * (limits_.max_elapsed_ns / 1'000'000) / 1000;
}

// A sleep of a call that has not waited yet: no longer than all of its waiting may be.
std::uint64_t Wait::first_sleep(std::uint64_t ns, std::uint64_t now) noexcept {
  std::uint64_t const most = min(limits_.patience_ns, limits_.max_elapsed_ns);
  return affordable(min(jittered(limits_, ns, next_random(charge_.account->random)), most), now);
}

// A thread that takes locks may hold one now, which those who could release something need. It waits where it takes its
// next one: if that comes soon, and the process goes over the capacity by little, if it may at all.
bool Wait::put_off() noexcept {
  ThreadAccount& account = *charge_.account;
  if (charge_.at_once || !account.takes_locks) return false;
  if (charge_.refusal == Refusal::delay) {
    if (account.debts_put_off < kMostDebtsPutOff) {
      ++account.debts_put_off;
      account.due_bytes += charge_.wanted;
      account.due_until_ns = os::monotonic_ns() + charge_.delay_ns;  // which holds those before it
      account.due_kind = place_.kind;
      return charge_.paid = true;
    }
  } else if (budget_.limits().on_exhausted != OnExhausted::grant) {
    return false;
  } else if (account.advance == 0 || account.advance + charge_.wanted <= advance_bytes(budget_.capacity()) / 2) {
    if (!budget_.take_in_advance(charge_.wanted)) return false;
    account.prepaid += charge_.wanted;
    account.advance += charge_.wanted;
    account.due_kind = place_.kind;
    return true;
  }
  account.forget_what_is_put_off();  // no lock came
  return false;
}

Verdict Wait::sleep_delay() noexcept {
  std::uint64_t const now = os::monotonic_ns();
  charge_.paid = true;
  std::uint64_t const ns = first_sleep(charge_.delay_ns, now);
  if (ns < kShortestSleep / 4) return Verdict::again;
  begin(now, ns);
  sleep(ns);
  return Verdict::again;
}

Verdict Wait::announce() noexcept {
  if (for_pages_) budget_.pressure_.raise(PressureLevel::capacity);
  std::uint64_t const now = os::monotonic_ns();
  bool const may_go_over = budget_.limits().on_exhausted == OnExhausted::grant;
  static_cast<void>(affordable(0, now));
  if (for_pages_ && charge_.wanted > budget_.capacity()) return Verdict::exhausted;  // cannot fit, whoever releases
  if (may_go_over && for_pages_ && (charge_.account->spent || is_alone())) return overdraw();
  set_patience();
  if (charge_.account->spent || patience_ns_ == 0 || limits_.max_elapsed_ns == 0) return Verdict::exhausted;
  begin(now, kShortestSleep);
  fed_ns_ = now;
  look_at_waiter();
  join(place_.key, for_pages_ ? charge_.wanted : 0, began_ns_);
  joined_ = true;
  budget_.hand_out();
  claim();
  return Verdict::again;
}

void Wait::set_patience() noexcept {
  bool const may_go_over = budget_.limits().on_exhausted == OnExhausted::grant;
  bool const alone = budget_.frees_alone(os::monotonic_ns());
  patience_ns_ = patience_ns(limits_, may_go_over, alone, charge_.account->trust, budget_.capacity(), budget_.used());
  if (may_go_over && charge_.account->in_vain != 0) {
    std::uint64_t const grant = grant_bytes(budget_.capacity(), charge_.account->in_vain, budget_.queue_.count());
    ReleaseRate const rate = budget_.flow_.rates(os::monotonic_ns()).any();
    patience_ns_ = min(patience_ns_, matching_ns(grant, rate, budget_.capacity(), budget_.used()));
  }
  // Over the limit of a cgroup the kernel kills: what is over weighs more there.
  if (budget_.meter_.source() == Meter::Source::cgroup)
    patience_ns_ = min(limits_.patience_ns, patience_ns_ * kCgroupHope);
}

Verdict Wait::wait_for_release() noexcept {
  std::uint64_t const now = os::monotonic_ns();
  waiter().back_by_ns.store(now, kRelaxed);
  budget_.settle(*charge_.account);  // a grant that did not suffice, since the need has grown
  if (claim()) return Verdict::again;
  budget_.hand_out();  // it may need less than before
  if (claim()) return Verdict::again;
  std::uint64_t const silence = now - fed_ns_;
  std::uint64_t const elapsed = now - began_ns_;
  if (silence >= patience_ns_ || elapsed >= limits_.max_elapsed_ns) return Verdict::exhausted;
  std::uint64_t const left = affordable(min(patience_ns_ - silence, limits_.max_elapsed_ns - elapsed), now);
  if (left == 0) return Verdict::exhausted;
  Situation const situation = {.phase = Phase::wait, .fruitless = fruitless_};
  std::uint64_t const ns = jittered(limits_, delay_ns(limits_, situation), next_random(charge_.account->random));
  sleep(max(min(ns, left), std::uint64_t{1}));
  budget_.look_if_due(os::monotonic_ns());
  budget_.hand_out();  // the capacity or what is there may have changed without a release
  claim();
  return Verdict::again;
}

// Whether there is nobody who could release anything.
bool Wait::is_alone() const noexcept {
  return single_threaded() && !budget_.group_.joined() && budget_.meter_.source() != Meter::Source::cgroup;
}

// Nobody can release anything, or this thread has waited in vain too long: growth costs time, and goes on.
Verdict Wait::overdraw() noexcept {
  std::uint64_t const now = os::monotonic_ns();
  Situation const situation = {
      .phase = Phase::overdraft,
      .capacity = budget_.capacity(),
      .used = budget_.used(),
      .bytes = max(charge_.wanted, grant_bytes(budget_.capacity(), charge_.account->in_vain, 1))};
  std::uint64_t const ns = first_sleep(delay_ns(limits_, situation), now);
  if (ns >= kShortestSleep / 4) {
    begin(now, ns);
    sleep(ns);
  }
  return Verdict::exhausted;
}

Verdict Wait::decide() noexcept {
  // The policy is for calls that have waited in vain. Who must not wait is let through.
  if (may_not_wait_) {
    if (for_pages_ && budget_.used() + charge_.wanted > budget_.capacity()) budget_.stalls_.granted(place_.kind);
    return Verdict::granted;
  }
  if (for_pages_) budget_.pressure_.raise(PressureLevel::exhausted);
  std::uint64_t const now = os::monotonic_ns();
  std::uint64_t const last = budget_.exhausted_ns_.exchange(now, kRelaxed);
  in_vain_ = true;
  charge_.account->trust = kLeastTrust;
  bool const first = last == 0 || (now > last && now - last > kEpisodeNs);  // another thread may have been later
  char const* const what = for_pages_ ? "capacity" : "a class's max";
  char const* const why = for_pages_ && charge_.wanted > budget_.capacity() ? "one request is larger than it"
                                                                            : "nothing was released in time";
  switch (budget_.limits().on_exhausted) {
    case OnExhausted::abort:
      if (budget_.say_holders_ != nullptr) budget_.say_holders_();
      die(what, " exhausted: ", why, "; holding ", Bytes{budget_.held()},
          "; STEALTH_ON_EXHAUSTED=abort ends the process");
    case OnExhausted::enomem:
      if (first) report(what, " exhausted: ", why, "; allocations fail with ENOMEM until something is freed");
      budget_.stalls_.refused();
      return Verdict::refused;
    case OnExhausted::grant:
      break;
  }
  if (first) report(what, " exhausted: ", why, "; going over it (STEALTH_ON_EXHAUSTED=grant)");
  budget_.stalls_.granted(place_.kind);
  if (for_pages_) {
    budget_.granted_to_.store(budget_.used() + charge_.wanted, kRelaxed);
    std::uint8_t& in_vain = charge_.account->in_vain;
    std::uint64_t const grant = grant_bytes(budget_.capacity(), in_vain, budget_.queue_.count());
    if (in_vain < UINT8_MAX) ++in_vain;
    charge_.account->granted_left = grant > charge_.wanted ? grant - charge_.wanted : 0;
  }
  return Verdict::granted;
}

}  // namespace stealth
