// See bootstrap.hpp. Chunks are filled from their front; a chunk whose blocks have all come back starts afresh.
#include "bootstrap.hpp"

#include <atomic>
#include <cstdint>
#include <cstring>

#include "base/units.hpp"
#include "os/os.hpp"

namespace stealth::bootstrap {

namespace {

constexpr std::size_t kStaticBytes = 64 * kKiB;
constexpr std::size_t kChunkBytes = kMiB;

struct Chunk {
  char* begin;
  std::size_t size;
  Chunk* next;
  // Blocks in use and bytes taken from the front, in one word: the last block that comes back resets the bytes.
  std::atomic<std::uint64_t> state;
};

constexpr std::uint64_t pack(std::uint64_t live, std::uint64_t used) { return live << 40 | used; }
constexpr std::uint64_t live_of(std::uint64_t state) { return state >> 40; }
constexpr std::uint64_t used_of(std::uint64_t state) { return state & ((std::uint64_t{1} << 40) - 1); }

// In front of every block.
struct alignas(kMinAlignment) Header {
  std::size_t size;
};

alignas(kPage) constinit char g_static_memory[kStaticBytes] = {};
constinit Chunk g_static_chunk = {g_static_memory, kStaticBytes, nullptr, {0}};
constinit std::atomic<Chunk*> g_chunks{&g_static_chunk};  // newest first; never removed

Chunk* chunk_of(void const* p) {
  auto const address = reinterpret_cast<std::uintptr_t>(p);
  for (Chunk* chunk = g_chunks.load(std::memory_order_acquire); chunk != nullptr; chunk = chunk->next) {
    if (address - reinterpret_cast<std::uintptr_t>(chunk->begin) < chunk->size) return chunk;
  }
  return nullptr;
}

Header* header_of(void const* p) {
  return reinterpret_cast<Header*>(const_cast<char*>(static_cast<char const*>(p))) - 1;
}

void* take(Chunk& chunk, std::size_t size, std::size_t alignment) {
  std::uint64_t seen = chunk.state.load(std::memory_order_relaxed);
  while (true) {
    auto const begin = reinterpret_cast<std::uintptr_t>(chunk.begin);
    std::uintptr_t const block = align_up(begin + used_of(seen) + sizeof(Header), alignment);
    std::uintptr_t const end = block + size;
    if (end > begin + chunk.size) return nullptr;
    if (chunk.state.compare_exchange_weak(seen, pack(live_of(seen) + 1, end - begin), std::memory_order_acq_rel)) {
      auto* const p = reinterpret_cast<void*>(block);
      header_of(p)->size = size;
      std::memset(p, 0, size);
      return p;
    }
  }
}

// A chunk of its own for what fits nowhere; others may fill the rest of it.
bool add_chunk(std::size_t at_least) {
  std::size_t const bytes = align_up(max(kChunkBytes, at_least + sizeof(Chunk)), 64 * kKiB);
  auto* const memory = static_cast<char*>(os::map(bytes));
  if (memory == nullptr) return false;
  auto* const chunk = reinterpret_cast<Chunk*>(memory);
  chunk->begin = memory + sizeof(Chunk);
  chunk->size = bytes - sizeof(Chunk);
  chunk->next = g_chunks.load(std::memory_order_relaxed);
  while (!g_chunks.compare_exchange_weak(chunk->next, chunk, std::memory_order_release, std::memory_order_relaxed)) {
  }
  return true;
}

}  // namespace

void* allocate(std::size_t size, std::size_t alignment) noexcept {
  if (size > kGiB || alignment > kGiB) return nullptr;
  std::size_t const rounded = align_up(max(size, std::size_t{1}), kMinAlignment);
  std::size_t const aligned = max(alignment, kMinAlignment);
  do {
    for (Chunk* chunk = g_chunks.load(std::memory_order_acquire); chunk != nullptr; chunk = chunk->next) {
      if (void* const p = take(*chunk, rounded, aligned); p != nullptr) return p;
    }
  } while (add_chunk(rounded + aligned + sizeof(Header)));
  return nullptr;
}

bool owns(void const* p) noexcept { return chunk_of(p) != nullptr; }

void deallocate(void* p) noexcept {
  Chunk& chunk = *chunk_of(p);
  std::uint64_t seen = chunk.state.load(std::memory_order_relaxed);
  std::uint64_t after = 0;
  do {
    std::uint64_t const live = live_of(seen) - 1;
    after = pack(live, live == 0 ? 0 : used_of(seen));
  } while (!chunk.state.compare_exchange_weak(seen, after, std::memory_order_acq_rel));
}

std::size_t usable_size(void const* p) noexcept { return header_of(p)->size; }

}  // namespace stealth::bootstrap
