// Large allocations: a run of slots each, with inaccessible pages around. The allocation ends as near to the second one
// as its alignment allows, and between it and the pages are canary bytes:
//
//   [inaccessible][canary][allocation][canary][inaccessible]
//
// A freed one is inaccessible as a whole, and has no memory, until some hundreds have been freed after it.
#pragma once

#include "engine/heap.hpp"
#include "guard/state.hpp"

namespace stealth::guard {

[[nodiscard]] void* allocate_span(Heap& heap, std::size_t size, std::size_t alignment, bool zeroed) noexcept;
// What is known of the one that begins there; dies where none does.
[[nodiscard]] Record& span_record(void* p) noexcept;
void free_span(void* p, Farewell const& farewell) noexcept;
// Those in a heap's quarantine go back. The caller holds its lock.
void release_spans(Heap& heap) noexcept;
// Looks at the one that begins in a slot, if one does; dies if it is damaged.
void check_span(std::size_t slot) noexcept;
// The one that holds an address, or its pages around it: for reports. False: there is none.
[[nodiscard]] bool find_span(void const* address, char*& start, Record const*& record) noexcept;

}  // namespace stealth::guard
