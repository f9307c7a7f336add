// Models of the locks that are our own: base/mutex.hpp's Mutex, and the biased lock of a pool's magazine
// (src/pool/magazine.hpp, pool_gather.cpp), whose owner executes no locked instruction.
#include "explorer.hpp"

namespace {

using stealth::model::Byte;
using stealth::model::Memory;

// Three threads take the mutex once each. Must hold: never two inside; nobody sleeps for ever; what was stored inside
// is seen by the next one inside.
class MutexModel {
 public:
  static constexpr int kThreads = 3, kChoices = 1;
  static constexpr char const* kMutations[] = {
      "as it is",
      "who was woken takes it as if nobody else waited",
      "giving it back wakes nobody",
      "taking it is a load and a store",
      "the futex does not compare",
  };
  enum Mutation { kNone, kTakesAsHeld, kNoWake, kPlainTake, kNoCompare };
  int mutation;
  enum Variable { kState, kCounter, kVariables };
  struct State {
    Memory<kVariables, kThreads> memory;
    Byte at[kThreads];
    Byte asleep[kThreads];
    Byte found[kThreads];
  };
  [[nodiscard]] State start() const { return {}; }
  [[nodiscard]] bool step(State& s, int thread, int) const {
    Byte& at = s.at[thread];
    auto const go = [&](Byte next) { return at = next, true; };
    switch (at) {
      case kLock:  // Mutex::lock
        if (mutation == kPlainTake) return go(s.memory.load(thread, kState) == kFree ? kTakePlainly : kLockSlowly);
        return go(s.memory.compare_exchange(thread, kState, kFree, kHeld) ? kInside : kLockSlowly);
      case kTakePlainly:
        s.memory.store(thread, kState, kHeld);
        return go(kInside);
      case kLockSlowly: {  // its spins are left out
        bool const as_held = mutation == kTakesAsHeld && s.found[thread] != 0;
        Byte const before = s.memory.exchange(thread, kState, as_held ? kHeld : kContended);
        return go(before == kFree ? kInside : kSleep);
      }
      case kSleep:
        s.found[thread] = 1;
        s.asleep[thread] = mutation == kNoCompare || s.memory.load(thread, kState) == kContended;
        return go(kAsleep);
      case kAsleep:
        return s.asleep[thread] == 0 && go(kLockSlowly);
      case kInside:
        s.found[thread] = s.memory.load(thread, kCounter);
        return go(kStillInside);
      case kStillInside:
        s.memory.store(thread, kCounter, s.found[thread] + 1);
        return go(kUnlock);
      case kUnlock: {
        bool const wakes = s.memory.exchange(thread, kState, kFree) == kContended;
        s.found[thread] = 0;
        return go(wakes && mutation != kNoWake ? kWake : kDone);
      }
      case kWake:
        for (Byte& asleep : s.asleep) {
          if (asleep == 0) continue;
          asleep = 0;
          break;
        }
        return go(kDone);
      default:
        return false;
    }
  }
  [[nodiscard]] char const* broken(State const& s) const {
    int inside = 0;
    for (Byte const at : s.at) inside += at == kInside || at == kStillInside || at == kUnlock ? 1 : 0;
    return inside > 1 ? "two are inside" : nullptr;
  }
  [[nodiscard]] char const* broken_at_end(State const& s) const {
    for (Byte const at : s.at) {
      if (at != kDone) return "one sleeps, and nobody will wake it";
    }
    return s.memory.values[kCounter] == kThreads ? nullptr : "what one did inside was not seen by the next";
  }

 private:
  static constexpr int kFree = 0, kHeld = 1, kContended = 2;
  enum Place : Byte { kLock, kTakePlainly, kLockSlowly, kSleep, kAsleep, kInside, kStillInside, kUnlock, kWake, kDone };
};
TEST(MutexModel, OnlyMutantsFail) { stealth::model::expect_only_mutants_fail<MutexModel>(); }

// The owner enters its magazine twice, with plain stores and loads alone; another thread takes it away once: closes it,
// has every thread pass a barrier, and waits until the owner is not busy. Must hold: never both inside, and what the
// owner stored inside is seen by the one who took it away.
class MagazineModel {
 public:
  static constexpr int kThreads = 2, kChoices = 2;
  static constexpr char const* kMutations[] = {
      "as it is",
      "no thread passes a barrier",
      "the owner looks before it says that it is busy",
      "the other does not wait until the owner is not busy",
      "the barrier comes before the magazine is closed",
      "the owner says that it is not busy before it is done",
  };
  enum Mutation { kNone, kNoBarrier, kLooksFirst, kDoesNotWait, kBarrierFirst, kLeavesEarly };
  int mutation;
  enum Variable { kOpen, kBusy, kBlocks, kVariables };
  struct State {
    Memory<kVariables, kThreads> memory;
    Byte at[kThreads];
    Byte turns;
    Byte is_open;  // as the owner has seen it
    Byte put;      // blocks, in truth
    Byte barrier;  // the owner is to pass one
    Byte found;
  };
  [[nodiscard]] State start() const {
    State s{};
    s.memory.values[kOpen] = 1;
    return s;
  }
  [[nodiscard]] bool step(State& s, int thread, int choice) const {
    if (thread == 1) return choice == 0 && thief(s);
    if (choice == 0) return owner(s);
    if (s.barrier == 0) return false;  // between any two instructions of it
    s.memory.fence(0);
    s.barrier = 0;
    return true;
  }
  [[nodiscard]] char const* broken(State const& s) const {
    if (s.at[0] == kPut && s.at[1] == kTake) return "both are inside";
    return s.at[1] == kDone && s.found != s.put ? "what the owner put was not seen, or is still to come" : nullptr;
  }
  [[nodiscard]] char const* broken_at_end(State const& s) const {
    return s.at[0] == kEnded && s.at[1] == kDone ? nullptr : "one waits for ever";
  }

 private:
  enum Place : Byte { kSayBusy, kLook, kDecide, kPut, kLeave, kEnded };
  enum ThiefPlace : Byte { kClose, kBarrier, kWaitForBarrier, kWaitUntilIdle, kTake, kDone };

  [[nodiscard]] bool owner(State& s) const {
    Byte& at = s.at[0];
    bool const says_busy = (at == kSayBusy) != (mutation == kLooksFirst);
    switch (at) {
      case kSayBusy:  // Magazine::enter
      case kLook:
        if (says_busy) {
          s.memory.store(0, kBusy, 1);
        } else {
          s.is_open = s.memory.load(0, kOpen);
        }
        ++at;
        return true;
      case kDecide:
        at = s.is_open != 0 ? kPut : kLeave;
        if (mutation == kLeavesEarly) s.memory.store(0, kBusy, 0);
        return true;
      case kPut:
        s.memory.store(0, kBlocks, s.memory.load(0, kBlocks) + 1);
        ++s.put;
        at = kLeave;
        return true;
      case kLeave:
        if (mutation != kLeavesEarly) s.memory.store(0, kBusy, 0);
        s.is_open = 0;
        at = ++s.turns == 2 ? kEnded : kSayBusy;
        return true;
      default:
        return false;
    }
  }
  [[nodiscard]] bool thief(State& s) const {
    Byte& at = s.at[1];
    bool const closes = (at == kClose) != (mutation == kBarrierFirst);
    auto const barrier = [&] {
      if (mutation != kNoBarrier) s.barrier = 1;
    };
    switch (at) {
      case kClose:  // PoolCore::gather: close, barrier(), wait_until_idle()
        if (closes) {
          s.memory.exchange(1, kOpen, 0);
        } else {
          barrier();
        }
        at = kBarrier;
        return true;
      case kBarrier:
        if (s.barrier != 0) return false;
        if (closes) {
          s.memory.exchange(1, kOpen, 0);
        } else {
          s.memory.fence(1);  // the caller passes one, too
          barrier();
        }
        at = kWaitForBarrier;
        return true;
      case kWaitForBarrier:
        if (s.barrier != 0) return false;
        at = kWaitUntilIdle;
        return true;
      case kWaitUntilIdle:
        if (mutation != kDoesNotWait && s.memory.load(1, kBusy) != 0) return false;
        at = kTake;
        return true;
      case kTake:
        s.found = s.memory.load(1, kBlocks);
        at = kDone;
        return true;
      default:
        return false;
    }
  }
};
TEST(MagazineModel, OnlyMutantsFail) { stealth::model::expect_only_mutants_fail<MagazineModel>(); }

}  // namespace
