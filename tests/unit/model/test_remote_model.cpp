// Model of remote frees: Heap::post and Heap::drain (src/engine/remote.cpp) with Heap::refill, Heap::push_chain and
// Heap::emptied (small.cpp) as far as they concern one heap's queue.
//
// Two slabs of two blocks each, all of them out. One thread posts two blocks, one after the other; another posts two
// chains of one block each at once. The owner drains, takes the chain of a slab that is listed, and gives blocks back,
// in any order. A chain is known by its last block, whose `next` is the next chain in the queue.
//
// Must hold:
//  - no block is lost: in the end both slabs are empty, and went back;
//  - none comes twice, and none comes back to a slab that went back already;
//  - a slab stands in the partial list if and only if it has free blocks there, and the countdown says how many of its
//    blocks are out (Slab::is_valid).
#include "explorer.hpp"

namespace {

using stealth::model::Byte;

class RemoteModel {
 public:
  static constexpr int kThreads = 3, kChoices = 3;
  static constexpr char const* kMutations[] = {
      "as it is",
      "a post is no compare-and-swap",
      "a chain is linked after it was posted",
      "a drain reads and clears in two steps",
      "a drain reads the next chain after it has pushed this one",
      "a drain takes only the first chain",
      "what is posted no longer counts as out",
      "a slab is not listed when its first block comes back",
      "a slab stays listed when its chain is taken",
      "the countdown begins one too high",
      "the countdown is not lowered for a second block",
  };
  enum Mutation {
    kNone,
    kPlainPost,
    kLinkLate,
    kTwoSteps,
    kNextLate,
    kOnlyFirst,
    kCountsIn,
    kNotListed,
    kStaysListed,
    kTooHigh,
    kNotLowered
  };
  int mutation;

  static constexpr int kBlocks = 4, kNull = 0;                        // blocks are 1…4; 1 and 3 are of slab 0
  enum Variable { kQueue, kNext, kVariables = kNext + kBlocks + 1 };  // next[0] is nobody's
  struct State {
    stealth::model::Memory<kVariables, kThreads> memory;
    Byte at[kThreads];
    Byte seen[kThreads];  // of the queue, by who posts; by the owner: to be pushed next
    Byte free[2], countdown[2], listed[2], partial[2], gone[2];  // the slabs
    Byte list;                                                   // the owner's: one block, or none
    Byte refills;
    Byte wrong;
  };

  [[nodiscard]] State start() const {
    State s{};
    s.countdown[0] = s.countdown[1] = 1;
    return s;
  }
  [[nodiscard]] bool step(State& s, int thread, int choice) const {
    if (thread == 0) return owner(s, choice);
    return choice == 0 && poster(s, thread);
  }

  [[nodiscard]] char const* broken(State const& s) const {
    if (s.wrong != 0) return "a block came back to a slab that is gone, or twice";
    for (int slab = 0; slab < 2; ++slab) {
      if (s.gone[slab] != 0) continue;
      if (s.listed[slab] != s.partial[slab]) return "a slab is listed where it does not stand";
      int length = 0;
      for (int block = s.free[slab]; block != kNull && length <= kCarved; block = s.memory.load(0, kNext + block))
        ++length;
      if (length > kCarved) return "a slab's chain does not end";
      bool const fits = s.listed[slab] != 0 ? length == kCarved - s.countdown[slab] && length != 0
                                            : length == 0 && s.countdown[slab] == 1;
      if (!fits) return "the countdown is wrong";
    }
    return nullptr;
  }
  [[nodiscard]] char const* broken_at_end(State const& s) const {
    return s.gone[0] == 0 || s.gone[1] == 0 || s.list != 0 ? "a block is lost" : nullptr;
  }

 private:
  static constexpr int kCarved = 2, kMostRefills = 2;
  enum PosterPlace : Byte { kRead, kSwap, kLate, kReadAgain, kSwapAgain, kLateAgain, kPosted };
  enum OwnerPlace : Byte { kIdle, kClear, kPush };

  [[nodiscard]] static int slab_of(int block) { return (block - 1) % 2; }

  // Heap::post, of chains first … last. Thread 1 posts block 1, then 2; thread 2 posts 3 and 4 in one go.
  [[nodiscard]] bool poster(State& s, int thread) const {
    Byte& at = s.at[thread];
    bool const again = at >= kReadAgain;
    int const first = thread == 2 ? 4 : again ? 2 : 1;
    int const last = thread == 2 ? 3 : first;
    auto const link = [&] { s.memory.store(thread, kNext + last, s.seen[thread]); };
    auto const done = [&] {
      s.seen[thread] = 0;
      at = again || thread == 2 ? kPosted : kReadAgain;
      return true;
    };
    switch (at) {
      case kRead:
      case kReadAgain:
        if (thread == 2) s.memory.store(thread, kNext + first, last);  // Heap::dispatch
        s.seen[thread] = s.memory.load(thread, kQueue);
        if (mutation != kLinkLate) link();
        ++at;
        return true;
      case kSwap:
      case kSwapAgain:
        if (mutation == kPlainPost) {
          s.memory.store(thread, kQueue, first);
        } else if (!s.memory.compare_exchange(thread, kQueue, s.seen[thread], first)) {
          s.seen[thread] = s.memory.load(thread, kQueue);
          if (mutation != kLinkLate) link();
          return true;
        }
        if (mutation == kCountsIn) count_in(s, first);
        if (mutation == kCountsIn && last != first) count_in(s, last);
        if (mutation != kLinkLate) return done();
        ++at;
        return true;
      case kLate:
      case kLateAgain:
        link();
        return done();
      default:
        return false;
    }
  }
  static void count_in(State& s, int block) {
    int const slab = slab_of(block);
    if (s.listed[slab] != 0 && --s.countdown[slab] == 0) give_back(s, slab);
  }

  [[nodiscard]] bool owner(State& s, int choice) const {
    switch (s.at[0]) {
      case kIdle:
        if (choice == 1) return refill(s);
        if (choice == 2) {  // Heap::overflow: what the list holds goes back
          if (s.list == kNull) return false;
          push(s, s.list);
          s.list = kNull;
          return true;
        }
        if (s.memory.load(0, kQueue) == kNull) return false;
        if (mutation == kTwoSteps) {
          s.seen[0] = s.memory.load(0, kQueue);
          s.at[0] = kClear;
        } else {
          s.seen[0] = s.memory.exchange(0, kQueue, kNull);
          s.at[0] = kPush;
        }
        return true;
      case kClear:
        if (choice != 0) return false;
        s.memory.exchange(0, kQueue, kNull);
        s.at[0] = kPush;
        return true;
      default: {  // Heap::drain
        if (choice != 0) return false;
        int const chain = s.seen[0];
        int const next = s.memory.load(0, kNext + chain);  // read first: it is the chain's end, and the slab's as well
        push(s, chain);
        s.seen[0] = mutation == kNextLate ? s.memory.load(0, kNext + chain) : static_cast<Byte>(next);
        if (s.seen[0] == kNull || mutation == kOnlyFirst) s.seen[0] = kNull, s.at[0] = kIdle;
        return true;
      }
    }
  }

  // The chain of a listed slab becomes the list. It is one block: a slab with two free ones is gone.
  [[nodiscard]] bool refill(State& s) const {
    int const slab = s.partial[0] != 0 ? 0 : 1;
    if (s.list != kNull || s.partial[slab] == 0 || s.refills == kMostRefills) return false;
    ++s.refills;
    s.list = s.free[slab];
    s.free[slab] = kNull;
    if (mutation == kStaysListed) return true;
    unlist(s, slab);
    return true;
  }
  static void unlist(State& s, int slab) {
    s.countdown[slab] = 1;
    s.listed[slab] = s.partial[slab] = 0;
  }

  // Heap::push_chain, of one block.
  void push(State& s, int block) const {
    int const slab = slab_of(block);
    int length = 0;
    for (int at = s.free[slab]; at != kNull && length <= kCarved; at = s.memory.load(0, kNext + at), ++length) {
      if (at == block) s.wrong = 1;
    }
    if (s.gone[slab] != 0) s.wrong = 1;
    s.memory.store(0, kNext + block, s.free[slab]);
    s.free[slab] = static_cast<Byte>(block);
    if (s.listed[slab] == 0) {
      s.listed[slab] = 1;
      s.countdown[slab] = static_cast<Byte>(kCarved - 1 + (mutation == kTooHigh ? 1 : 0));
      s.partial[slab] = mutation != kNotListed;
    } else if (mutation != kNotLowered) {
      --s.countdown[slab];
    }
    if (s.countdown[slab] == 0) give_back(s, slab);  // Heap::emptied
  }
  static void give_back(State& s, int slab) {
    s.free[slab] = kNull;
    unlist(s, slab);
    s.gone[slab] = 1;
  }
};

TEST(RemoteModel, OnlyMutantsFail) { stealth::model::expect_only_mutants_fail<RemoteModel>(); }

}  // namespace
