// Model of waiting in a group: Wait::sleep_in_group, Group::begin_wait, Group::release and Group::announce.
//
// Two waiters of different processes on one word (Wait::sleep_in_group, Group::begin_wait), and two members that give
// back a unit each (Group::release, Group::announce). Each waiter needs one unit. Must hold: nobody sleeps for ever
// while there is a unit for it.
#include "explorer.hpp"

namespace {

using stealth::model::Byte;
using stealth::model::Memory;

class AnnounceModel {
 public:
  static constexpr int kThreads = 4, kChoices = 1;
  static constexpr char const* kMutations[] = {
      "as it is",
      "the share is lowered by a plain store",
      "who releases announces first",
      "a waiter looks before it has set the mark",
      "the word is the same after an announcement",
      "one is woken, not all",
  };
  enum Mutation { kNone, kPlainRelease, kAnnouncesFirst, kLooksFirst, kSameWord, kWakesOne };
  int mutation;
  enum Variable { kWord, kShare, kVariables = kShare + 2 };
  struct State {
    Memory<kVariables, kThreads> memory;
    Byte at[kThreads];
    Byte seen[kThreads];
    Byte asleep[2];
    Byte taken;  // units; both shares begin with one, and two is the capacity
  };
  [[nodiscard]] State start() const {
    State s{};
    s.memory.values[kShare] = s.memory.values[kShare + 1] = 1;
    return s;
  }
  [[nodiscard]] bool step(State& s, int thread, int) const {
    return thread < 2 ? waiter(s, thread) : releaser(s, thread);
  }
  [[nodiscard]] char const* broken(State const&) const { return nullptr; }
  [[nodiscard]] char const* broken_at_end(State const& s) const {
    for (int thread = 0; thread < 2; ++thread) {
      if (s.at[thread] != kServed) return "a waiter sleeps, and nobody will wake it";
    }
    return nullptr;
  }

 private:
  enum Place : Byte { kMark, kLook, kWait, kAsleep, kServed };
  enum ReleaserPlace : Byte { kLower, kRead, kSwap, kLowerLate, kDone };

  [[nodiscard]] bool waiter(State& s, int thread) const {
    Byte& at = s.at[thread];
    bool const marks = (at == kMark) != (mutation == kLooksFirst);
    switch (at) {
      case kMark:
      case kLook:
        if (marks) {  // Group::begin_wait
          int const word = s.memory.load(thread, kWord) | kWaiting;
          s.memory.exchange(thread, kWord, word);
          s.seen[thread] = static_cast<Byte>(word);
        } else {  // Budget::hand_out
          int const used = s.taken + s.memory.load(thread, kShare) + s.memory.load(thread, kShare + 1);
          if (used < 2) {
            ++s.taken;
            s.seen[thread] = 0;
            at = kServed;
            return true;
          }
        }
        ++at;
        return true;
      case kWait:
        s.asleep[thread] = s.memory.load(thread, kWord) == s.seen[thread];
        at = kAsleep;
        return true;
      case kAsleep:
        if (s.asleep[thread] != 0) return false;
        s.seen[thread] = 0;
        at = kMark;
        return true;
      default:
        return false;
    }
  }
  [[nodiscard]] bool releaser(State& s, int thread) const {
    Byte& at = s.at[thread];
    int const share = kShare + thread - 2;
    switch (at) {
      case kLower:
        if (mutation == kPlainRelease) {
          s.memory.store(thread, share, 0);
        } else if (mutation != kAnnouncesFirst) {
          s.memory.exchange(thread, share, 0);
        }
        at = kRead;
        return true;
      case kRead:  // announce_on
        s.seen[thread] = s.memory.load(thread, kWord);
        at = (s.seen[thread] & kWaiting) != 0 ? kSwap : kLowerLate;
        return true;
      case kSwap: {
        int const word = s.seen[thread] - kWaiting + (mutation == kSameWord ? 0 : 2);
        if (!s.memory.compare_exchange(thread, kWord, s.seen[thread], word)) {
          at = kRead;
          return true;
        }
        bool const one = mutation == kWakesOne && s.asleep[0] != 0;
        s.asleep[0] = 0;
        if (!one) s.asleep[1] = 0;
        at = kLowerLate;
        return true;
      }
      case kLowerLate:
        if (mutation == kAnnouncesFirst) s.memory.exchange(thread, share, 0);
        s.seen[thread] = 0;
        at = kDone;
        return true;
      default:
        return false;
    }
  }
  static constexpr int kWaiting = 1;
};
TEST(AnnounceModel, OnlyMutantsFail) { stealth::model::expect_only_mutants_fail<AnnounceModel>(); }

}  // namespace
