// The count against what is really there: nobody is delayed for memory that is not resident.
#include <utility>

#include "callers.hpp"

namespace {

using namespace stealth;
using test::Caller;
using test::capacity;
using test::charge;

class Resident : public testing::Test {
 protected:
  void SetUp() override {
    budget_.configure(capacity(64 * kMiB));
    budget_.raise_calm_limit();
    budget_.meter().use(Meter::Source::resident);
  }
  static void resident(std::uint64_t bytes) {
    std::uint64_t const pages = bytes / os::page_size();
    fake::serve("/proc/self/statm", std::to_string(pages + 5000) + " " + std::to_string(pages) + " 10 10 0 10 0\n");
  }
  static std::size_t readings() { return fake::opened().size(); }
  // Up to so much in all, by one page after the other; false: it was refused before.
  bool grow_to(std::uint64_t bytes) {
    while (budget_.held() < bytes) {
      if (!caller_.charge(budget_, kPage)) return false;
    }
    return true;
  }

  fake::Fresh fresh_;
  Budget budget_;
  Caller caller_;
};

TEST_F(Resident, NotReadBelowTheSoftPoint) {
  resident(kMiB);
  EXPECT_TRUE(grow_to(57 * kMiB));
  EXPECT_EQ(readings(), 0u);
  EXPECT_EQ(budget_.used(), budget_.held());
}

TEST_F(Resident, WhatIsNotThereDelaysNobody) {
  resident(kMiB);
  EXPECT_TRUE(grow_to(200 * kMiB)) << "it was handed out, and never written";
  EXPECT_GT(readings(), 0u);
  EXPECT_LT(budget_.used(), 64 * kMiB);
  EXPECT_EQ(budget_.facts().over_bytes, 0u);
  EXPECT_FALSE(budget_.is_over());
  EXPECT_LT(readings(), 150 * kMiB / kPage / 10) << "a reading costs more than a page";
}

// Once it is there, it counts: soon, and then nothing more is had.
TEST_F(Resident, WhatComesLaterCounts) {
  resident(kMiB);
  EXPECT_TRUE(grow_to(70 * kMiB));
  resident(kGiB);
  EXPECT_TRUE(test::soon([&] { return !grow_to(budget_.held() + kPage); }));
  EXPECT_LE(budget_.held(), 134 * kMiB) << "found at the latest by a capacity's growth";
  EXPECT_TRUE(budget_.is_over());
  EXPECT_EQ(budget_.used(), budget_.held());
  budget_.release(budget_.held() - 63 * kMiB);
  EXPECT_TRUE(grow_to(64 * kMiB));
  EXPECT_FALSE(grow_to(65 * kMiB));
}

Budget* g_releases = nullptr;
// What a look reads was true before another thread's release, or after it: here it is the latter.
void release_once(long number, bool done) {
  if (number != SYS_openat || done || g_releases == nullptr) return;
  Budget& budget = *std::exchange(g_releases, nullptr);
  budget.release(40 * kMiB);
  fake::serve("/proc/self/statm", "20000 5000 10 10 0 10 0\n");
}
TEST_F(Resident, WhatIsReleasedDuringALookIsNotMissing) {
  resident(kGiB);
  EXPECT_TRUE(grow_to(57 * kMiB));
  g_releases = &budget_;
  fake::tell(release_once);
  for (int i = 0; i < 1000 && g_releases != nullptr; ++i) ASSERT_TRUE(caller_.charge(budget_, kPage));
  fake::tell(nullptr);
  ASSERT_EQ(g_releases, nullptr) << "nothing has looked at the soft point";
  EXPECT_LT(budget_.held(), 20 * kMiB);
  EXPECT_EQ(budget_.used(), budget_.held());
}

// Other memory of the process is none of ours: more resident than counted changes nothing.
TEST_F(Resident, NeverMoreThanTheCount) {
  resident(kGiB);
  EXPECT_TRUE(grow_to(64 * kMiB));
  EXPECT_GT(readings(), 0u);
  EXPECT_EQ(budget_.used(), 64 * kMiB);
  EXPECT_FALSE(grow_to(65 * kMiB));
  EXPECT_EQ(budget_.held(), 64 * kMiB);
}

TEST_F(Resident, WhatCannotBeReadIsNotBelieved) {
  fake::serve_nothing_else();
  EXPECT_TRUE(grow_to(64 * kMiB));
  EXPECT_GT(readings(), 0u);
  EXPECT_FALSE(grow_to(65 * kMiB));
  EXPECT_EQ(budget_.held(), 64 * kMiB);
  EXPECT_EQ(budget_.used(), 64 * kMiB);
}

TEST_F(Resident, WithoutAMeterNothingIsRead) {
  resident(kMiB);
  budget_.meter().use(Meter::Source::none);
  EXPECT_TRUE(grow_to(64 * kMiB));
  EXPECT_FALSE(grow_to(65 * kMiB));
  EXPECT_EQ(readings(), 0u);
}

// A waiter finds out by itself that there is room: nobody has to release anything.
TEST_F(Resident, AWaiterIsGrantedWhatIsNotThereAnyMore) {
  resident(kGiB);
  budget_.configure(test::full_at(64 * kMiB, 20'000));
  EXPECT_TRUE(grow_to(64 * kMiB));
  std::thread waiter([&] { EXPECT_EQ(Caller().take(budget_, kMiB), Verdict::again); });
  ASSERT_TRUE(test::soon([&] { return budget_.has_waiters(); }));
  resident(20 * kMiB);
  // The waiter's own tries read the meter.
  waiter.join();
  EXPECT_EQ(budget_.held(), 65 * kMiB);
  EXPECT_EQ(budget_.facts().refusals, 0u);
}

TEST_F(Resident, UnderThreads) {
  resident(10 * kMiB);
  std::atomic<std::uint64_t> held{0};
  test::in_threads(4, [&](int index) {
    test::Random random(static_cast<std::uint64_t>(index));
    Caller caller;
    for (int i = 0; i < test::rounds(20'000); ++i) {
      std::uint64_t const bytes = random.skewed(100 * kKiB);
      if (caller.charge(budget_, bytes)) held += bytes;
      if (random.one_in(1000)) resident(random.below(128) * kMiB);
      if (random.one_in(2)) continue;
      std::uint64_t const back = std::min(bytes, held.load());
      std::uint64_t seen = held.load();
      while (seen >= back && !held.compare_exchange_weak(seen, seen - back)) {
      }
      if (seen >= back) budget_.release(back);
    }
  });
  EXPECT_EQ(budget_.held(), held);
  budget_.release(held);
  EXPECT_EQ(budget_.held(), 0u);
}

}  // namespace
