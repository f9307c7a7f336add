// Names what is wrong with a pointer that was to be freed, or with a list of free blocks, and ends the process: going
// on would corrupt somebody's memory.
#include "engine/faults.hpp"

#include "base/report.hpp"
#include "engine/guarding.hpp"
#include "engine/heap.hpp"

namespace stealth {

namespace {

using Words = FixedText<160>;

std::uint64_t distance(void const* from, void const* to) {
  return static_cast<std::uint64_t>(static_cast<char const*>(to) - static_cast<char const*>(from));
}

// What a slot's word says of a slab.
SizeClass const& class_in(std::uint32_t word) { return g_classes.classes[list_in(word)]; }

// An address in a slab, as a block of it.
struct Place {
  SizeClass const& c;
  Slab const* slab;
  char const* start;  // of the block that holds it
  std::size_t index, within;

  Place(void const* p, std::uint32_t word) : c(class_in(word)) {
    slab = slab_at(g_arena.offset_of(p) >> kSlotShift, c);
    std::size_t const offset = distance(g_arena.memory_of(slab), p);
    index = offset / c.block;
    within = offset % c.block;
    start = static_cast<char const*>(p) - within;
  }
};

// The word of an address's slot, where there is one.
std::uint32_t word_of(void const* p) {
  std::size_t const offset = g_arena.offset_of(p);
  return g_arena.contains(offset) ? g_arena.owner_word(offset >> kSlotShift) : 0;
}

// Of a slot that is nobody's, or a span's. `freed`: what it is to do this with an allocation that was freed before.
[[noreturn]] void report_no_slab(void* p, std::size_t offset, char const* freed) {
  Run const* const run = g_arena.run_holding(offset >> kSlotShift);
  std::size_t const within = offset - (std::size_t{g_arena.slot_of(run)} << kSlotShift);
  if (run->state == RunState::used) {
    bool const is_live = is_span(g_arena.owner_word(g_arena.slot_of(run)));
    if (within == 0 && !is_live) {  // it waits to be used again
      std::size_t const bytes = static_cast<Span const*>(run)->pages * kPage;
      die(freed, hex(p), " is free already (a large allocation of ", std::uint64_t{bytes}, " bytes)");
    }
    die("invalid free: ", hex(p), " is ", std::uint64_t{within}, " bytes inside the large allocation at ",
        hex(g_arena.memory_of(run)), is_live ? "" : ", which is free");
  }
  if (offset % kGranule != 0) die("invalid free: ", hex(p), " lies in free memory, where no allocation can have begun");
  die(freed, hex(p), " is not allocated: a large allocation freed before, or a block of a slab that was given back");
}

[[noreturn]] void name_fault(void* p, char const* freed) {
  std::size_t const offset = g_arena.offset_of(p);
  if (!g_arena.contains(offset)) {
    die("invalid free: ", hex(p), " was never handed out",
        g_arena.is_table(p) ? ": libstealth's own tables lie there" : "");
  }
  std::uint32_t const word = g_arena.owner_word(offset >> kSlotShift);
  if (Guard const* const guard = serving_guard(); guard != nullptr) guard->inside(p);
  if (is_span(word) || word == 0) report_no_slab(p, offset, freed);
  Place const place(p, word);
  if (place.slab->carved == 0)
    die(freed, hex(p), " is not allocated: all blocks of its slab are free (size class ", place.c.block, ")");
  if (place.index >= place.slab->carved)
    die("invalid free: ", hex(p), " was never handed out (size class ", place.c.block, ")");
  die("invalid free: ", hex(p), " is ", std::uint64_t{place.within}, " bytes inside the block at ", hex(place.start),
      " (size class ", place.c.block, ")");
}

// What is wrong with a link.
void describe(Text& into, void const* link) {
  std::uint32_t const word = word_of(link);
  if (link == nullptr) {
    into << "nothing, where another should follow";
  } else if (word == 0) {
    into << hex(link) << ", where there is no block";
  } else if (is_span(word)) {
    into << hex(link) << ", in a large allocation";
  } else if (Place const place(link, word); place.index >= place.slab->carved) {
    into << hex(link) << ", which was never handed out";
  } else if (place.within != 0) {
    into << hex(link) << ", " << std::uint64_t{place.within} << " bytes inside the block at " << hex(place.start);
  } else {
    into << hex(link) << ", a block of size class " << place.c.block << " that does not belong there";
  }
}

}  // namespace

void report_bad_free(void* p) noexcept { name_fault(p, "double free: "); }

void report_bad_use(void* p) noexcept { name_fault(p, "use after free: "); }

void report_double_free(void const* p, std::size_t block) noexcept {
  die("double free: ", hex(p), " is free already (size class ", std::uint64_t{block}, ")");
}

void report_use_after_free(void const* p, std::size_t block) noexcept {
  die("use after free: ", hex(p), " is free (size class ", std::uint64_t{block}, ")");
}

void report_bad_link(void const* holder, void const* link) noexcept {
  Words what;
  describe(what, link);
  if (holder == nullptr) die("corrupted free list: it begins with ", what.view());
  std::uint32_t const word = word_of(holder);
  if (is_span(word) || word == 0)
    die("corrupted free list: the free memory at ", hex(holder), " leads to ", what.view());
  std::uint32_t const block = class_in(word).block;
  if (holder == link) report_double_free(holder, block);
  // A pointer that is no block gets into a list by a free, too, where the hot path takes it.
  bool const may_be_freed =
      word == word_of(link) && !begins_block(within_slab(g_arena.offset_of(link), class_in(word)), class_in(word));
  die("corrupted free list: the free block at ", hex(holder), " (size class ", block, ") leads to ", what.view(),
      may_be_freed ? ", which was freed, or written there" : "");
}

void report_written(void const* block) noexcept {
  die("corrupted free list: the free block at ", hex(block), " (size class ", class_in(word_of(block)).block,
      ") was written to");
}

// Which of them it is shows where the chain leads back into itself, or to a block that is in the slab's own chain.
void report_returned_twice(Slab const& slab, FreeBlock const* chain) noexcept {
  SizeClass const& c = g_classes.classes[slab.size_class];
  BlocksOf const blocks(slab, c);
  auto const is_among = [&](FreeBlock const* sought, FreeBlock const* first, std::uint32_t most) {
    for (FreeBlock const* at = first; most != 0 && blocks.contain(at); at = at->next, --most) {
      if (at == sought) return true;
    }
    return false;
  };
  std::uint32_t before = 0;
  FreeBlock const* const head = chain != nullptr ? chain : slab.free;
  for (FreeBlock const* at = head; before <= slab.carved && blocks.contain(at); at = at->next, ++before) {
    bool const is_back = chain != nullptr && is_among(at, slab.free, slab.chained());
    if (is_back || is_among(at, head, before)) report_double_free(at, c.block);
  }
  die("double free: more blocks came back to the slab at ", hex(g_arena.memory_of(&slab)), " (size class ", c.block,
      ") than were handed out");
}

}  // namespace stealth
