// Calling threads in. A thread that finds its lists full of blocks never comes to the slow path by itself; so the table
// that malloc reads is rewritten to class 0, whose list is always empty, for a moment: each thread's next malloc comes
// here, gives back what its lists hold, and goes on. The first one that comes when the moment is over puts the table
// back. Threads that do not allocate meanwhile keep what they have.
#include "engine/sampling.hpp"
#include "os/os.hpp"

namespace stealth {

constinit std::atomic<std::uint64_t> g_flush_until_ns{0};

namespace {

constexpr std::uint64_t kEveryNs = 20'000'000;
constexpr std::uint64_t kMomentNs = 1'000'000;

constinit Mutex g_mutex;
constinit std::atomic<std::uint32_t> g_epoch{0};  // of the last request
constinit std::atomic<std::uint64_t> g_requested_ns{0};
constinit std::atomic<void (*)() noexcept> g_work{nullptr};

// The caller holds the lock.
void begin_flush(std::uint64_t now) noexcept {
  g_requested_ns.store(now, std::memory_order_relaxed);
  g_epoch.fetch_add(1, std::memory_order_relaxed);
  g_flush_until_ns.store(now + kMomentNs, std::memory_order_release);
  hide_classes();
}

}  // namespace

void request_flush() noexcept {
  std::uint64_t const now = os::monotonic_ns();
  if (now - g_requested_ns.load(std::memory_order_relaxed) < kEveryNs || !g_mutex.try_lock()) return;
  begin_flush(now);
  g_mutex.unlock();
}

namespace {

// The caller holds the lock.
void publish_wanted_count() noexcept {
  std::size_t const before = g_counted_below.load(std::memory_order_relaxed), now = wanted_count();
  count_requests_below(now);
  // While threads are called in, the table is put back soon anyway.
  if (g_flush_until_ns.load(std::memory_order_relaxed) == 0) show_classes(max(before, now));
}

}  // namespace

void publish_counting() noexcept {
  Hold hold(g_mutex);
  publish_wanted_count();
}

bool try_publish_counting(std::atomic<bool>& what, bool now) noexcept {
  if (!g_mutex.try_lock()) return false;
  what.store(now, std::memory_order_seq_cst);
  publish_wanted_count();
  g_mutex.unlock();
  return true;
}

void call_in(void (*work)() noexcept) noexcept {
  Hold hold(g_mutex);
  g_work.store(work, std::memory_order_release);
  begin_flush(os::monotonic_ns());
}

void answer_flush(bool may_work) noexcept {
  std::uint32_t const epoch = g_epoch.load(std::memory_order_relaxed);
  if (Heap* const heap = t_thread.own; heap != nullptr && heap->flushed_epoch != epoch) {
    heap->flushed_epoch = epoch;
    Hold hold(heap->lock);
    heap->release_unused(true);
  }
  if (g_work.load(std::memory_order_relaxed) != nullptr) {
    // The table stays as it is for the next one.
    if (!may_work || t_thread.no_waits != 0 || !g_outside.may_wait()) return;
    if (auto* const work = g_work.exchange(nullptr, std::memory_order_acquire); work != nullptr) work();
  }
  if (os::monotonic_ns() < g_flush_until_ns.load(std::memory_order_acquire) || !g_mutex.try_lock()) return;
  // It may have been asked for anew just now.
  bool const is_over = os::monotonic_ns() >= g_flush_until_ns.load(std::memory_order_relaxed);
  if (is_over && g_work.load(std::memory_order_relaxed) == nullptr) {
    show_classes();
    g_flush_until_ns.store(0, std::memory_order_release);
  }
  g_mutex.unlock();
}

void end_flush_in_child() noexcept {
  g_mutex.reset();
  g_work.store(nullptr, std::memory_order_relaxed);
  count_requests_below(wanted_count());  // another thread may have been about to
  show_classes();
  g_flush_until_ns.store(0, std::memory_order_relaxed);
}

}  // namespace stealth
