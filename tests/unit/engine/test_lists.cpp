// Configured classes: exactly the sizes asked for, exact maxima, blocks that are there from the start. Each test has an
// engine of its own, in a child process.
#include "engine.hpp"

namespace {

using namespace stealth;
using test::Block;
using test::census;
using test::exactly;
using test::start_engine;
using test::steps;

// The bytes that a request gets; 0 where no class serves it (nobody is asked next in these programs).
std::size_t served(std::size_t size) {
  errno = 0;
  void* const p = allocate(size);
  if (p == nullptr) {
    EXPECT_EQ(errno, ENOMEM) << size;
    return 0;
  }
  std::size_t const bytes = usable_size(p);
  std::memset(p, 1, bytes);
  deallocate(p);
  return bytes;
}

void expect_served(std::size_t from, std::size_t to, std::size_t by) {
  for (std::size_t size = from; size <= to; size += std::max<std::size_t>(1, (to - from) / 500)) {
    ASSERT_EQ(served(size), by) << size;
  }
  EXPECT_EQ(served(to), by);
}

TEST(Lists, OneSize) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.classes = {exactly(4096)}}));
    expect_served(3585, 4096, 4096);
    expect_served(1, 3584, 0);
    expect_served(4097, 40'000, 0);
    test::expect_consistent();
  });
}

TEST(Lists, SizesBetweenSteps) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.classes = {exactly(1000)}}));
    expect_served(897, 1008, 1008);
    expect_served(1009, 2000, 0);
    expect_served(1, 896, 0);
  });
}

TEST(Lists, SmallestSizes) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.classes = {exactly(1), exactly(72)}}));
    expect_served(0, 16, 16);
    expect_served(17, 64, 0);
    expect_served(65, 80, 80);
    expect_served(81, 100, 0);
  });
}

TEST(Lists, TwoSizesInOneStep) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.classes = {exactly(1024), exactly(960)}}));
    expect_served(897, 960, 960);
    expect_served(961, 1024, 1024);
    expect_served(800, 896, 0);
  });
}

TEST(Lists, Ranges) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.classes = {steps(100, 1000), steps(8192, 32768)}}));
    expect_served(97, 112, 112);
    expect_served(113, 128, 128);
    expect_served(129, 160, 160);
    expect_served(769, 896, 896);
    expect_served(1, 96, 0);
    expect_served(897, 7168, 0);
    expect_served(7169, 8192, 8192);
    expect_served(28673, 32768, 32768);
    expect_served(32769, 70'000, 0);
  });
}

TEST(Lists, AnEarlierItemWins) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.classes = {exactly(64, 3), steps(16, 128)}}));
    EXPECT_EQ(g_classes.classes[serving_class(64)].max, 3u);
    EXPECT_EQ(g_classes.classes[serving_class(80)].max, 0u);
    expect_served(1, 16, 16);
    expect_served(49, 64, 64);
  });
}

TEST(Lists, NoClasses) {
  test::in_a_child([&] {
    EXPECT_TRUE(g_arena.reserve(kGiB));
    publish_classes();
    EXPECT_TRUE(preallocate());
    declare_started();
    expect_served(0, 100'000, 0);
    EXPECT_EQ(allocate_zeroed(10), nullptr);
    EXPECT_EQ(allocate_aligned(10, 64), nullptr);
    EXPECT_EQ(reallocate(nullptr, 10), nullptr);
    deallocate(nullptr);
    EXPECT_FALSE(trim());
    EXPECT_EQ(g_budget.held(), 0u);
    test::expect_consistent();
  });
}

TEST(Lists, MoreThanThereIsRoomFor) {
  test::in_a_child([&] {
    for (std::size_t i = 1; i < kClasses; ++i) ASSERT_TRUE(add_classes(exactly(i * 16)));
    EXPECT_FALSE(add_classes(exactly(kClasses * 16)));
    EXPECT_FALSE(add_classes(steps(16, 32768)));
    for (std::size_t i = 0; i < kSpanRules; ++i) ASSERT_TRUE(add_classes(exactly((i + 1) * kMiB)));
    EXPECT_FALSE(add_classes(exactly(kGiB)));
    publish_classes();
    EXPECT_TRUE(g_arena.reserve(kGiB));
    declare_started();
    expect_served(1, 16, 16);
    expect_served(993, 1008, 1008);
    expect_served(1009, 2000, 0);
    EXPECT_EQ(served(5 * kMiB), 5 * kMiB);
  });
}

TEST(Lists, LargeSizes) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.classes = {exactly(65536), exactly(1'000'000), steps(2 * kMiB, 4 * kMiB)}}));
    expect_served(57345, 65536, 65536);
    expect_served(65537, 917504, 0);
    expect_served(32769, 57344, 0);
    expect_served(917505, 1'000'000, align_up(1'000'000, kPage));
    expect_served(1'000'001, 1'835'008, 0);
    expect_served(1'835'009, 2 * kMiB, 2 * kMiB);
    expect_served(2 * kMiB + 1, 2'621'440, 2'621'440);
    expect_served(3'670'017, 4 * kMiB, 4 * kMiB);
    expect_served(4 * kMiB + 1, 5 * kMiB, 0);
    test::expect_consistent();
  });
}

// What realloc may keep in place depends on the class: a block of another class, or of none, is elsewhere.
TEST(Lists, ResizingAcrossClasses) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.classes = {exactly(64), exactly(1024), exactly(65536), exactly(kMiB)}}));
    Block block = test::make_blocks(1, 60, 1)[0];
    for (std::size_t const size : {1000u, 65000u, 1'000'000u, 65000u, 1000u, 60u}) {
      auto* const at = static_cast<char*>(reallocate(block.at, size));
      ASSERT_NE(at, nullptr);
      block.at = at;
      ASSERT_TRUE(test::intact(block, std::min(size, block.size)));
      block.size = size;
      test::write(block);
      // No class, and nobody to ask: a larger block cannot be had, a smaller one stays where it is.
      EXPECT_EQ(reallocate(block.at, 300), size < 300 ? nullptr : block.at);
      ASSERT_TRUE(test::intact(block)) << "and it is still there";
    }
    test::expect_consistent();
  });
}

// --- max ---

test::Start with_max(ClassRequest request, std::uint64_t patience_ms) {
  return {.classes = {request},
          .limits = test::capacity_of(CapacityLimits::kNoCapacity, patience_ms, OnExhausted::enomem)};
}

// Threads that take and give back: never more than max are out, and all of them can be.
void share(std::size_t size, std::size_t max) {
  std::atomic<std::size_t> out{0}, most{0}, got{0};
  test::in_threads(4, [&](int index) {
    test::Random random(static_cast<std::uint64_t>(index));
    std::vector<Block> mine;
    for (int i = 0; i < test::rounds(4000); ++i) {
      if (!mine.empty() && random.one_in(2)) {
        --out;
        ASSERT_TRUE(test::intact(mine.back()));
        deallocate(mine.back().at);
        mine.pop_back();
        continue;
      }
      auto* const p = static_cast<char*>(allocate(size));
      if (p == nullptr) continue;
      ++got;
      std::size_t const now = ++out;
      ASSERT_LE(now, max);
      std::size_t before = most.load();
      while (now > before && !most.compare_exchange_weak(before, now)) {
      }
      mine.push_back({p, size, random.next()});
      test::write(mine.back());
    }
    for (Block const& block : mine) {
      --out;
      deallocate(block.at);
    }
  });
  EXPECT_GT(got, 0u);
  EXPECT_LE(most, max);
  std::vector<Block> all = test::make_blocks(max, size, 1);
  EXPECT_EQ(all.size(), max) << "all of them came back";
  EXPECT_EQ(allocate(size), nullptr);
  test::free_blocks(all);
  trim();
  test::expect_consistent();
}

TEST(Lists, MaxIsExact) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine(with_max(exactly(2048, 10), 0)));
    share(2048, 10);
    EXPECT_EQ(census().in_use(2048), 0u);
  });
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine(with_max(exactly(16, 5000), 0)));
    share(16, 5000);
    EXPECT_EQ(census().in_use(16), 0u);
  });
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine(with_max(exactly(32768, 1), 0)));
    share(32768, 1);
  });
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine(with_max(exactly(kMiB, 3), 0)));
    share(kMiB, 3);
    EXPECT_EQ(census().all.large_bytes, 0u);
  });
}

TEST(Lists, EachStepOfARangeHasTheMax) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine(with_max(steps(64, 128, 2), 0)));
    for (std::size_t size = 64; size <= 128; size += 16) {
      for (int i = 0; i < 2; ++i) EXPECT_NE(allocate(size), nullptr);
      EXPECT_EQ(allocate(size), nullptr);
      EXPECT_EQ(errno, ENOMEM);
    }
  });
}

// At its max a class waits like the capacity: for a block that somebody gives back.
void wait_for_a_block(std::size_t size) {
  void* const a = allocate(size);
  void* const b = allocate(size);
  ASSERT_TRUE(a != nullptr && b != nullptr);
  std::atomic<void*> got{nullptr};
  std::thread waiter([&] { got = allocate(size); });
  ASSERT_TRUE(test::soon([] { return g_budget.facts().waiting_now == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(got, nullptr);
  auto const begin = std::chrono::steady_clock::now();
  deallocate(a);
  waiter.join();
  EXPECT_LT(test::ms_since(begin), 15'000u);
  EXPECT_NE(got, nullptr);
  deallocate(got);
  deallocate(b);
  EXPECT_EQ(g_budget.facts().refusals, 0u);
  test::expect_consistent();
}

TEST(Lists, MaxWaitsForABlock) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine(with_max(exactly(4096, 2), 20'000)));
    wait_for_a_block(4096);
  });
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine(with_max(exactly(kMiB, 2), 20'000)));
    wait_for_a_block(kMiB);
  });
}

TEST(Lists, MaxAndPolicy) {
  auto const exhaust = [](OnExhausted policy, Mode mode, std::size_t size) {
    test::Start start = with_max(exactly(size, 1), 30);
    start.limits.on_exhausted = policy;
    start.limits.mode = mode;
    bool const delays = mode == Mode::enforce;
    ASSERT_TRUE(start_engine(start));
    EXPECT_NE(allocate(size), nullptr);
    auto const begin = std::chrono::steady_clock::now();
    EXPECT_EQ(allocate(size), nullptr) << "refused, or asked of the next allocator, which has nothing here";
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(g_budget.facts().refusals, delays && policy == OnExhausted::enomem ? 1u : 0u);
    EXPECT_EQ(g_budget.facts().grants, delays && policy == OnExhausted::grant ? 1u : 0u);
    EXPECT_EQ(g_budget.facts().waits, delays ? 1u : 0u);
    EXPECT_LT(test::ms_since(begin), 15'000u);
  };
  for (std::size_t const size : {std::size_t{4096}, kMiB}) {
    test::in_a_child([&] { exhaust(OnExhausted::grant, Mode::enforce, size); });
    test::in_a_child([&] { exhaust(OnExhausted::enomem, Mode::enforce, size); });
    test::in_a_child([&] { exhaust(OnExhausted::enomem, Mode::off, size); });
    test::in_a_child([&] { exhaust(OnExhausted::enomem, Mode::observe, size); });
    EXPECT_EXIT(exhaust(OnExhausted::abort, Mode::enforce, size), testing::KilledBySignal(SIGABRT),
                "STEALTH_ON_EXHAUSTED=abort");
  }
}

// A handler that interrupted the slow path puts its frees aside; they come off the count all the same.
TEST(Lists, MaxAndSignalHandlers) {
  auto const run = [](std::size_t size) {
    ASSERT_TRUE(start_engine(with_max(exactly(size, 2), 0)));
    void* const a = allocate(size);
    void* const b = allocate(size);
    t_thread.busy = true;
    deallocate(a);
    deallocate(b);
    t_thread.busy = false;
    EXPECT_NE(allocate(size), nullptr);
    EXPECT_NE(allocate(size), nullptr);
    EXPECT_EQ(allocate(size), nullptr);
  };
  test::in_a_child([&] { run(2048); });
  test::in_a_child([&] { run(kMiB); });
}

// --- prealloc ---

TEST(Lists, ThereFromTheStart) {
  for (std::size_t const size : {std::size_t{16}, std::size_t{1000}, std::size_t{4096}, std::size_t{32768}}) {
    test::in_a_child([&] {
      ASSERT_TRUE(start_engine({.classes = {exactly(size, 0, 300)}}));
      test::expect_consistent();
      EXPECT_EQ(census().in_use(size), 0u);
      std::uint64_t const held = g_budget.held();
      EXPECT_GE(held, 300 * align_up(size, 16));
      EXPECT_LE(held, 300 * align_up(size, 16) + 64 * kKiB);
      std::vector<Block> blocks = test::make_blocks(300, size, 1);
      EXPECT_EQ(g_budget.held(), held);
      EXPECT_EQ(census().in_use(size), 300u);
      std::vector<Block> more = test::make_blocks(2000, size, 2);
      EXPECT_GT(g_budget.held(), held);
      test::expect_consistent();
      test::free_blocks(more);
      test::free_blocks(blocks);
      EXPECT_EQ(census().in_use(size), 0u);
      trim();
      test::expect_consistent();
      EXPECT_GE(g_budget.held(), 300 * align_up(size, 16)) << "they stay";
      EXPECT_LE(g_budget.held(), 2 * held + 512 * kKiB) << "the others do not";
    });
  }
}

TEST(Lists, SpansThereFromTheStart) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.classes = {exactly(kMiB, 5, 3)}, .purge_delay_ms = 0}));
    std::uint64_t const held = g_budget.held();
    EXPECT_EQ(held, 3 * kMiB);
    EXPECT_EQ(census().all.large_bytes, 0u);
    std::vector<Block> blocks = test::make_blocks(3, kMiB, 1);
    EXPECT_EQ(g_budget.held(), held);
    EXPECT_EQ(census().all.large_bytes, 3 * kMiB);
    test::free_blocks(blocks);
    trim();
    EXPECT_EQ(g_budget.held(), held);
    blocks = test::make_blocks(5, kMiB, 2);
    EXPECT_EQ(g_budget.held(), 5 * kMiB);
    test::free_blocks(blocks);
    trim();
    EXPECT_EQ(g_budget.held(), held);
    void* const zeroed = allocate_zeroed(kMiB);
    EXPECT_TRUE(test::all_zero(zeroed, kMiB));
    deallocate(zeroed);
    test::expect_consistent();
  });
}

TEST(Lists, MoreThanTheCapacityCannotBeThere) {
  test::in_a_child([&] {
    EXPECT_FALSE(start_engine(
        {.classes = {exactly(4096, 0, 1000)}, .limits = test::capacity_of(kMiB, 10, OnExhausted::enomem)}));
    EXPECT_LE(g_budget.held(), kMiB);
    test::expect_consistent();
    EXPECT_NE(allocate(4096), nullptr);
  });
  test::in_a_child([&] {
    EXPECT_FALSE(start_engine(
        {.classes = {exactly(kMiB, 0, 10)}, .limits = test::capacity_of(3 * kMiB, 10, OnExhausted::enomem)}));
    EXPECT_LE(g_budget.held(), 3 * kMiB);
    test::expect_consistent();
  });
}

TEST(Lists, SharedClassesUnderThreads) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.classes = {exactly(200, 2000, 100), exactly(3000, 500), steps(16, 128)}}));
    test::Mailbox box;
    test::in_threads(4, [&](int index) {
      test::Random random(static_cast<std::uint64_t>(index));
      for (int i = 0; i < test::rounds(10'000); ++i) {
        std::size_t const size = random.one_in(3) ? 64 : random.one_in(2) ? 200 : 3000;
        Block block{static_cast<char*>(allocate(size)), size, random.next()};
        ASSERT_NE(block.at, nullptr);
        test::write(block);
        box.put(block);
        while (box.size() > 100 && box.take(block)) {
          ASSERT_TRUE(test::intact(block));
          deallocate(block.at);
        }
      }
    });
    for (Block block; box.take(block);) deallocate(block.at);
    trim();
    for (auto const& [size, facts] : census().classes) EXPECT_EQ(facts.in_use, 0u) << size;
    test::expect_consistent();
  });
}

}  // namespace
