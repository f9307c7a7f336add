// The bytes that a process holds, held at a capacity: the one place that charges and releases. Waiting is in wait.hpp.
//
// Charged is what is touched: slabs as they are carved, spans as they are handed out, page by page, until the pages go
// back to the kernel. The hot path of malloc and free never comes here.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "capacity/backoff.hpp"
#include "capacity/flow.hpp"
#include "capacity/group.hpp"
#include "capacity/meter.hpp"
#include "capacity/pressure.hpp"
#include "capacity/stalls.hpp"
#include "capacity/wait_queue.hpp"
#include "os/os.hpp"

namespace stealth {

enum class OnExhausted : std::uint8_t { grant, enomem, abort };
enum class Mode : std::uint8_t { enforce, observe, off };

struct CapacityLimits {
  std::uint64_t capacity = kNoCapacity;
  std::uint32_t soft = 900;        // thousandths of the capacity
  std::uint32_t cgroup_share = 0;  // not 0: the capacity is so many thousandths of the cgroup's limit, whatever that is
  BackoffLimits backoff;
  OnExhausted on_exhausted = OnExhausted::grant;
  Mode mode = Mode::enforce;

  static constexpr std::uint64_t kNoCapacity = ~std::uint64_t{0};
};

// How long a thread has waited for nothing, over the last 10 s.
class FruitlessTime {
 public:
  static constexpr std::uint64_t kSpanNs = 10'000'000'000;
  void add(std::uint64_t now, std::uint64_t ns) noexcept {
    turn_to(now);
    us_[slot_ % kSlots] += static_cast<std::uint32_t>(ns / 1000);
  }
  // So much of what was added last was not for nothing.
  void take_back(std::uint64_t now, std::uint64_t ns) noexcept {
    turn_to(now);
    std::uint64_t left = ns / 1000;
    for (std::uint32_t age = 0; age < kSlots; ++age) {
      std::uint32_t& us = us_[(slot_ + kSlots - age) % kSlots];
      auto const part = static_cast<std::uint32_t>(min(left, std::uint64_t{us}));
      us -= part;
      left -= part;
    }
  }
  [[nodiscard]] std::uint64_t within(std::uint64_t now) noexcept {
    turn_to(now);
    std::uint64_t sum = 0;
    for (std::uint32_t const us : us_) sum += us;
    return sum * 1000;
  }

 private:
  static constexpr std::uint32_t kSlots = 21;  // one more than the span holds: the oldest has passed in part only
  void turn_to(std::uint64_t now) noexcept {
    std::uint64_t const current = now / (kSpanNs / (kSlots - 1));
    if (current - slot_ > kSlots) slot_ = current - kSlots;  // also the first time
    while (slot_ < current) us_[++slot_ % kSlots] = 0;
  }
  std::uint64_t slot_;  // the newest one's number
  std::uint32_t us_[kSlots];
};

// What the law remembers of one thread. Zero is the state of a new one. Its thread's alone, in the slow path.
struct ThreadAccount {
  FruitlessTime fruitless_time;
  std::uint64_t granted_left;  // bytes that it may still take over the capacity by its last grant
  std::uint64_t credit;  // bytes that it has freed itself above the soft point: it may take as many at the capacity
  std::uint64_t asked_at_ns;      // Flow::count_asker
  std::uint64_t reclaimed_at_ns;  // when the engine last looked for idle memory on its behalf
  std::uint32_t random;
  std::uint8_t fruitless;      // sleeps in a row, each the shorter
  std::int8_t trust;           // patience_ns
  std::uint8_t in_vain;        // waits in a row that were
  bool spent;                  // the budget is used up: no waiting until a quarter of it is back
  bool takes_locks;            // it has taken one since it was last thought not to
  std::uint8_t debts_put_off;  // until it takes its next lock
  std::uint32_t due_kind;      // Place::kind of what was put off last
  std::uint64_t due_bytes;     // that all of them asked for
  std::uint64_t due_until_ns;  // until when it should have slept for them
  std::uint64_t advance;       // bytes that it has taken over the capacity, and not waited for yet
  std::uint64_t prepaid;  // bytes that a releaser has charged for its request, and that it has taken from the queue
  Waiter waiter;

  void forget_what_is_put_off() noexcept {
    takes_locks = false;
    debts_put_off = 0;
    due_bytes = 0;
    advance = 0;
  }
};

// How far a charge may go.
enum class Level : std::uint8_t {
  calm,    // not beyond the point where idle memory should be collected first
  within,  // up to the capacity, at the law's rate
  over,    // whether or not it fits: the policy said so
};
enum class Refusal : std::uint8_t {
  none,
  idle_first,  // collect idle memory, then ask again
  delay,       // sleep for delay_ns, then ask again with `paid`
  full,        // wait for releases
};

// One request for pages, from its first try to its end.
struct Charge {
  Level level = Level::calm;
  ThreadAccount* account = nullptr;  // null: never delayed
  std::uint64_t idle = 0;            // bytes that are charged, free, and can be purged at once
  bool paid = false;                 // the delay has been slept, or put off
  bool at_once = false;              // nothing is put off

  // What the last refusal said.
  Refusal refusal = Refusal::none;
  std::uint64_t wanted = 0;  // bytes
  std::uint64_t delay_ns = 0;
};

class Budget {
 public:
  constexpr Budget() = default;

  // --- settings; any thread, at any time, but one at a time ---
  // In force at once, for those who wait, too. A group's capacity is the group's to set, before this.
  void configure(CapacityLimits const& limits) noexcept;
  // What `held` is compared with from now on; configure() is to follow.
  void measure_by(Meter::Source source) noexcept;
  // The tightest limit of the process's cgroups, looked up anew; os::kUnlimited without one.
  [[nodiscard]] std::uint64_t find_cgroup_limit() noexcept;
  [[nodiscard]] CapacityLimits limits() const noexcept;
  [[nodiscard]] Meter& meter() noexcept { return meter_; }
  [[nodiscard]] PressureSignal& pressure() noexcept { return pressure_; }
  [[nodiscard]] Group& group() noexcept { return group_; }
  [[nodiscard]] std::uint64_t capacity() const noexcept;  // in force now: the group's, if there is one

  // --- charging ---
  // Charges and returns true, or changes nothing and returns false: charge.refusal says why.
  [[nodiscard]] bool try_charge(std::size_t bytes, Charge& charge) noexcept;
  // For what must not fail.
  void charge_anyhow(std::size_t bytes) noexcept;
  // Ends a request: gives back what was reserved for it and not used.
  void settle(ThreadAccount& account) noexcept;
  void release(std::size_t bytes) noexcept;
  // Of what is charged, so many bytes more (or less) are not the arena's.
  void count_outside(std::int64_t bytes) noexcept {
    outside_.fetch_add(static_cast<std::uint64_t>(bytes), std::memory_order_relaxed);
  }
  // `bytes` became free that others can use though no page was given back: blocks of the heap, or class, `key`; null:
  // pages that anybody can have. `account`: of the thread that has just freed them; null: they were freed before, and
  // only now come to light.
  void freed(std::size_t bytes, void const* key, ThreadAccount* account) noexcept {
    if (under_pressure()) freed_under_pressure(bytes, key, account, bytes);
  }
  // The same as freed() for pages of the thread's own blocks. It may be about to take them again: no rate is foretold
  // by them.
  void own_freed(std::size_t bytes, ThreadAccount* account) noexcept {
    if (under_pressure()) freed_under_pressure(bytes, nullptr, account, 0);
  }
  // Charged pages have become free for anybody; below 0: are in use again.
  void pages_freed(std::int64_t bytes) noexcept {
    if (pressed_.load(std::memory_order_relaxed)) flow_.note_pages(bytes);
  }
  // After idle memory was collected: the next growth beyond what is held now is calm again up to a share of it.
  void raise_calm_limit() noexcept;

  // --- reading ---
  [[nodiscard]] std::uint64_t held() const noexcept { return held_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t peak_held() const noexcept { return peak_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t held_outside() const noexcept { return outside_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t used() const noexcept { return used_with(held()); }
  // Whether somebody waits, or soon may: frees should then come to light at once.
  [[nodiscard]] bool under_pressure() const noexcept {
    return pressed_.load(std::memory_order_relaxed) || !queue_.empty();
  }
  // Whether what becomes free is to go back to the kernel at once. May look: what was not there when it was charged, so
  // that it passed, may be there now, and nobody notices as long as it is freed and used again.
  [[nodiscard]] bool is_over() noexcept {
    bool const may_be = pressed_.load(std::memory_order_relaxed) || held() > capacity();
    return may_be && mode_.load(std::memory_order_relaxed) == Mode::enforce && is_over_now();
  }
  [[nodiscard]] bool has_waiters() const noexcept { return !queue_.empty(); }
  [[nodiscard]] std::uint64_t soft_point() const noexcept;  // bytes; CapacityLimits::kNoCapacity without a capacity
  [[nodiscard]] StallFacts facts() const noexcept;
  [[nodiscard]] StallsOfKind stalls_of(std::uint32_t kind) const noexcept { return stalls_.of_kind(kind); }
  [[nodiscard]] WaitingThread waiting_in_row(std::uint32_t row) const noexcept { return stalls_.row(row); }

  // What STEALTH_ON_EXHAUSTED=abort says before it ends the process: who holds the memory. Allocates nothing.
  void report_holders_by(void (*say)() noexcept) noexcept { say_holders_ = say; }
  // For a new thread that takes over what an ended one has left.
  void reset(ThreadAccount& account) noexcept;
  // In a forked child, for each account of a thread that is not there.
  void forget_waiter(ThreadAccount& account) noexcept;
  // Ends all waiting for good: the process exits, and its threads are not to be held up any more.
  void stop_waiting() noexcept;
  void after_fork_in_child() noexcept;

 private:
  friend class Wait;

  static constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};
  // How far over the capacity a thread's own frees may take it, as parts of the capacity.
  static constexpr std::uint64_t kMargin = 64, kWideMargin = 8, kMarginOfEach = 256;  // the last: of a group's members
  static std::uint64_t thousandths(std::uint64_t whole, std::uint32_t parts) { return whole / 1000 * parts; }

  void set_threshold() noexcept;
  [[nodiscard]] bool take(std::size_t bytes, std::uint64_t most_used) noexcept;
  void hand_out() noexcept;
  void wake_everybody() noexcept;
  [[nodiscard]] std::uint64_t used_with(std::uint64_t held) const noexcept;
  void freed_under_pressure(std::size_t bytes, void const* key, ThreadAccount* account,
                            std::size_t for_others) noexcept;
  [[nodiscard]] bool is_worth_a_look(std::size_t bytes) noexcept;

  // --- budget_admission.cpp ---
  [[nodiscard]] bool admit(std::size_t bytes, Charge& charge) noexcept;
  [[nodiscard]] bool admit_above_soft(std::size_t bytes, std::uint64_t used, std::uint64_t now,
                                      Charge& charge) noexcept;
  [[nodiscard]] bool take_in_advance(std::size_t bytes) noexcept;
  [[nodiscard]] bool frees_alone(std::uint64_t now) const noexcept;
  [[nodiscard]] std::uint64_t credit_margin(std::uint64_t now) const noexcept;
  void observe(std::size_t bytes, std::uint64_t used, std::uint64_t now, Charge& charge) noexcept;

  // --- budget_look.cpp: compares the count with what is really there, if that is due ---
  void look(std::uint64_t held, std::uint64_t now) noexcept;
  void look_if_due(std::uint64_t now) noexcept;
  [[nodiscard]] bool is_over_now() noexcept;
  [[nodiscard]] std::uint64_t missing_for_good(std::uint64_t held, std::uint64_t resident, std::uint64_t now) noexcept;

  // held_ == kPage x the sum of the arena's charged pages + outside_ (Arena::is_valid asserts it), plus what is granted
  // to waiters and not used yet
  alignas(64) std::atomic<std::uint64_t> held_{0};
  std::atomic<std::uint64_t> outside_{0};
  std::atomic<std::uint64_t> peak_{0};
  // A charge up to here needs no thought: the least of the calm limit, the soft point and where to look next, in terms
  // of held_.
  std::atomic<std::uint64_t> threshold_{0};
  std::atomic<std::uint64_t> calm_limit_{0};  // beyond it, idle memory is collected before fresh memory is taken
  std::atomic<std::uint64_t> look_at_{0};     // held_ at which the meter is read next
  std::atomic<std::uint64_t> look_ns_{0};     // and when it was read last
  std::atomic<std::int64_t> offset_{0};       // used == held_ + offset_
  std::atomic<std::uint64_t> discount_{0};  // bytes of ours that the group does not count, since they are not resident
  std::atomic<bool> pressed_{false};        // above the soft point, lately
  PressureSignal pressure_;

  alignas(64) WaitQueue queue_;
  Flow flow_;
  Stalls stalls_;
  Meter meter_;
  Group group_;
  Mutex threshold_mutex_;
  Mutex look_mutex_;  // guards the two that follow
  struct Sample {
    std::uint64_t held = 0, at_ns = 0;
  };
  Sample older_, newer_;                      // taken when looking, kSettleNs apart or more
  std::atomic<std::uint64_t> stranded_{0};    // bytes freed to heaps that nobody waits for, since somebody was told
  std::atomic<std::uint64_t> granted_to_{0};  // used at the last grant; 0: has been back below the capacity since
  std::atomic<std::uint64_t> unpriced_{0};    // observe: bytes whose delay is not computed yet
  std::atomic<bool> stopped_{false};
  std::atomic<bool> first_delay_reported_{false};
  void (*say_holders_)() noexcept = nullptr;
  std::atomic<std::uint64_t> exhausted_ns_{0};  // when the policy last had to decide: not long ago is the same episode

  std::atomic<std::uint32_t> changes_{0};  // of what follows
  // CapacityLimits, word by word
  std::atomic<std::uint64_t> capacity_{CapacityLimits::kNoCapacity};
  std::atomic<std::uint64_t> max_wait_ns_{BackoffLimits{}.max_wait_ns}, patience_ns_{BackoffLimits{}.patience_ns};
  std::atomic<std::uint64_t> max_elapsed_ns_{BackoffLimits{}.max_elapsed_ns};
  std::atomic<std::uint32_t> soft_{900}, cgroup_share_{0}, budget_{500}, jitter_{500};
  std::atomic<OnExhausted> on_exhausted_{OnExhausted::grant};
  std::atomic<Mode> mode_{Mode::enforce};
};

extern constinit Budget g_budget;

}  // namespace stealth
