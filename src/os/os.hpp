// The operating system as libstealth sees it: the only room that makes system calls. Nothing here allocates, touches
// errno, or knows of any other room. Every call may fail, and says so; what is at hand then is as it was before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stealth::os {

// The one door to the kernel: returns the result, or -errno. Tests link another one in, that fails on demand.
long sys(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) noexcept;

// --- memory
// -------------------------------------------------------------------------------------------------------------
[[nodiscard]] std::size_t page_size() noexcept;
// Addresses without memory (PROT_NONE, not counted against overcommit); null on failure.
[[nodiscard]] void* reserve(std::size_t bytes) noexcept;
// Fresh zeroed memory of its own mapping; null on failure.
[[nodiscard]] void* map(std::size_t bytes) noexcept;
// Makes reserved addresses usable.
[[nodiscard]] bool commit(void* at, std::size_t bytes) noexcept;
// Undoes that for a while: the contents stay, and cannot be touched.
[[nodiscard]] bool protect(void* at, std::size_t bytes) noexcept;
// Gives addresses back for good.
bool unmap(void* at, std::size_t bytes) noexcept;
// Gives the contents back to the kernel, keeps the addresses; they read as zero afterwards. False for locked memory,
// too.
[[nodiscard]] bool purge(void* at, std::size_t bytes) noexcept;
// Moves the pages of one range of ours to another; the old addresses stay ours, and empty. Where the kernel refuses, it
// may have unmapped the target before (always so up to Linux 6.16, for a source of several mappings).
[[nodiscard]] bool move_pages(void* from, void* to, std::size_t bytes) noexcept;
// Maps the range afresh, so that the kernel can merge it with its neighbours; it reads as zero afterwards. A failure
// may leave a hole, too.
[[nodiscard]] bool map_afresh(void* at, std::size_t bytes) noexcept;
// Maps what must be a hole; false where it is none any more. Without `usable`, only its addresses are taken.
[[nodiscard]] bool fill_hole(void* at, std::size_t bytes, bool usable) noexcept;
// Leaves the range out of core dumps.
bool exclude_from_dumps(void* at, std::size_t bytes) noexcept;
// Gives the contents back to the kernel and keeps the addresses, which fault from then on; locked memory, too.
[[nodiscard]] bool decommit(void* at, std::size_t bytes) noexcept;
// Touches all pages of the range, so that they are there. False where the kernel has none.
[[nodiscard]] bool populate(void* at, std::size_t bytes) noexcept;
// Keeps the pages of the range in memory as they are touched. False beyond RLIMIT_MEMLOCK.
[[nodiscard]] bool lock_in_memory(void* at, std::size_t bytes) noexcept;
// purge() for pages that lock_in_memory() holds, and goes on to hold. False: they are as they were, or not locked any
// more.
[[nodiscard]] bool purge_locked(void* at, std::size_t bytes) noexcept;
// Asks for huge pages; a kernel without them refuses.
bool advise_huge_pages(void* at, std::size_t bytes) noexcept;
// Wants none, whoever asked, or the whole system's setting.
bool refuse_huge_pages(void* at, std::size_t bytes) noexcept;
// Breaks up the huge pages of which the range holds a part: what of them is purged then is free for others at once, and
// not when the kernel runs short.
bool break_up_huge_pages(void* at, std::size_t bytes) noexcept;

// --- waiting, time, threads
// --------------------------------------------------------------------------------------------- Sleeps while *word ==
// expected, at most timeout_ns; returns early on a wake, a signal or a changed word.
void futex_wait(std::uint32_t const* word, std::uint32_t expected, std::uint64_t timeout_ns) noexcept;
void futex_wake(std::uint32_t const* word, int threads) noexcept;
// The same for a word in memory that several processes map.
void shared_futex_wait(std::uint32_t const* word, std::uint32_t expected, std::uint64_t timeout_ns) noexcept;
void shared_futex_wake(std::uint32_t const* word, int threads) noexcept;
// Adds one to such a word and wakes who sleeps on it. The kernel does both: where the word's memory has been cut away,
// it refuses, and no signal comes.
bool ring(std::uint32_t* word) noexcept;
// Copies between memory of the process's own and such a mapping, either way, with the same care.
enum class Copied : std::uint8_t { all, cut, refused };  // refused: the kernel has, or permits, no such call
// Not to be called where may_be_filtered().
[[nodiscard]] Copied copy_carefully(void* to, void const* from, std::size_t bytes) noexcept;
// Whether a filter of system calls is in force for this thread, which may answer an unusual one with the process's end.
[[nodiscard]] bool may_be_filtered() noexcept;
// Whether others with the process's user may look into it: not after it has changed its user, for one.
[[nodiscard]] bool is_open_to_its_user() noexcept;
// Whether the process's first thread acts as the same user as the calling one; true where /proc does not tell.
[[nodiscard]] bool acts_as_first_thread() noexcept;
void yield() noexcept;
// No signal interrupts this thread until unblock_signals() has what was returned; kNotBlocked: that was refused.
inline constexpr std::uint64_t kNotBlocked = ~std::uint64_t{0};  // no thread can have blocked SIGKILL
[[nodiscard]] std::uint64_t block_signals() noexcept;
void unblock_signals(std::uint64_t before) noexcept;
[[nodiscard]] std::uint64_t monotonic_ns() noexcept;
// What the calling thread has spent, in the kernel, too; what it waits for a processor is not in it. 0: not to be had.
[[nodiscard]] std::uint64_t thread_cpu_ns() noexcept;
// Since 1970, as people and other machines tell the time.
[[nodiscard]] std::uint64_t realtime_ns() noexcept;
// A few milliseconds of grain, no system call.
[[nodiscard]] std::uint32_t coarse_ms() noexcept;
// From the kernel, where it has any; else from the clock.
[[nodiscard]] std::uint64_t random_bits() noexcept;
// When it returns, every other thread of the process has passed a full memory barrier since it was called; no barrier
// of theirs is needed in their own code. False where the kernel cannot, or may not by the process's sandbox.
[[nodiscard]] bool barrier_in_all_threads() noexcept;
[[nodiscard]] int process_id() noexcept;
[[nodiscard]] int thread_id() noexcept;
[[nodiscard]] bool thread_exists(int thread) noexcept;
// The effective user, whose files are made and opened, and the real one.
[[nodiscard]] std::uint32_t user_id() noexcept;
[[nodiscard]] std::uint32_t real_user_id() noexcept;

// --- files
// -------------------------------------------------------------------------------------------------------------- Reads
// at most `capacity` bytes from the beginning; -1 on failure.
long read_file(char const* path, char* into, std::size_t capacity) noexcept;
// A descriptor or -errno.
int open_to_read(char const* path) noexcept;
// Bytes read, 0 at the end, or -errno; a signal does not end it.
long read_some(int file, char* into, std::size_t capacity) noexcept;
// False on failure. Where nobody reads, or beyond RLIMIT_FSIZE, that is all: no signal comes of it.
bool write_all(int file, char const* text, std::size_t bytes) noexcept;
// Creates or cuts a regular file that only this user may read, never through a link; a descriptor or -errno.
int create_file(char const* path) noexcept;
// Only a file that was not there.
int create_new_file(char const* path) noexcept;
void close_file(int file) noexcept;
bool remove_file(char const* path) noexcept;
// Whether it is a regular file of this user's that nobody has written to for so long.
[[nodiscard]] bool is_left_alone(char const* path, std::uint64_t ns) noexcept;
// Calls `each` with the names in a directory, some four thousand at most. False where it cannot be read.
bool for_each_name(char const* directory, void* context,
                   void (*each)(void* context, std::string_view name) noexcept) noexcept;

// --- limits (limits.cpp)
// ------------------------------------------------------------------------------------------------
inline constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};
// What RLIMIT_AS still allows to map, in bytes.
[[nodiscard]] std::uint64_t address_space_left() noexcept;
// Bytes mapped by the process (VmSize), resident (VmRSS), and those of the resident ones that belong to files or shared
// memory: the rest is anonymous. All are 0 where /proc cannot be read.
struct Footprint {
  std::uint64_t mapped, resident, shared;
};
[[nodiscard]] Footprint footprint() noexcept;
[[nodiscard]] std::uint64_t physical_memory() noexcept;
// prlimit(2); `limit` and `old` are struct rlimit, or null. 0 or -errno.
int change_limit(int process, int resource, void const* limit, void* old) noexcept;
// The tightest memory limit of the cgroup and its ancestors, v1 or v2; kUnlimited without one. Reads it anew each time
// (cgroup.hpp for more).
[[nodiscard]] std::uint64_t cgroup_limit() noexcept;

}  // namespace stealth::os
