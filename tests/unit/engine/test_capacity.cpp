// The engine at its capacity: never beyond it but by a grant; idle memory before waits; waits that end when others
// free.
#include <ctime>

#include "engine.hpp"

namespace {

using namespace stealth;
using test::Block;
using test::capacity_of;
using test::census;
using test::start_engine;

constexpr std::uint64_t kCapacity = 16 * kMiB;

// Blocks of a size until there are no more.
std::vector<Block> all_there_is(std::size_t size) {
  std::vector<Block> blocks;
  errno = 0;
  while (auto* const p = static_cast<char*>(allocate(size))) {
    blocks.push_back({p, size, blocks.size()});
    test::write(blocks.back());
    if (blocks.size() * size > 2 * kCapacity) break;
  }
  EXPECT_EQ(errno, ENOMEM) << size;
  return blocks;
}

TEST(Capacity, RefusesAndRecovers) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.limits = capacity_of(kCapacity, 0, OnExhausted::enomem)}));
    for (std::size_t const size : {64u, 1000u, 5000u, 32768u, 100'000u, 3'000'000u, 64u}) {
      std::vector<Block> blocks = all_there_is(size);
      EXPECT_GE(blocks.size() * ladder_step(size), kCapacity * 8 / 10) << size << ": " << blocks.size();
      EXPECT_LE(g_budget.facts().peak_held, kCapacity);
      EXPECT_GT(g_budget.facts().refusals, 0u);
      test::expect_consistent();
      test::free_blocks(blocks);
      test::expect_consistent();
    }
    EXPECT_EQ(g_budget.facts().grants, 0u);
  });
}

TEST(Capacity, GrantsGoOver) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.limits = capacity_of(4 * kMiB, 1, OnExhausted::grant)}));
    std::vector<Block> blocks = test::make_blocks(64, 100'000, 1);
    EXPECT_EQ(blocks.size(), 64u);
    std::vector<Block> small = test::make_blocks(2000, 1000, 2);
    EXPECT_EQ(small.size(), 2000u);
    EXPECT_GT(g_budget.held(), 6 * kMiB);
    EXPECT_GT(g_budget.facts().grants, 0u);
    test::expect_consistent();
    test::free_blocks(blocks);
    test::free_blocks(small);
    trim();
    test::expect_consistent();
    EXPECT_LT(g_budget.held(), kMiB);
  });
}

TEST(Capacity, ModeOffWaitsForNothing) {
  test::in_a_child([&] {
    CapacityLimits limits = capacity_of(kMiB, 60'000, OnExhausted::enomem);
    limits.mode = Mode::off;
    ASSERT_TRUE(start_engine({.limits = limits}));
    std::vector<Block> blocks = test::make_blocks(10'000, 1000, 1);
    EXPECT_EQ(blocks.size(), 10'000u);
    EXPECT_EQ(g_budget.facts().waits, 0u);
    test::free_blocks(blocks);
  });
}

// What lies idle anywhere is used before anybody waits: lists, caches, ended threads' heaps, what others have freed.
TEST(Capacity, IdleMemoryFirst) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.limits = capacity_of(kCapacity, 0, OnExhausted::enomem), .purge_delay_ms = 1u << 30}));
    for (std::size_t const size : {100u, 30'000u, 64'000u}) {
      std::vector<Block> blocks;
      std::thread([&] { blocks = all_there_is(size); }).join();
      EXPECT_GE(blocks.size() * ladder_step(size), kCapacity * 8 / 10);
      if (size == 100) {
        std::thread([&] { test::free_blocks(blocks); }).join();
      } else {
        test::free_blocks(blocks);
      }
      blocks = all_there_is(2000);
      EXPECT_GE(blocks.size() * 2048, kCapacity * 8 / 10) << "after blocks of " << size;
      test::free_blocks(blocks);
    }
    test::expect_consistent();
  });
}

CapacityLimits patient(std::uint64_t capacity = kCapacity) {
  CapacityLimits limits = capacity_of(capacity, 100'000, OnExhausted::enomem);
  limits.backoff.max_elapsed_ns = 100'000'000'000;
  return limits;
}

// A thread waits at the capacity; another's free lets it go on.
void one_waits(std::size_t size, void (*use)(std::size_t)) {
  std::vector<Block> blocks = all_there_is(size);
  g_budget.configure(patient());
  std::uint64_t const refusals = g_budget.facts().refusals;
  std::atomic<bool> done{false}, may_end{false};
  std::thread waiter([&] {
    use(size);
    done = true;
    while (!may_end) std::this_thread::yield();  // the trim below would take its heap over
  });
  ASSERT_TRUE(test::soon([] { return g_budget.facts().waiting_now == 1; }));
  EXPECT_FALSE(done);
  test::free_blocks(blocks);
  trim();
  ASSERT_TRUE(test::soon([&] { return done.load(); }));
  may_end = true;
  waiter.join();
  EXPECT_EQ(g_budget.facts().refusals, refusals);
  EXPECT_LE(g_budget.facts().peak_held, kCapacity);
  test::expect_consistent();
}

// Where nobody frees, a call's wait is as long as the patience. What the waiter itself does in between (tries, gives
// back what it could not use) must not look like somebody's release: it would neither sleep nor come to an end.
TEST(Capacity, AWaiterDoesNotFeedItself) {
  auto const run = [](test::Start start, void* (*get)()) {
    start.limits = capacity_of(kCapacity, 200, OnExhausted::enomem);
    ASSERT_TRUE(start_engine(start));
    std::vector<Block> rest = test::make_blocks(15, kMiB - kPage, 1);
    auto const cpu_ms = [] {
      timespec used{};
      clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
      return static_cast<std::uint64_t>(used.tv_sec * 1000 + used.tv_nsec / 1'000'000);
    };
    std::uint64_t const cpu_before = cpu_ms();
    auto const begin = std::chrono::steady_clock::now();
    int got = 0;
    while (get() != nullptr) ASSERT_LT(++got, 100'000);
    EXPECT_GE(test::ms_since(begin), 190u);
    EXPECT_LT(test::ms_since(begin), 15'000u) << "a call waits for 20 s at most, if it is fed";
    EXPECT_LT(cpu_ms() - cpu_before, 8000u);
    EXPECT_GE(g_budget.facts().refusals, 1u);
    EXPECT_LE(g_budget.facts().refusals, 2u) << "realloc asks for pages, then for another span";
    test::free_blocks(rest);
    test::expect_consistent();
  };
  test::in_a_child([&] { run({}, [] { return allocate(100); }); });
  test::in_a_child([&] { run({}, [] { return allocate(20'000); }); });
  test::in_a_child([&] { run({}, [] { return allocate(200'000); }); });
  test::in_a_child([&] { run({}, [] { return allocate_zeroed(5 * kMiB); }); });
  test::in_a_child([&] { run({}, [] { return allocate_aligned(300'000, kMiB); }); });
  test::in_a_child([&] {
    run({}, [] {
      static void* growing = nullptr;
      static std::size_t size = 0;
      void* const p = reallocate(growing, size += 300'000);
      if (p != nullptr) growing = p;
      return p;
    });
  });
  test::in_a_child([&] {
    run({.classes = {test::exactly(kMiB), test::exactly(3 * kMiB, 100)}}, [] { return allocate(3 * kMiB); });
  });
  test::in_a_child([&] {
    run({.classes = {test::exactly(kMiB), test::exactly(4096, 100'000)}}, [] { return allocate(4096); });
  });
}

TEST(Capacity, AFreeEndsTheWait) {
  auto const run = [](std::size_t size, void (*use)(std::size_t)) {
    ASSERT_TRUE(start_engine({.limits = capacity_of(kCapacity, 0, OnExhausted::enomem)}));
    one_waits(size, use);
  };
  auto const small = [](std::size_t size) {
    void* const p = allocate(size);
    EXPECT_NE(p, nullptr);
    deallocate(p);
  };
  auto const zeroed = [](std::size_t size) {
    void* const p = allocate_zeroed(size);
    EXPECT_TRUE(p != nullptr && test::all_zero(p, size));
    deallocate(p);
  };
  test::in_a_child([&] { run(1000, small); });
  test::in_a_child([&] { run(200'000, small); });
  test::in_a_child([&] { run(200'000, zeroed); });
}

// realloc charges the difference only: growing within the capacity must not need old and new at once.
TEST(Capacity, GrowingChargesTheDifference) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.limits = capacity_of(kCapacity, 0, OnExhausted::enomem)}));
    Block block = test::make_blocks(1, kMiB, 1)[0];
    void* const wall = allocate(40'000);
    for (std::size_t const size : {2 * kMiB, 4 * kMiB, 8 * kMiB, 12 * kMiB, 15 * kMiB}) {
      auto* const at = static_cast<char*>(reallocate(block.at, size));
      ASSERT_NE(at, nullptr) << size;
      block.at = at;
      ASSERT_TRUE(test::intact(block));
      block.size = size;
      test::write(block);
      test::expect_consistent();
    }
    EXPECT_EQ(reallocate(block.at, 17 * kMiB), nullptr);
    EXPECT_TRUE(test::intact(block)) << "refused, and unharmed";
    EXPECT_EQ(usable_size(block.at), block.size);
    test::expect_consistent();
    deallocate(block.at);
    deallocate(wall);
    trim();
    EXPECT_LT(g_budget.held(), kMiB);
  });
}

// Producers and consumers at the capacity for a while: nobody starves, nothing is lost, the capacity holds.
TEST(Capacity, ManyAtTheCapacity) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.limits = patient(8 * kMiB)}));
    test::Mailbox box;
    std::atomic<int> producers{3};
    std::atomic<int> refused{0};
    test::in_threads(4, [&](int index) {
      test::Random random(static_cast<std::uint64_t>(index));
      Block block;
      if (index == 3) {
        while (producers > 0 || box.size() > 0) {
          if (!box.take(block)) {
            std::this_thread::yield();
            continue;
          }
          ASSERT_TRUE(test::intact(block));
          deallocate(block.at);
        }
        return;
      }
      for (int i = 0; i < test::rounds(4000); ++i) {
        std::size_t const size = random.skewed(100'000);
        block = {static_cast<char*>(allocate(size)), size, random.next()};
        if (block.at == nullptr) {
          ++refused;
          continue;
        }
        test::write(block);
        box.put(block);
      }
      --producers;
    });
    EXPECT_EQ(refused, 0) << "the consumer never stopped";
    EXPECT_LE(g_budget.facts().peak_held, 8 * kMiB);
    trim();
    EXPECT_EQ(census().all.live, 0u);
    test::expect_consistent();
  });
}

TEST(Capacity, TheRangeIsUsedUp) {
  test::in_a_child([&] {
    ASSERT_TRUE(start_engine({.reservation = 4 * kMiB}));
    for (int round = 0; round < 4; ++round) {
      std::vector<Block> blocks = all_there_is(round % 2 == 0 ? 1000 : 200'000);
      EXPECT_GE(blocks.size() * blocks[0].size, 3 * kMiB);
      test::expect_consistent();
      test::free_blocks(blocks);
    }
    EXPECT_EQ(g_budget.facts().waits, 0u) << "waiting for addresses is of no use";
  });
}

TEST(Capacity, NothingCouldBeReserved) {
  test::in_a_child([&] {
    EXPECT_FALSE(start_engine({.reservation = 1000}));
    EXPECT_EQ(allocate(16), nullptr);
    EXPECT_EQ(allocate(100'000), nullptr);
    EXPECT_EQ(allocate_aligned(100, 4096), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    deallocate(nullptr);
    EXPECT_FALSE(trim());
    EXPECT_TRUE(engine_is_valid());
  });
}

TEST(Capacity, BeforeTheStart) {
  test::in_a_child([&] {
    errno = 0;
    EXPECT_EQ(allocate(16), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(allocate(100'000), nullptr);
    EXPECT_EQ(allocate_zeroed(16), nullptr);
    EXPECT_EQ(allocate_aligned(16, 64), nullptr);
    deallocate(nullptr);
    ASSERT_TRUE(start_engine({}));
    void* const p = allocate(16);
    EXPECT_NE(p, nullptr);
    deallocate(p);
  });
}

}  // namespace
