// Magazines as the pool sees them: opened for their threads, taken away when a block is wanted that lies in one, and
// all lists made anew from the words when they cannot be trusted. The caller holds the mutex.
#include <cstring>

#include "os/os.hpp"
#include "pool/pool_core.hpp"

namespace stealth {

namespace {

// Whether the kernel has let all threads pass a barrier whenever it was asked; without it no magazine is opened.
constinit std::atomic<bool> g_has_barrier{true};

// A magazine that is taken away again within this time stays closed for twice as many calls: threads that live off each
// other's blocks are better served by the depot than by a barrier for each block.
constexpr std::uint32_t kCalmMs = 1000;
constexpr std::uint8_t kFirstLevel = 4, kLastLevel = 12;  // 16 to 4096 calls

// A thread whose blocks others put back takes them without its number for so long.
constexpr std::uint32_t kSharingMs = 10'000;

// The one thing that an owner's stores must be ordered before is ours to bring about.
void barrier() noexcept {
  if (os::barrier_in_all_threads()) return;
  // It could once, and a sandbox has forbidden it since. What an owner has stored becomes visible within nanoseconds
  // all the same, and at the latest with its core's next interrupt; nothing is ever taken from an open magazine again
  // once those that are open now have been closed.
  g_has_barrier.store(false, std::memory_order_relaxed);
  std::uint32_t const never = 0;
  os::futex_wait(&never, 0, 20'000'000);
}

bool has_barrier() noexcept {
  static constinit std::atomic<bool> asked{false};
  if (!asked.load(std::memory_order_acquire)) {
    g_has_barrier.store(os::barrier_in_all_threads(), std::memory_order_relaxed);
    asked.store(true, std::memory_order_release);
  }
  return g_has_barrier.load(std::memory_order_relaxed);
}

// The thread's number and id, asked for once.
void introduce() noexcept {
  if (t_pool_thread.id != 0) return;
  std::uint32_t const number = thread_number();
  if (number >= PoolCore::kMagazines) return;  // it has none; perhaps the next time, if there was no memory
  t_pool_thread.offset = number * static_cast<std::uint32_t>(sizeof(Magazine));
  t_pool_thread.id = os::thread_id();
}

}  // namespace

// The calling thread's magazine, open; null where it is to do without for now.
Magazine* PoolCore::open_own() noexcept {
  if (wipes_ || traces_ != nullptr) return nullptr;  // puts leave the mutex to overwrite the block; all are looked at
  introduce();
  if (t_pool_thread.offset == 0) return nullptr;
  Magazine& own = *reinterpret_cast<Magazine*>(magazines_ + t_pool_thread.offset);
  if (own.is_open()) {
    if (own.owner.load(std::memory_order_relaxed) == t_pool_thread.id) {
      t_pool_thread.last = &own;
      return &own;
    }
    // The thread that had this number before has ended. What it left is ours, unless it ended in the midst.
    if (own.busy.exchange(0, std::memory_order_relaxed) != 0) {
      must_recount_ = true;
      recount();
    }
    own.pool.store(Magazine::kClosed, std::memory_order_relaxed);
    own.calls_to_wait = 0;
    own.shared_ms = 0;
  }
  auto const number = static_cast<std::uint32_t>(t_pool_thread.offset / sizeof(Magazine));
  if (!own.attached) {
    own.attached = true;
    own.clear();
    attached_[attached_count_++] = static_cast<std::uint16_t>(number);
  }
  bool const wanted = waiting_ == 0 && !closed_ && has_barrier();
  if (!wanted || own.calls_to_wait != 0) {
    if (own.calls_to_wait != 0) --own.calls_to_wait;
    move_to_depot(own, own.size());
    return nullptr;
  }
  bool const shares = own.shared_ms != 0 && os::coarse_ms() - own.shared_ms <= kSharingMs;
  own.used_word = kUsed | (shares ? 0 : number << kStateBits);
  own.biased_word = shares ? Magazine::kNoWord : own.used_word;
  own.owner.store(t_pool_thread.id, std::memory_order_relaxed);
  own.block_size = block_size_;
  own.pool.store(handle_.load(std::memory_order_relaxed), std::memory_order_release);
  t_pool_thread.last = &own;
  return &own;
}

// What the others put before this call began is seen; what they put meanwhile may be or not.
bool PoolCore::others_have_some() const noexcept {
  for (std::uint32_t k = 0; k < attached_count_; ++k) {
    if (!magazine(attached_[k]).is_empty()) return true;
  }
  return false;
}

// The oldest `blocks` of a magazine go to the depot, the most recent of them on top.
void PoolCore::move_to_depot(Magazine& from, std::uint32_t blocks) noexcept {
  std::uint32_t const size = from.size();
  for (std::uint32_t at = 0; at < blocks; ++at) push_depot(index_in(from.places[at]));
  for (std::uint32_t at = blocks; at < size; ++at) from.places[at - blocks].set(from.places[at]);
  from.resize(size - blocks);
}

// Until the owner, which can no longer enter, has left. One that ended inside never will.
void PoolCore::wait_until_idle(Magazine& from) noexcept {
  constexpr std::uint64_t kSleepNs = 50'000, kAskNs = 20'000'000;
  std::uint64_t asked_ns = 0;
  for (int tries = 0; from.busy.load(std::memory_order_acquire) != 0; ++tries) {
    std::uint32_t const never = 0;
    if (tries < 64) {
      pause_briefly();
      continue;
    }
    if (tries < 128) {
      os::yield();
      continue;
    }
    os::futex_wait(&never, 0, kSleepNs);
    std::uint64_t const now = os::monotonic_ns();
    if (asked_ns == 0) asked_ns = now;
    if (now - asked_ns < kAskNs) continue;
    asked_ns = now;
    if (os::thread_exists(from.owner.load(std::memory_order_relaxed))) continue;
    from.busy.store(0, std::memory_order_relaxed);
    must_recount_ = true;
  }
}

// Nobody but who holds the mutex changes words that bear its number any more; its owner opens it again at its next
// call, and takes blocks that all may put back.
void PoolCore::close_for_sharing(Magazine& biased) noexcept {
  biased.shared_ms = max(os::coarse_ms(), 1u);
  if (!biased.is_open() || biased.used_word == kUsed) return;
  biased.pool.store(Magazine::kClosed, std::memory_order_seq_cst);
  barrier();
  wait_until_idle(biased);
  settle();
  move_to_depot(biased, biased.size());
}

namespace {

// For a while its owner goes by the mutex.
void keep_closed(Magazine& taken) noexcept {
  std::uint32_t const now = os::coarse_ms();
  bool const calm = now - taken.taken_ms > kCalmMs;
  taken.level = calm ? kFirstLevel : min(static_cast<std::uint8_t>(taken.level + 1), kLastLevel);
  taken.calls_to_wait = static_cast<std::uint16_t>(1u << taken.level);
  taken.taken_ms = now;
}

}  // namespace

// Blocks in magazines come to the depot; their owners go by the mutex until they may open them again.
void PoolCore::gather(Why why) noexcept {
  bool any = false;
  for (std::uint32_t k = 0; k < attached_count_; ++k) {
    Magazine& from = magazine(attached_[k]);
    if (!from.is_open() || (why == Why::a_block_wanted && from.is_empty())) continue;
    from.being_taken = true;
    from.pool.store(Magazine::kClosed, std::memory_order_seq_cst);
    any = true;
  }
  if (any) barrier();
  for (std::uint32_t k = 0; k < attached_count_; ++k) {
    Magazine& from = magazine(attached_[k]);
    if (from.being_taken) {
      wait_until_idle(from);
      from.being_taken = false;
      if (why != Why::to_count) keep_closed(from);
    }
    if (!from.is_open()) move_to_depot(from, from.size());
  }
}

// All lists anew, from the words.
void PoolCore::recount() noexcept {
  if (forked_) {
    // The other threads are not here, and this one is in no magazine.
    for (std::uint32_t k = 0; k < attached_count_; ++k) {
      Magazine& left = magazine(attached_[k]);
      left.pool.store(Magazine::kClosed, std::memory_order_relaxed);
      left.busy.store(0, std::memory_order_relaxed);
      left.resize(0);
      left.being_taken = false;
      left.calls_to_wait = 0;
    }
    forked_ = false;
  } else {
    gather(Why::to_count);
  }
  must_recount_ = false;
  depot_ = depot_count_ = circulating_ = trimmed_ = trimmed_from_ = 0;
  for (std::uint32_t i = reach(); i-- > 0;) {
    std::uint32_t state = word(i).load(std::memory_order_acquire) & kStates;
    if (state == kWiping && wiping_ == 0) {  // by a thread that is no more
      std::memset(block_at(i), 0, block_size_);
      state = kFree;
    }
    if (state == kFree) push_depot(i);
    if (state != kGone) ++circulating_;
    if (state == kGone) ++trimmed_;
  }
}

std::uint64_t PoolCore::free_in_lists() const noexcept {
  std::uint64_t sum = depot_count_;
  for (std::uint32_t k = 0; k < attached_count_; ++k) sum += magazine(attached_[k]).size();
  return sum;
}

std::size_t PoolCore::fork_in_child() noexcept {
  mutex_.reset();
  if (handle_.load(std::memory_order_relaxed) != 0) {
    must_recount_ = forked_ = true;
    waiting_ = wiping_ = inside_ = 0;
  }
  return charged_;
}

}  // namespace stealth
