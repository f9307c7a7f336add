// See buffer_pool.hpp.
#include "pool/buffer_pool.hpp"

#include "base/report.hpp"
#include "os/os.hpp"
#include "pool/control.hpp"

namespace stealth {

namespace {

constexpr std::uint32_t kDrainMs = 30'000;
// What a buffer may take in advance: as much as it has, within these, and at most this part of the target.
constexpr std::uint64_t kLeastCredit = 256, kMostCredit = 16 * kKiB, kPartOfTarget = 64;
// Credit is given again once the sum is well below the target.
constexpr std::uint64_t kPartThatCalms = 8;
// More than all buffers can hold; no sum overflows.
constexpr std::uint64_t kMostCounted = std::uint64_t{1} << 62;

}  // namespace

// The mutex, held while this lives, and what may only be done without it: dropping buffers, and the core's own end.
class BufferPoolCore::Visit {
 public:
  explicit Visit(BufferPoolCore& pool) noexcept : pool_(pool) { pool_.mutex_.lock(); }
  Visit(Visit const&) = delete;
  Visit& operator=(Visit const&) = delete;
  ~Visit() {
    static_cast<void>(drop_all());
    bool const ended = pool_.destroyed_ && pool_.out_ == 0 && pool_.inside_ == 0;
    if (ended) pool_.destroyed_ = false;
    pool_.mutex_.unlock();
    if (wakes_) pool_.wake();
    if (ended) g_buffer_pools.give_back(pool_);
  }
  // Something has been released: those who wait are woken when the mutex is free.
  void released() noexcept { wakes_ = pool_.fell() || wakes_; }
  void leave() noexcept {
    ++pool_.inside_;
    pool_.mutex_.unlock();
  }
  void come_back() noexcept {
    pool_.mutex_.lock();
    --pool_.inside_;
  }
  void drop(BufferCore& buffer) noexcept {
    dropped_.push_front(&buffer);
    ++pool_.dropped_;
  }
  // The bytes that went back.
  std::size_t drop_all() noexcept {
    if (dropped_.empty()) return 0;
    leave();
    std::size_t bytes = 0;
    while (BufferCore* const buffer = dropped_.front()) {
      dropped_.remove(buffer);
      bytes += buffer->end();
      g_buffers.give_back(*buffer);
    }
    come_back();
    return bytes;
  }

 private:
  BufferPoolCore& pool_;
  List<BufferCore> dropped_;
  bool wakes_ = false;
};

stealth_error BufferPoolCore::begin(std::uint64_t target, struct stealth_buffer_pool_options const& options) noexcept {
  constexpr std::uint32_t kKnownFlags = STEALTH_BUFFERS_WRITE_BACKOFF | STEALTH_BUFFERS_EXCLUDE_FROM_CORE_DUMP |
                                        STEALTH_BUFFERS_LOCK_IN_MEMORY | STEALTH_BUFFERS_HUGE_PAGES |
                                        STEALTH_BUFFERS_WIPE_ON_PUT;
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 46;
  constexpr std::uint64_t kDefaultIdle = 27;
  constexpr BufferLaw kDefault;
  bool const factor_is_one = options.randomization_factor >= 0 && options.randomization_factor <= 1;  // not so for NaN
  if (target == 0 || target > kMostCounted || (options.flags & ~kKnownFlags) != 0 || !factor_is_one ||
      options.max_buffer_size > kMostBytes || options.reserved != 0)
    return STEALTH_INVALID_OPTIONS;
  constexpr std::uint64_t kLongest = std::uint64_t{1} << 62;  // a century and more
  auto const or_default = [](auto given, auto otherwise) { return given == 0 ? otherwise : given; };
  target_ = target;
  max_idle_ = or_default(options.max_pool_size, kDefaultIdle);
  keep_bytes_ = min(target / max_idle_, kMostBytes);
  max_buffer_size_ = or_default(options.max_buffer_size, std::uint64_t{kGiB});
  law_.initial_ns = min(or_default(options.initial_interval_ns, kDefault.initial_ns), kLongest);
  law_.most_ns = min(or_default(options.max_elapsed_ns, kDefault.most_ns), kLongest);
  law_.randomization = options.randomization_factor > 0 ? options.randomization_factor : kDefault.randomization;
  auto const has = [&](std::uint32_t flag) { return (options.flags & flag) != 0; };
  write_backoff_ = has(STEALTH_BUFFERS_WRITE_BACKOFF);
  wipes_ = has(STEALTH_BUFFERS_WIPE_ON_PUT);
  region_options_ = {has(STEALTH_BUFFERS_EXCLUDE_FROM_CORE_DUMP), has(STEALTH_BUFFERS_LOCK_IN_MEMORY),
                     has(STEALTH_BUFFERS_HUGE_PAGES)};
  gate_.store(0, std::memory_order_relaxed);
  sum_ = counted_ = waits_ = waited_ns_ = longest_wait_ns_ = dropped_ = 0;
  drained_ms_ = os::coarse_ms();
  random_ = os::monotonic_ns() | 1;
  return STEALTH_OK;
}

// --- the sum ---

// Of a buffer whose lock is held: what it has not used of its limit is not counted any more.
void BufferPoolCore::settle(BufferCore& buffer) noexcept {
  if (!buffer.has_credit_) return;
  std::uint64_t const size = buffer.size_.load(std::memory_order_relaxed);
  sum_ -= buffer.limit_ - size;
  buffer.limit_ = size;
  buffer.has_credit_ = false;
  creditors_.remove(&buffer);
}

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
  if (sum_ < target_ - target_ / kPartThatCalms) gate_.fetch_and(~kTight, std::memory_order_relaxed);
  if (waiting_ == 0) return false;
  released_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void BufferPoolCore::wake() noexcept { os::futex_wake(reinterpret_cast<std::uint32_t const*>(&released_), INT32_MAX); }

// Of a buffer that is, or will be, so large, and is counted for that; nobody else can write to it.
void BufferPoolCore::give_credit(BufferCore& buffer, std::uint64_t size) noexcept {
  std::uint64_t credit = min(min(max(size, kLeastCredit), kMostCredit), buffer.ready_ - size);
  if (write_backoff_) {
    credit = min(credit, target_ / kPartOfTarget);
    bool tight = (gate_.load(std::memory_order_relaxed) & kTight) != 0;
    if (tight) {
      tight = sum_ >= target_ - target_ / kPartThatCalms;
    } else if (sum_ + credit >= target_) {
      static_cast<void>(used());
      tight = sum_ + credit >= target_;
    }
    if (tight) credit = 0;
    gate_.store(tight ? kTight : 0, std::memory_order_relaxed);
  }
  sum_ += credit;
  buffer.limit_ = size + credit;
  if (credit == 0) return;
  buffer.has_credit_ = true;
  creditors_.push_front(&buffer);
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
    if (!is(handle)) return STEALTH_INVALID_HANDLE;
    if (is_closed()) return STEALTH_POOL_CLOSED;
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
    error = !is(handle) ? STEALTH_INVALID_HANDLE : is_closed() ? STEALTH_POOL_CLOSED : STEALTH_OK;
    if (error != STEALTH_OK || !must_wait(waiter)) break;
    sleep_during(visit, waiter);
  }
  if (waiter.begin_ns != 0) waited_ns = os::monotonic_ns() - waiter.begin_ns;
  drain(visit);
  return error;
}

// --- buffers come and go ---

stealth_error BufferPoolCore::get(std::uintptr_t handle, std::uint64_t content, BufferCore*& buffer) noexcept {
  Visit visit(*this);
  BufferWaiter waiter;
  for (;;) {
    if (!is(handle)) return STEALTH_INVALID_HANDLE;
    if (is_closed()) return STEALTH_POOL_CLOSED;
    if (content > max_buffer_size_) return STEALTH_OUT_OF_RANGE;
    bool const is_to_wait = idle_.empty() || (write_backoff_ && content != 0);
    if (!is_to_wait || !must_wait(waiter)) break;
    sleep_during(visit, waiter);
  }
  if (BufferCore* const idle = idle_.front()) {
    idle_.remove(idle);
    --idle_count_;
    ++out_;
    give_credit(*idle, 0);
    buffer = idle;
    return STEALTH_OK;
  }
  visit.leave();
  stealth_error error = STEALTH_OK;
  BufferCore* const made = g_buffers.take(error);
  if (made != nullptr) {
    error = made->begin(*this);
    if (error != STEALTH_OK) g_buffers.give_back(*made);
  }
  visit.come_back();
  if (error != STEALTH_OK) return error;
  if (is_closed()) {
    visit.drop(*made);
    return STEALTH_POOL_CLOSED;
  }
  ++out_;
  buffer = made;
  return STEALTH_OK;
}

stealth_error BufferPoolCore::take_back(BufferCore& buffer, bool may_keep) noexcept {
  Visit visit(*this);
  settle(buffer);
  sum_ -= buffer.limit_;
  buffer.limit_ = 0;
  buffer.size_.store(0, std::memory_order_relaxed);
  --out_;
  drain(visit);
  if (may_keep && !is_closed() && idle_count_ < max_idle_) {
    idle_.push_front(&buffer);
    ++idle_count_;
  } else {
    visit.drop(buffer);
  }
  visit.released();
  return is_closed() ? STEALTH_POOL_CLOSED : STEALTH_OK;
}

void BufferPoolCore::drop_oldest(Visit& visit) noexcept {
  BufferCore* const oldest = idle_.back();
  idle_.remove(oldest);
  --idle_count_;
  visit.drop(*oldest);
}

void BufferPoolCore::drain(Visit& visit) noexcept {
  std::uint32_t const passed = os::coarse_ms() - drained_ms_;
  if (passed < kDrainMs) [[likely]]
    return;
  std::uint32_t const times = passed / kDrainMs;
  drained_ms_ += times * kDrainMs;
  for (std::uint32_t n = 0; n < times && idle_count_ != 0; ++n) drop_oldest(visit);
}

void BufferPoolCore::pin() noexcept {
  Hold hold(mutex_);
  ++inside_;
}

void BufferPoolCore::unpin() noexcept {
  Visit const visit(*this);
  --inside_;
}

void BufferPoolCore::make_room(std::size_t bytes) noexcept {
  Visit visit(*this);
  if (idle_count_ == 0) return;
  struct stealth_statistics now = {};
  now.size = sizeof now;
  if (control().stats(&now) != STEALTH_OK || now.soft_point == 0 || now.used + bytes <= now.soft_point) return;
  while (idle_count_ != 0) drop_oldest(visit);
}

stealth_error BufferPoolCore::trim(std::uintptr_t handle, std::uint64_t& given_back) noexcept {
  Visit visit(*this);
  if (!is(handle)) return STEALTH_INVALID_HANDLE;
  if (is_closed()) return STEALTH_POOL_CLOSED;
  while (idle_count_ != 0) drop_oldest(visit);
  given_back = visit.drop_all();
  return STEALTH_OK;
}

// --- figures, and the end ---

stealth_error BufferPoolCore::fill_ratio(std::uintptr_t handle, double& ratio) noexcept {
  Visit visit(*this);
  if (!is(handle)) return STEALTH_INVALID_HANDLE;
  if (is_closed()) return STEALTH_POOL_CLOSED;
  drain(visit);
  ratio = static_cast<double>(used()) / static_cast<double>(target_);
  return STEALTH_OK;
}

stealth_error BufferPoolCore::read(std::uintptr_t handle, struct stealth_buffer_pool_statistics& into) noexcept {
  Visit visit(*this);
  if (!is(handle)) return STEALTH_INVALID_HANDLE;
  drain(visit);
  static_cast<void>(visit.drop_all());
  into.target = target_;
  into.used = used();
  into.held = held_.load(std::memory_order_relaxed);
  into.out = out_;
  into.idle = idle_count_;
  into.waits = waits_;
  into.waited_ns = waited_ns_;
  into.longest_wait_ns = longest_wait_ns_;
  into.dropped = dropped_;
  into.waiting = waiting_;
  into.closed = is_closed() ? 1 : 0;
  return STEALTH_OK;
}

void BufferPoolCore::close_under_mutex(Visit& visit) noexcept {
  gate_.fetch_or(kClosed, std::memory_order_relaxed);
  while (idle_count_ != 0) drop_oldest(visit);
  visit.released();
}

stealth_error BufferPoolCore::close(std::uintptr_t handle) noexcept {
  Visit visit(*this);
  if (!is(handle)) return STEALTH_INVALID_HANDLE;
  if (!is_closed()) close_under_mutex(visit);
  return STEALTH_OK;
}

stealth_error BufferPoolCore::destroy(std::uintptr_t handle) noexcept {
  std::uint64_t out = 0, bytes = 0;
  {
    Visit visit(*this);
    if (!is(handle)) return STEALTH_INVALID_HANDLE;
    close_under_mutex(visit);
    handle_.store(kNoHandle, std::memory_order_relaxed);
    destroyed_ = true;
    out = out_;
    bytes = used() - counted_;
  }
  if (out != 0) {
    report("a buffer pool was destroyed with ", out, " of its buffers still out, which hold ", bytes,
           " bytes: they stay readable until they are put or released");
  }
  return STEALTH_OK;
}

}  // namespace stealth
