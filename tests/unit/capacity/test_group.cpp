// Members of a group: what they hold together, forks and threads, capacities, waiting.
#include <gtest/gtest.h>
#include <sched.h>

#include <cstring>

#include "members.hpp"
#include "os/os.hpp"

namespace {

using namespace stealth;
using test::Child;
using test::Common;
using test::kMib;
using test::soon;
using Joined = Group::Joined;

class GroupTest : public test::Groups {};

TEST_F(GroupTest, NotJoined) {
  constinit static Group group;
  EXPECT_FALSE(group.joined());
  group.charge(100);
  group.release(50);
  EXPECT_EQ(group.used(), 0u);
  EXPECT_EQ(group.share(), 0u);
  EXPECT_EQ(group.capacity(), 0u);
  EXPECT_EQ(group.members(), 0u);
  EXPECT_FALSE(group.has_waiters());
  EXPECT_EQ(group.begin_wait(), 0u);
  EXPECT_EQ(group.word(), nullptr);
  EXPECT_FALSE(group.sweep());
  group.set_capacity(5);
  group.announce();
  group.after_fork_in_child();
  group.leave();
  EXPECT_EQ(said(), "");
}

TEST_F(GroupTest, Names) {
  Group group(root());
  std::string const longest(63, 'n');
  for (std::string const& bad : {std::string(), longest + "n", std::string("a/b"), std::string("a b"),
                                 std::string("\xc3\xa4"), std::string("a\0b", 3), std::string("..\n")}) {
    EXPECT_EQ(group.join(bad, 1), Joined::failed) << bad;
    EXPECT_NE(group.problem().find("1 to 63 letters"), std::string_view::npos);
    EXPECT_FALSE(group.joined());
  }
  for (std::string const& good : {longest, std::string("."), std::string(".."), std::string("-a_B.9")}) {
    EXPECT_EQ(group.join(good, 1), Joined::fine) << good << group.problem();
    EXPECT_TRUE(group.joined());
    group.leave();
    EXPECT_FALSE(group.joined());
  }
}

TEST_F(GroupTest, ChargesAndReleases) {
  Group group(root());
  expect_join(group);
  EXPECT_EQ(group.members(), 1u);
  EXPECT_EQ(group.capacity(), 100 * kMib);
  EXPECT_EQ(group.used(), 0u);
  group.charge(500);
  group.charge(70);
  EXPECT_EQ(group.used(), 570u);
  EXPECT_EQ(group.share(), 570u);
  group.release(170);
  EXPECT_EQ(group.used(), 400u);
  group.release(1000);  // what it held before it was a member
  EXPECT_EQ(group.used(), 0u);
  group.charge(30);
  EXPECT_EQ(group.used(), 30u);
  group.leave();
  EXPECT_EQ(group.used(), 0u);
  EXPECT_EQ(group.share(), 0u);
  group.charge(100);
  EXPECT_EQ(group.share(), 0u);
}

TEST_F(GroupTest, NamesAreGroups) {
  Group one(root()), two(root()), other(root());
  expect_join(one, 10, "one");
  expect_join(two, 10, "one");
  expect_join(other, 10, "other");
  one.charge(5);
  two.charge(6);
  EXPECT_EQ(one.used(), 11u);
  EXPECT_EQ(two.used(), 11u);
  EXPECT_EQ(two.share(), 6u);
  EXPECT_EQ(other.used(), 0u);
  one.leave();
  EXPECT_EQ(two.used(), 6u);
}

TEST_F(GroupTest, OtherProcesses) {
  Group group(root());
  expect_join(group);
  group.charge(10);
  Child child([&] {
    Group own(root());
    if (own.join("web", 100 * kMib) != Joined::fine) _exit(1);
    own.charge(200);
    if (own.used() != 210) _exit(2);
  });
  ASSERT_TRUE(child.is_ready());
  EXPECT_EQ(group.used(), 210u);
  EXPECT_EQ(group.members(), 2u);
}

TEST_F(GroupTest, TheLastCapacityHolds) {
  Group group(root());
  expect_join(group, 1000);
  Common<std::atomic<std::uint64_t>> seen;
  Child child([&] {
    Group own(root());
    if (own.join("web", 1000) != Joined::fine) _exit(1);  // the same value
    own.leave();
    if (own.join("web", 0) != Joined::fine || own.capacity() != 1000) _exit(2);  // none of its own
    own.leave();
    if (own.join("web", 2000) != Joined::other_capacity) _exit(3);
    *seen.operator->() = own.capacity();
    while (own.capacity() == 2000) sched_yield();
    *seen.operator->() = own.capacity();
  });
  ASSERT_TRUE(soon([&] { return seen->load() == 2000; })) << child.wait();
  EXPECT_EQ(group.capacity(), 2000u);
  group.set_capacity(3000);
  ASSERT_TRUE(child.is_ready());
  EXPECT_EQ(*seen.operator->(), 3000u);
  group.set_capacity(0);
  EXPECT_EQ(group.capacity(), 1u) << "nobody shall divide by it";
}

TEST_F(GroupTest, AForkedChildIsAMemberOfItsOwn) {
  Group group(root());
  expect_join(group);
  group.charge(1000);
  Common<std::atomic<int>> step;
  Child child([&] {
    group.after_fork_in_child();
    if (!group.joined() || group.share() != 0 || group.used() != 1000 || group.members() != 1) _exit(1);
    group.release(400);  // inherited: not its share
    if (group.used() != 1000 || group.members() != 1) _exit(2);
    group.charge(50);
    if (group.used() != 1050 || group.members() != 2) _exit(3);
    group.release(80);
    if (group.used() != 1000 || group.share() != 0) _exit(4);
    group.charge(5);
    step->store(1);
    while (step->load() == 1) sched_yield();
    group.leave();
  });
  EXPECT_TRUE(soon([&] { return step->load() == 1; }));
  EXPECT_EQ(group.used(), 1005u);
  EXPECT_EQ(group.share(), 1000u);
  EXPECT_EQ(group.members(), 2u);
  group.release(300);
  EXPECT_EQ(group.used(), 705u);
  step->store(2);
  EXPECT_TRUE(child.is_ready());
  EXPECT_EQ(group.used(), 700u);
  EXPECT_EQ(group.members(), 1u);
  EXPECT_TRUE(is_there(group));
}

// A vfork child runs in its parent's memory: what it charges is the parent's.
TEST_F(GroupTest, VforkChildren) {
  if (test::kTsan) GTEST_SKIP() << "TSan makes a fork of it";
  Group group(root());
  expect_join(group);
  group.charge(100);
  let_it_be_due(Group::kFarMs + 20);
  pid_t const child = vfork();
  if (child == 0) {
    group.charge(10);
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  EXPECT_EQ(group.used(), 110u);
  EXPECT_EQ(group.members(), 1u);
  // Before the first charge of its own: the child must not take a cell for a process that is none.
  Child forked([&] {
    group.after_fork_in_child();
    pid_t const grandchild = vfork();
    if (grandchild == 0) {
      group.charge(5);
      _exit(0);
    }
    waitpid(grandchild, nullptr, 0);
    if (group.members() != 1 || group.share() != 5) _exit(1);
    group.charge(1);
    _exit(group.members() == 2 && group.used() == 116 ? 0 : 2);
  });
  EXPECT_EQ(forked.wait(), 0);
}

TEST_F(GroupTest, ThreadsOfOneMember) {
  Group group(root());
  expect_join(group);
  test::in_threads(4, [&](int index) {
    test::Random random(static_cast<std::uint64_t>(index) + 1);
    std::uint64_t mine = 0;
    for (int i = 0; i < test::rounds(100'000); ++i) {
      if (random.one_in(2)) {
        std::uint64_t const bytes = random.below(1000);
        group.charge(bytes);
        mine += bytes;
        ASSERT_GE(group.used(), mine);
      } else {
        std::uint64_t const bytes = random.below(mine + 1);
        group.release(bytes);
        mine -= bytes;
      }
      if (i % 1000 == 0) group.sweep();
    }
    group.release(mine);
  });
  EXPECT_EQ(group.share(), 0u);
  EXPECT_EQ(group.used(), 0u);
}

// The first charges of a forked child come from many threads at once: one cell, and nothing is lost.
TEST_F(GroupTest, ThreadsOfANewChild) {
  Group group(root());
  expect_join(group);
  Child child([&] {
    group.after_fork_in_child();
    test::in_threads(6, [&](int) { group.charge(10); });
    _exit(group.used() == 60 && group.members() == 2 ? 0 : 1);
  });
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(GroupTest, WaitersAreWokenAcrossProcesses) {
  Group group(root());
  expect_join(group, 1000);
  group.charge(1000);
  Common<std::atomic<bool>> waits;
  Child child([&] {
    group.after_fork_in_child();
    auto const begin = std::chrono::steady_clock::now();
    while (true) {
      std::uint32_t const seen = group.begin_wait();
      if (group.used() <= 500) break;
      waits->store(true);
      os::shared_futex_wait(group.word(), seen, 200'000'000'000);
    }
    _exit(test::ms_since(begin) < 100'000 ? 0 : 1);
  });
  ASSERT_TRUE(soon([&] { return waits->load(); }));
  usleep(20'000);
  EXPECT_TRUE(group.has_waiters());
  group.release(100);
  group.announce();
  EXPECT_TRUE(soon([&] { return group.has_waiters(); })) << "not enough: it waits again";
  usleep(5'000);
  group.release(400);
  group.announce();
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(GroupTest, AnnouncingToNobodyCostsNothing) {
  Group group(root());
  expect_join(group);
  group.charge(10);
  std::uint64_t const before = fake::count(SYS_futex);
  EXPECT_FALSE(group.has_waiters());
  for (int i = 0; i < 10; ++i) group.announce();
  EXPECT_EQ(fake::count(SYS_futex), before);
  std::uint32_t const seen = group.begin_wait();
  EXPECT_TRUE(group.has_waiters());
  EXPECT_EQ(*group.word(), seen);
  group.announce();
  EXPECT_EQ(fake::count(SYS_futex), before + 1);
  EXPECT_NE(*group.word(), seen);
  EXPECT_FALSE(group.has_waiters());
  group.announce();
  EXPECT_EQ(fake::count(SYS_futex), before + 1) << "the mark is gone";
}

// Who has set the mark and does not sleep yet must not find the word as it was when another one has waited since.
TEST_F(GroupTest, AnAnnouncementIsNotUndoneByTheNextWaiter) {
  Group group(root());
  expect_join(group);
  std::uint32_t const seen = group.begin_wait();
  group.announce();
  EXPECT_NE(group.begin_wait(), seen);
  EXPECT_NE(*group.word(), seen);
}

// What may end a wait, announces itself: a dead member's share, another capacity, a member that leaves.
TEST_F(GroupTest, WhatElseWakes) {
  Group group(root());
  expect_join(group, 1000);
  {
    Child child([&] {
      group.after_fork_in_child();
      group.charge(1000);
    });
    ASSERT_TRUE(child.is_ready());
  }
  std::uint32_t const seen = group.begin_wait();
  EXPECT_TRUE(soon([&] { return group.sweep(); }));
  EXPECT_NE(*group.word(), seen);
  std::uint32_t const again = group.begin_wait();
  group.set_capacity(2000);
  EXPECT_NE(*group.word(), again);
  std::uint32_t const third = group.begin_wait();
  Child leaver([&] {
    group.after_fork_in_child();
    group.charge(1);
    group.leave();
    _exit(0);
  });
  EXPECT_EQ(leaver.wait(), 0);
  EXPECT_NE(*group.word(), third);
}

}  // namespace
