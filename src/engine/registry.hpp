// All heaps, for the files that do something to each of them (heaps.cpp, figures.cpp).
#pragma once

#include "engine/slow.hpp"

namespace stealth {

extern constinit Mutex g_registry;  // after the keeper's lock, before the heaps'
extern constinit Heap* g_heaps;     // oldest first

template <class Action>
void for_each_heap(Action action) {
  for (Heap* heap = g_heaps; heap != nullptr; heap = heap->next_heap) {
    if (!heap->lost) action(*heap);
  }
  action(g_shared_heap);
}

// For other heaps than the thread's own. A heap whose thread died within the slow path (by pthread_exit in a signal
// handler, say) stays locked and may be half changed: it is given up. Its blocks can be used and freed as before.
// False, too, for one that stays locked for a second though its thread lives (it jumped out of a signal handler).
[[nodiscard]] bool lock_foreign(Heap& heap) noexcept;

}  // namespace stealth
