// A BufferPool's life, its buffers' coming and going, and its figures. See buffer_pool.hpp.
#include "pool/buffer_pool.hpp"

#include <utility>

#include "base/report.hpp"
#include "os/os.hpp"
#include "pool/buffer_hot.hpp"
#include "pool/buffer_visit.hpp"
#include "pool/control.hpp"

namespace stealth {

namespace {

constexpr std::uint32_t kDrainMs = 30'000;

// Whether so many bytes more would be held up at the process's capacity, or come near to it.
bool memory_is_short(std::size_t bytes) {
  struct stealth_statistics now = {};
  now.size = sizeof now;
  return control().stats(&now) == STEALTH_OK && now.soft_point != 0 && now.used + bytes > now.soft_point;
}

}  // namespace

constinit std::atomic<std::uint32_t> BufferPoolCore::g_charging{0};

std::size_t BufferPoolCore::granule() const noexcept { return region_options_.huge_pages ? 2 * kMiB : os::page_size(); }

stealth_error BufferPoolCore::begin(std::uint64_t target, struct stealth_buffer_pool_options const& options) noexcept {
  constexpr std::uint32_t kKnownFlags = STEALTH_BUFFERS_WRITE_BACKOFF | STEALTH_BUFFERS_EXCLUDE_FROM_CORE_DUMP |
                                        STEALTH_BUFFERS_LOCK_IN_MEMORY | STEALTH_BUFFERS_HUGE_PAGES |
                                        STEALTH_BUFFERS_WIPE_ON_PUT;
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 46;
  constexpr std::uint64_t kDefaultIdle = 27;
  constexpr BufferLaw kDefault;
  bool const factor_is_one = options.randomization_factor >= 0 && options.randomization_factor <= 1;  // not so for NaN
  if (target == 0 || target > kMostCounted || (options.flags & ~kKnownFlags) != 0 || !factor_is_one ||
      options.max_buffer_size > kMostBytes)
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
  // Whole ones. Of small pages one in any case: a pool of so small a target would have to give it back at every put.
  keep_held_ = max(align_down(keep_bytes_, std::uint64_t{granule()}),
                   region_options_.huge_pages ? 0 : std::uint64_t{os::page_size()});
  if (options.trace_every != 0 && (traces_ = Traces::make()) == nullptr) return STEALTH_NOT_ENOUGH_MEMORY;
  trace_rate_.begin(options.trace_every);
  gate_.store(0, std::memory_order_relaxed);
  sum_ = counted_ = waits_ = waited_ns_ = longest_wait_ns_ = dropped_ = 0;
  drained_ms_ = 0;
  random_ = os::monotonic_ns() | 1;
  return STEALTH_OK;
}

// --- buffers come and go ---

stealth_error BufferPoolCore::get(std::uintptr_t handle, std::uint64_t content, BufferCore*& buffer) noexcept {
  Stack stack;
  bool const is_traced = trace_rate_.is_due(1);
  if (is_traced) stack.capture();
  Visit visit(*this);
  stealth_error const error = get_during(visit, handle, content, buffer);
  if (is_traced && error == STEALTH_OK && traces_ != nullptr) traces_->remember(buffer, stack);
  return error;
}

stealth_error BufferPoolCore::get_during(Visit& visit, std::uintptr_t handle, std::uint64_t content,
                                         BufferCore*& buffer) noexcept {
  BufferWaiter waiter;
  for (;;) {
    if (stealth_error const error = look(handle, waiter); error != STEALTH_OK) return error;
    if (content > max_buffer_size_) return STEALTH_OUT_OF_RANGE;
    bool const is_to_wait = idle_.empty() || (write_backoff_ && content != 0);
    if (!is_to_wait || !must_wait(waiter)) break;
    sleep_during(visit, waiter);
  }
  if (!idle_.empty()) {
    buffer = &hand_out_idle();
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

bool BufferPoolCore::may_keep(std::uint64_t size, std::uint64_t held) noexcept {
  if (size > keep_bytes_) return false;
  if (need_not_ask(held)) return true;
  std::uint32_t const now = os::coarse_ms();
  if (memory_is_short(0)) return false;
  asked_ms_.store(now, std::memory_order_relaxed);
  return true;
}

stealth_error BufferPoolCore::take_back(BufferCore& buffer, bool may_keep) noexcept {
  Visit visit(*this);
  if (traces_ != nullptr) traces_->forget(&buffer);
  empty(buffer);
  drain(visit);
  if (may_keep && !is_closed() && idle_count_ < max_idle_) {
    keep_idle(buffer);
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
  if (idle_count_ == 0) return;
  std::uint32_t const times = (os::coarse_ms() - drained_ms_) / kDrainMs;
  drained_ms_ += times * kDrainMs;
  for (std::uint32_t n = 0; n < times && idle_count_ != 0; ++n) drop_oldest(visit);
}

void BufferPoolCore::begin_charging() noexcept {
  g_charging.fetch_add(1, std::memory_order_relaxed);
  Hold hold(mutex_);
  ++inside_;
}

void BufferPoolCore::end_charging() noexcept {
  g_charging.fetch_sub(1, std::memory_order_relaxed);
  Visit const visit(*this);
  --inside_;
}

void BufferPoolCore::nobody_is_charging() noexcept { g_charging.store(0, std::memory_order_relaxed); }

std::size_t BufferPoolCore::may_charge(std::size_t needed, std::size_t wanted) noexcept {
  if (!memory_is_short(wanted)) return wanted;
  if (wanted != needed && !memory_is_short(needed)) return needed;
  Visit visit(*this);
  while (idle_count_ != 0) drop_oldest(visit);
  return needed;
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
  TraceSummary traced;
  std::uint32_t every = 0;
  {
    Visit visit(*this);
    if (!is(handle)) return STEALTH_INVALID_HANDLE;
    close_under_mutex(visit);
    handle_.store(kNoHandle, std::memory_order_relaxed);
    destroyed_ = true;
    out = out_;
    bytes = used() - counted_;
    every = trace_rate_.every();
    trace_rate_.begin(0);
    if (Traces* const traces = std::exchange(traces_, nullptr)) {
      traces->summarize(traced);
      traces->end();
    }
  }
  if (out != 0) {
    report("a buffer pool was destroyed with ", out, " of its buffers still out, which hold ", bytes,
           " bytes: they stay readable until they are put or released");
    traced.tell("buffers", every);
  }
  return STEALTH_OK;
}

}  // namespace stealth
