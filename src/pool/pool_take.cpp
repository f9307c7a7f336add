// Getting and putting where the thread's magazine has no answer: the depot, other threads' magazines, a fresh block,
// and waiting for one to come back. Nothing here waits, charges or overwrites a block with the mutex held.
#include <cstring>

#include "os/os.hpp"
#include "pool/charge.hpp"
#include "pool/pool_core.hpp"

namespace stealth {

namespace {

// A sleep that nothing ends is looked at again after so long: a lost wake-up would cost that, not a program.
constexpr std::uint64_t kSliceNs = 1'000'000'000;
// Nobody says when memory that the capacity or the kernel refused can be had.
constexpr std::uint64_t kMemorySliceNs = 2'000'000;

}  // namespace

// One call's way to its blocks.
struct PoolCore::Taking {
  Pointers out;
  std::size_t count;
  std::size_t taken = 0;
  std::size_t prepaid = 0;  // bytes that were charged for fresh blocks and not used yet
  std::size_t lacking = 0;  // bytes to be charged first
  Magazine* own = nullptr;
};

void PoolCore::push_depot(std::uint32_t i) noexcept {
  word(i).store(depot_ << kStateBits | kFree, std::memory_order_release);
  depot_ = i + 1;
  ++depot_count_;
}

std::uint32_t PoolCore::pop_depot() noexcept {
  std::uint32_t const i = depot_ - 1;
  depot_ = word(i).load(std::memory_order_acquire) >> kStateBits;
  --depot_count_;
  return i;
}

// Some more from the depot, so that the next calls need not come here. The topmost stays the first to be taken.
void PoolCore::refill(Magazine& own) noexcept {
  constexpr std::uint32_t kBlocks = Magazine::kBlocks / 2;
  std::uint32_t const wanted = min(depot_count_, kBlocks);
  std::uint32_t taken[kBlocks];
  for (std::uint32_t n = 0; n < wanted; ++n) {
    taken[n] = pop_depot();
    word(taken[n]).store(kFree, std::memory_order_release);
  }
  for (std::uint32_t n = wanted; n-- > 0;) put_into(own, taken[n]);
}

PoolCore::Took PoolCore::take_what_is_there(Taking& taking) noexcept {
  while (taking.taken < taking.count) {
    if (closed_) return Took::pool_closed;
    std::uint32_t i = kNone;
    if (taking.own != nullptr && taking.own->is_open() && !taking.own->is_empty()) {
      i = take_out_of(*taking.own);
    } else if (depot_ != 0) {
      i = pop_depot();
    } else if (others_have_some()) {
      gather(Why::a_block_wanted);
      settle();
      continue;
    } else {
      // All that are in circulation are out. Where there cannot be enough none is made: a call that fails changes
      // nothing.
      if (taking.count - taking.taken > max_blocks_ - circulating_) return Took::pool_full;
      i = next_fresh();
      std::size_t const cost = charge_for(i);
      if (cost > taking.prepaid) {
        taking.lacking = cost - taking.prepaid;
        return Took::charge_first;
      }
      if (!make(i)) return Took::no_memory;
      taking.prepaid -= cost;
    }
    static_cast<void>(word(i).load(std::memory_order_acquire));
    word(i).store(kUsed, std::memory_order_relaxed);
    taking.out[taking.taken++] = block_at(i);
  }
  return Took::all;
}

// What a call that fails has taken so far is free again, in the order in which it was found.
void PoolCore::take_back(Taking& taking) noexcept {
  std::size_t const taken = taking.taken;
  while (taking.taken > 0 && !closed_) {
    void* const block = taking.out[--taking.taken];
    give_under_mutex(nullptr, static_cast<std::uint32_t>(index_of(block)));
  }
  for (std::size_t n = 0; n < taken; ++n) taking.out[n] = nullptr;
}

// Leaves the mutex until a block came back, or may have. False: it is time to give up.
bool PoolCore::sleep(std::uint64_t until, bool for_memory) noexcept {
  std::uint64_t const now = os::monotonic_ns();
  if (until == kNoWait || now >= until) return false;
  ++waiting_;
  // From now on every put comes by the mutex, and sees that somebody waits.
  gather(Why::somebody_waits);
  settle();
  if (depot_ == 0) {
    std::uint32_t const seen = came_back_.load(std::memory_order_relaxed);
    mutex_.unlock();
    os::futex_wait(reinterpret_cast<std::uint32_t const*>(&came_back_), seen,
                   min(until - now, for_memory ? kMemorySliceNs : kSliceNs));
    mutex_.lock();
  }
  --waiting_;
  return true;
}

void PoolCore::wake(std::size_t blocks) noexcept {
  if (waiting_ == 0) return;
  came_back_.fetch_add(1, std::memory_order_relaxed);
  os::futex_wake(reinterpret_cast<std::uint32_t const*>(&came_back_),
                 static_cast<int>(min(blocks, std::size_t{INT32_MAX})));
}

stealth_error PoolCore::try_until(Taking& taking, std::uint64_t until) noexcept {
  for (;;) {
    bool for_memory = false;
    switch (take_what_is_there(taking)) {
      case Took::all:
        return STEALTH_OK;
      case Took::pool_closed:
        return STEALTH_POOL_CLOSED;
      case Took::pool_full:
        if (until == kNoWait) return STEALTH_POOL_FULL;
        break;
      case Took::charge_first: {
        mutex_.unlock();
        bool const charged =
            memory::charge(taking.lacking, until == kNoWait ? Waiting::as_malloc : Waiting::refused_instead);
        mutex_.lock();
        if (charged) {
          taking.prepaid += taking.lacking;
          continue;  // meanwhile a block may have come back, or the pool been closed
        }
        // The same where it was refused, perhaps after a long wait; what has come back costs nothing.
        switch (take_what_is_there(taking)) {
          case Took::all:
            return STEALTH_OK;
          case Took::pool_closed:
            return STEALTH_POOL_CLOSED;
          default:
            break;
        }
        [[fallthrough]];
      }
      case Took::no_memory:
        if (until == kNoWait) return STEALTH_NOT_ENOUGH_MEMORY;
        for_memory = true;
        break;
    }
    if (!sleep(until, for_memory)) return STEALTH_TIMED_OUT;
  }
}

stealth_error PoolCore::take(stealth_pool const* handle, Pointers out, std::size_t count,
                             std::uint64_t until) noexcept {
  Taking taking{out, count};
  Stack stack;
  bool const is_traced = trace_rate_.is_due(count);
  if (is_traced) stack.capture();
  stealth_error error = STEALTH_INVALID_HANDLE;
  {
    Hold hold(mutex_);
    if (is(handle)) {
      settle();
      ++inside_;
      taking.own = open_own();
      error = try_until(taking, until);
      if (error != STEALTH_OK) {
        take_back(taking);
      } else if (taking.own != nullptr && taking.own->is_open() && taking.own->is_empty()) {
        refill(*taking.own);
      }
      if (is_traced && error == STEALTH_OK && traces_ != nullptr) traces_->remember(out[0], stack);
      --inside_;
    }
  }
  if (error != STEALTH_OK) {
    for (std::size_t n = 0; n < count; ++n) out[n] = nullptr;
  }
  memory::release(taking.prepaid);
  return error;
}

// If it is out, it is `to` from now on.
bool PoolCore::come_back_under_mutex(std::uint32_t i, std::uint32_t to) noexcept {
  std::atomic<std::uint32_t>& its = word(i);
  std::uint32_t now = its.load(std::memory_order_relaxed);
  if ((now & kStates) == kUsed && now != kUsed) {
    Magazine& from = magazine(now >> kStateBits);
    bool const own = from.owner.load(std::memory_order_relaxed) == t_pool_thread.id;
    if (!own) close_for_sharing(from);
    now = its.load(std::memory_order_acquire);  // its owner may have been faster
  }
  return (now & kStates) == kUsed && its.compare_exchange_strong(now, to, std::memory_order_acq_rel);
}

// A block whose word says that it is not out any more goes where the next get looks first.
void PoolCore::give_under_mutex(Magazine* own, std::uint32_t i) noexcept {
  if (own == nullptr || !own->is_open()) {
    push_depot(i);
    wake(1);
    return;
  }
  if (own->size() == Magazine::kBlocks) move_to_depot(*own, Magazine::kBlocks / 2);
  word(i).store(kFree, std::memory_order_release);
  put_into(*own, i);
}

stealth_error PoolCore::give(stealth_pool const* handle, void* block, std::size_t size) noexcept {
  Hold hold(mutex_);
  if (!is(handle)) return STEALTH_INVALID_HANDLE;
  if (closed_) return STEALTH_POOL_CLOSED;
  settle();
  std::uint64_t const index = index_of(block);
  if (index >= reach() || size != block_size_) return STEALTH_INVALID_BLOCK;
  auto const i = static_cast<std::uint32_t>(index);
  // First, because it may have to make the lists anew: no free block may be in none of them then.
  Magazine* const own = open_own();
  if (!come_back_under_mutex(i, wipes_ ? kWiping : kFree)) return STEALTH_INVALID_BLOCK;
  if (traces_ != nullptr) traces_->forget(block);
  if (wipes_) {
    ++wiping_;  // close() waits for it
    mutex_.unlock();
    std::memset(block, 0, block_size_);
    mutex_.lock();
    --wiping_;
  }
  give_under_mutex(own, i);
  return STEALTH_OK;
}

stealth_error PoolCore::give_all(stealth_pool const* handle, Pointers blocks, std::size_t count) noexcept {
  Hold hold(mutex_);
  if (!is(handle)) return STEALTH_INVALID_HANDLE;
  if (closed_) return STEALTH_POOL_CLOSED;
  settle();
  Magazine* const own = open_own();
  // First all change their state, so that nobody else can put them, though they are in no list yet; if one cannot,
  // those before it change back.
  ++wiping_;
  stealth_error error = STEALTH_OK;
  std::size_t marked = 0;
  for (; marked < count; ++marked) {
    if (blocks[marked] == nullptr) continue;
    std::uint64_t const index = index_of(blocks[marked]);
    if (index < reach() && come_back_under_mutex(static_cast<std::uint32_t>(index), kWiping)) continue;
    error = STEALTH_INVALID_BLOCK;
    break;
  }
  if (wipes_ && error == STEALTH_OK) {
    mutex_.unlock();
    for (std::size_t n = 0; n < count; ++n) {
      if (blocks[n] != nullptr) std::memset(blocks[n], 0, block_size_);
    }
    mutex_.lock();
  }
  for (std::size_t n = 0; n < marked; ++n) {
    if (blocks[n] == nullptr) continue;
    auto const i = static_cast<std::uint32_t>(index_of(blocks[n]));
    if (error == STEALTH_OK) {
      if (traces_ != nullptr) traces_->forget(blocks[n]);
      give_under_mutex(own, i);
    } else {
      word(i).store(kUsed, std::memory_order_release);
    }
  }
  --wiping_;
  return error;
}

}  // namespace stealth
