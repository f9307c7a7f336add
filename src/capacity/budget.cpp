// See budget.hpp. Lost wake-ups: whoever frees publishes, then looks for waiters; a waiter announces itself, then looks
// once more for memory, and only then sleeps (all seq_cst). Every sleep is bounded as well.
#include "capacity/budget.hpp"

#include <utility>

#include "base/report.hpp"

namespace stealth {

constinit Budget g_budget;

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};
// Above the soft point the kernel is asked again after so long, or after so much growth.
constexpr std::uint64_t kLookNs = 10'000'000;
constexpr std::uint64_t kLeastGrowthToLook = 64 * kKiB;
// Pages that were charged so long ago are either written by now, or not soon.
constexpr std::uint64_t kSettleNs = 100'000'000;
// So many bytes freed to heaps that nobody waits for are worth a look by somebody who does.
constexpr std::uint64_t kWorthALook = 64 * kKiB;

// How far over the capacity a thread's own frees may take it, as parts of the capacity.
constexpr std::uint64_t kMargin = 64, kWideMargin = 8, kMarginOfEach = 256;  // the last: of a group's members

bool refuse(Charge& charge, Refusal why) {
  charge.refusal = why;
  return false;
}

std::uint64_t thousandths(std::uint64_t whole, std::uint32_t parts) { return whole / 1000 * parts; }

}  // namespace

void Budget::configure(CapacityLimits const& limits) noexcept {
  capacity_.store(limits.capacity, kRelaxed);
  soft_.store(limits.soft, kRelaxed);
  cgroup_share_.store(limits.cgroup_share, kRelaxed);
  max_wait_ns_.store(limits.backoff.max_wait_ns, kRelaxed);
  patience_ns_.store(limits.backoff.patience_ns, kRelaxed);
  max_elapsed_ns_.store(limits.backoff.max_elapsed_ns, kRelaxed);
  budget_.store(limits.backoff.budget, kRelaxed);
  jitter_.store(limits.backoff.jitter, kRelaxed);
  on_exhausted_.store(limits.on_exhausted, kRelaxed);
  mode_.store(limits.mode, kRelaxed);
  look_at_.store(meter_.source() == Meter::Source::cgroup ? 0 : kNoLimit, kRelaxed);
  set_threshold();
  changes_.fetch_add(1, std::memory_order_seq_cst);
  wake_everybody();
}

void Budget::measure_by(Meter::Source source) noexcept {
  Hold hold(look_mutex_);
  if (meter_.source() == source) return;
  meter_.use(source);
  offset_.store(0, kRelaxed);
  look_ns_.store(0, kRelaxed);
}

std::uint64_t Budget::find_cgroup_limit() noexcept {
  Hold hold(look_mutex_);
  static_cast<void>(meter_.find_cgroup());
  return meter_.cgroup_limit();
}

void Budget::wake_everybody() noexcept {
  queue_.wake_all();
  if (group_.joined()) group_.announce();
}

CapacityLimits Budget::limits() const noexcept {
  CapacityLimits limits;
  limits.capacity = capacity_.load(kRelaxed);
  limits.soft = soft_.load(kRelaxed);
  limits.cgroup_share = cgroup_share_.load(kRelaxed);
  limits.backoff = {max_wait_ns_.load(kRelaxed), patience_ns_.load(kRelaxed), max_elapsed_ns_.load(kRelaxed),
                    budget_.load(kRelaxed), jitter_.load(kRelaxed)};
  limits.on_exhausted = on_exhausted_.load(kRelaxed);
  limits.mode = mode_.load(kRelaxed);
  return limits;
}

std::uint64_t Budget::capacity() const noexcept {
  std::uint64_t const groups = group_.joined() ? group_.capacity() : 0;  // 0 also where it has just been left
  return groups != 0 ? groups : capacity_.load(kRelaxed);
}

std::uint64_t Budget::soft_point() const noexcept {
  std::uint64_t const whole = capacity();
  return whole == CapacityLimits::kNoCapacity ? whole : thousandths(whole, soft_.load(kRelaxed));
}

std::uint64_t Budget::used_with(std::uint64_t held) const noexcept {
  if (group_.joined()) {
    std::uint64_t const now = held_.load(kRelaxed);
    return group_.used() + (held > now ? held - now : 0);
  }
  std::int64_t const used = static_cast<std::int64_t>(held) + offset_.load(kRelaxed);
  return used < 0 ? 0 : static_cast<std::uint64_t>(used);
}

// One at a time: whoever comes last has seen what all before it have set.
void Budget::set_threshold() noexcept {
  Hold hold(threshold_mutex_);
  std::uint64_t threshold = min(calm_limit_.load(kRelaxed), look_at_.load(kRelaxed));
  std::uint64_t const soft = soft_point();
  if (soft != CapacityLimits::kNoCapacity) {
    std::int64_t const in_held = static_cast<std::int64_t>(soft) - offset_.load(kRelaxed);
    threshold = min(threshold, in_held < 0 ? 0 : static_cast<std::uint64_t>(in_held));
  }
  threshold_.store(group_.joined() ? 0 : threshold, kRelaxed);
}

bool Budget::try_charge(std::size_t bytes, Charge& charge) noexcept {
  if (charge.account != nullptr && charge.account->prepaid >= bytes) [[unlikely]] {
    charge.account->prepaid -= bytes;
    return true;
  }
  std::uint64_t held = held_.load(kRelaxed);
  while (held + bytes <= threshold_.load(kRelaxed)) {
    if (!held_.compare_exchange_weak(held, held + bytes, kRelaxed)) continue;
    raise_to(peak_, held + bytes);
    return true;
  }
  charge.wanted = bytes;
  return admit(bytes, charge);
}

void Budget::charge_anyhow(std::size_t bytes) noexcept { static_cast<void>(take(bytes, kNoLimit)); }

// Charges as long as no more than `most_used` is used then.
bool Budget::take(std::size_t bytes, std::uint64_t most_used) noexcept {
  if (group_.joined()) {  // charge, then ask: of two that do so at once, one sees both
    if (most_used != kNoLimit && group_.used() + bytes > most_used) return false;
    group_.charge(bytes);
    if (most_used != kNoLimit && group_.used() > most_used) {
      group_.release(bytes);
      return false;
    }
    raise_to(peak_, held_.fetch_add(bytes, kRelaxed) + bytes);
    return true;
  }
  std::uint64_t held = held_.load(kRelaxed);
  do {
    if (most_used != kNoLimit && used_with(held + bytes) > most_used) return false;
  } while (!held_.compare_exchange_weak(held, held + bytes, kRelaxed));
  raise_to(peak_, held + bytes);
  return true;
}

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

void Budget::settle(ThreadAccount& account) noexcept {
  std::uint64_t const unused = std::exchange(account.prepaid, 0);
  if (unused != 0) release(unused);
}

// Collecting costs time in proportion to what is there; so it comes back only after a growth in proportion.
void Budget::raise_calm_limit() noexcept {
  std::uint64_t const now = held();
  raise_to(calm_limit_, now + max(now / 32, std::uint64_t{kMiB}));
  set_threshold();
}

void Budget::release(std::size_t bytes) noexcept {
  held_.fetch_sub(bytes, std::memory_order_seq_cst);
  if (group_.joined()) {
    // What was not taken off was not counted either: it was found missing.
    std::uint64_t const missing = discount_.load(kRelaxed);
    std::uint64_t const uncounted = min(group_.release(bytes), missing);
    if (uncounted != 0) discount_.fetch_sub(uncounted, kRelaxed);
  }
  if (pressed_.load(kRelaxed)) {
    if (used() < soft_point() / 16 * 15) pressed_.store(false, kRelaxed), pressure_.calm();
  }
  if (!queue_.empty()) hand_out();
  if (group_.joined()) group_.announce();
}

void Budget::hand_out() noexcept {
  WaitQueue::Handed const handed =
      queue_.hand_out(os::monotonic_ns(), [this](std::uint64_t wanted) { return take(wanted, capacity()); });
  if (handed.any && group_.joined()) group_.announce();  // whose waiters all sleep on its word
  if (handed.returned != 0) release(handed.returned);
}

void Budget::freed_under_pressure(std::size_t bytes, void const* key, ThreadAccount* account,
                                  std::size_t for_others) noexcept {
  if (account != nullptr) {
    account->credit = min(account->credit + bytes, capacity() / kWideMargin);
    flow_.note_freed(for_others, os::monotonic_ns());
  }
  if (!queue_.empty() && (key == nullptr || (!queue_.wake_key(key) && is_worth_a_look(bytes)))) queue_.wake_first();
  if (group_.joined()) group_.announce();  // last: in a group that is what waiters sleep on
}

bool Budget::is_worth_a_look(std::size_t bytes) noexcept {
  if (stranded_.fetch_add(bytes, kRelaxed) + bytes < kWorthALook) return false;
  stranded_.store(0, kRelaxed);
  return true;
}

bool Budget::is_over_now() noexcept {
  bool const something_missing = offset_.load(kRelaxed) < 0 || discount_.load(kRelaxed) != 0;
  if (something_missing && used() <= capacity()) look_if_due(os::monotonic_ns());  // it may have been written since
  return used() > capacity();
}

void Budget::look_if_due(std::uint64_t now) noexcept {
  if (now - look_ns_.load(kRelaxed) >= kLookNs) look(held(), now);
}

// Bytes that are charged and not there. Where going over is not what the user wants, what was charged just now is taken
// for there: its pages may be about to be written.
std::uint64_t Budget::missing_for_good(std::uint64_t held, std::uint64_t resident, std::uint64_t now) noexcept {
  if (now - newer_.at_ns >= kSettleNs) {
    older_ = newer_;
    newer_ = {held, now};
  }
  bool const strict = on_exhausted_.load(kRelaxed) != OnExhausted::grant;
  std::uint64_t const settled = strict ? min(held, older_.held) : held;
  return settled > resident ? settled - resident : 0;
}

void Budget::look(std::uint64_t held, std::uint64_t now) noexcept {
  if (meter_.source() == Meter::Source::none || !look_mutex_.try_lock()) return;
  Meter::Reading const reading = meter_.read();
  held = min(held, held_.load(kRelaxed));  // what was released meanwhile may be gone from the reading
  look_ns_.store(now, kRelaxed);
  if (!reading.valid) {
    look_at_.store(held + 16 * kMiB, kRelaxed);
  } else if (meter_.source() == Meter::Source::cgroup) {
    offset_.store(static_cast<std::int64_t>(reading.used) - static_cast<std::int64_t>(held), kRelaxed);
    bool const limited = reading.limit != os::kUnlimited;
    capacity_.store(limited ? thousandths(reading.limit, cgroup_share_.load(kRelaxed)) : CapacityLimits::kNoCapacity,
                    kRelaxed);
    // Others of the cgroup grow, too: there may be many of them.
    std::uint64_t const soft = soft_point();
    std::uint64_t const room = reading.used < soft ? soft - reading.used : 0;
    look_at_.store(held + (limited ? max(room / 64, kLeastGrowthToLook) : 16 * kMiB), kRelaxed);
  } else {
    std::uint64_t const missing = missing_for_good(held, reading.used, now);
    if (group_.joined()) {
      std::uint64_t const before = discount_.exchange(missing, kRelaxed);
      if (missing > before) group_.release(missing - before);
      if (missing < before) group_.charge(before - missing);
    } else {
      offset_.store(-static_cast<std::int64_t>(missing), kRelaxed);
    }
    std::uint64_t const room = soft_point() > reading.used ? soft_point() - reading.used : 0;
    look_at_.store(missing == 0 ? kNoLimit : held + max(room / 8, kLeastGrowthToLook), kRelaxed);
  }
  set_threshold();
  look_mutex_.unlock();
}

StallFacts Budget::facts() const noexcept {
  StallFacts facts{};
  stalls_.read(facts);
  facts.waiting_now = queue_.count();
  facts.held = held();
  facts.peak_held = peak_.load(kRelaxed);
  facts.used = used();
  facts.over_bytes = facts.used > capacity() ? facts.used - capacity() : 0;
  return facts;
}

void Budget::reset(ThreadAccount& account) noexcept {
  account.prepaid += queue_.leave(account.waiter);
  settle(account);
  account.fruitless_time = {};
  account.granted_left = account.credit = account.asked_at_ns = account.reclaimed_at_ns = 0;
  account.fruitless = account.in_vain = 0;
  account.trust = 0;
  account.spent = false;
  account.forget_what_is_put_off();
}

void Budget::forget_waiter(ThreadAccount& account) noexcept {
  std::uint64_t const granted = std::exchange(account.waiter.granted, 0);
  held_.fetch_sub(granted + std::exchange(account.prepaid, 0), kRelaxed);
  account.waiter.queued = false;
  account.forget_what_is_put_off();
}

void Budget::stop_waiting() noexcept {
  stopped_.store(true, kRelaxed);
  wake_everybody();
}

void Budget::after_fork_in_child() noexcept {
  queue_.after_fork_in_child();
  stalls_.after_fork_in_child();
  flow_.after_fork_in_child();
  group_.after_fork_in_child();
  look_mutex_.reset();
  threshold_mutex_.reset();
  discount_.store(0, kRelaxed);
  first_delay_reported_.store(false, kRelaxed);
  exhausted_ns_.store(0, kRelaxed);
  set_threshold();
}

}  // namespace stealth
