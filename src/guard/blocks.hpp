// Small allocations: blocks in slabs of their own, with what is known of them in front, behind an inaccessible page, so
// that no overflow comes there:
//
//   [records][inaccessible page][block 0][block 1]...[inaccessible page]
//
// A block ends with canary bytes, at least eight, and so begins after its neighbour's. A freed one is zeroed, and stays
// in quarantine until some hundreds of its size have been freed after it; when it is handed out again, or its slab goes
// back, it must still be zero.
//
// What costs: allocation and free of a block by its heap's own thread take no lock, and touch the record, the block,
// its neighbour's last word and one list.
#pragma once

#include "engine/heap.hpp"
#include "guard/slabs.hpp"
#include "guard/state.hpp"

namespace stealth::guard {

// The largest request that is served from here, and to what it may be aligned.
inline constexpr std::size_t kMostBlock = kMaxSmall;
inline constexpr std::size_t kMostAlignment = kPage;

// The class that serves a request, or kNoBlockClass.
[[nodiscard]] inline std::uint32_t block_class(std::size_t size, std::size_t alignment) noexcept {
  return size <= kMostBlock && alignment <= kMostAlignment ? class_for(size, alignment) : kNoBlockClass;
}
[[nodiscard]] void* allocate_block(Heap& heap, std::uint32_t c, std::size_t size, std::size_t alignment,
                                   bool zeroed) noexcept;
// One that lies ready; null: none does.
[[nodiscard]] void* allocate_block_quickly(Heap& heap, std::uint32_t c, std::size_t size) noexcept;
// What is known of the one that begins there; dies where none does.
[[nodiscard]] Record& block_record(void* p) noexcept;
void free_block(void* p, Farewell const& farewell) noexcept;
// What others have freed to the heap goes back to the slabs; with `all`, which is for who is alone with its lists, what
// is in quarantine and ready, too. The caller holds its lock.
void release_blocks(Heap& heap, bool all) noexcept;
// Of what that heap has handed out last, if that begins there; null: it does not.
[[nodiscard]] inline Record* last_block_of(Heap const* own, void const* p) noexcept {
  auto const* const lists = own != nullptr ? static_cast<Lists const*>(own->guarded) : nullptr;
  return lists != nullptr && lists->last_start == p ? lists->last : nullptr;
}

// Looks at all blocks of a slab, whatever they are in, while others are at work; dies at the first that is damaged.
void check_slab(std::size_t slot) noexcept;
// The block nearest to an address in a guarded slab: for reports. False: there is none.
[[nodiscard]] bool find_block(void const* address, char*& start, Record const*& record) noexcept;

}  // namespace stealth::guard
