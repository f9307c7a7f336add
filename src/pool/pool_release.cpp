// A pool's memory goes back: what is free by trim, and all of it at the end.
//
// Memory that is charged and not there looks to the budget as if it had never been touched, and what it finds so it
// lets others have, in addition to what is released. So the charge goes first, and the memory right after it; in
// pieces, since those who are given the charge begin to use theirs meanwhile.
#include "base/report.hpp"
#include "os/os.hpp"
#include "pool/charge.hpp"
#include "pool/pool_core.hpp"

namespace stealth {

// Of what lies in [from, to), whole granules.
std::size_t PoolCore::charged_within(std::size_t from, std::size_t to) const noexcept {
  std::size_t sum = 0;
  if (shares_granules()) {
    auto const* const marks = reinterpret_cast<unsigned char const*>(granules_charged_.data());
    for (std::size_t g = from / granule_; g < to / granule_ && g / 8 < granules_charged_.committed(); ++g) {
      if ((marks[g / 8] >> g % 8 & 1) != 0) sum += granule_;
    }
    return sum;
  }
  for (std::size_t i = from / stride_; i < ready_ && i * stride_ < to; ++i) {
    auto const block = static_cast<std::uint32_t>(i);
    if (block < reach() && (word(block).load(std::memory_order_relaxed) & kStates) == kGone) continue;
    sum += min(to, (i + 1) * stride_) - max(from, i * stride_);
  }
  return sum;
}

// What lies in [begin, end), whole granules, goes back to budget and kernel; adds the bytes. False: the kernel refuses,
// and all of it is as charged as before.
bool PoolCore::give_back(std::size_t begin, std::size_t end, std::size_t& bytes) noexcept {
  constexpr std::size_t kPiece = 2 * kMiB;  // of whole granules
  std::size_t released = 0;
  for (std::size_t to = end; to > begin;) {
    std::size_t const from = to - min(to - begin, kPiece);
    std::size_t const its = charged_within(from, to);
    memory::release(its);
    released += its;
    if (its != 0 && !blocks_.purge(from, to)) {
      static_cast<void>(memory::charge(released, Waiting::never));
      return false;
    }
    to = from;
  }
  charged_ -= released;
  bytes += released;
  return true;
}

// Before the addresses go: where the kernel takes nothing by the piece it takes it with them.
void PoolCore::give_back_all() noexcept {
  std::size_t bytes = 0;
  if (charged_ != 0) static_cast<void>(give_back(0, blocks_.committed(), bytes));
  memory::release(charged_);
  charged_ = 0;
}

// Gives back what blocks in [from, to), none of which is in use, have for themselves. The bytes.
std::size_t PoolCore::trim_run(std::uint32_t from, std::uint32_t to) noexcept {
  std::size_t const begin = align_up(from * stride_, granule_);
  // Behind the last block there is nobody to share with.
  std::size_t const end =
      to == ready_ ? min(align_up(to * stride_, granule_), blocks_.committed()) : align_down(to * stride_, granule_);
  std::size_t bytes = 0;
  bool const purged = begin < end && give_back(begin, end, bytes);
  bool const with_spare = to == ready_;
  for (std::uint32_t i = to; i-- > from;) {
    bool const known = i < reach();
    std::uint32_t const state = known ? word(i).load(std::memory_order_relaxed) & kStates : kGone;
    if (known && state == kGone) continue;  // before this
    if (purged && i * stride_ < end && (i + std::size_t{1}) * stride_ > begin) {
      if (!known) continue;
      word(i).store(kGone, std::memory_order_relaxed);
      ++trimmed_;
      --circulating_;
    } else if (known) {
      push_depot(i);
    }
  }
  if (purged && shares_granules()) static_cast<void>(mark_granules(begin, end, false));
  if (purged && with_spare) ready_ = reach();
  return bytes;
}

stealth_error PoolCore::trim(stealth_pool const* handle, std::uint64_t& given_back) noexcept {
  Hold hold(mutex_);
  if (!is(handle)) return STEALTH_INVALID_HANDLE;
  if (closed_) return STEALTH_POOL_CLOSED;
  settle();
  gather(Why::to_count);
  settle();
  depot_ = depot_count_ = 0;
  std::size_t bytes = 0;
  std::uint32_t end = ready_;  // of the run that is being looked at, from its end on
  for (std::uint32_t i = reach(); i-- > 0;) {
    std::uint32_t const state = word(i).load(std::memory_order_acquire) & kStates;
    if (state != kUsed && state != kWiping) continue;
    if (end > i + 1) bytes += trim_run(i + 1, end);
    end = i;
  }
  if (end > 0) bytes += trim_run(0, end);
  trimmed_from_ = 0;
  given_back = bytes;
  return STEALTH_OK;
}

// Lets others have the mutex who are about to be done.
void PoolCore::leave_for_a_moment() noexcept {
  std::uint32_t const never = 0;
  mutex_.unlock();
  os::futex_wait(&never, 0, 50'000);
  mutex_.lock();
}

// Leaves the pool without memory and without blocks; how many were out.
std::uint32_t PoolCore::close_under_mutex() noexcept {
  settle();
  closed_ = true;
  wake(waiting_);
  while (wiping_ != 0) leave_for_a_moment();  // somebody writes to a block
  gather(Why::to_count);
  if (must_recount_) recount();
  std::uint32_t const out = circulating_ - min(depot_count_, circulating_);
  give_back_all();
  blocks_.retire();
  // Nobody looks at words without an open magazine or the mutex.
  all_words_.release();
  granules_charged_.release();
  reach_.store(0, std::memory_order_relaxed);
  depot_ = depot_count_ = circulating_ = ready_ = trimmed_ = trimmed_from_ = 0;
  return out;
}

stealth_error PoolCore::close(stealth_pool const* handle) noexcept {
  std::uint32_t out = 0;
  std::size_t size = 0;
  std::uint32_t most = 0;
  std::uint32_t every = 0;
  TraceSummary traced;
  {
    Hold hold(mutex_);
    if (!is(handle)) return STEALTH_INVALID_HANDLE;
    if (closed_) return STEALTH_OK;
    every = trace_rate_.every();
    most = max_blocks_;
    size = block_size_;
    out = close_under_mutex();
    if (out != 0 && traces_ != nullptr) traces_->summarize(traced);
  }
  if (out != 0) {
    report("a pool was closed with ", out, " of its ", most, " blocks of ", std::uint64_t{size},
           " bytes still out: touching them now ends the program; put them back first");
    traced.tell("blocks", every);
  }
  return STEALTH_OK;
}

stealth_error PoolCore::end(stealth_pool const* handle) noexcept {
  stealth_error const error = close(handle);
  if (error != STEALTH_OK) return error;
  Hold hold(mutex_);
  if (!is(handle)) return STEALTH_INVALID_HANDLE;  // somebody else was faster
  handle_.store(0, std::memory_order_relaxed);
  // Those who waited, or were being charged for a block, look at it once more.
  while (inside_ != 0) leave_for_a_moment();
  give_up_memory();
  return STEALTH_OK;
}

// Zero again, but for the mutex and the handle.
void PoolCore::give_up_memory() noexcept {
  for (std::uint32_t k = 0; k < attached_count_; ++k) {
    Magazine& left = magazine(attached_[k]);
    left.attached = false;
    left.owner.store(Magazine::kNobody, std::memory_order_relaxed);
    left.clear();
    left.level = 0;
    left.calls_to_wait = 0;
    left.shared_ms = 0;
  }
  give_back_all();
  if (traces_ != nullptr) traces_->end();
  traces_ = nullptr;
  trace_rate_.begin(0);
  blocks_.release();
  all_words_.release();
  granules_charged_.release();
  reach_.store(0, std::memory_order_relaxed);
  depot_ = depot_count_ = circulating_ = high_water_ = ready_ = trimmed_ = trimmed_from_ = attached_count_ = 0;
  closed_ = must_recount_ = forked_ = false;
}

}  // namespace stealth
