// Model of a slab's states: Heap::carve, refill, fill, overflow, push_chain, unlist, emptied and hollow_out
// (src/engine/ small.cpp, hollow.cpp). All of them run under the heap's lock, so there is one thread, which does at
// each step whatever may be done: every sequence of calls, whatever its length, ends in one of the states that are met
// here.
//
// One slab of six blocks in three units of two; blocks are carved by the unit. A block is uncarved, out (with the
// program, or on its way back), in the thread's list, in the slab's chain, or hollow: in a unit that went back.
//
// Must hold (Slab::is_valid, Heap::is_valid):
//  - what the slab's fields say of its blocks is where the blocks are; none is lost, none is at two places;
//  - the slab stands in the partial list, once, while it is `listed`; else, with hollow blocks, in the hollow list,
//  once;
//    else in none; it is the one to carve from as long as there is something to carve;
//  - pages that are hollow are not charged, and all others that were carved are.
#include "explorer.hpp"

namespace {

using stealth::model::Byte;

class SlabModel {
 public:
  static constexpr int kUnits = 3, kBlocks = 2 * kUnits;
  static constexpr int kThreads = 1, kChoices = 4 + kBlocks * 3 + kUnits * 2;
  static constexpr char const* kMutations[] = {
      "as it is",
      "a slab is not unlisted when its chain is taken",
      "a slab leaves the partial list and not for the hollow one",
      "a slab is listed and stays in the hollow list",
      "hollow blocks do not count when a slab is listed",
      "hollow blocks stay in the chain",
      "a filled slab stays in the hollow list",
      "a filled unit stays hollow",
      "an emptied slab remembers hollow blocks",
      "where the kernel refuses, the blocks stay hollow",
      "a slab whose last free block became hollow stays listed",
      "hollow_out counts one block too few",
      "an empty slab is not seen",
  };
  enum Mutation {
    kNone,
    kStaysListed,
    kNotHollowListed,
    kStaysHollowListed,
    kHollowUncounted,
    kStaysChained,
    kFilledStaysListed,
    kStaysHollow,
    kRemembersHollow,
    kRefusedStaysHollow,
    kHollowStaysListed,
    kOneTooFew,
    kNotEmptied
  };
  int mutation;

  enum Where : Byte { kUncarved, kOut, kInList, kInChain, kHollow };
  struct State {
    stealth::model::Memory<1, 1> memory;
    Byte at[1];
    Byte where[kBlocks];  // the truth
    Byte chain;           // Slab's fields: of `free`, a bit for each block
    Byte countdown, carved, listed, hollow_blocks, hollow;
    Byte partial, hollow_list;  // how often it stands there
    Byte charged;               // of each unit
  };

  [[nodiscard]] State start() const {
    State s{};
    s.countdown = 1;
    return s;
  }

  [[nodiscard]] bool step(State& s, int, int choice) const {
    switch (choice) {
      case 0:
        return refill(s);
      case 1:
        return overflow(s);
      case 2:
        return carve(s);
      case 3:
        return fill(s);
      default:
        break;
    }
    int const what = (choice - 4) / kBlocks, block = (choice - 4) % kBlocks;
    if (what == 0) return move(s, block, kInList, kOut);  // malloc
    if (what == 1) return move(s, block, kOut, kInList);  // free by the owner
    if (what == 2) return drain(s, block);                // by another thread
    return hollow_out(s, block / 2, block % 2 != 0);
  }

  [[nodiscard]] char const* broken(State const& s) const {
    int out = 0, hollow = 0, chained = 0;
    for (int block = 0; block < kBlocks; ++block) {
      bool const is_carved = block < s.carved;
      if (is_carved == (s.where[block] == kUncarved)) return "a block was carved that is none";
      bool const in_chain = (s.chain >> block & 1) != 0;
      if (in_chain != (s.where[block] == kInChain)) return "a block is in the chain and elsewhere, or nowhere";
      bool const in_hollow = (s.hollow >> block / 2 & 1) != 0;
      if (in_hollow != (s.where[block] == kHollow)) return "a block of a hollow unit is in use, or hollow elsewhere";
      out += s.where[block] == kOut || s.where[block] == kInList ? 1 : 0;
      hollow += s.where[block] == kHollow ? 1 : 0;
      chained += in_chain ? 1 : 0;
    }
    if (hollow != s.hollow_blocks) return "hollow_blocks is wrong";
    if (s.listed != 0 ? chained != s.carved - s.hollow_blocks - s.countdown || out != s.countdown || out == 0
                      : chained != 0 || s.countdown != 1) {
      return "the countdown is wrong";
    }
    if (s.listed != 0 && chained == 0) return "it is listed, and has nothing to give";
    if (s.partial != s.listed) return "it is not in the partial list once while it is listed";
    if (s.hollow_list != (s.listed == 0 && s.hollow_blocks != 0 ? 1 : 0))
      return "it is wrongly in the hollow list or not";
    for (int unit = 0; unit < kUnits; ++unit) {
      bool const there = 2 * unit < s.carved && (s.hollow >> unit & 1) == 0;
      if (there && (s.charged >> unit & 1) == 0) return "a page in use is not charged";
      if (s.where[2 * unit] == kHollow && (s.charged >> unit & 1) != 0) return "a page that went back is charged";
    }
    return nullptr;
  }
  [[nodiscard]] char const* broken_at_end(State const&) const { return "nothing can be done any more"; }

 private:
  static constexpr int blocks_of(int unit) { return 3 << 2 * unit; }
  static bool move(State& s, int block, Where from, Where to) {
    if (s.where[block] != from) return false;
    s.where[block] = to;
    return true;
  }
  static void put(State& s, int blocks, Where where) {
    for (int block = 0; block < kBlocks; ++block) {
      if ((blocks >> block & 1) != 0) s.where[block] = where;
    }
  }

  // Heap::unlist
  void unlist(State& s) const {
    s.chain = 0;
    s.countdown = 1;
    s.listed = 0;
    --s.partial;
    if (s.hollow_blocks != 0 && mutation != kNotHollowListed) ++s.hollow_list;
  }

  // Heap::refill, of a slab that has a chain: all of it.
  [[nodiscard]] bool refill(State& s) const {
    if (s.partial == 0) return false;
    put(s, s.chain, kInList);
    if (mutation == kStaysListed) {
      s.chain = 0;
    } else {
      unlist(s);
    }
    return true;
  }

  // Heap::carve, where nothing else is free: up to the end of the page.
  [[nodiscard]] bool carve(State& s) const {
    if (s.carved == kBlocks || s.partial != 0 || s.hollow_list != 0) return false;
    int const unit = s.carved / 2;
    s.charged = static_cast<Byte>(s.charged | 1 << unit);
    put(s, blocks_of(unit), kInList);
    s.carved = static_cast<Byte>(s.carved + 2);
    return true;
  }

  // Heap::overflow, flush_bin: the list's blocks go back as one chain.
  [[nodiscard]] bool overflow(State& s) const {
    int blocks = 0;
    for (int block = 0; block < kBlocks; ++block) blocks |= s.where[block] == kInList ? 1 << block : 0;
    if (blocks != 0) push_chain(s, blocks);
    return blocks != 0;
  }
  // Heap::drain: another thread has freed it.
  bool drain(State& s, int block) const {
    if (s.where[block] != kOut) return false;
    push_chain(s, 1 << block);
    return true;
  }

  void push_chain(State& s, int blocks) const {
    int const count = __builtin_popcount(static_cast<unsigned>(blocks));
    put(s, blocks, kInChain);
    s.chain = static_cast<Byte>(s.chain | blocks);
    if (s.listed == 0) {
      s.listed = 1;
      int const hollow = mutation == kHollowUncounted ? 0 : s.hollow_blocks;
      s.countdown = static_cast<Byte>(s.carved - hollow - count);
      if (s.hollow_blocks != 0 && mutation != kStaysHollowListed) --s.hollow_list;
      ++s.partial;
    } else {
      s.countdown = static_cast<Byte>(s.countdown - count);
    }
    if (s.countdown == 0 && mutation != kNotEmptied) emptied(s);
  }

  // Heap::emptied: it starts afresh, with what is still charged.
  void emptied(State& s) const {
    if (mutation != kRemembersHollow) s.hollow_blocks = s.hollow = 0;
    unlist(s);
    s.carved = 0;
    put(s, (1 << kBlocks) - 1, kUncarved);
  }

  // Heap::hollow_out: a unit all of whose blocks are in the chain.
  [[nodiscard]] bool hollow_out(State& s, int unit, bool refused) const {
    int const blocks = blocks_of(unit);
    if (s.listed == 0 || (s.chain & blocks) != blocks) return false;
    s.hollow = static_cast<Byte>(s.hollow | 1 << unit);
    s.hollow_blocks = static_cast<Byte>(s.hollow_blocks + (mutation == kOneTooFew ? 1 : 2));
    if (mutation != kStaysChained) s.chain = static_cast<Byte>(s.chain & ~blocks);
    put(s, blocks, kHollow);
    if (!refused) {
      s.charged = static_cast<Byte>(s.charged & ~(1 << unit));
    } else if (mutation != kRefusedStaysHollow) {
      s.hollow = static_cast<Byte>(s.hollow & ~(1 << unit));
      s.hollow_blocks = static_cast<Byte>(s.hollow_blocks - 2);
      s.chain = static_cast<Byte>(s.chain | blocks);
      put(s, blocks, kInChain);
    }
    if (s.chain == 0 && mutation != kHollowStaysListed) unlist(s);
    return true;
  }

  // Heap::fill: the first hollow unit.
  [[nodiscard]] bool fill(State& s) const {
    if (s.hollow_list == 0) return false;
    int const unit = __builtin_ctz(s.hollow);
    s.charged = static_cast<Byte>(s.charged | 1 << unit);
    if (mutation != kStaysHollow) s.hollow = static_cast<Byte>(s.hollow & ~(1 << unit));
    put(s, blocks_of(unit), kInList);
    s.hollow_blocks = static_cast<Byte>(s.hollow_blocks - 2);
    if (s.hollow_blocks == 0 && mutation != kFilledStaysListed) --s.hollow_list;
    return true;
  }
};

TEST(SlabModel, OnlyMutantsFail) { stealth::model::expect_only_mutants_fail<SlabModel>(); }

}  // namespace
