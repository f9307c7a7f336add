// What a request does that does not fit: reclaim, wait, ask the policy. One loop for slabs, spans and classes with a
// max.
#include <utility>

#include "engine/slow.hpp"
#include "os/os.hpp"

namespace stealth {

namespace {

// Own lists are given back at most this often, and all heaps looked through, by whichever thread comes first: that
// costs time in proportion to their number.
constexpr std::uint64_t kReclaimNs = 20'000'000;
// The same before a request goes over the capacity. Before it fails all heaps are looked through in any case.
constexpr std::uint64_t kLastReclaimNs = 2'000'000;
constinit std::atomic<std::uint64_t> g_collected_ns{0};
// Purged at once, at least: a system call should be worth its while.
constexpr std::size_t kLeastPurge = 256 * kKiB;

bool collecting_is_due(std::uint64_t now, std::uint64_t interval) {
  std::uint64_t last = g_collected_ns.load(std::memory_order_relaxed);
  return now - last >= interval && g_collected_ns.compare_exchange_strong(last, now, std::memory_order_relaxed);
}

// Blocks that lie in lists, batches and queues go back to their slabs, and empty slabs to the arena.
void reclaim_blocks(Heap& heap, bool of_all) {
  {
    Hold hold(heap.lock);
    heap.release_unused(true);
  }
  if (!of_all) return;
  collect();
  request_flush();
}

void purge_for(Charge const& charge) {
  std::size_t const dirty = g_arena.free_dirty_bytes();
  if (dirty == 0) return;
  std::size_t const wanted = max(static_cast<std::size_t>(charge.wanted), kLeastPurge);
  g_arena.purge_down_to(dirty > wanted ? dirty - wanted : 0);
}

bool may_wait() noexcept { return t_thread.no_waits == 0 && g_outside.may_wait(); }

class Admission {
 public:
  Admission(Heap& heap, Place place, Charge& charge, Attempt attempt) noexcept
      : heap_(heap), charge_(charge), attempt_(attempt), wait_(g_budget, charge, place, may_wait) {}

  Outcome run(Outcome result) noexcept {
    if (result == Outcome::over_capacity && charge_.refusal == Refusal::idle_first) {
      collect_idle();
      charge_.level = Level::within;
      result = again();
    }
    if (result == Outcome::no_memory) {  // of the range: what lies idle may be enough
      reclaim_blocks(heap_, true);
      charge_.level = Level::within;
      result = again();
    }
    while (result == Outcome::over_capacity || result == Outcome::at_max) {
      t_thread.watches_locks = true;
      if (result == Outcome::at_max && g_budget.limits().mode != Mode::enforce) return result;
      if (result == Outcome::over_capacity && reclaim()) {
        result = again();
        if (result != Outcome::over_capacity) continue;
      }
      Verdict verdict = wait_.step(result == Outcome::over_capacity);
      if (verdict == Verdict::exhausted) {
        if (!reclaimed_ && result == Outcome::over_capacity) {
          bool const may_fail = g_budget.limits().on_exhausted != OnExhausted::grant;
          reclaim_from(collecting_is_due(os::monotonic_ns(), may_fail ? 0 : kLastReclaimNs) || may_fail);
          result = again();
          if (result != Outcome::over_capacity) continue;
        }
        verdict = wait_.decide();
        if (verdict == Verdict::refused) return Outcome::refused;
        if (result == Outcome::at_max) return result;
        charge_.level = Level::over;
      }
      result = again();
    }
    return result;
  }

 private:
  Outcome again() noexcept {
    wait_.claim();
    charge_.idle = g_arena.free_dirty_bytes();
    return attempt_(charge_);
  }

  void reclaim_from(bool others) noexcept {
    reclaimed_ = reclaimed_ || others;
    reclaim_blocks(heap_, others);
    purge_for(charge_);
  }

  // True: something may have come of it.
  bool reclaim() noexcept {
    std::uint64_t const now = os::monotonic_ns();
    bool const of_others = collecting_is_due(now, kReclaimNs);
    if (of_others || now - heap_.account.reclaimed_at_ns >= kReclaimNs) {
      heap_.account.reclaimed_at_ns = now;
      reclaim_from(of_others);
      return true;
    }
    if (charge_.refusal != Refusal::full || g_arena.free_dirty_bytes() == 0) return false;
    purge_for(charge_);
    return true;
  }

  Heap& heap_;
  Charge& charge_;
  Attempt attempt_;
  bool reclaimed_ = false;  // of all heaps, in this call
  Wait wait_;
};

}  // namespace

void forbid_waits() noexcept { ++t_thread.no_waits; }
void allow_waits() noexcept { --t_thread.no_waits; }

namespace {

void sleep_what_was_put_off(Heap& heap) {
  ThreadAccount& account = heap.account;
  std::uint64_t const now = os::monotonic_ns();
  std::uint64_t const bytes = std::exchange(account.due_bytes, 0);
  if (std::exchange(account.debts_put_off, 0) == 0 || account.due_until_ns <= now) return;
  Charge charge{.account = &account,
                .at_once = true,
                .refusal = Refusal::delay,
                .wanted = bytes,
                .delay_ns = account.due_until_ns - now};
  static_cast<void>(Wait(g_budget, charge, {account.due_kind, &heap}, may_wait).step(true));
}

// As if it were asked for now: charged once more, as anything is, and then once less.
void ask_for_advance(Heap& heap) {
  std::uint64_t const bytes = std::exchange(heap.account.advance, 0);
  if (bytes == 0 || g_budget.limits().on_exhausted != OnExhausted::grant) return;
  auto attempt = [bytes](Charge& charge) {
    return g_budget.try_charge(bytes, charge) ? Outcome::done : Outcome::over_capacity;
  };
  Charge charge{.level = Level::within, .account = &heap.account, .idle = g_arena.free_dirty_bytes(), .at_once = true};
  Outcome result = attempt(charge);
  if (result != Outcome::done)
    result = admit_slowly(heap, {heap.account.due_kind, &heap}, charge, result, Attempt::by(attempt));
  if (result == Outcome::done) g_budget.release(bytes);
}

}  // namespace

void about_to_lock() noexcept {
  Heap* const heap = t_thread.own;
  if (t_thread.busy || heap == nullptr) return;  // in a handler that interrupted the slow path
  t_thread.watches_locks = false;
  Busy const busy;
  heap->account.takes_locks = true;
  sleep_what_was_put_off(*heap);
  ask_for_advance(*heap);
}

Outcome admit_slowly(Heap& heap, Place place, Charge& charge, Outcome first, Attempt attempt) noexcept {
  return Admission(heap, place, charge, attempt).run(first);
}

}  // namespace stealth
