// What the engine asks of the world around it, and what that world may ask of the engine's slow side.
#pragma once

#include <cstddef>
#include <cstdint>

#include "capacity/stalls.hpp"

namespace stealth {

// Who serves what the engine does not: sizes that no class serves, and pointers that are not ours (null among them).
// Defined by whoever links the engine: the interposer (preload/start.cpp), or, where there is nobody to pass on to,
// alone.cpp. Null memory: none to be had; errno is the engine's to set.
struct Outside {
  // Called by requests that find the engine not started; true once it has classes (or knows that it will have none).
  bool (*start)() noexcept;
  void* (*allocate)(std::size_t size, std::size_t alignment, bool zeroed) noexcept;
  void (*deallocate)(void* p) noexcept;
  void* (*reallocate)(void* p, std::size_t size) noexcept;
  std::size_t (*usable_size)(void* p) noexcept;
  // For requests before the start, and from a signal handler that interrupted its thread's slow path.
  void* (*emergency)(std::size_t size, std::size_t alignment) noexcept;
  // Whether the calling thread may be held up now.
  bool (*may_wait)() noexcept;
};
extern constinit Outside const g_outside;
void declare_started() noexcept;

// --- the slow side of the engine, for the interposer
// -------------------------------------------------------------------------
[[nodiscard]] void* allocate_aligned(std::size_t size, std::size_t alignment) noexcept;  // a power of two
[[nodiscard]] void* allocate_zeroed(std::size_t size) noexcept;
[[nodiscard]] void* reallocate(void* p, std::size_t size) noexcept;
[[nodiscard]] std::size_t usable_size(void* p) noexcept;
// Gives back to the kernel what is free, other threads' lists aside; true if anything was.
bool trim() noexcept;

// How long free memory is kept from now on; what has been free for longer goes back at once.
void set_purge_delay(std::uint32_t ms) noexcept;

// From now on, in this process, a thread of ours may give free memory back while the program is silent (keeper.hpp).
void permit_keeper(int process) noexcept;
// Before the program changes what is a thread's and should be the process's: who it is, what it may. True: that thread
// has ended, and none is made until let_keeper_back(), to be called right after.
// It takes less than a millisecond, but for what may take it longer to write to a file.
inline constexpr std::uint64_t kKeeperPatienceNs = 1'000'000'000;
[[nodiscard]] bool send_keeper_away(std::uint64_t patience_ns = kKeeperPatienceNs) noexcept;
void let_keeper_back() noexcept;
// The same for good: the program locks itself in.
void forbid_keeper(std::uint64_t patience_ns = kKeeperPatienceNs) noexcept;

// Between the two the calling thread is never held up at the capacity. They nest.
void forbid_waits() noexcept;
void allow_waits() noexcept;

// Memory that others than the engine hold for the program (explicit pools) counts like its own.
enum class Waiting : std::uint32_t {
  as_malloc = 0,        // may be held up at the capacity, and then follows the policy, which may refuse
  never = 1,            // is let through, over the capacity if need be
  refused_instead = 2,  // where it would be held up it is refused
};
// False: refused, and nothing is charged. The caller holds no lock.
[[nodiscard]] bool charge_outside(std::size_t bytes, Waiting how) noexcept;
void release_outside(std::size_t bytes) noexcept;

// The calling thread's number: small, its own while it lives, and later another thread's.
inline constexpr std::uint32_t kNoThreadNumber = ~std::uint32_t{0};  // no memory for what a thread needs
[[nodiscard]] std::uint32_t thread_number() noexcept;

// The calling thread is about to take a lock: what was put off because it might hold one is waited for now. To be
// called where Thread::watches_locks says so.
void about_to_lock() noexcept;

// Maps and touches the blocks that classes ask for at start; false if they could not all be had.
bool preallocate() noexcept;

// Gives back what is reserved beyond `most` bytes and not yet in use.
void limit_reservation(std::size_t most) noexcept;

// fork: between prepare and the other two, every structure is whole and no other thread is in the slow path.
void fork_prepare() noexcept;
void fork_in_parent() noexcept;
void fork_in_child() noexcept;

struct ClassFacts {
  std::uint64_t size, slabs, max;
  std::uint64_t blocks;  // carved, ever
  // Where the blocks of the slabs are now. What another thread has freed and the owner not yet collected counts as in
  // use.
  std::uint64_t in_use, in_lists, in_slabs;
  StallsOfKind stalls;
};
struct EngineFacts {
  std::uint64_t live;  // bytes with the program, blocks and spans rounded up
  std::uint64_t large_calls, large_bytes;
  std::int64_t large_blocks;
  std::uint64_t heaps;
};
// Gathers the figures of all heaps; calls back once for each class that has been used. For living threads the counts of
// their lists are read as they run by.
EngineFacts gather_facts(void (*each)(void* context, ClassFacts const& facts), void* context) noexcept;
// The same for a thread that is in the slow path and holds no lock: the policy's last report.
EngineFacts gather_facts_while_waiting(void (*each)(void* context, ClassFacts const& facts), void* context) noexcept;
// The same for the keeper, who waits for nobody long: a heap that is locked meanwhile is left out. False: not now.
[[nodiscard]] bool gather_facts_as_keeper(void (*each)(void* context, ClassFacts const& facts), void* context,
                                          EngineFacts& facts) noexcept;

// All structures' invariants. The caller sees to it that nobody else is at work.
[[nodiscard]] bool engine_is_valid() noexcept;

}  // namespace stealth
