// Sampling what is allocated, by bytes, at no cost to the hot path.
//
// While it is on, the table that malloc reads leads to lists of their own, behind the classes': the slow path puts
// the blocks of the thread's list there, no more than may be handed out before the next sample is due, and counts them
// all at once. So malloc's hit is what it always is, the slow path is taken once for each list instead of never, and
// free does not know of it. A sample that is due after counted blocks waits for them to be handed out. Its
// request gets a span of its own, whatever its size: what is freed there comes to the slow path by itself, which tells
// the sampler.
//
// The distance between two samples is drawn anew each time from an exponential distribution (Poisson sampling, as
// tcmalloc and jemalloc do it), so that every byte has the same chance. Classes with a max or prealloc are not sampled:
// their blocks are counted one by one; nor are small blocks where STEALTH_CLASSES is a list: none of its spans can
// stand in for them.
//
// A guard's samples (STEALTH_GUARD=sample) are drawn in the same way, and what is due first is taken: for both
// distances are exponential, it is as if each were drawn by itself. They are small ones only, and drawn in windows
// (windows.cpp).
#pragma once

#include "engine/slow.hpp"

namespace stealth {

// Who keeps the samples (observe/profile.cpp). Called by threads in the slow path that hold no lock.
struct Sampler {
  // Bytes from one sample to the next.
  std::uint64_t (*draw)(std::uint32_t& random) noexcept;
  // So many bytes are being handed out: the sample's number, or 0: it is not taken.
  std::uint32_t (*taken)(std::size_t bytes) noexcept;
  void (*resized)(std::uint32_t sample, std::size_t bytes) noexcept;
  void (*freed)(std::uint32_t sample) noexcept;
};

// Who serves the guard's (guard/samples.cpp). Called as the sampler.
struct GuardSampler {
  std::uint64_t (*draw)(std::uint32_t& random) noexcept;
  // A request that is served by blocks of `block` bytes. Null: not this time.
  void* (*allocate)(Heap& heap, std::size_t size, std::size_t block, std::size_t alignment) noexcept;
  void (*reopened)(std::uint32_t windows) noexcept;  // another one begins: after so many in this process
};
inline constexpr std::size_t kMostGuardSampled = 4 * kKiB;

// From now on, until it is ended; a running one goes on with new distances. `sampler` stays for ever. One at a time.
void begin_sampling(Sampler const& sampler) noexcept;
void end_sampling() noexcept;

// Once, from the next show_classes() on; `sampler` stays for ever.
void begin_guard_sampling(GuardSampler const& sampler) noexcept;

extern constinit std::atomic<bool> g_sampling;
[[nodiscard]] inline bool is_sampling() noexcept { return g_sampling.load(std::memory_order_acquire); }

// --- windows.cpp ---
extern constinit std::atomic<bool> g_window_open, g_window_may_open;
[[nodiscard]] inline bool window_may_open() noexcept { return g_window_may_open.load(std::memory_order_relaxed); }
// By threads that come to the slow path while one may open.
void look_for_window() noexcept;
// Blocks have moved to a list of counted ones.
void note_counted_list() noexcept;
void windows_fork_in_child() noexcept;
// Whose samples are drawn in a window; null: nobody's.
[[nodiscard]] GuardSampler const* guard_sampler() noexcept;

// --- for the slow path, while sampling ---
// Requests of fewer bytes are to be counted.
[[nodiscard]] std::size_t wanted_count() noexcept;
// What was drawn before is void: somebody samples who did not, or no longer does.
void draw_anew() noexcept;
// From the thread's list of the size, which is counted whole and becomes the one that malloc looks at, or of spans.
// Null, and nothing has happened: there is none, a sample is due in it, or the thread is busy or called in; then comes
// allocate_counted().
[[nodiscard]] void* pop_counted(std::size_t size) noexcept;
// The same where it takes more: a block of a class, and some more into the list that malloc looks at.
[[nodiscard]] void* allocate_counted(std::uint32_t c, std::size_t size, std::size_t alignment) noexcept;
// A span was handed out.
void count_span(Heap& heap, Span* span, std::size_t bytes) noexcept;
void count_growth(Heap& heap, Span* span, std::size_t before, std::size_t bytes) noexcept;
// A span is free; also while not sampling.
void forget_sample(Span* span) noexcept;

}  // namespace stealth
