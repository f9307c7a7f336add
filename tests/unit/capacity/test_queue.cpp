// Who waits, in order of arrival: grants, wake-ups, and that no granted byte is lost or comes twice.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "capacity/wait_queue.hpp"
#include "fake_sys.hpp"
#include "support.hpp"

namespace {

using namespace stealth;

class Queue : public testing::Test {
 protected:
  // Grants out of so many bytes; returns what is left of them.
  std::uint64_t hand_out(std::uint64_t room) {
    static_cast<void>(queue_.hand_out(now_, [&](std::uint64_t wanted) {
      if (wanted > room) return false;
      room -= wanted;
      return true;
    }));
    return room;
  }
  void join(Waiter& waiter, std::uint64_t wanted, void const* key = nullptr) {
    EXPECT_EQ(queue_.join(waiter, key, wanted, now_), 0u);
  }
  static std::uint32_t wakes(Waiter const& waiter) { return waiter.word.load(); }

  fake::Fresh fresh_;
  WaitQueue queue_;
  std::uint64_t now_ = 1;
  Waiter a_, b_, c_;
};

TEST_F(Queue, EmptyAtFirst) {
  EXPECT_TRUE(queue_.empty());
  EXPECT_FALSE(queue_.pages_wanted());
  EXPECT_EQ(hand_out(1000), 1000u);
  EXPECT_FALSE(queue_.wake_key(nullptr));
  queue_.wake_first();
  queue_.wake_all();
  EXPECT_EQ(queue_.leave(a_), 0u) << "has never joined";
  EXPECT_EQ(fake::count(SYS_futex), 0u);
}

TEST_F(Queue, GrantsInOrderOfArrival) {
  join(a_, 30);
  join(b_, 20);
  join(c_, 5);
  EXPECT_FALSE(queue_.empty());
  EXPECT_TRUE(queue_.pages_wanted());
  EXPECT_EQ(hand_out(29), 29u) << "the first one is not overtaken by those who need less";
  EXPECT_EQ(wakes(a_) + wakes(b_) + wakes(c_), 0u);
  EXPECT_EQ(hand_out(52), 2u);
  EXPECT_EQ(wakes(a_), 1u);
  EXPECT_EQ(wakes(b_), 1u);
  EXPECT_EQ(wakes(c_), 0u) << "2 bytes are not enough";
  EXPECT_TRUE(queue_.pages_wanted());
  EXPECT_EQ(queue_.take_grant(a_, 30), 30u);
  EXPECT_EQ(queue_.leave(b_), 20u) << "not taken: it goes with the waiter";
  EXPECT_EQ(queue_.leave(c_), 0u);
  EXPECT_EQ(queue_.leave(a_), 0u) << "taken once";
  EXPECT_EQ(queue_.leave(b_), 0u);
  EXPECT_TRUE(queue_.empty());
  EXPECT_FALSE(queue_.pages_wanted());
}

TEST_F(Queue, FarSmallerOnesPassUntilTheyHaveHadAsMuch) {
  join(a_, 80);
  join(b_, 11);  // not far smaller
  std::vector<Waiter> small(12);
  for (Waiter& waiter : small) join(waiter, 10);
  EXPECT_EQ(hand_out(79), 9u) << "7 of them";
  EXPECT_EQ(wakes(a_) + wakes(b_) + wakes(small[7]), 0u);
  EXPECT_EQ(wakes(small[0]), 1u);
  EXPECT_EQ(wakes(small[6]), 1u);
  EXPECT_EQ(hand_out(79), 69u) << "one more makes 80";
  EXPECT_EQ(hand_out(79), 79u);
  EXPECT_EQ(wakes(small[8]), 0u);
  EXPECT_EQ(hand_out(81), 1u);
  EXPECT_EQ(wakes(a_), 1u);
  EXPECT_EQ(hand_out(100), 49u) << "then all others, in order";
  for (Waiter& waiter : small) EXPECT_EQ(queue_.leave(waiter), 10u);
  EXPECT_EQ(queue_.leave(a_), 80u);
  EXPECT_EQ(queue_.leave(b_), 11u);
  EXPECT_TRUE(queue_.empty());
}

// Its thread jumped out of a signal handler: it stands in nobody's way, and what was granted to it comes back.
TEST_F(Queue, WhoDoesNotComeBackLeaves) {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  join(a_, 30);
  join(b_, 20);
  EXPECT_EQ(hand_out(30), 0u);
  b_.back_by_ns = 5 * kSecond;
  now_ = 2 * kSecond;
  WaitQueue::Handed const handed = queue_.hand_out(now_, [](std::uint64_t) { return true; });
  EXPECT_TRUE(handed.any);
  EXPECT_EQ(handed.returned, 30u);
  EXPECT_EQ(wakes(b_), 1u);
  EXPECT_EQ(queue_.leave(a_), 0u) << "it has been put out, and what it had been granted returned";
  EXPECT_EQ(queue_.take_grant(b_, 20), 20u);

  join(a_, 30);
  now_ = 4 * kSecond;
  EXPECT_EQ(queue_.hand_out(now_, [](std::uint64_t) { return false; }).returned, 0u);
  EXPECT_FALSE(queue_.pages_wanted());
  join(c_, 30);
  EXPECT_EQ(queue_.take_grant(a_, 30), 0u) << "late, and back in its place";
  a_.back_by_ns = 5 * kSecond;
  EXPECT_EQ(hand_out(30), 0u);
  EXPECT_EQ(wakes(c_), 0u);
  EXPECT_EQ(queue_.join(a_, nullptr, 10, now_), 30u) << "a new wait, and the old one's grant was never taken";
}

TEST_F(Queue, AGrantIsOneGrant) {
  join(a_, 30);
  EXPECT_EQ(hand_out(1000), 970u);
  EXPECT_EQ(hand_out(970), 970u) << "who has a grant wants nothing for the moment";
  EXPECT_FALSE(queue_.pages_wanted());
  EXPECT_FALSE(queue_.empty());
  EXPECT_EQ(queue_.take_grant(a_, 40), 30u) << "what was granted, whatever it wants by now";
  EXPECT_FALSE(queue_.pages_wanted());
  EXPECT_EQ(queue_.take_grant(a_, 40), 0u);
  EXPECT_TRUE(queue_.pages_wanted()) << "and now it wants more";
  EXPECT_EQ(hand_out(100), 60u);
  EXPECT_EQ(queue_.leave(a_), 40u);
  EXPECT_TRUE(queue_.empty());
}

TEST_F(Queue, ChangedWantsKeepTheirPlace) {
  join(a_, 50);
  join(b_, 10);
  EXPECT_EQ(queue_.take_grant(a_, 60), 0u);
  EXPECT_EQ(hand_out(59), 59u);
  EXPECT_EQ(wakes(b_), 0u);
  EXPECT_EQ(queue_.take_grant(a_, 20), 0u);
  EXPECT_EQ(hand_out(25), 5u);
  EXPECT_EQ(wakes(a_), 1u);
  EXPECT_EQ(wakes(b_), 0u);
  EXPECT_EQ(queue_.take_grant(a_, 20), 20u);
  EXPECT_EQ(queue_.take_grant(a_, 0), 0u);
  EXPECT_EQ(hand_out(10), 0u) << "pages are of no use to the first one any more";
  EXPECT_EQ(wakes(b_), 1u);
  EXPECT_EQ(queue_.take_grant(a_, 0), 0u);
  EXPECT_FALSE(queue_.pages_wanted());
  EXPECT_EQ(queue_.leave(a_), 0u);
  EXPECT_EQ(queue_.leave(b_), 10u);
}

TEST_F(Queue, WhoWantsNoPagesIsPassedOver) {
  join(a_, 0, this);
  EXPECT_FALSE(queue_.pages_wanted());
  EXPECT_FALSE(queue_.empty());
  EXPECT_EQ(hand_out(100), 100u);
  join(b_, 10);
  EXPECT_EQ(hand_out(100), 90u);
  EXPECT_EQ(wakes(a_), 0u);
  queue_.wake_first();
  EXPECT_EQ(wakes(a_), 0u);
  EXPECT_EQ(wakes(b_), 1u) << "it has its grant";
}

TEST_F(Queue, ByKey) {
  int heap = 0, other = 0;
  join(a_, 10, &heap);
  join(b_, 0, &other);
  join(c_, 10, &heap);
  EXPECT_TRUE(queue_.wake_key(&heap));
  EXPECT_EQ(wakes(a_), 1u);
  EXPECT_EQ(wakes(b_), 0u);
  EXPECT_EQ(wakes(c_), 0u) << "one at a time";
  EXPECT_TRUE(queue_.wake_key(&heap));
  EXPECT_EQ(wakes(a_), 1u) << "it has not looked yet";
  EXPECT_EQ(wakes(c_), 1u);
  EXPECT_TRUE(queue_.wake_key(&heap)) << "there are some, and all are awake";
  EXPECT_EQ(wakes(a_) + wakes(c_), 2u);
  EXPECT_TRUE(queue_.wake_key(&other));
  EXPECT_EQ(wakes(b_), 1u);
  EXPECT_FALSE(queue_.wake_key(this));
  static_cast<void>(queue_.leave(b_));
  EXPECT_FALSE(queue_.wake_key(&other));
  queue_.wake_first();
  EXPECT_EQ(wakes(a_), 2u);
  EXPECT_EQ(wakes(c_), 1u);
  queue_.wake_all();
  EXPECT_EQ(wakes(a_), 3u);
  EXPECT_EQ(wakes(b_), 1u) << "it has left";
  EXPECT_EQ(wakes(c_), 2u);
  EXPECT_EQ(queue_.leave(a_) + queue_.leave(c_), 0u);
}

// Calls into the kernel are made for those who listen; a grant, and what concerns all, is worth one in any case.
TEST_F(Queue, WhoIsWoken) {
  int heap = 0;
  join(a_, 10, &heap);
  join(b_, 10, &heap);
  b_.listening = true;
  queue_.wake_key(&heap);
  EXPECT_EQ(fake::count(SYS_futex), 0u);
  queue_.wake_key(&heap);
  EXPECT_EQ(fake::count(SYS_futex), 1u);
  queue_.wake_first();
  EXPECT_EQ(fake::count(SYS_futex), 1u);
  queue_.wake_all();
  EXPECT_EQ(fake::count(SYS_futex), 3u);
  EXPECT_EQ(hand_out(10), 0u);
  EXPECT_EQ(fake::count(SYS_futex), 4u);
  EXPECT_EQ(wakes(a_), 4u);
  queue_.wake_first();
  EXPECT_EQ(wakes(b_), 3u) << "the first one that still wants pages";
}

TEST_F(Queue, NobodyWaitsInAChild) {
  join(a_, 10, this);
  join(b_, 10);
  EXPECT_EQ(hand_out(10), 0u);
  queue_.after_fork_in_child();
  EXPECT_TRUE(queue_.empty());
  EXPECT_FALSE(queue_.pages_wanted());
  EXPECT_FALSE(queue_.wake_key(this));
  EXPECT_EQ(hand_out(100), 100u);
  join(c_, 7);
  EXPECT_EQ(hand_out(100), 93u);
  EXPECT_EQ(queue_.leave(c_), 7u);
  EXPECT_TRUE(queue_.empty());
}

// All that can be done, in any order, against a list.
TEST_F(Queue, AgainstAList) {
  struct Known {
    std::unique_ptr<Waiter> waiter = std::make_unique<Waiter>();
    std::uint64_t wanted = 0, granted = 0, passed = 0;
    std::uint32_t wakes = 0;
    void const* key = nullptr;
    bool told = false;
  };
  test::Random random(9);
  int keys[3] = {};
  std::vector<Known> known;  // in order of arrival
  for (int i = 0; i < test::rounds(100'000); ++i) {
    std::size_t const at = known.empty() ? 0 : random.below(known.size());
    std::uint64_t const wanted = random.one_in(4) ? 0 : random.skewed(1000);
    switch (random.below(8)) {
      case 0:
      case 1: {
        if (known.size() == 12) break;
        Known one;
        one.wanted = wanted;
        one.key = random.one_in(4) ? nullptr : &keys[random.below(3)];
        join(*one.waiter, one.wanted, one.key);
        known.push_back(std::move(one));
        break;
      }
      case 2:
        if (known.empty()) break;
        ASSERT_EQ(queue_.leave(*known[at].waiter), known[at].granted);
        known.erase(known.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 3:
      case 4: {
        if (known.empty()) break;
        Known& one = known[at];
        ASSERT_EQ(queue_.take_grant(*one.waiter, wanted), one.granted);
        if (one.granted == 0) one.wanted = wanted;
        one.granted = 0;
        one.told = false;
        break;
      }
      case 5: {
        std::uint64_t room = random.skewed(3000);
        std::uint64_t const left = hand_out(room);
        Known* held_up = nullptr;
        for (Known& one : known) {
          if (one.wanted == 0 || (held_up != nullptr && one.wanted * 8 > held_up->wanted)) continue;
          if (one.wanted > room) {
            if (held_up == nullptr) held_up = &one;
          } else {
            if (held_up != nullptr) held_up->passed += one.wanted;
            room -= one.granted = std::exchange(one.wanted, 0);
            one.passed = 0;
            ++one.wakes;
          }
          if (held_up != nullptr && held_up->passed >= held_up->wanted) break;
        }
        ASSERT_EQ(left, room);
        break;
      }
      case 6: {
        void const* const key = &keys[random.below(3)];
        bool found = false;
        for (Known& one : known) {
          if (one.key != key) continue;
          found = true;
          if (std::exchange(one.told, true)) continue;
          ++one.wakes;
          break;
        }
        ASSERT_EQ(queue_.wake_key(key), found);
        break;
      }
      default:
        if (random.one_in(2)) {
          queue_.wake_all();
          for (Known& one : known) ++one.wakes;
        } else {
          queue_.wake_first();
          auto const first = std::find_if(known.begin(), known.end(), [](Known const& one) { return one.wanted != 0; });
          if (first != known.end()) ++first->wakes;
        }
        break;
    }
    ASSERT_EQ(queue_.empty(), known.empty());
    ASSERT_EQ(queue_.pages_wanted(),
              std::any_of(known.begin(), known.end(), [](Known const& one) { return one.wanted != 0; }));
    for (Known const& one : known) ASSERT_EQ(wakes(*one.waiter), one.wakes);
  }
}

// A store of bytes that threads take by grants only, give back, and hand on; some leave whether or not they were
// granted anything, some change their minds. In the end all bytes are there again.
TEST_F(Queue, NoByteIsLostOrComesTwice) {
  constexpr std::uint64_t kAll = 1000;
  std::atomic<std::uint64_t> room{kAll}, out{0}, grants{0};
  auto const take = [&](std::uint64_t wanted) {
    std::uint64_t seen = room.load();
    while (seen >= wanted) {
      if (room.compare_exchange_weak(seen, seen - wanted)) return true;
    }
    return false;
  };
  auto const hand_out_by = [this](auto const& charge) { ASSERT_EQ(queue_.hand_out(1, charge).returned, 0u); };
  auto const give_back = [&](std::uint64_t bytes) {
    if (bytes == 0) return;
    out -= bytes;
    room += bytes;
    if (!queue_.empty()) hand_out_by(take);
  };
  test::in_threads(6, [&](int index) {
    test::Random random(20 + static_cast<std::uint64_t>(index));
    for (int i = 0; i < test::rounds(10'000); ++i) {
      Waiter waiter;
      std::uint64_t mine = 0;
      ASSERT_EQ(queue_.join(waiter, nullptr, random.skewed(400), 1), 0u);
      hand_out_by(take);
      for (std::size_t patience = random.below(20); patience > 0 && mine == 0; --patience) {
        std::this_thread::yield();
        mine = queue_.take_grant(waiter, random.one_in(3) ? random.skewed(400) : 0);
        if (mine == 0) hand_out_by(take);
      }
      mine += queue_.leave(waiter);
      hand_out_by(take);
      if (mine != 0) ++grants;
      ASSERT_LE(out += mine, kAll);
      if (random.one_in(4)) std::this_thread::yield();
      give_back(mine);
    }
  });
  EXPECT_EQ(room, kAll);
  EXPECT_EQ(out, 0u);
  EXPECT_GT(grants, 100u) << "nobody ever got anything: the test says nothing";
  EXPECT_TRUE(queue_.empty());
  EXPECT_FALSE(queue_.pages_wanted());
}

}  // namespace
