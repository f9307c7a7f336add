// Frees of blocks that another heap owns: batched by slab in the freeing heap, then gathered by owner, and posted to
// the owner's queue by one compare-and-swap for many slabs; it takes them in at its next refill. Batches and what is
// gathered are their thread's alone, as a list is: only to post takes the lock. When memory is short, blocks are posted
// one by one, and a thread that comes by posts what it has collected.
//
// Until they are taken in, a slab's blocks count as out, so that the owner cannot give the slab away before.
#include "base/check.hpp"
#include "engine/slow.hpp"

namespace stealth {

// Into what goes to the same owner. False: that is to be posted first.
bool Heap::dispatch(RemoteBatch& batch) noexcept {
  std::size_t const slot = g_arena.offset_of(batch.start) >> kSlotShift;
  std::uint32_t const word = g_arena.owner_word(slot);
  SizeClass const& c = g_classes.classes[list_in(word)];
  std::uint32_t const count = c.batch - batch.room;
  if (batch.head == batch.tail && count != 1) report_double_free(batch.head, c.block);
  std::uint32_t const bytes = count * c.block;
  std::uint32_t const to = word & ~kWithoutId;
  Outgoing& out = outgoing[(to >> kIdShift) % kOutgoing];
  if (out.id != to) {
    if (out.first != nullptr) return false;
    out = {to, 0, 0, slab_at(slot, c)->heap, nullptr, nullptr};
  }
  if (out.chains == kOutgoingChains || (outgoing_bytes != 0 && outgoing_bytes + bytes > kOutgoingBytes)) return false;
  auto* const chain = static_cast<RemoteChain*>(batch.tail);
  chain->head = static_cast<std::uint32_t>(reinterpret_cast<char*>(batch.head) - batch.start);
  chain->count = count;
  chain->next = out.first;
  if (out.first == nullptr) out.last = chain;
  out.first = chain;
  ++out.chains;
  out.bytes += bytes;
  outgoing_bytes += bytes;
  batch.start = nullptr;
  return true;
}

void Heap::post(Outgoing& out) noexcept {
  if (out.first == nullptr) return;
  std::atomic<FreeBlock*>& queue = out.owner->remote_queue;
  out.last->next = queue.load(std::memory_order_relaxed);
  while (
      !queue.compare_exchange_weak(out.last->next, out.first, std::memory_order_release, std::memory_order_relaxed)) {
  }
  outgoing_bytes -= out.bytes;
  g_budget.freed(out.bytes, out.owner, collecting ? nullptr : &account);
  out = {};
}

void Heap::post_all() noexcept {
  for (Outgoing& out : outgoing) post(out);
}

void Heap::dispatch_anyhow(RemoteBatch& batch) noexcept {
  if (dispatch(batch)) return;
  post_all();
  [[maybe_unused]] bool const done = dispatch(batch);
  STEALTH_CHECK(done);
}

bool Heap::begin_batch(RemoteBatch& batch, std::size_t slot, FreeBlock* block, std::size_t within,
                       SizeClass const& c) noexcept {
  char* const start = reinterpret_cast<char*>(block) - within;
  std::uint32_t const limit = slab_at(slot, c)->carved_now();
  if (c.shared || c.exact_index_of(within) >= limit) return false;
  if (batch.start == start && (batch.head == block || batch.tail == block)) return false;
  if (batch.start != nullptr && (batch.start != start || batch.room == 0) && !dispatch(batch)) return false;
  if (batch.start == nullptr) batch = {start, nullptr, block, c.batch, 0};
  batch.limit = limit;
  batch.push(block);
  if (c.batch != 1 || dispatch(batch)) return true;  // a large one waits for no other
  batch.start = nullptr;
  return false;
}

void Heap::free_remote(Slab* slab, FreeBlock* block, SizeClass const& c) noexcept {
  std::size_t const slot = g_arena.slot_of(slab);
  RemoteBatch& batch = batch_of(slot, c);
  char* const start = g_arena.memory_of(slab);
  auto const within = static_cast<std::size_t>(reinterpret_cast<char*>(block) - start);
  if (batch.start == start && (batch.head == block || batch.tail == block)) report_double_free(block, c.block);
  // Once for the batch that makes room, and once for a large block.
  while (!begin_batch(batch, slot, block, within, c)) post_all();
  if (!g_budget.under_pressure()) return;
  if (batch.start != nullptr) dispatch_anyhow(batch);
  post_all();
}

bool RemoteBatch::is_valid() const {
  std::size_t const slot = g_arena.offset_of(start) >> kSlotShift;
  SizeClass const& c = g_classes.classes[list_in(g_arena.owner_word(slot))];
  Slab const* const slab = slab_at(slot, c);
  if (g_arena.memory_of(slab) != start || room > c.batch || limit > slab->carved_now()) return false;
  std::uint32_t length = 0;
  FreeBlock const* last = nullptr;
  for (FreeBlock const* block = head; block != nullptr && length <= c.batch; block = block->next) {
    last = block;
    ++length;
  }
  return last == tail && length == c.batch - room;
}

bool Outgoing::is_valid() const {
  std::uint32_t found_chains = 0, found_bytes = 0;
  for (RemoteChain const* chain = first; found_chains != chains; chain = static_cast<RemoteChain const*>(chain->next)) {
    std::uint32_t const word = g_arena.owner_word(g_arena.offset_of(chain) >> kSlotShift);
    if ((word ^ id) >= kBinBytes) return false;
    found_bytes += chain->count * g_classes.classes[list_in(word)].block;
    if (++found_chains == chains && chain != last) return false;
  }
  return (first == nullptr) == (chains == 0) && found_bytes == bytes && chains <= kOutgoingChains;
}

bool Heap::are_batches_valid() const noexcept {
  for (RemoteBatch const& batch : batches) {
    if (batch.start != nullptr && !batch.is_valid()) return false;
  }
  std::uint32_t bytes = 0;
  for (Outgoing const& out : outgoing) {
    if (!out.is_valid()) return false;
    bytes += out.bytes;
  }
  return bytes == outgoing_bytes && bytes <= max(kOutgoingBytes, std::uint32_t{kMaxSmall});
}

void Heap::post_batches() noexcept {
  for (RemoteBatch& batch : batches) {
    if (batch.start != nullptr) dispatch_anyhow(batch);
  }
  post_all();
}

void Heap::drain() noexcept {
  FreeBlock* next = remote_queue.exchange(nullptr, std::memory_order_acquire);
  RemoteChain const* before = nullptr;
  while (next != nullptr) {
    auto* const chain = static_cast<RemoteChain*>(next);
    // It lies in memory that the program has freed, and may have written to all the same.
    std::size_t const offset = g_arena.offset_of(chain);
    if (!g_arena.contains(offset)) [[unlikely]]
      report_bad_link(before, chain);
    next = chain->next;  // read first: it is the chain's end, and the slab's as well
    __builtin_prefetch(next);
    std::size_t const slot = offset >> kSlotShift;
    std::uint32_t const mine = g_arena.owner_word(slot) ^ id;
    if (mine >= kBinBytes) [[unlikely]]
      report_bad_link(before, chain);
    SizeClass const& c = g_classes.classes[list_in(mine)];
    Slab* const slab = slab_at(slot, c);
    if (!is_block_at(within_slab(offset, c), *slab, c)) [[unlikely]]
      report_bad_link(before, chain);
    auto* const head = reinterpret_cast<FreeBlock*>(g_arena.memory_of(slab) + chain->head);
    if (chain->count == 0 || chain->count > slab->carved || !is_block_at(chain->head, *slab, c) ||
        (chain->count == 1) != (head == chain)) [[unlikely]]
      report_written(chain);
    before = chain;
    push_chain(slab, head, chain, chain->count);
  }
}

}  // namespace stealth
