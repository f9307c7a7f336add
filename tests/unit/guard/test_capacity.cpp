// Fault detection at the capacity, and at the end of the range: refusals, grants, waits. Each test has an engine of its
// own.
#include "guarded.hpp"

namespace {

using namespace stealth;
using test::capacity_of;
using test::in_a_child;
using test::Owned;
using test::start_guarded;

constexpr std::uint64_t kCapacity = 16 * kMiB;

std::vector<Owned> all_there_is(std::size_t size) {
  std::vector<Owned> blocks;
  errno = 0;
  while (void* const p = allocate(size)) {
    blocks.push_back(test::own(p, size));
    if (blocks.size() * size > 2 * kCapacity) break;
  }
  EXPECT_EQ(errno, ENOMEM) << size;
  return blocks;
}

TEST(GuardCapacity, RefusesAndRecovers) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded({.limits = capacity_of(kCapacity, 0, OnExhausted::enomem)}));
    for (std::size_t const size : {1000u, 5000u, 100'000u, 3'000'000u, 32768u, 1000u}) {
      std::vector<Owned> blocks = all_there_is(size);
      EXPECT_GE(blocks.size() * size, kCapacity / 2) << size << ": " << blocks.size();
      EXPECT_LE(g_budget.peak_held(), kCapacity);
      EXPECT_GT(g_budget.facts().refusals, 0u);
      Owned const last = blocks.back();
      EXPECT_EQ(reallocate(last.at, kCapacity), nullptr);
      EXPECT_TRUE(last.holds()) << "refused, and unharmed";
      EXPECT_EQ(usable_size(last.at), size);
      EXPECT_EQ(allocate_zeroed(kCapacity), nullptr);
      EXPECT_EQ(allocate_aligned(kCapacity, kMiB), nullptr);
      test::expect_sound();
      test::give_back(blocks);
      EXPECT_EQ(test::live(), 0u);
      test::expect_sound();
    }
    EXPECT_EQ(g_budget.facts().grants, 0u);
  });
}

// Of its own size a freed block is handed out again at the capacity, rather than that anybody waits or is refused.
TEST(GuardCapacity, QuarantineComesBeforeARefusal) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded({.limits = capacity_of(kCapacity, 0, OnExhausted::enomem)}));
    std::vector<Owned> blocks = all_there_is(1000);
    for (int round = 0; round < 100; ++round) {
      test::give_back(blocks.back());
      void* const again = allocate(1000);
      ASSERT_EQ(again, blocks.back().at);
      ASSERT_TRUE(test::unwritten(blocks.back().at, 1000, 1000));
      blocks.back() = test::own(again, 1000);
    }
    test::give_back(blocks);
    test::expect_sound();
  });
}

TEST(GuardCapacity, GrantsGoOver) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded({.limits = capacity_of(4 * kMiB, 1, OnExhausted::grant)}));
    std::vector<Owned> blocks = test::own_many(80, 100'000);
    EXPECT_EQ(blocks.size(), 80u);
    EXPECT_GT(g_budget.held(), 6 * kMiB);
    EXPECT_GT(g_budget.facts().grants, 0u);
    test::give_back(blocks);
    EXPECT_LT(g_budget.held(), kMiB);
    test::expect_sound();
  });
}

// A thread waits at the capacity; what another one frees lets it go on.
TEST(GuardCapacity, AFreeEndsTheWait) {
  for (std::size_t const size : {1000u, 200'000u}) {
    in_a_child([&] {
      ASSERT_TRUE(start_guarded({.limits = capacity_of(kCapacity, 0, OnExhausted::enomem)}));
      CapacityLimits patient = capacity_of(kCapacity, 100'000, OnExhausted::enomem);
      patient.backoff.max_elapsed_ns = 100'000'000'000;
      std::vector<Owned> blocks;
      std::atomic<int> step{0};
      std::thread waiter([&] {
        blocks = all_there_is(size);
        step = 1;
        while (step != 2) std::this_thread::yield();
        test::give_back(test::own_fresh(size));
        step = 3;
      });
      ASSERT_TRUE(test::soon([&] { return step == 1; }));
      std::uint64_t const refusals = g_budget.facts().refusals;
      g_budget.configure(patient);
      step = 2;
      ASSERT_TRUE(test::soon([] { return g_budget.facts().waiting_now == 1; }));
      test::give_back(blocks);
      ASSERT_TRUE(test::soon([&] { return step == 3; }));
      waiter.join();
      EXPECT_EQ(g_budget.facts().refusals, refusals);
      test::expect_sound();
    });
  }
}

TEST(GuardCapacity, TheRangeIsUsedUp) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded({.reservation = 16 * kMiB}));
    for (std::size_t const size : {1000u, 200'000u, 1000u}) {
      std::vector<Owned> blocks = all_there_is(size);
      EXPECT_GE(blocks.size(), 10u) << size;
      test::expect_sound();
      test::give_back(blocks);
    }
    EXPECT_EQ(g_budget.facts().waits, 0u) << "waiting for addresses is of no use";
  });
}

TEST(GuardCapacity, NothingCouldBeReserved) {
  in_a_child([&] {
    EXPECT_FALSE(start_guarded({.reservation = 1000}));
    for (std::size_t const size : {std::size_t{0}, std::size_t{16}, std::size_t{100'000}}) {
      errno = 0;
      EXPECT_EQ(allocate(size), nullptr);
      EXPECT_EQ(errno, ENOMEM);
      EXPECT_EQ(allocate_zeroed(size), nullptr);
      EXPECT_EQ(allocate_aligned(size, 4096), nullptr);
    }
    deallocate(nullptr);
    EXPECT_TRUE(engine_is_valid());
  });
}

// Classes with a max have their exact counts, and no guard.
TEST(GuardCapacity, ClassesWithAMaxAreServedAsWithout) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded({.classes = {test::steps(16, 1024), test::exactly(4096, 10)},
                               .limits = capacity_of(kCapacity, 0, OnExhausted::enomem)}));
    std::vector<void*> blocks;
    while (void* const p = allocate(4000)) blocks.push_back(p);
    EXPECT_EQ(blocks.size(), 10u);
    for (void* const p : blocks) {
      EXPECT_EQ(usable_size(p), 4096u);
      deallocate(p);
    }
    void* const zeroed = allocate_zeroed(4000);
    EXPECT_TRUE(zeroed != nullptr && test::all_zero(zeroed, 4000));
    deallocate(zeroed);
    test::give_back(test::own_fresh(1000));
    EXPECT_EQ(allocate(2000), nullptr) << "no class has it, and nobody is next";
    EXPECT_EQ(test::live(), 0u);
  });
}

// At the capacity, what was freed to others' heaps is used before anybody waits or is refused.
TEST(GuardCapacity, WhatWasFreedToOthersComesFirst) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded({.limits = capacity_of(kCapacity, 0, OnExhausted::enomem)}));
    deallocate(allocate(1));  // a heap of its own, not the ended thread's
    std::vector<Owned> blocks;
    std::thread([&] { blocks = all_there_is(1000); }).join();
    test::give_back(blocks);
    EXPECT_EQ(test::live(), 0u);
    blocks = all_there_is(5000);
    EXPECT_GE(blocks.size() * 5000, kCapacity / 2);
    test::give_back(blocks);
  });
}

// The same of quarantine, of other sizes and of spans.
TEST(GuardCapacity, QuarantineOfOtherSizesComesBeforeARefusal) {
  in_a_child([&] {
    constexpr std::uint64_t kLittle = 4 * kMiB;
    ASSERT_TRUE(start_guarded({.limits = capacity_of(kLittle, 0, OnExhausted::enomem)}));
    for (std::size_t size = 16; size <= kMaxSmall; size = ladder_step(size + 1)) {
      std::vector<Owned> blocks = test::own_many(std::max<std::size_t>(64 * kKiB / size, 16), size - 8);
      test::give_back(blocks);
    }
    EXPECT_EQ(test::live(), 0u);
    void* const p = allocate(2 * kMiB);
    EXPECT_NE(p, nullptr) << g_budget.held() << " bytes are held, and none is with the program";
  });
}
TEST(GuardCapacity, QuarantineGivesItsAddresses) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded({.reservation = 64 * kMiB}));
    for (int i = 0; i < 200; ++i) {
      void* const p = allocate(kMiB);
      ASSERT_NE(p, nullptr) << "request " << i << " with nothing else allocated";
      deallocate(p);
    }
  });
}

}  // namespace
