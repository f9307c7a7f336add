// See budget.hpp. Lost wake-ups: whoever frees publishes, then looks for waiters; a waiter announces itself, then looks
// once more for memory, and only then sleeps (all seq_cst). Every sleep is bounded as well.
#include "capacity/budget.hpp"

#include <utility>

namespace stealth {

constinit Budget g_budget;

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
// So many bytes freed to heaps that nobody waits for are worth a look by somebody who does.
constexpr std::uint64_t kWorthALook = 64 * kKiB;

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
