// A BufferPool's sum: who is counted for how much, who gets credit, and who waits for the sum to fall. See
// buffer_pool.hpp.
#include "os/os.hpp"
#include "pool/buffer_hot.hpp"
#include "pool/buffer_visit.hpp"

namespace stealth {

namespace {

// Where writes may have to wait, a credit is at most this part of the target.
constexpr std::uint64_t kPartOfTarget = 64;
// Credit is given again once the sum is well below the target.
constexpr std::uint64_t kPartThatCalms = 8;

}  // namespace

// --- the sum ---

// Calls credit in as it goes, so that it meets each buffer once, but for those that are in a call right now.
std::uint64_t BufferPoolCore::used() noexcept {
  std::uint64_t unused = 0;
  for (BufferCore* buffer = creditors_.front(); buffer != nullptr;) {
    BufferCore* const next = List<BufferCore>::next(buffer);
    if (buffer->lock_.try_lock()) {
      settle(*buffer);
      buffer->lock_.unlock();
    } else {
      unused += buffer->limit_ - min(buffer->size_.load(std::memory_order_relaxed), buffer->limit_);
    }
    buffer = next;
  }
  return sum_ - unused;
}

// The sum has fallen, or a buffer has become idle: whoever waits is to look again. True: somebody does, so wake() comes
// next, best without the mutex.
bool BufferPoolCore::fell() noexcept {
  if ((gate_.load(std::memory_order_relaxed) & kTight) != 0 && sum_ < target_ - target_ / kPartThatCalms)
    gate_.fetch_and(~kTight, std::memory_order_relaxed);
  if (waiting_ == 0) return false;
  released_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void BufferPoolCore::wake() noexcept { os::futex_wake(reinterpret_cast<std::uint32_t const*>(&released_), INT32_MAX); }

// Of so much, where writes may have to wait.
std::uint64_t BufferPoolCore::credit_allowed(std::uint64_t wanted) noexcept {
  std::uint64_t const credit = min(wanted, target_ / kPartOfTarget);
  bool const was_tight = (gate_.load(std::memory_order_relaxed) & kTight) != 0;
  bool tight = was_tight;
  if (tight) {
    tight = sum_ >= target_ - target_ / kPartThatCalms;
  } else if (sum_ + credit >= target_) {
    static_cast<void>(used());
    tight = sum_ + credit >= target_;
  }
  if (tight != was_tight) gate_.store(tight ? kTight : 0, std::memory_order_relaxed);  // all writers read it
  return tight ? 0 : credit;
}

BufferPoolCore::Admission BufferPoolCore::admit(BufferCore& buffer, std::uint64_t end, BufferWaiter& waiter) noexcept {
  Hold hold(mutex_);
  if (is_closed()) return Admission::pool_closed;
  settle(buffer);
  if (write_backoff_ && must_wait(waiter)) {
    begin_sleep(waiter);
    return Admission::wait_first;
  }
  std::uint64_t const before = buffer.size_.load(std::memory_order_relaxed);
  std::uint64_t const size = max(before, end);
  sum_ += size - before;
  give_credit(buffer, size);
  return Admission::granted;
}

void BufferPoolCore::shrink(BufferCore& buffer, std::uint64_t size) noexcept {
  Visit visit(*this);
  settle(buffer);
  sum_ -= buffer.limit_ - size;
  buffer.limit_ = size;
  buffer.size_.store(size, std::memory_order_release);
  visit.released();
}

stealth_error BufferPoolCore::count(std::uintptr_t handle, std::uint64_t bytes) noexcept {
  Visit visit(*this);
  BufferWaiter waiter;
  for (;;) {
    if (stealth_error const error = look(handle, waiter); error != STEALTH_OK) return error;
    if (bytes > kMostCounted - counted_) return STEALTH_OUT_OF_RANGE;
    if (!must_wait(waiter)) break;
    sleep_during(visit, waiter);
  }
  sum_ += bytes;
  counted_ += bytes;
  if (write_backoff_ && sum_ >= target_) gate_.fetch_or(kTight, std::memory_order_relaxed);
  return STEALTH_OK;
}

stealth_error BufferPoolCore::discount(std::uintptr_t handle, std::uint64_t bytes) noexcept {
  Visit visit(*this);
  if (!is(handle)) return STEALTH_INVALID_HANDLE;
  if (bytes > counted_) return STEALTH_OUT_OF_RANGE;
  sum_ -= bytes;
  counted_ -= bytes;
  visit.released();
  return STEALTH_OK;
}

// --- waiting ---

// xorshift64*, in [-1, 1).
double BufferPoolCore::draw() noexcept {
  random_ ^= random_ >> 12;
  random_ ^= random_ << 25;
  random_ ^= random_ >> 27;
  constexpr double kUnit = 1.0 / (std::uint64_t{1} << 52);
  return static_cast<double>(random_ * 0x2545F4914F6CDD1Du >> 11) * kUnit - 1.0;
}

// Whether a call that may wait can go on. Who has begun to had a good handle: if it is none now, the pool has ended.
stealth_error BufferPoolCore::look(std::uintptr_t handle, BufferWaiter const& waiter) const noexcept {
  if (!is(handle)) return waiter.begin_ns == 0 ? STEALTH_INVALID_HANDLE : STEALTH_POOL_CLOSED;
  return is_closed() ? STEALTH_POOL_CLOSED : STEALTH_OK;
}

bool BufferPoolCore::must_wait(BufferWaiter& waiter) noexcept {
  if (waiter.over || sum_ < target_) return false;
  std::uint64_t const now_used = used();
  if (now_used < target_) return false;
  std::uint64_t const now = os::monotonic_ns();
  bool const is_first = waiter.begin_ns == 0;
  if (is_first) {
    waiter.begin_ns = now;
    waiter.where = draw();
    ++waits_;
  }
  std::uint64_t const until = waiter.begin_ns + delay_ns(law_, now_used, target_, waiter.where);
  waiter.deadline_ns = is_first ? until : min(waiter.deadline_ns, until);
  waiter.over = now >= waiter.deadline_ns;
  waiter.sleep_ns = waiter.over ? 0 : waiter.deadline_ns - now;
  return !waiter.over;
}

void BufferPoolCore::begin_sleep(BufferWaiter& waiter) noexcept {
  ++waiting_;
  ++inside_;
  waiter.seen = released_.load(std::memory_order_relaxed);
}

void BufferPoolCore::sleep(BufferWaiter& waiter) noexcept {
  std::uint64_t const begin = os::monotonic_ns();
  os::futex_wait(reinterpret_cast<std::uint32_t const*>(&released_), waiter.seen, waiter.sleep_ns);
  std::uint64_t const end = os::monotonic_ns();
  Visit const visit(*this);
  --waiting_;
  --inside_;
  waited_ns_ += end - begin;
  longest_wait_ns_ = max(longest_wait_ns_, end - waiter.begin_ns);
}

void BufferPoolCore::sleep_during(Visit& visit, BufferWaiter& waiter) noexcept {
  begin_sleep(waiter);
  visit.leave();
  sleep(waiter);
  visit.come_back();
}

stealth_error BufferPoolCore::back_off(std::uintptr_t handle, std::uint64_t& waited_ns) noexcept {
  Visit visit(*this);
  BufferWaiter waiter;
  stealth_error error = STEALTH_OK;
  for (;;) {
    error = look(handle, waiter);
    if (error != STEALTH_OK || !must_wait(waiter)) break;
    sleep_during(visit, waiter);
  }
  if (waiter.begin_ns != 0) waited_ns = os::monotonic_ns() - waiter.begin_ns;
  drain(visit);
  return error;
}

}  // namespace stealth
