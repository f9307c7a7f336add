// Frees of blocks that another heap owns: batched by slab in the freeing heap, posted to the slab by one
// compare-and-swap; the first poster queues the slab on its owner, which drains through that queue only. A batch is
// its thread's alone, as a list is. When memory is short, blocks are posted one by one, and a thread that comes by
// posts what it has collected.
//
// While a slab's `remote` is not empty, its blocks count as out, so that the owner cannot give the slab away before it
// has drained it: a poster never touches a slab that is gone. The caller holds the lock of the heap that is `this`.
#include "base/check.hpp"
#include "engine/slow.hpp"

namespace stealth {

namespace {

std::uint32_t granule_of(Slab const* slab, FreeBlock const* block) {
  return static_cast<std::uint32_t>(
      static_cast<std::size_t>(reinterpret_cast<char const*>(block) - g_arena.memory_of(slab)) / kGranule);
}

FreeBlock* block_at(Slab const* slab, std::uint32_t granule) {
  return reinterpret_cast<FreeBlock*>(g_arena.memory_of(slab) + std::size_t{granule} * kGranule);
}

void post(RemoteBatch& batch, ThreadAccount* account) {
  Slab* const slab = batch.slab;
  SizeClass const& c = g_classes.classes[slab->size_class];
  std::uint32_t const count = c.batch - batch.room;
  std::uint64_t const bytes = std::uint64_t{count} * c.block;
  Heap const* const owner = slab->heap;
  std::uint64_t seen = slab->remote.load(std::memory_order_relaxed);
  RemoteChain mine = {granule_of(slab, batch.head), granule_of(slab, batch.tail), count};
  while (true) {
    RemoteChain const before = RemoteChain::unpack(seen);
    RemoteChain after = mine;
    if (before.count != 0) {
      batch.tail->next = block_at(slab, before.head);
      after.tail = before.tail;
      after.count += before.count;
    }
    if (slab->remote.compare_exchange_weak(seen, after.pack(), std::memory_order_acq_rel, std::memory_order_relaxed))
      break;
  }
  batch.slab = nullptr;
  if (RemoteChain::unpack(seen).count == 0) {
    std::atomic<Slab*>& queue = slab->heap->remote_queue;
    slab->next_queued = queue.load(std::memory_order_relaxed);
    while (
        !queue.compare_exchange_weak(slab->next_queued, slab, std::memory_order_release, std::memory_order_relaxed)) {
    }
  }
  g_budget.freed(bytes, owner, account);
}

}  // namespace

void Heap::free_remote(Slab* slab, FreeBlock* block, SizeClass const& c) noexcept {
  RemoteBatch& batch = batch_of(g_arena.slot_of(slab), c);
  ThreadAccount* const by = collecting ? nullptr : &account;
  if (batch.slab != slab) {
    if (batch.slab != nullptr) post(batch, by);
    batch = {slab, nullptr, block, c.batch, 0};
  }
  if (batch.head == block) report_double_free(block, c.block);
  batch.limit = slab->carved_now() * c.block;
  batch.push(block);
  if (batch.room == 0 || g_budget.under_pressure()) post(batch, by);
}

void Heap::post_batches() noexcept {
  for (RemoteBatch& batch : batches) {
    if (batch.slab != nullptr) post(batch, collecting ? nullptr : &account);
  }
}

void Heap::drain() noexcept {
  Slab* slab = remote_queue.exchange(nullptr, std::memory_order_acquire);
  while (slab != nullptr) {
    Slab* const next = slab->next_queued;  // read first: once `remote` is empty, the next poster queues the slab anew
    RemoteChain const chain = RemoteChain::unpack(slab->remote.exchange(0, std::memory_order_acq_rel));
    STEALTH_CHECK(chain.count != 0 && chain.count <= slab->carved);
    push_chain(slab, block_at(slab, chain.head), block_at(slab, chain.tail), chain.count);
    slab = next;
  }
}

}  // namespace stealth
