// Sixty-four processes in one group that charge and release as fast as they can, and are killed at random.
#include <gtest/gtest.h>
#include <sched.h>

#include <memory>

#include "members.hpp"
#include "os/os.hpp"

namespace {

using namespace stealth;
using test::Child;
using test::Common;
using test::kMib;
using test::soon;

constexpr std::uint64_t kCapacity = 64 * kMib;
constexpr std::uint64_t kSlab = 64 << 10;
constexpr int kProcesses = 64;

class GroupStress : public test::Groups {
 protected:
  struct Facts {
    std::atomic<bool> stop;
    std::atomic<std::uint64_t> charges, waits, timeouts;
  };

  // As an allocator works: charges, takes it back where it was too much, and waits then.
  static void run(Group& group, Facts& facts, std::uint64_t seed) {
    group.after_fork_in_child();
    test::Random random(seed);
    std::uint64_t held = 0;
    while (!facts.stop) {
      if (held > 0 && random.one_in(3)) {
        std::uint64_t const bytes = std::min(held, 1 + random.below(kSlab));
        held -= bytes;
        group.release(bytes);
        group.announce();
        continue;
      }
      std::uint64_t const bytes = 1 + random.below(kSlab);
      group.charge(bytes);
      ++facts.charges;
      if (group.used() <= group.capacity()) {
        held += bytes;
        continue;
      }
      group.release(bytes);
      group.announce();
      ++facts.waits;
      std::uint32_t const seen = group.begin_wait();
      if (group.used() + bytes > group.capacity()) {
        std::uint64_t const begin = os::monotonic_ns();
        os::shared_futex_wait(group.word(), seen, 20'000'000);
        if (os::monotonic_ns() - begin >= 20'000'000) ++facts.timeouts;
        group.sweep();
      }
      if (held > kMib) {  // so that all do not wait for each other
        group.release(held - kMib);
        group.announce();
        held = kMib;
      }
    }
    group.release(held);
    if (group.share() != 0) _exit(1);
    group.leave();
    _exit(0);
  }
};

TEST_F(GroupStress, KilledAtRandom) {
  Group group(root());
  expect_join(group, kCapacity);
  Common<Facts> facts;
  std::uint64_t seed = 1;
  auto const start = [&] {
    ++seed;
    return std::make_unique<Child>([&] { run(group, *facts.operator->(), seed); });
  };
  std::unique_ptr<Child> children[kProcesses];
  for (auto& child : children) child = start();
  test::Random random(99);
  std::uint64_t most = 0, killed = 0;
  auto const begin = std::chrono::steady_clock::now();
  auto const says_something = [&] { return most > kCapacity / 2 && facts->waits > 0 && killed > 50; };
  while (test::ms_since(begin) < (says_something() ? 1000 : test::kLateMs)) {
    usleep(2'000);
    most = std::max(most, group.used());
    if (random.one_in(4)) {
      auto& victim = children[random.below(kProcesses)];
      victim->kill();
      victim = start();
      ++killed;
    }
  }
  // Too much is there for a moment only: a process sees it and takes it back, unless it is killed just then.
  EXPECT_LE(most, kCapacity + (kProcesses + killed) * kSlab);
  EXPECT_GT(most, kCapacity / 2) << "the capacity was never near";
  EXPECT_GT(facts->waits, 0u);
  facts->stop = true;
  for (int i = 0; i < kProcesses; i += 2) {  // half of them come to a good end
    EXPECT_EQ(children[i]->wait(), 0);
    children[i]->end();
  }
  for (auto& child : children) child->end();
  EXPECT_TRUE(soon([&] { return group.sweep(), group.used() == 0; })) << group.used();
  EXPECT_TRUE(soon([&] { return group.sweep(), group.members() == 1; }));
  RecordProperty("charges", std::to_string(facts->charges));
  RecordProperty("waits", std::to_string(facts->waits));
  RecordProperty("timeouts", std::to_string(facts->timeouts));
  std::printf("%llu charges, %llu waits (%llu to the end), %llu killed, at most %.1f of 64 MiB\n",
              static_cast<unsigned long long>(facts->charges), static_cast<unsigned long long>(facts->waits),
              static_cast<unsigned long long>(facts->timeouts), static_cast<unsigned long long>(killed),
              static_cast<double>(most) / static_cast<double>(kMib));
}

// Many that join and leave at the same time: the file comes and goes, and everybody finds everybody in the end.
TEST_F(GroupStress, ComingAndGoing) {
  struct Meeting {
    std::atomic<int> rounds, ready, failed;
    std::atomic<bool> gather, part;
  };
  Common<Meeting> meeting;
  constexpr int kMany = 16;
  std::unique_ptr<Child> children[kMany];
  for (auto& child : children) {
    child = std::make_unique<Child>([&] {
      Group group(root());
      while (!meeting->gather) {
        if (group.join("web", kCapacity) != Group::Joined::fine) ++meeting->failed;
        group.charge(5);
        if (group.used() < 5) ++meeting->failed;
        group.leave();
        ++meeting->rounds;
      }
      if (group.join("web", kCapacity) != Group::Joined::fine) ++meeting->failed;
      group.charge(10);
      while (!meeting->part) {
        group.sweep();
        if (group.used() == 10 * kMany) break;
        sched_yield();
      }
      ++meeting->ready;
      while (!meeting->part) sched_yield();
      group.leave();
      _exit(0);
    });
  }
  EXPECT_TRUE(soon([&] { return meeting->rounds > 10 * kMany; })) << meeting->rounds;
  meeting->gather = true;
  EXPECT_TRUE(soon([&] { return meeting->ready == kMany; })) << meeting->ready;
  meeting->part = true;
  for (auto& child : children) EXPECT_EQ(child->wait(), 0);
  EXPECT_EQ(meeting->failed, 0);
}

}  // namespace
