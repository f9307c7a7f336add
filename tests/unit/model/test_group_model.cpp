// Models of what the members of a group share (src/capacity/group_page.cpp, group.cpp, group_care.cpp, and Budget::take
// and Wait::sleep_in_group where there is a group).
#include "explorer.hpp"

namespace {

using stealth::model::Byte;
using stealth::model::Memory;

// Two members charge a unit each where only one fits: each writes its own share, then adds up, and takes it back where
// that is too much. Must hold: both together never keep more than the capacity, and what is kept stands in the cells.
class ChargeModel {
 public:
  static constexpr int kThreads = 2, kChoices = 1;
  static constexpr char const* kMutations[] = {
      "as it is",
      "the share is a plain store",
      "only the look before the charge counts",
      "what was too much is not taken back",
  };
  enum Mutation { kNone, kPlainShare, kNoSecondLook, kNotTakenBack };
  int mutation;
  struct State {
    Memory<2, kThreads> memory;  // the cells
    Byte at[kThreads];
    Byte own[kThreads], other[kThreads];  // as they were read
    Byte kept[kThreads];
  };
  [[nodiscard]] State start() const { return {}; }
  [[nodiscard]] bool step(State& s, int thread, int) const {
    Byte& at = s.at[thread];
    switch (at) {
      case kAsk:  // Budget::take: group_.used() + bytes > most_used
        s.own[thread] = s.memory.load(thread, thread);
        s.other[thread] = s.memory.load(thread, 1 - thread);
        at = s.own[thread] + s.other[thread] + 1 > kCapacity ? kEnd : kCharge;
        return true;
      case kCharge:  // Group::charge
        if (mutation == kPlainShare) {
          s.memory.store(thread, thread, s.own[thread] + 1);
        } else {
          s.memory.exchange(thread, thread, s.own[thread] + 1);
        }
        at = kAdd;
        return true;
      case kAdd:
        s.other[thread] = s.memory.load(thread, 1 - thread);
        s.kept[thread] = mutation == kNoSecondLook || s.own[thread] + 1 + s.other[thread] <= kCapacity;
        at = s.kept[thread] != 0 || mutation == kNotTakenBack ? kEnd : kTakeBack;
        return true;
      case kTakeBack:  // Group::release
        s.memory.exchange(thread, thread, s.own[thread]);
        at = kEnd;
        return true;
      default:
        return false;
    }
  }
  [[nodiscard]] char const* broken(State const& s) const {
    return s.kept[0] + s.kept[1] > kCapacity ? "both keep what only one can have" : nullptr;
  }
  [[nodiscard]] char const* broken_at_end(State const& s) const {
    bool const same = s.memory.values[0] == s.kept[0] && s.memory.values[1] == s.kept[1];
    return same ? nullptr : "a cell does not say what its owner holds";
  }

 private:
  static constexpr int kCapacity = 1;
  enum Place : Byte { kAsk, kCharge, kAdd, kTakeBack, kEnd };
};
TEST(GroupModel, Charges) { stealth::model::expect_only_mutants_fail<ChargeModel>(); }

// Three threads of one member change its share and publish it (Group::charge, Group::publish). Must hold: when all are
// done, the cell says what the share is.
class PublishModel {
 public:
  static constexpr int kThreads = 3, kChoices = 1;
  static constexpr char const* kMutations[] = {
      "as it is",
      "the cell is stored, not exchanged",
      "the word has no number that changes",
      "the share is read before the cell",
  };
  enum Mutation { kNone, kPlainStore, kNoNumber, kShareFirst };
  int mutation;
  enum Variable { kShare, kCell, kVariables };
  struct State {
    Memory<kVariables, kThreads> memory;
    Byte at[kThreads];
    Byte before[kThreads], word[kThreads];
  };
  [[nodiscard]] State start() const { return {}; }
  [[nodiscard]] bool step(State& s, int thread, int) const {
    Byte& at = s.at[thread];
    int const bytes = thread == 2 ? -1 : 1;  // one of them releases; shares wrap at 8
    switch (at) {
      case kChange:
        s.memory.add(thread, kShare, bytes);
        at = kReadFirst;
        return true;
      case kReadFirst:
        read(s, thread, mutation != kShareFirst);
        at = kReadThen;
        return true;
      case kReadThen:
        read(s, thread, mutation == kShareFirst);
        at = kWrite;
        return true;
      case kWrite: {
        int const number = mutation == kNoNumber ? 0 : s.before[thread] + 1;
        int const word = (s.word[thread] & 7) << 4 | (number & 15);
        if (mutation == kPlainStore) {
          s.memory.store(thread, kCell, word);
          at = kEnd;
        } else {
          at = s.memory.compare_exchange(thread, kCell, s.before[thread], word) ? kEnd : kReadFirst;
        }
        s.before[thread] = s.word[thread] = 0;
        return true;
      }
      default:
        return false;
    }
  }
  [[nodiscard]] char const* broken(State const&) const { return nullptr; }
  [[nodiscard]] char const* broken_at_end(State const& s) const {
    return s.memory.values[kCell] >> 4 == (s.memory.values[kShare] & 7) ? nullptr : "the cell says an old share";
  }

 private:
  enum Place : Byte { kChange, kReadFirst, kReadThen, kWrite, kEnd };
  static void read(State& s, int thread, bool cell) {
    (cell ? s.before : s.word)[thread] = s.memory.load(thread, cell ? kCell : kShare);
  }
};
TEST(GroupModel, Publishing) { stealth::model::expect_only_mutants_fail<PublishModel>(); }

// A member has died. Two others sweep its cell (Group::sweep_cells, GroupPage::take_over, GroupPage::empty), and a new
// member takes a cell as soon as it is free (GroupPage::take_cell). Must hold: nobody empties a cell under its new
// owner.
class CellModel {
 public:
  static constexpr int kThreads = 3, kChoices = 1;
  static constexpr char const* kMutations[] = {
      "as it is",
      "the dead one's cell is emptied without being taken over",
      "the owner goes before the share",
  };
  enum Mutation { kNone, kNoTakeOver, kOwnerFirst };
  int mutation;
  enum Variable { kOwner, kShare, kVariables };
  struct State {
    Memory<kVariables, kThreads> memory;
    Byte at[kThreads];
  };
  static constexpr int kNobody = 0, kDead = 9, kSharesOfDead = 5, kMine = 3;
  [[nodiscard]] State start() const {
    State s{};
    s.memory.values[kOwner] = kDead;
    s.memory.values[kShare] = kSharesOfDead;
    return s;
  }
  [[nodiscard]] bool step(State& s, int thread, int) const { return thread == 2 ? newcomer(s) : sweeper(s, thread); }
  [[nodiscard]] char const* broken(State const& s) const {
    bool const settled = s.at[2] == kDone && s.memory.used[2] == 0;
    bool const kept = s.memory.values[kOwner] == 2 + 1 && s.memory.values[kShare] == kMine;
    return settled && !kept ? "a cell was emptied under its new owner" : nullptr;
  }
  [[nodiscard]] char const* broken_at_end(State const& s) const {
    return s.at[2] == kDone ? nullptr : "the cell of the dead one was never free";
  }

 private:
  enum Place : Byte { kLook, kTakeOver, kEmpty, kFree, kDone };
  [[nodiscard]] bool sweeper(State& s, int thread) const {
    Byte& at = s.at[thread];
    bool const owner_now = (at == kFree) != (mutation == kOwnerFirst);
    switch (at) {
      case kLook:
        at = s.memory.load(thread, kOwner) == kDead ? kTakeOver : kDone;
        return true;
      case kTakeOver: {
        bool const mine = mutation == kNoTakeOver || s.memory.compare_exchange(thread, kOwner, kDead, thread + 1);
        at = mine ? kEmpty : kDone;
        return true;
      }
      case kEmpty:
      case kFree:
        s.memory.exchange(thread, owner_now ? kOwner : kShare, 0);
        ++at;
        return true;
      default:
        return false;
    }
  }
  [[nodiscard]] bool newcomer(State& s) const {
    Byte& at = s.at[2];
    switch (at) {
      case kLook:  // GroupPage::take_cell
        if (!s.memory.compare_exchange(2, kOwner, kNobody, 2 + 1)) return false;
        at = kEmpty;
        return true;
      case kEmpty:
        s.memory.exchange(2, kShare, 0);
        at = kFree;
        return true;
      case kFree:  // Group::charge
        s.memory.add(2, kShare, kMine);
        at = kDone;
        return true;
      default:
        return false;
    }
  }
};
TEST(GroupModel, Cells) { stealth::model::expect_only_mutants_fail<CellModel>(); }

}  // namespace
