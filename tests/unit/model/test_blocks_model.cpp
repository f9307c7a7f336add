// Model of waiting for blocks: Heap::post, Budget::freed and WaitQueue::wake_key on the one side, Admission::again,
// Wait::announce, Wait::wait_for_release, Wait::sleep and WaitQueue::take_grant on the other.
//
// Three threads post one block each to the heap of a fourth one, which needs all of them. `told` spares waiters a
// second wake-up before they have looked; `listening` spares those who nap a system call. The nap itself, which ends by
// itself, is left out: what is modelled is the sleep after it, which here nothing but a wake-up ends. The kernel's
// compare is one step, and no fence: the model does not count on one there.
//
// Must hold: the waiter is not asleep for ever while blocks lie in its queue; it gets all.
#include "explorer.hpp"

namespace {

using stealth::model::Byte;

class BlocksModel {
 public:
  static constexpr int kThreads = 4, kChoices = 1, kBlocks = kThreads - 1;
  static constexpr char const* kMutations[] = {
      "as it is",
      "the waiter does not try once more after it has joined",
      "the waiter notes its word after it has forgotten that it was told",
      "who was told stays so",
      "that the waiter listens is a plain store",
      "a wake-up comes before what it is for",
      "who listens is not woken",
      "the word does not change",
      "a post is a plain store",
  };
  enum Mutation { kNone, kNoLook, kLateWord, kStaysTold, kPlainListening, kWakesFirst, kNoWake, kSameWord, kPlainPost };
  int mutation;

  enum Variable { kPosted, kCount, kMutex, kWord, kListening, kVariables };
  struct State {
    stealth::model::Memory<kVariables, kThreads> memory;
    Byte at[kThreads];
    Byte queued, told, seen, asleep, got;
  };

  [[nodiscard]] State start() const { return {}; }
  [[nodiscard]] bool step(State& s, int thread, int choice) const {
    if (choice != 0) return false;
    return thread == 0 ? waiter(s) : poster(s, thread);
  }
  [[nodiscard]] char const* broken(State const& s) const { return s.got > kBlocks ? "a block came twice" : nullptr; }
  [[nodiscard]] char const* broken_at_end(State const& s) const {
    if (s.asleep != 0) return "the waiter sleeps, and nobody will wake it";
    if (s.at[0] != kDone) return "the waiter is stuck";
    return s.memory.values[kCount] != 0 ? "the queue counts somebody who has left" : nullptr;
  }

 private:
  enum Place : Byte {
    kTry,
    kNoteWord,
    kJoin,
    kCountIn,
    kClaim,
    kCompare,
    kListen,
    kSleep,
    kAsleep,
    kForget,
    kLateNote,
    kLeave,
    kDone
  };
  enum PosterPlace : Byte { kPost, kAsk, kLock, kFind, kTell, kWake, kUnlock, kPostLate, kPosterDone };

  [[nodiscard]] bool poster(State& s, int thread) const {
    Byte& at = s.at[thread];
    auto const go = [&](Byte next) { return at = next, true; };
    switch (at) {
      case kPost:  // Heap::post
        if (mutation == kWakesFirst) return go(kAsk);
        return post(s, thread), go(kAsk);
      case kAsk:  // Budget::freed: under_pressure()
        if (s.memory.load(thread, kCount) != 0) return go(kLock);
        return go(kPostLate);
      case kLock:  // WaitQueue::wake_key
        return s.memory.compare_exchange(thread, kMutex, 0, 1) && go(kFind);
      case kFind:
        if (s.queued == 0 || s.told != 0) return go(kUnlock);
        s.told = 1;
        return go(kTell);
      case kTell:  // WaitQueue::wake
        if (mutation != kSameWord) s.memory.add(thread, kWord, 1);
        return go(kWake);
      case kWake:
        if (s.memory.load(thread, kListening) != 0 && mutation != kNoWake) s.asleep = 0;
        return go(kUnlock);
      case kUnlock:
        s.memory.exchange(thread, kMutex, 0);
        return go(kPostLate);
      case kPostLate:
        if (mutation == kWakesFirst) post(s, thread);
        return go(kPosterDone);
      default:
        return false;
    }
  }
  void post(State& s, int thread) const {
    if (mutation == kPlainPost) {
      s.memory.store(thread, kPosted, s.memory.load(thread, kPosted) + 1);
    } else {
      s.memory.add(thread, kPosted, 1);
    }
  }

  [[nodiscard]] bool waiter(State& s) const {
    Byte& at = s.at[0];
    auto const locks = [&] { return s.memory.compare_exchange(0, kMutex, 0, 1); };
    auto const go = [&](Byte next) { return at = next, true; };
    switch (at) {
      case kTry:  // Admission::again: Heap::drain
        s.got = static_cast<Byte>(s.got + s.memory.exchange(0, kPosted, 0));
        if (s.got == kBlocks) return go(s.queued != 0 ? kLeave : kDone);
        return go(s.queued != 0 ? kClaim : kNoteWord);
      case kNoteWord:  // Wait::announce
        s.seen = s.memory.load(0, kWord);
        return go(kJoin);
      case kJoin:
        return locks() && go(kCountIn);
      case kCountIn:
        s.queued = 1;
        s.told = 0;
        s.memory.add(0, kCount, 1);
        s.memory.exchange(0, kMutex, 0);
        return go(mutation == kNoLook ? kClaim : kTry);
      case kClaim:  // wait_for_release: take_grant
        if (!locks()) return false;
        if (mutation != kStaysTold) s.told = 0;
        s.memory.exchange(0, kMutex, 0);
        return go(kCompare);
      case kCompare:  // Wait::sleep, after the nap
        return go(s.memory.load(0, kWord) != s.seen ? kAsleep : kListen);
      case kListen:
        s.memory.store(0, kListening, 1);
        if (mutation != kPlainListening) s.memory.fence(0);
        return go(kSleep);
      case kSleep:  // the futex's own compare
        s.asleep = s.memory.load(0, kWord) == s.seen;
        return go(kAsleep);
      case kAsleep:
        if (s.asleep != 0) return false;
        if (s.memory.load(0, kListening) != 0) s.memory.store(0, kListening, 0);
        if (mutation != kLateWord) s.seen = s.memory.load(0, kWord);
        return go(kForget);
      case kForget:  // the last thing in wait_for_release: claim()
        if (!locks()) return false;
        if (mutation != kStaysTold) s.told = 0;
        s.memory.exchange(0, kMutex, 0);
        return go(mutation == kLateWord ? kLateNote : kTry);
      case kLateNote:
        s.seen = s.memory.load(0, kWord);
        return go(kTry);
      case kLeave:
        if (!locks()) return false;
        s.queued = 0;
        s.memory.add(0, kCount, -1);
        s.memory.exchange(0, kMutex, 0);
        return go(kDone);
      default:
        return false;
    }
  }
};

TEST(BlocksModel, OnlyMutantsFail) { stealth::model::expect_only_mutants_fail<BlocksModel>(); }

}  // namespace
