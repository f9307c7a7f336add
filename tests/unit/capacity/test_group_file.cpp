// The group's file under attack: stale, damaged, removed, replaced, cut short, scribbled over; and members that become
// other users or get another root. Nothing crashes, nobody alive is left behind, everybody finds together again.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "members.hpp"
#include "os/os.hpp"

namespace {

using namespace stealth;
using test::Child;
using test::Common;
using test::kMib;
using test::Page;
using test::soon;
using test::word_of;
using Joined = Group::Joined;

class GroupFile : public test::Groups {
 protected:
  // A member in another process that charges `bytes` and looks after the group; each round trip is counted.
  struct Busy {
    std::atomic<bool> ready, stop;
    std::atomic<std::uint64_t> used, capacity, share;
    std::atomic<std::uint32_t> members;
  };
  static void work(Group& group, std::uint64_t bytes, Busy& facts) {
    group.charge(bytes);
    facts.ready = true;
    while (!facts.stop) {
      group.charge(1);
      group.release(1);
      group.sweep();
      facts.used = group.used();
      facts.capacity = group.capacity();
      facts.share = group.share();
      facts.members = group.members();
      usleep(500);
    }
  }
  [[nodiscard]] std::string path_of(Group const& group) const { return std::string(group.path()); }
  [[nodiscard]] std::string content(std::string const& path) const {
    std::string text(2 * sizeof(GroupPage), '\0');
    long const length = os::read_file(path.c_str(), text.data(), text.size());
    text.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
    return text;
  }
  // Puts it in the place of what is there, as a new file.
  void replace(std::string const& path, std::string const& text) const {
    directory_.put("new", text);
    ASSERT_EQ(rename((directory_ / "new").c_str(), path.c_str()), 0);
  }
};

TEST_F(GroupFile, WhatIsLeftIsNeverTrusted) {
  Group first(root());
  expect_join(first);
  first.charge(1000);
  std::string const path = path_of(first);
  std::string const good = content(path);
  ASSERT_EQ(good.size(), sizeof(GroupPage));
  auto const damaged = [&](auto change) {
    std::string copy = good;
    change(copy);
    return copy;
  };
  std::string const cases[] = {
      "",
      "x",
      std::string(sizeof(GroupPage), '\0'),
      std::string(sizeof(GroupPage), '\xFF'),
      good.substr(0, good.size() - 1),
      good + "x",
      damaged([](std::string& s) { s[0] ^= 1; }),                                             // magic
      damaged([](std::string& s) { s[offsetof(GroupIdentity, layout)] ^= 3; }),               //
      damaged([](std::string& s) { s[offsetof(GroupIdentity, cells) + 3] = 0x7F; }),          //
      damaged([](std::string& s) { s[offsetof(GroupIdentity, world)] ^= 1; }),                // another boot
      damaged([](std::string& s) { s[offsetof(GroupIdentity, world) + 8] ^= 1; }),            // PID namespace
      damaged([](std::string& s) { s[offsetof(GroupPage, used_cells) + 3] = 0x7F; }),         //
      damaged([](std::string& s) { s[offsetof(GroupPage, shares) + 8 * 1000 + 7] = 0x40; }),  // 4 EiB
  };
  for (std::string const& bad : cases) {
    replace(path, bad);
    Group group(root());
    EXPECT_EQ(group.join("web", 5 * kMib), Joined::fine) << group.problem();
    EXPECT_EQ(group.capacity(), 5 * kMib);
    EXPECT_EQ(group.used(), 0u);
    group.charge(7);
    EXPECT_EQ(group.used(), 7u);
    EXPECT_EQ(group.members(), 1u);
    EXPECT_EQ(Page(group)->sum(), 7u) << "in the file that has the name";
    group.leave();
  }
}

// Of a group whose members are all dead nothing counts; nor of a group in which only pid reuse seems to live.
TEST_F(GroupFile, Stale) {
  Group first(root());
  expect_join(first);
  std::string const path = path_of(first);
  std::string stale = content(path);
  auto* const page = reinterpret_cast<GroupPage*>(stale.data());
  for (std::uint32_t i = 0; i < GroupPage::kCells; ++i) {
    page->owners[i] = os::ProcessMark(i % 2 == 0 ? 1 : 4'000'000, 77'777'777'777, 1).word();
    page->shares[i] = word_of(kMib);
  }
  page->used_cells = GroupPage::kCells;
  page->wake_word = 0xFFFFFFFF;
  page->cursor = 0xFFFFFFFF;
  page->swept_ms = os::coarse_ms();
  replace(path, stale);
  Group group(root());
  EXPECT_EQ(group.join("web", 5 * kMib), Joined::fine) << group.problem();
  EXPECT_EQ(group.used(), 0u);
  EXPECT_EQ(group.members(), 1u);
  EXPECT_EQ(group.capacity(), 5 * kMib);
}

TEST_F(GroupFile, RemovedAndMadeAnew) {
  Group group(root());
  expect_join(group);
  group.charge(10);
  Common<Busy> facts;
  Child child([&] {
    group.after_fork_in_child();
    work(group, 200, *facts.operator->());
  });
  ASSERT_TRUE(soon([&] { return facts->ready.load(); }));
  ASSERT_EQ(unlink(path_of(group).c_str()), 0);
  let_it_be_due();
  group.sweep();
  EXPECT_GE(group.used(), 210u) << "nobody is elsewhere: together as before";
  Child newcomer([&] {
    Group own(root());
    if (own.join("web", 0) != Joined::fine) _exit(1);
    work(own, 3000, facts.operator->()[0]);
  });
  EXPECT_TRUE(soon([&] { return group.sweep(), group.used() >= 3210 && group.members() == 3; })) << group.used();
  EXPECT_TRUE(soon([&] { return facts->used >= 3210; }));
  EXPECT_EQ(group.capacity(), 100 * kMib) << "the one who made the new file had none";
}

TEST_F(GroupFile, DamagedWhileInUse) {
  Group group(root());
  expect_join(group, 777);
  group.charge(10);
  Common<Busy> facts;
  Child child([&] {
    group.after_fork_in_child();
    work(group, 200, *facts.operator->());
  });
  ASSERT_TRUE(soon([&] { return facts->ready.load() && facts->capacity.load() == 777; }));
  std::string const path = path_of(group);
  struct stat before {};
  ASSERT_EQ(stat(path.c_str(), &before), 0);
  let_it_be_due();
  Page(group)->identity.magic ^= 1;
  struct stat after {};
  EXPECT_TRUE(soon([&] {
    group.sweep();
    return stat(path.c_str(), &after) == 0 && after.st_ino != before.st_ino && group.used() >= 210;
  }));
  EXPECT_TRUE(soon([&] { return facts->used >= 210; }));
  EXPECT_EQ(group.capacity(), 777u) << "the last one seen";
  EXPECT_EQ(group.share(), 10u);
  EXPECT_EQ(Page(group)->members(), 2u);
}

TEST_F(GroupFile, ReplacedByJunkWhileInUse) {
  Group group(root());
  expect_join(group, 777);
  group.charge(10);
  replace(path_of(group), "junk");
  EXPECT_TRUE(soon([&] { return group.sweep(), Page(group)->identity.magic != 0 && Page(group)->sum() == 10; }));
  EXPECT_EQ(group.capacity(), 777u);
}

// A member that is asked in time leaves a file that was cut short without touching it.
TEST_F(GroupFile, CutShortWhileInUse) {
  Group group(root());
  expect_join(group, 777);
  group.charge(10);
  std::string const path = path_of(group);
  for (off_t const size : {off_t{0}, off_t{100}, static_cast<off_t>(sizeof(GroupPage)) + 5000}) {
    let_it_be_due();
    ASSERT_EQ(truncate(path.c_str(), size), 0);
    group.sweep();
    EXPECT_EQ(group.used(), 10u);
    EXPECT_EQ(group.capacity(), 777u);
    struct stat facts {};
    ASSERT_EQ(stat(path.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_size, static_cast<off_t>(sizeof(GroupPage)));
    EXPECT_EQ(Page(group)->sum(), 10u);
  }
  ASSERT_EQ(truncate(path.c_str(), 0), 0);
  group.leave();
  EXPECT_FALSE(group.joined());
}

TEST_F(GroupFile, ReplacedAgainAndAgain) {
  Group group(root());
  expect_join(group);
  std::string const path = path_of(group);
  int moves = 0;
  for (; group.joined() && moves < 1000; ++moves) {
    replace(path, "junk");
    group.after_fork_in_child();  // so that the next charge looks after the group
    group.charge(1);
  }
  EXPECT_EQ(moves, 65);
  EXPECT_EQ(said(),
            "stealth: group web: its file is replaced or damaged again and again; this process goes on without it\n");
  EXPECT_EQ(group.used(), 0u);
  group.charge(1);
}

// A file that is as good as before is kept where no other can be opened.
TEST_F(GroupFile, NowhereToMove) {
  Group group(root());
  expect_join(group);
  group.charge(10);
  replace(path_of(group), "junk");
  let_it_be_due();
  fake::fail(SYS_openat, 1, EMFILE, fake::kForEver);
  group.sweep();
  EXPECT_TRUE(group.joined());
  EXPECT_EQ(group.used(), 10u);
  group.charge(1);
  EXPECT_EQ(group.used(), 11u);
  fake::stop_failing(SYS_openat);
  EXPECT_TRUE(soon([&] { return group.sweep(), Page(group)->sum() == 11; }));
  // One that is not, is given up.
  let_it_be_due();
  Page(group)->identity.cells = 0;
  fake::fail(SYS_openat, 1, EMFILE, fake::kForEver);
  group.sweep();
  EXPECT_FALSE(group.joined());
  EXPECT_NE(said().find(" cannot be made or opened: error 24; this process goes on without it\n"), std::string::npos)
      << said();
}

TEST_F(GroupFile, WhyJoiningFailed) {
  Group group(root());
  fake::fail(SYS_fallocate, 1, ENOSPC);
  EXPECT_EQ(group.join("web", 1), Joined::failed);
  EXPECT_NE(group.problem().find("/web."), std::string_view::npos);
  EXPECT_NE(group.problem().find(" cannot be made, there is no room: error 28"), std::string_view::npos)
      << group.problem();
  EXPECT_FALSE(group.joined());
  std::string const folder = directory_ / ("stealth-" + std::to_string(geteuid()));
  ASSERT_EQ(chmod(folder.c_str(), 0755), 0);
  EXPECT_EQ(group.join("web", 1), Joined::failed);
  EXPECT_EQ(group.problem(), folder + " can be reached by other users");
  ASSERT_EQ(rmdir(folder.c_str()), 0);
  ASSERT_EQ(symlink("/tmp", folder.c_str()), 0);
  EXPECT_EQ(group.join("web", 1), Joined::failed);
  EXPECT_EQ(group.problem(), folder + " is a link, or no plain file or directory");
  ASSERT_EQ(unlink(folder.c_str()), 0);
  expect_join(group);
  group.leave();
  ASSERT_EQ(rename(folder.c_str(), (directory_ / ("stealth-" + std::to_string(geteuid() + 1))).c_str()), 0);
  fake::answer(SYS_geteuid, static_cast<long>(geteuid()) + 1);
  EXPECT_EQ(group.join("web", 1), Joined::failed);
  EXPECT_NE(group.problem().find(" belongs to another user"), std::string_view::npos) << group.problem();
  EXPECT_EQ(said(), "") << "the caller says it";
}

// Somebody writes random numbers everywhere, all the time. When he stops, the sum is right again.
TEST_F(GroupFile, ScribbledOver) {
  Group group(root());
  expect_join(group);
  group.charge(10);
  Page const page(group);
  for (bool const head_too : {false, true}) {
    std::atomic<bool> stop{false};
    std::thread vandal([&] {
      test::Random random(head_too ? 1 : 2);
      while (!stop) {
        constexpr std::size_t kWords = sizeof(GroupPage) / 8, kHead = sizeof(GroupIdentity) / 8;
        std::size_t const at =
            head_too && random.one_in(100) ? random.below(kHead) : kHead + random.below(kWords - kHead);
        __atomic_store_n(page.words() + at, random.next(), __ATOMIC_RELAXED);
        usleep(20);  // without a pause all cells would seem taken, and the member would give up
      }
    });
    auto const end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
    std::uint64_t seen = 0;
    while (std::chrono::steady_clock::now() < end) {
      group.charge(1);
      seen += group.used() + group.capacity() + group.members();
      static_cast<void>(group.begin_wait());
      group.announce();
      group.sweep();
      group.release(1);
    }
    stop = true;
    vandal.join();
    ASSERT_TRUE(group.joined()) << said();
    group.set_capacity(5000);
    EXPECT_EQ(group.share(), 10u);
    EXPECT_TRUE(soon([&] {
      group.sweep();
      return group.used() == 10;
    })) << group.used()
        << ", " << seen;
    EXPECT_EQ(group.capacity(), 5000u);
  }
}

// --- other users and roots: what only the superuser can try ---

class GroupUser : public GroupFile {
 protected:
  void SetUp() override {
    GroupFile::SetUp();
    if (geteuid() != 0) GTEST_SKIP() << "needs the rights of root";
    ASSERT_EQ(chmod(root(), 0777), 0);
  }
};

// A server whose workers are another user: they are a group of their own.
TEST_F(GroupUser, WorkersOfAnotherUser) {
  Group group(root());
  expect_join(group);
  group.charge(10);
  Child worker([&] {
    group.after_fork_in_child();
    group.charge(100);
    if (group.used() != 110) _exit(1);
    if (setgid(12345) != 0 || setuid(12345) != 0) _exit(2);
    if (!soon([&] { return group.sweep(), group.used() == 100; })) _exit(3);
    if (group.path().find("stealth-12345") == std::string_view::npos) _exit(4);
    if (group.capacity() != 100 * kMib || group.members() != 1) _exit(5);
    group.leave();
    if (is_there(group)) _exit(6);
    _exit(0);
  });
  EXPECT_EQ(worker.wait(), 0);
  EXPECT_EQ(group.used(), 10u) << "given back when it left";
  EXPECT_EQ(group.members(), 1u);
}

// Processes that are numbered anew cannot judge those outside, nor be judged by them.
TEST_F(GroupUser, AnotherPidNamespace) {
  Group group(root());
  expect_join(group);
  group.charge(10);
  std::string const path = path_of(group);
  Child outside([&] {
    if (unshare(CLONE_NEWPID) != 0) _exit(1);
    pid_t const inside = fork();
    if (inside == 0) {
      group.after_fork_in_child();
      group.charge(5);
      bool const apart = group.joined() && group.used() == 5 && group.members() == 1 && group.path() != path;
      group.leave();
      _exit(apart ? 0 : 2);
    }
    int status = -1;
    waitpid(inside, &status, 0);
    _exit(WEXITSTATUS(status));
  });
  EXPECT_EQ(outside.wait(), 0);
  EXPECT_EQ(group.used(), 10u);
}

// One that acts as another user for a while is none.
TEST_F(GroupUser, ActingForAnother) {
  Group group(root());
  expect_join(group);
  group.charge(10);
  std::string const path = path_of(group);
  Child server([&] {
    group.after_fork_in_child();
    group.charge(100);
    if (seteuid(12345) != 0) _exit(1);
    let_it_be_due();
    group.sweep();
    if (group.used() != 110 || group.path() != path) _exit(2);
    _exit(0);
  });
  EXPECT_EQ(server.wait(), 0);
}

TEST_F(GroupUser, AnotherRoot) {
  Group group(root());
  expect_join(group);
  group.charge(10);
  ASSERT_EQ(mkdir((directory_ / "jail").c_str(), 0700), 0);
  Child jailed([&] {
    if (chroot((directory_ / "jail").c_str()) != 0 || chdir("/") != 0) _exit(1);
    group.after_fork_in_child();
    group.charge(100);
    let_it_be_due();
    group.sweep();
    if (group.used() != 110) _exit(2);
  });
  ASSERT_TRUE(jailed.is_ready());
  EXPECT_EQ(group.used(), 110u);
  let_it_be_due();
  EXPECT_FALSE(group.sweep());
  EXPECT_EQ(group.used(), 110u);
  jailed.end();
  EXPECT_TRUE(soon([&] { return group.sweep(), group.used() == 10; }));
}

}  // namespace
