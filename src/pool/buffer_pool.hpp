// What all buffers of a BufferPool share: the sum of their sizes, who waits for it to fall, and the idle ones. What the
// C API's stealth_buffer_pool stands for.
//
// The sum is exact and yet not written at every write: a buffer that grows takes some credit, counted as if it were
// used, and uses it up without touching anything that is shared.
//
//   sum_  == the sum of all buffers' limits, and of what was counted by hand
//   used  == sum_ less what of the limits is not used (found among the buffers that have credit)
//
// So as long as sum_ is below the target nobody has to wait. When it comes there, credit is called in: buffers that
// nobody is writing to at that moment lose theirs at once, the others at their next call, since the gate is shut.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/list.hpp"
#include "base/mutex.hpp"
#include "pool/buffer.hpp"
#include "pool/buffer_law.hpp"
#include "pool/slot_table.hpp"
#include "pool/traces.hpp"

namespace stealth {

// One call's waiting. Its deadline only ever comes nearer: a ratio that grows meanwhile does not count.
struct BufferWaiter {
  std::uint64_t begin_ns = 0, deadline_ns = 0, sleep_ns = 0;
  double where = 0;        // in the range of the law's jitter
  std::uint32_t seen = 0;  // what it sleeps on
  bool over = false;       // it has waited its time
};

class alignas(512) BufferPoolCore {
 public:
  // --- the hot paths (buffer_hot.hpp): where nothing is special, else null or false, and nothing has happened ---
  [[nodiscard]] BufferCore* get_quickly(std::uintptr_t handle) noexcept;
  [[nodiscard]] bool put_quickly(std::uintptr_t handle, BufferCore& buffer, std::uintptr_t of_buffer) noexcept;

  // --- for the C functions; each checks the handle behind the mutex ---
  // `content`: bytes that will be written to it at once, after this call's wait.
  [[nodiscard]] stealth_error get(std::uintptr_t handle, std::uint64_t content, BufferCore*& buffer) noexcept;
  [[nodiscard]] stealth_error count(std::uintptr_t handle, std::uint64_t bytes) noexcept;
  [[nodiscard]] stealth_error discount(std::uintptr_t handle, std::uint64_t bytes) noexcept;
  [[nodiscard]] stealth_error back_off(std::uintptr_t handle, std::uint64_t& waited_ns) noexcept;
  [[nodiscard]] stealth_error fill_ratio(std::uintptr_t handle, double& ratio) noexcept;
  [[nodiscard]] stealth_error trim(std::uintptr_t handle, std::uint64_t& given_back) noexcept;
  [[nodiscard]] stealth_error read(std::uintptr_t handle, struct stealth_buffer_pool_statistics& into) noexcept;
  [[nodiscard]] stealth_error close(std::uintptr_t handle) noexcept;
  [[nodiscard]] stealth_error destroy(std::uintptr_t handle) noexcept;
  [[nodiscard]] bool is(std::uintptr_t handle) const noexcept {
    return handle_.load(std::memory_order_relaxed) == handle;
  }

  [[nodiscard]] std::uintptr_t handle() const noexcept { return handle_.load(std::memory_order_acquire); }

  // --- for its buffers, whose lock is held ---
  enum class Admission { granted, wait_first, pool_closed };
  // The buffer may have `end` bytes, and is counted for them. wait_first: it has to sleep() before, without its lock.
  [[nodiscard]] Admission admit(BufferCore& buffer, std::uint64_t end, BufferWaiter& waiter) noexcept;
  void sleep(BufferWaiter& waiter) noexcept;
  void shrink(BufferCore& buffer, std::uint64_t size) noexcept;
  // Between the two it is there, whoever destroys it.
  void begin_charging() noexcept;
  void end_charging() noexcept;
  static void nobody_is_charging() noexcept;
  // Before memory is charged for one of them, without its lock: the bytes to charge. More than it needs only where that
  // costs no wait; and what is idle is not kept at the cost of one.
  [[nodiscard]] std::size_t may_charge(std::size_t needed, std::size_t wanted) noexcept;
  // Whether a buffer of this size may become an idle one: not where its memory is what others wait for.
  [[nodiscard]] bool may_keep(std::uint64_t size, std::uint64_t held) noexcept;
  // Of a buffer that has no handle any more, without its lock.
  [[nodiscard]] stealth_error take_back(BufferCore& buffer, bool may_keep) noexcept;
  void count_held(std::int64_t bytes) noexcept {
    held_.fetch_add(static_cast<std::uint64_t>(bytes), std::memory_order_relaxed);
  }
  [[nodiscard]] bool is_closed() const noexcept { return (gate_.load(std::memory_order_relaxed) & kClosed) != 0; }
  [[nodiscard]] std::uint64_t keep_held() const noexcept { return keep_held_; }
  [[nodiscard]] std::size_t granule() const noexcept;  // what its buffers' memory is charged by
  [[nodiscard]] bool wipes() const noexcept { return wipes_; }
  [[nodiscard]] std::uint64_t max_buffer_size() const noexcept { return max_buffer_size_; }
  [[nodiscard]] RegionOptions const& region_options() const noexcept { return region_options_; }
  [[nodiscard]] std::atomic<std::uint32_t> const& gate() const noexcept { return gate_; }

  // --- life (buffer_tables.cpp calls these) ---
  // Of a core that is new, or has ended.
  [[nodiscard]] stealth_error begin(std::uint64_t target, struct stealth_buffer_pool_options const& options) noexcept;
  void open(std::uintptr_t handle) noexcept { handle_.store(handle, std::memory_order_release); }
  // Of a buffer whose lock another thread had.
  void take_for_credit(BufferCore& buffer) noexcept;
  void fork_prepare() noexcept { mutex_.lock(); }
  void fork_in_parent() noexcept { mutex_.unlock(); }
  // Before those of its buffers.
  void fork_in_child() noexcept {
    mutex_.reset();
    waiting_ = inside_ = 0;
    held_.store(0, std::memory_order_relaxed);
  }

  Slot slot;

 private:
  static constexpr std::uint32_t kClosed = 1, kTight = 2;
  // More than all buffers can hold; no sum overflows.
  static constexpr std::uint64_t kMostCounted = std::uint64_t{1} << 62;
  class Visit;

  [[nodiscard]] stealth_error get_during(Visit& visit, std::uintptr_t handle, std::uint64_t content,
                                         BufferCore*& buffer) noexcept;
  [[nodiscard]] std::uint64_t used() noexcept;
  void settle(BufferCore& buffer) noexcept;
  void give_credit(BufferCore& buffer, std::uint64_t size) noexcept;
  [[nodiscard]] std::uint64_t credit_allowed(std::uint64_t wanted) noexcept;
  [[nodiscard]] BufferCore& hand_out_idle() noexcept;
  void empty(BufferCore& buffer) noexcept;
  void keep_idle(BufferCore& buffer) noexcept;
  [[nodiscard]] bool need_not_ask(std::uint64_t held) const noexcept;
  [[nodiscard]] bool fell() noexcept;
  void wake() noexcept;
  [[nodiscard]] stealth_error look(std::uintptr_t handle, BufferWaiter const& waiter) const noexcept;
  [[nodiscard]] bool must_wait(BufferWaiter& waiter) noexcept;
  void begin_sleep(BufferWaiter& waiter) noexcept;
  void end_sleep(BufferWaiter const& waiter, std::uint64_t slept_ns) noexcept;
  void sleep_during(Visit& visit, BufferWaiter& waiter) noexcept;
  void close_under_mutex(Visit& visit) noexcept;
  void drop_oldest(Visit& visit) noexcept;
  void drain(Visit& visit) noexcept;
  [[nodiscard]] double draw() noexcept;

  // Read by every call.
  std::atomic<std::uint32_t> gate_{0};  // kTight: no credit is given, everybody asks
  std::atomic<std::uintptr_t> handle_{kNoHandle};
  std::uint64_t target_ = 0, max_buffer_size_ = 0, max_idle_ = 0;
  std::uint64_t keep_bytes_ = 0;  // a larger buffer is not kept
  std::uint64_t keep_held_ = 0;   // what one that is kept may hold: as much, in whole granules
  BufferLaw law_;
  bool write_backoff_ = false, wipes_ = false;
  RegionOptions region_options_;
  TraceRate trace_rate_;

  // Under the mutex.
  alignas(64) ThriftyMutex mutex_;
  std::uint64_t sum_ = 0;
  std::uint64_t counted_ = 0;   // of it, what was counted by hand
  List<BufferCore> creditors_;  // all whose limit is above their size
  List<BufferCore> idle_;       // used last: first
  std::uint64_t idle_count_ = 0;
  std::uint64_t out_ = 0;                   // buffers that are out
  std::uint32_t inside_ = 0;                // calls that have left the mutex and will come back to it
  std::uint32_t waiting_ = 0;               // of them, those that sleep
  bool destroyed_ = false;                  // ends with the last buffer and the last call
  std::atomic<std::uint32_t> released_{0};  // what they sleep on
  std::uint32_t drained_ms_ = 0;  // when an idle buffer was dropped, or should have been, or the first was there
  std::uint64_t random_ = 0;
  std::uint64_t waits_ = 0, waited_ns_ = 0, longest_wait_ns_ = 0, dropped_ = 0;
  Traces* traces_ = nullptr;  // null: none are kept
  // Not under the mutex.
  std::atomic<std::uint64_t> held_{0};
  std::atomic<std::uint32_t> asked_ms_{0};  // when memory was last found not to be short
  // Threads that are being charged for a buffer's memory, of whichever pool, and may be waiting for it.
  static constinit std::atomic<std::uint32_t> g_charging;
};
static_assert(sizeof(BufferPoolCore) == 512);

// --- handles (buffer_tables.cpp) ---
inline constexpr std::uint32_t kMostBuffers = STEALTH_MOST_BUFFERS;
inline constexpr std::uint32_t kMostBufferPools = STEALTH_MOST_BUFFER_POOLS;
extern constinit SlotTable<BufferCore, kMostBuffers> g_buffers;
extern constinit SlotTable<BufferPoolCore, kMostBufferPools> g_buffer_pools;

// Gives back the memory of all pools' idle buffers; the bytes.
std::size_t trim_buffer_pools() noexcept;

// fork: before the engine's handlers, and after them in parent and child; there the bytes that buffers hold.
void buffers_fork_prepare() noexcept;
void buffers_fork_in_parent() noexcept;
[[nodiscard]] std::size_t buffers_fork_in_child() noexcept;

}  // namespace stealth
