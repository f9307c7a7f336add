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

// From now on, until it is ended; a running one goes on with new distances. `sampler` stays for ever. One at a time.
void begin_sampling(Sampler const& sampler) noexcept;
void end_sampling() noexcept;

extern constinit std::atomic<bool> g_sampling;
[[nodiscard]] inline bool is_sampling() noexcept { return g_sampling.load(std::memory_order_acquire); }

// --- for the slow path, while sampling ---
// From the thread's list of the size, which is counted whole and becomes the one that malloc looks at, or of spans.
// Null: there is none, or a sample is due, or more; nothing has happened. The caller is not busy, or it is null.
[[nodiscard]] void* pop_counted(std::size_t size) noexcept;
// The same where it takes more: a block of a class, and some more into the list that malloc looks at.
[[nodiscard]] void* allocate_counted(std::uint32_t c, std::size_t alignment) noexcept;
// A span was handed out.
void count_span(Heap& heap, Span* span, std::size_t bytes) noexcept;
void count_growth(Heap& heap, Span* span, std::size_t before, std::size_t bytes) noexcept;
// A span is free; also while not sampling.
void forget_sample(Span* span) noexcept;

}  // namespace stealth
