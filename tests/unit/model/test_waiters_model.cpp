// Model of waiting for pages: Budget::release, Budget::hand_out, WaitQueue (join, take_grant, leave, hand_out) and Wait
// (announce, wait_for_release, sleep, ~Wait) of src/capacity, by the steps that other threads can see.
//
// One holds both units that there are, releases one, and the other when B has ended. A waits for two, as long as its
// patience lasts, B for one, and both give back what they got; a newcomer tries once to get one. B's sleeps do not end
// by themselves, so that a wake-up that is lost is seen. (In the library each sleep is bounded; and who is late is
// taken out of the queue, which is left out here.)
//
// Must hold:
//  - what was charged for all together is never more than the capacity;
//  - nobody is asleep for ever: when nothing can happen any more, all have ended;
//  - then nothing is held, and the queue's counts are 0: every byte was charged once and released once;
//  - no newcomer gets anything while one stands in line who did so before it came.
#include "explorer.hpp"

namespace {

using stealth::model::Byte;

class WaitersModel {
 public:
  static constexpr int kThreads = 4, kChoices = 2;
  static constexpr char const* kMutations[] = {
      "as it is",
      "the waiter does not look once more after it has joined",
      "the waiter notes its word after its last look",
      "a release is a plain store",
      "a release looks for waiters first",
      "a grant wakes nobody",
      "a grant is not charged by compare-and-swap",
      "who leaves forgets what was granted",
      "who leaves does not let the next one look",
      "a newcomer overtakes",
  };
  enum Mutation {
    kNone,
    kNoLook,
    kLateWord,
    kPlainRelease,
    kLooksFirst,
    kNoWake,
    kBlindCharge,
    kForgets,
    kSilent,
    kOvertakes
  };
  int mutation;

  enum Variable { kHeld, kCount, kWanting, kMutex, kWord, kVariables = kWord + 2 };
  struct State {
    stealth::model::Memory<kVariables, kThreads> memory;
    Byte at[kThreads];
    Byte handing[kThreads];   // where in hand_out(); 0: not in it
    Byte target[kThreads];    // whom hand_out() looks at
    Byte expected[kThreads];  // held, as a charge has read it
    Byte owned[kThreads];     // units that were charged and are the thread's
    Byte releasing[kThreads];
    // Of the waiters: WaitQueue's, under its mutex, and what they know themselves.
    Byte queued[2], place[2], wanted[2], granted[2], seen[2], asleep[2];
    Byte before_newcomer;  // a bit for each waiter that stood in line
    Byte overtaken;
  };

  [[nodiscard]] State start() const {
    State s{};
    s.memory.values[kHeld] = s.owned[kReleaser] = kCapacity;
    return s;
  }

  [[nodiscard]] bool step(State& s, int thread, int choice) const {
    if (choice != 0 && (s.handing[thread] != 0 || thread != kA || s.at[thread] != kAsleep)) return false;
    if (s.handing[thread] != 0) return hand_out(s, thread);
    if (thread == kReleaser) return releaser(s);
    if (thread == kNewcomer) return newcomer(s);
    return waiter(s, thread, choice);
  }

  [[nodiscard]] char const* broken(State const& s) const {
    if (sum(s) > kCapacity) return "more is charged than the capacity";
    if (s.overtaken != 0) return "a newcomer was served before one who stood in line";
    return nullptr;
  }
  [[nodiscard]] char const* broken_at_end(State const& s) const {
    for (int i = 0; i < 2; ++i) {
      if (s.asleep[i] != 0) return "a waiter sleeps, and nobody will wake it";
    }
    for (int thread = 0; thread < kThreads; ++thread) {
      if (s.at[thread] != kEnd) return "a thread is stuck";
    }
    if (s.memory.values[kHeld] != 0 || sum(s) != 0) return "what was charged was not released";
    bool const counted = s.memory.values[kCount] != 0 || s.memory.values[kWanting] != 0;
    return counted ? "the queue counts somebody who has left" : nullptr;
  }

 private:
  static constexpr int kReleaser = 0, kA = 1, kB = 2, kNewcomer = 3;
  static constexpr int kCapacity = 2;
  enum Place : Byte {
    kBegin,
    kTry,
    kExchange,
    kNoteWord,
    kJoin,
    kPutIn,
    kCountIn,
    kLook,
    kClaim,
    kSleep,
    kNap,
    kAsleep,
    kLeave,
    kTakeOut,
    kCountOut,
    kNext,
    kUse,
    kRelease,
    kAsk,
    kEnd
  };
  enum Handing : Byte { kOutside, kLock, kChoose, kCharge, kUncount, kTell, kWake, kUnlock };

  [[nodiscard]] static int wish(int thread) { return thread == kA ? 2 : 1; }

  [[nodiscard]] static int sum(State const& s) {
    int all = s.granted[0] + s.granted[1];
    for (Byte const units : s.owned) all += units;
    return all;
  }

  // WaitQueue::hand_out, with Budget::take as the charge.
  [[nodiscard]] bool hand_out(State& s, int thread) const {
    Byte& at = s.handing[thread];
    int const target = s.target[thread];
    switch (at) {
      case kLock:
        if (!s.memory.compare_exchange(thread, kMutex, 0, 1)) return false;
        at = kChoose;
        return true;
      case kChoose: {
        int first = -1;
        for (int i = 0; i < 2; ++i) {
          bool const wants = s.queued[i] != 0 && s.wanted[i] != 0;
          if (wants && (first < 0 || s.place[i] < s.place[first])) first = i;
        }
        s.expected[thread] = s.memory.load(thread, kHeld);
        bool const fits = first >= 0 && s.expected[thread] + s.wanted[first] <= kCapacity;
        s.target[thread] = static_cast<Byte>(fits ? first : 0);
        at = fits ? kCharge : kUnlock;
        return true;
      }
      case kCharge: {
        int const after = s.expected[thread] + s.wanted[target];
        if (mutation == kBlindCharge) {
          s.memory.add(thread, kHeld, s.wanted[target]);
        } else if (!s.memory.compare_exchange(thread, kHeld, s.expected[thread], after)) {
          at = kChoose;
          return true;
        }
        s.granted[target] = s.wanted[target];
        s.wanted[target] = 0;
        at = kUncount;
        return true;
      }
      case kUncount:
        s.memory.add(thread, kWanting, -1);
        at = mutation == kNoWake ? kChoose : kTell;
        return true;
      case kTell:  // WaitQueue::wake
        s.memory.add(thread, kWord + target, 1);
        at = kWake;
        return true;
      case kWake:
        s.asleep[target] = 0;
        at = kChoose;
        return true;
      default:
        s.memory.exchange(thread, kMutex, 0);
        s.expected[thread] = s.target[thread] = 0;
        at = kOutside;
        return true;
    }
  }

  // Budget::release: two steps, and hand_out() where somebody waits. Then `next`.
  [[nodiscard]] bool release(State& s, int thread, Byte next) const {
    bool const publishes = (s.at[thread] == kRelease) != (mutation == kLooksFirst);
    if (publishes) {
      int const units = s.releasing[thread];
      if (mutation == kPlainRelease) {
        s.memory.store(thread, kHeld, s.memory.load(thread, kHeld) - units);
      } else {
        s.memory.add(thread, kHeld, -units);
      }
      s.owned[thread] = static_cast<Byte>(s.owned[thread] - units);
      s.releasing[thread] = 0;
    } else if (s.memory.load(thread, kCount) != 0) {
      s.handing[thread] = kLock;
    }
    s.at[thread] = s.at[thread] == kRelease ? static_cast<Byte>(kAsk) : next;
    return true;
  }

  [[nodiscard]] bool releaser(State& s) const {
    switch (s.at[kReleaser]) {
      case kBegin:
        if (s.owned[kReleaser] == 1 && s.at[kB] != kEnd) return false;
        s.releasing[kReleaser] = 1;
        s.at[kReleaser] = kRelease;
        return true;
      case kRelease:
      case kAsk:
        return release(s, kReleaser, s.owned[kReleaser] == s.releasing[kReleaser] ? kEnd : kBegin);
      default:
        return false;
    }
  }

  // Budget::try_charge, admit_above_soft: `yes` or `no` comes next.
  [[nodiscard]] bool try_charge(State& s, int thread, Byte yes, Byte no) const {
    int const units = wish(thread);
    if (s.at[thread] == kTry) {  // newcomers do not overtake
      bool const somebody = s.memory.load(thread, kWanting) != 0;
      bool const passes = mutation == kOvertakes && thread == kNewcomer;
      s.expected[thread] = s.memory.load(thread, kHeld);
      bool const fits = s.expected[thread] + units <= kCapacity;
      if (thread == kNewcomer) s.before_newcomer = in_line(s);
      s.at[thread] = (somebody && !passes) || !fits ? no : static_cast<Byte>(kExchange);
      if (s.at[thread] == no) s.expected[thread] = 0;
      return true;
    }
    int const expected = s.expected[thread];
    s.expected[thread] = 0;
    s.at[thread] = kTry;
    if (!s.memory.compare_exchange(thread, kHeld, expected, expected + units)) return true;
    if (thread == kNewcomer && (s.before_newcomer & in_line(s)) != 0) s.overtaken = 1;
    s.owned[thread] = static_cast<Byte>(units);
    s.at[thread] = yes;
    return true;
  }
  [[nodiscard]] static Byte in_line(State const& s) {
    int mask = 0;
    for (int i = 0; i < 2; ++i) mask |= s.queued[i] != 0 && s.wanted[i] != 0 ? 1 << i : 0;
    return static_cast<Byte>(mask);
  }

  [[nodiscard]] bool newcomer(State& s) const {
    switch (s.at[kNewcomer]) {
      case kBegin:
        s.at[kNewcomer] = kTry;
        return true;
      case kTry:
      case kExchange:
        return try_charge(s, kNewcomer, kUse, kEnd);
      default:
        return use(s, kNewcomer);
    }
  }

  // The program has it, and gives it back.
  [[nodiscard]] bool use(State& s, int thread) const {
    if (s.at[thread] == kUse) {
      s.releasing[thread] = s.owned[thread];
      s.at[thread] = s.owned[thread] == 0 ? kEnd : kRelease;
      return true;
    }
    if (s.at[thread] == kRelease || s.at[thread] == kAsk) return release(s, thread, kEnd);
    return false;
  }

  [[nodiscard]] bool waiter(State& s, int thread, int choice) const {
    int const me = thread - kA;
    Byte& at = s.at[thread];
    auto const locks = [&] { return s.memory.compare_exchange(thread, kMutex, 0, 1); };
    auto const go = [&](Byte next) { return at = next, true; };
    switch (at) {
      case kBegin:
        return go(kTry);
      case kTry:
      case kExchange:
        return try_charge(s, thread, kUse, kNoteWord);
      case kNoteWord:  // Wait::announce: look_at_waiter(), and WaitQueue::join
        s.seen[me] = s.memory.load(thread, kWord + me);
        return go(kJoin);
      case kJoin:
        return locks() && go(kPutIn);
      case kPutIn:
        s.queued[me] = 1;
        s.place[me] = static_cast<Byte>(s.queued[1 - me] != 0 ? s.place[1 - me] + 1 : 1);
        s.wanted[me] = static_cast<Byte>(wish(thread));
        s.memory.add(thread, kWanting, 1);
        return go(kCountIn);
      case kCountIn:
        s.memory.add(thread, kCount, 1);
        s.memory.exchange(thread, kMutex, 0);
        return go(kLook);
      case kLook:  // announce() and wait_for_release(): hand_out(), then claim()
        if (mutation != kNoLook) s.handing[thread] = kLock;
        return go(kClaim);
      case kClaim:  // WaitQueue::take_grant
        if (!locks()) return false;
        s.owned[thread] = static_cast<Byte>(s.owned[thread] + s.granted[me]);
        s.granted[me] = 0;
        s.memory.exchange(thread, kMutex, 0);
        return go(s.owned[thread] != 0 ? kLeave : kSleep);
      case kSleep:
        if (mutation == kLateWord) s.seen[me] = s.memory.load(thread, kWord + me);
        return go(kNap);
      case kNap:  // the futex's own compare
        s.asleep[me] = s.memory.load(thread, kWord + me) == s.seen[me];
        return go(kAsleep);
      case kAsleep:
        if (choice == 1) {  // patience is over
          s.asleep[me] = 0;
          return go(kLeave);
        }
        if (s.asleep[me] != 0) return false;
        s.seen[me] = s.memory.load(thread, kWord + me);
        return go(kLook);
      case kLeave:  // ~Wait: WaitQueue::leave
        return locks() && go(kTakeOut);
      case kTakeOut:
        s.queued[me] = s.place[me] = 0;
        if (s.wanted[me] != 0) s.memory.add(thread, kWanting, -1);
        s.wanted[me] = 0;
        return go(kCountOut);
      case kCountOut:
        s.memory.add(thread, kCount, -1);
        if (mutation != kForgets) s.owned[thread] = static_cast<Byte>(s.owned[thread] + s.granted[me]);
        s.granted[me] = 0;
        s.memory.exchange(thread, kMutex, 0);
        s.seen[me] = 0;
        return go(kNext);
      case kNext:  // ~Wait: it stood before others
        if (mutation != kSilent && s.memory.load(thread, kCount) != 0) s.handing[thread] = kLock;
        return go(kUse);
      default:
        return use(s, thread);
    }
  }
};

TEST(WaitersModel, OnlyMutantsFail) { stealth::model::expect_only_mutants_fail<WaitersModel>(); }

}  // namespace
