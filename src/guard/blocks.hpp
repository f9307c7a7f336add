// Small allocations: blocks in slabs of their own, with what is known of them in front, behind an inaccessible page, so
// that no overflow comes there:
//
//   [records][inaccessible page][block 0][block 1]...[inaccessible page]
//
// A block ends with canary bytes, at least eight, and so begins after its neighbour's. A freed one is zeroed, and stays
// in quarantine until some hundreds of its size have been freed after it; when it is handed out again, or its slab goes
// back, it must still be zero.
#pragma once

#include "engine/heap.hpp"
#include "guard/state.hpp"

namespace stealth::guard {

// A slab is so long and aligned to it, whatever its blocks are.
inline constexpr std::uint32_t kSlabSlots = 16;
// The largest request that is served from here, and to what it may be aligned.
inline constexpr std::size_t kMostBlock = kMaxSmall;
inline constexpr std::size_t kMostAlignment = kPage;

void begin_blocks() noexcept;
// The class that serves a request, or kNoBlockClass.
inline constexpr std::uint32_t kNoBlockClass = ~std::uint32_t{0};
[[nodiscard]] std::uint32_t block_class(std::size_t size, std::size_t alignment) noexcept;
[[nodiscard]] void* allocate_block(Heap& heap, std::uint32_t c, std::size_t size, std::size_t alignment,
                                   bool zeroed) noexcept;
// What is known of the one that begins there; dies where none does.
[[nodiscard]] Record& block_record(void* p) noexcept;
void free_block(void* p) noexcept;

// Looks at all blocks of a slab, whatever they are in, while others are at work; dies at the first that is damaged.
void check_slab(std::size_t slot) noexcept;
// The block nearest to an address in a guarded slab: for reports. False: there is none.
[[nodiscard]] bool find_block(void const* address, char*& start, Record const*& record) noexcept;

}  // namespace stealth::guard
