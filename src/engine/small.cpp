// Slabs and their blocks, as their heap sees them: refill, carve, push back, give back. The caller holds the heap's
// lock.
#include "base/check.hpp"
#include "engine/faults.hpp"
#include "engine/guarding.hpp"
#include "engine/hollow.hpp"

namespace stealth {

bool Slab::is_valid() const {
  if (size_class == 0 || size_class >= g_classes.count) return false;
  SizeClass const& c = g_classes.classes[size_class];
  if (carved > c.capacity) return false;
  if (hollow_blocks != count_hollow(*this) || (hollow_blocks != 0 && c.shared)) return false;
  if (!listed) return free == nullptr && countdown == 1;
  if ((countdown == 0 && c.prealloc == 0) || countdown > carved) return false;
  char const* const start = g_arena.memory_of(this);
  std::uint32_t length = 0;
  for (FreeBlock const* block = free; block != nullptr; block = block->next) {
    auto const offset = static_cast<std::size_t>(reinterpret_cast<char const*>(block) - start);
    if (offset / c.block >= carved || offset % c.block != 0 || ++length > carved) return false;
    if (is_hollow(*this, c, static_cast<std::uint32_t>(offset / c.block))) return false;
  }
  return length + hollow_blocks == carved - countdown;
}

Slab* Heap::new_slab(std::uint32_t c) noexcept {
  hollow_out_when_growing();
  SizeClass const& size_class = g_classes.classes[c];
  auto* const slab = static_cast<Slab*>(g_arena.allocate(Zone::slabs, size_class.slots, size_class.slots));
  if (slab == nullptr) return nullptr;
  slab->free = nullptr;
  slab->countdown = 1;
  slab->carved = 0;
  slab->heap = this;
  slab->size_class = static_cast<std::uint8_t>(c);
  slab->listed = false;
  slab->looked_at = false;
  slab->hollow_blocks = 0;
  slab->hollow = 0;
  slab_bytes += size_class.slots * kSlot;
  fresh_bytes += size_class.slots * kSlot;
  g_arena.set_owner(slab, size_class.slots, word_of(c));
  ++classes[c].slabs;
  return slab;
}

void Heap::give_back(Slab* slab) noexcept {
  --classes[slab->size_class].slabs;
  slab_bytes -= g_classes.classes[slab->size_class].slots * kSlot;
  g_arena.set_owner(slab, g_classes.classes[slab->size_class].slots, 0);
  g_arena.free(slab);
}

// Cuts fresh blocks up to the next page boundary, and more where the pages are charged already; at least one.
Outcome Heap::carve(std::uint32_t c, Charge& charge, FreeBlock*& head, std::uint32_t& count) noexcept {
  HeapClass& mine = classes[c];
  SizeClass const& size_class = g_classes.classes[c];
  if (mine.carving == nullptr) {
    mine.carving = new_slab(c);
    if (mine.carving == nullptr) return Outcome::no_memory;
  }
  Slab* const slab = mine.carving;
  STEALTH_CHECK(!slab->listed);  // nothing is cut as long as a slab has free blocks
  std::size_t const block = size_class.block;
  std::size_t const begin = slab->carved * block;
  std::size_t const page_end = align_up(begin + block, kPage);
  count = min(static_cast<std::uint32_t>((page_end - begin) / block), size_class.capacity - slab->carved);
  std::size_t const end = begin + count * block;
  if (!g_arena.touch(slab, static_cast<std::uint32_t>(begin / kPage), static_cast<std::uint32_t>(divide_up(end, kPage)),
                     charge)) {
    return Outcome::over_capacity;
  }
  char* const first = g_arena.memory_of(slab) + begin;
  for (std::uint32_t i = 0; i + 1 < count; ++i) {
    reinterpret_cast<FreeBlock*>(first + i * block)->next = reinterpret_cast<FreeBlock*>(first + (i + 1) * block);
  }
  reinterpret_cast<FreeBlock*>(first + (count - 1) * block)->next = nullptr;
  head = reinterpret_cast<FreeBlock*>(first);
  __atomic_store_n(&slab->carved, slab->carved + count, __ATOMIC_RELAXED);
  __atomic_store_n(&mine.carved, mine.carved + count, __ATOMIC_RELAXED);  // gather_facts() looks without the lock
  if (slab->carved == size_class.capacity) mine.carving = nullptr;
  return Outcome::done;
}

// What others have freed to this heap.
void Heap::drain_queue() noexcept {
  if (remote_queue.load(std::memory_order_relaxed) == nullptr) return;
  collecting = true;
  drain();
  collecting = false;
}

Outcome Heap::refill(std::uint32_t c, Charge& charge, void*& block) noexcept {
  drain_queue();
  used_tick = g_tick.load(std::memory_order_relaxed);
  HeapClass& mine = classes[c];
  Bin& bin = bins[c];
  if (counted(c).head != nullptr) uncount(c);
  if (bin.head != nullptr) {  // a signal handler has freed one meanwhile, or sampling has ended
    static_cast<void>(find_head(c));
    block = bin.head;
    bin.head = bin.head->next;
    ++bin.room;
    return Outcome::done;
  }
  if (mine.overflowed != 0) {
    mine.overflowed = 0;
    raise_limit(bin, g_classes.classes[c].last_limit, g_classes.classes[c].block);
  }
  FreeBlock* head = nullptr;
  std::uint32_t count = 0;
  if (Slab* const slab = mine.partial.front(); slab != nullptr) {  // its whole chain, without walking it
    check_first_link(*slab, g_classes.classes[c]);
    STEALTH_CHECK_FULL(slab->is_valid());
    count = slab->chained();
    head = slab->free;
    chained_bytes -= std::uint64_t{count} * g_classes.classes[c].block;
    unlist(slab);
  } else if (Slab* const hollow = mine.hollow.front(); hollow != nullptr) {
    Outcome const result = fill(hollow, charge, head, count);
    if (result != Outcome::done) return result;
  } else {
    Outcome const result = carve(c, charge, head, count);
    if (result != Outcome::done) return result;
  }
  block = head;
  bin.head = head->next;
  bin.room -= static_cast<std::int32_t>(count) - 1;
  return Outcome::done;
}

Outcome Heap::take_one(std::uint32_t c, Charge& charge, void*& block) noexcept {
  HeapClass& mine = classes[c];
  Slab* slab = mine.partial.front();
  if (slab == nullptr) {
    FreeBlock* head = nullptr;
    std::uint32_t count = 0;
    Outcome const result = carve(c, charge, head, count);
    if (result != Outcome::done) return result;
    block = head;
    if (count == 1) return result;
    // The others go back to their slab, in order; carve() counted them as out.
    FreeBlock* const rest = head->next;
    FreeBlock* tail = rest;
    while (tail->next != nullptr) tail = tail->next;
    auto const slot = g_arena.offset_of(rest) >> kSlotShift;
    push_chain(slab_at(slot, g_classes.classes[c]), rest, tail, count - 1);
    return result;
  }
  check_first_link(*slab, g_classes.classes[c]);
  block = slab->free;
  slab->free = slab->free->next;
  chained_bytes -= g_classes.classes[c].block;
  ++slab->countdown;
  if (slab->free == nullptr) unlist(slab);
  return Outcome::done;
}

bool Heap::has_free(std::uint32_t c) noexcept {
  drain_queue();
  return bins[c].head != nullptr || counted(c).head != nullptr || !classes[c].partial.empty();
}

void* Heap::take_larger(std::uint32_t c, std::size_t alignment) noexcept {
  std::size_t const most = std::size_t{g_classes.classes[c].block} * 2;
  for (std::size_t size = g_classes.classes[c].block + 1; size <= min(most, kMaxSmall); size = ladder_step(size + 1)) {
    std::uint32_t const larger = serving_class(size);
    if (larger == 0 || g_classes.classes[larger].shared || g_classes.classes[larger].block % alignment != 0) continue;
    if (!has_free(larger)) continue;
    void* block = nullptr;
    Charge none;  // nothing is charged on these ways
    return refill(larger, none, block) == Outcome::done ? block : nullptr;
  }
  return nullptr;
}

void Heap::push_chain(Slab* slab, FreeBlock* head, FreeBlock* tail, std::uint32_t count) noexcept {
  std::uint32_t const out = slab->blocks_out();
  if (head == slab->free || count > out) [[unlikely]]
    report_returned_twice(*slab, head);
  tail->next = slab->free;
  slab->free = head;
  slab->looked_at = false;
  slab->pushed_tick = g_tick.load(std::memory_order_relaxed);
  HeapClass& mine = classes[slab->size_class];
  chained_bytes += std::uint64_t{count} * g_classes.classes[slab->size_class].block;
  slab->countdown = out - count;
  if (!slab->listed) {
    slab->listed = true;
    if (slab->hollow_blocks != 0) mine.hollow.remove(slab);
    mine.partial.push_front(slab);
  }
  if (slab->countdown == 0 && !is_kept(slab)) emptied(slab);
}

// A class with prealloc keeps as many blocks, in slabs that stay listed though none of their blocks is out.
bool Heap::is_kept(Slab const* slab) const noexcept {
  SizeClass const& c = g_classes.classes[slab->size_class];
  if (c.prealloc == 0) return false;
  HeapClass const& mine = classes[slab->size_class];
  std::uint64_t others = std::uint64_t{mine.slabs - 1} * c.capacity;
  if (mine.carving != nullptr && mine.carving != slab) others -= c.capacity - mine.carving->carved;
  return others < c.prealloc;
}

// Of a slab whose chain has been taken.
void Heap::unlist(Slab* slab) noexcept {
  HeapClass& mine = classes[slab->size_class];
  slab->free = nullptr;
  slab->countdown = 1;
  slab->listed = false;
  mine.partial.remove(slab);
  if (slab->hollow_blocks != 0) mine.hollow.push_front(slab);
}

// A slab without blocks in use starts afresh as the one to carve from, or goes back to the arena.
void Heap::emptied(Slab* slab) noexcept {
  HeapClass& mine = classes[slab->size_class];
  std::size_t const bytes = g_classes.classes[slab->size_class].slots * kSlot;  // once given back it may be another's
  chained_bytes -= std::uint64_t{slab->carved - slab->hollow_blocks} * g_classes.classes[slab->size_class].block;
  slab->hollow_blocks = 0;
  slab->hollow = 0;
  unlist(slab);
  slab->carved = 0;
  if (mine.carving == nullptr) mine.carving = slab;
  if (mine.carving != slab) give_back(slab);
  g_budget.own_freed(bytes, collecting ? nullptr : &account);
}

void Heap::release_unused(bool with_bins) noexcept {
  collecting = true;
  if (with_bins) post_batches();
  drain();
  for (std::uint32_t c = 1; c < g_classes.count; ++c) {
    if (with_bins) flush_bin(c);
    Slab* const slab = classes[c].carving;
    if (slab != nullptr && slab->carved == 0) {
      classes[c].carving = nullptr;
      give_back(slab);
    }
  }
  if (with_bins) flush_span_lists();
  if (guarded != nullptr) active_guard()->release(*this, with_bins);
  collecting = false;
}

bool Heap::is_valid() const noexcept {
  if (!are_batches_valid()) return false;
  std::uint64_t in_slabs = 0, in_chains = 0;
  for (std::uint32_t c = 1; c < g_classes.count; ++c) {
    SizeClass const& size_class = g_classes.classes[c];
    in_slabs += std::uint64_t{classes[c].slabs} * size_class.slots * kSlot;
    for (Slab const* slab = classes[c].partial.front(); slab != nullptr; slab = List<Slab>::next(slab)) {
      if (!slab->is_valid() || !slab->listed || slab->size_class != c || slab->heap != this) return false;
      in_chains += std::uint64_t{slab->free_blocks() - slab->hollow_blocks} * size_class.block;
    }
    for (Slab const* slab = classes[c].hollow.front(); slab != nullptr; slab = List<Slab>::next(slab)) {
      if (!slab->is_valid() || slab->listed || slab->hollow_blocks == 0 || slab->heap != this) return false;
    }
    Slab const* const carving = classes[c].carving;
    if (carving != nullptr && (!carving->is_valid() || carving->carved == size_class.capacity)) return false;
  }
  return in_slabs == slab_bytes && in_chains == chained_bytes;
}

}  // namespace stealth
