// Waiting at the capacity, by threads that allocate: what comes before it, what ends it, and what follows. Each test
// has an engine of its own, in a child process. Where it matters who ends a sleep, the clock ends none: so a lost
// wake-up shows, and a busy machine may be as late as it likes.
#include <pthread.h>

#include "engine.hpp"
#include "fake_sys.hpp"

namespace {

using namespace stealth;
using test::Block;
using test::capacity_of;
using test::exactly;
using test::kLateMs;
using test::ms_since;
using test::soon;
using test::start_engine;

constexpr std::uint64_t kCapacity = 8 * kMiB;

// Patience so long that only what is released ends a wait in time.
CapacityLimits patient(std::uint64_t capacity = kCapacity) {
  CapacityLimits limits = capacity_of(capacity, 200'000, OnExhausted::enomem);
  limits.backoff.max_elapsed_ns = 200'000'000'000;
  return limits;
}

// A waiter's sleeps are longer, from the fourth on.
constexpr std::uint64_t kLongSleep = 1'000'000;
bool all_asleep(std::size_t threads) {
  return soon([threads] { return fake::asleep() == threads; });
}

// All blocks of these sizes that can be had without a wait.
std::vector<Block> fill(std::initializer_list<std::size_t> sizes) {
  g_budget.configure(capacity_of(kCapacity, 0, OnExhausted::enomem));
  std::vector<Block> blocks;
  for (std::size_t const size : sizes) {
    while (auto* const p = static_cast<char*>(allocate(size))) {
      blocks.push_back({p, size, blocks.size()});
      test::write(blocks.back());
      if (blocks.size() * size > 2 * kCapacity) break;
    }
  }
  return blocks;
}

// A thread fills the process up and then asks for one block more; when it sleeps, so that no clock would end it,
// `release` gets what it holds. It must go on by that.
template <class Release>
void one_waits(std::size_t size, std::size_t more, Release release) {
  ASSERT_TRUE(start_engine({.limits = patient(), .purge_delay_ms = 1u << 30}));
  std::vector<Block> blocks;
  std::atomic<bool> full{false}, got{false}, may_end{false};
  std::thread waiter([&] {
    blocks = fill({size, more});
    g_budget.configure(patient());
    full = true;
    auto* const p = static_cast<char*>(allocate(more));
    got = p != nullptr;
    if (p != nullptr) test::write({p, more, 7});
    while (!may_end) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    deallocate(p);
  });
  fake::only_wakes_end(kLongSleep);
  ASSERT_TRUE(soon([&] { return full && g_budget.facts().waiting_now == 1; }) && all_asleep(1));
  ASSERT_GT(blocks.size(), 2u);
  ASSERT_FALSE(got);
  fake::only_wakes_end(0);  // this sleep apart
  release(blocks);
  EXPECT_TRUE(soon([&] { return got.load(); })) << "not woken";
  EXPECT_EQ(g_budget.facts().waits, 1u);
  EXPECT_LE(g_budget.facts().peak_held, kCapacity);
  may_end = true;
  waiter.join();
  test::free_blocks(blocks);
  trim();
  test::expect_consistent();
}

void free_one(std::vector<Block>& blocks, std::size_t index) {
  EXPECT_TRUE(test::intact(blocks[index]));
  deallocate(blocks[index].at);
  blocks[index] = blocks.back();
  blocks.pop_back();
}

// One block that another thread frees to the waiter's own slab is enough, though no page comes of it.
TEST(Waits, ARemoteFreeWakes) {
  test::in_a_child(
      [] { one_waits(1000, 1000, [](std::vector<Block>& blocks) { free_one(blocks, blocks.size() / 2); }); });
}

TEST(Waits, AFreedSpanWakes) {
  test::in_a_child([] { one_waits(200'000, 100'000, [](std::vector<Block>& blocks) { free_one(blocks, 0); }); });
}

// A span for somebody who waits for a small block, and slabs for one who waits for a span.
TEST(Waits, WhateverKindOfMemoryItIs) {
  test::in_a_child([] { one_waits(200'000, 3000, [](std::vector<Block>& blocks) { free_one(blocks, 0); }); });
  test::in_a_child([] {
    one_waits(1000, 300'000, [](std::vector<Block>& blocks) {
      while (blocks.size() > 2000) free_one(blocks, 0);
    });
  });
}

// The slabs of another thread, which empties them by frees of its own.
TEST(Waits, EmptySlabsWake) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({.limits = patient()}));
    std::vector<Block> mine = fill({1000, 5000});
    g_budget.configure(patient());
    std::atomic<bool> got{false};
    std::thread waiter([&] {
      void* const p = allocate(5000);
      got = p != nullptr;
      deallocate(p);
    });
    fake::only_wakes_end(kLongSleep);
    ASSERT_TRUE(soon([] { return g_budget.facts().waiting_now == 1; }) && all_asleep(1));
    ASSERT_FALSE(got);
    fake::only_wakes_end(0);
    test::free_blocks(mine);  // its lists keep some, the others empty their slabs
    EXPECT_TRUE(soon([&] { return got.load(); })) << "not woken";
    waiter.join();
    trim();
    test::expect_consistent();
  });
}

// Nobody waits as long as anything lies idle: with ended threads, in the caller's own lists, in the arena.
TEST(Waits, IdleMemoryComesFirst) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({.limits = patient(), .purge_delay_ms = 1u << 30}));
    for (std::size_t const before : {100u, 3000u, 30'000u, 500'000u}) {
      for (bool const elsewhere : {false, true}) {
        std::vector<Block> blocks;
        auto const use = [&] {
          blocks = fill({before});
          test::free_blocks(blocks);
        };
        elsewhere ? std::thread(use).join() : use();
        std::this_thread::sleep_for(std::chrono::milliseconds(30));  // nobody looks for idle memory all the time
        g_budget.configure(patient());
        std::uint64_t taken = 0;
        for (; taken < kCapacity * 7 / 10; taken += ladder_step(40'000)) {
          blocks.push_back({static_cast<char*>(allocate(40'000)), 40'000, taken});
          ASSERT_NE(blocks.back().at, nullptr);
          test::write(blocks.back());
        }
        EXPECT_EQ(g_budget.facts().waits, 0u) << "after blocks of " << before;
        test::free_blocks(blocks);
      }
    }
    EXPECT_EQ(g_budget.facts().grants, 0u);
    test::expect_consistent();
  });
}

// Free pages that could be purged instead are worth no delay: not one in a row of calls.
TEST(Waits, NobodySleepsOverFreePages) {
  test::in_a_child([] {
    CapacityLimits limits = patient(64 * kMiB);
    limits.backoff.max_wait_ns = 10'000'000;
    ASSERT_TRUE(start_engine({.limits = limits, .purge_delay_ms = 1u << 30}));
    std::vector<Block> blocks = test::make_blocks(59, kMiB, 1);
    for (std::size_t i = 0; i < 40; i += 2) deallocate(blocks[i].at);  // holes that nothing larger fits into
    trim();
    g_arena.purge(0);
    for (std::size_t i = 0; i < 40; i += 2) blocks[i] = test::make_blocks(1, kMiB, 2)[0];
    for (std::size_t i = 0; i < 40; i += 2) deallocate(blocks[i].at);
    EXPECT_GE(g_arena.free_dirty_bytes(), 19 * kMiB);
    std::atomic<bool> done{false}, freed{false};
    std::thread other([&] {  // the evidence that makes delays worth while
      ThreadAccount account{};
      while (!done) {
        g_budget.freed(1, nullptr, &account);
        freed = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    EXPECT_TRUE(soon([&] { return freed.load(); }));
    std::vector<Block> larger = test::make_blocks(8, 2 * kMiB, 3);
    EXPECT_EQ(g_budget.facts().waits, 0u);
    done = true;
    other.join();
    for (std::size_t i = 1; i < blocks.size(); i += i < 40 ? 2 : 1) deallocate(blocks[i].at);
    test::free_blocks(larger);
    trim();
    test::expect_consistent();
  });
}

// What a living thread's list holds comes back when that thread allocates.
TEST(Waits, OthersAreCalledIn) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({.limits = patient()}));
    std::atomic<bool> done{false}, ready{false};
    std::atomic<std::uint32_t> its_epoch{0};
    std::thread other([&] {
      std::vector<Block> blocks = test::make_blocks(8, 4000, 1);
      test::free_blocks(blocks);
      its_epoch = t_thread.own->flushed_epoch;
      ready = true;
      while (!done) {
        deallocate(allocate(64));  // hits, all of them
        its_epoch = t_thread.own->flushed_epoch;
        std::this_thread::yield();
      }
    });
    ASSERT_TRUE(soon([&] { return ready.load(); }));
    std::uint32_t const epoch = its_epoch;
    std::vector<Block> blocks = fill({1000});
    g_budget.configure(capacity_of(kCapacity, 300, OnExhausted::enomem));
    auto const begin = std::chrono::steady_clock::now();
    EXPECT_EQ(allocate(100'000), nullptr) << "there is not so much";
    EXPECT_GE(ms_since(begin), 300u);
    EXPECT_LT(ms_since(begin), 15'000u) << "what comes of calling others in is no release";
    // It may not have run while it was called: it is called again.
    EXPECT_TRUE(soon([&] { return its_epoch != epoch || allocate(100'000) != nullptr; }));
    EXPECT_NE(its_epoch, epoch);
    done = true;
    other.join();
    test::free_blocks(blocks);
    trim();
    test::expect_consistent();
  });
}

// --- what follows ---

// Each null is one refusal; what is there stays as it is; and what is freed can be had at once.
TEST(Waits, RefusalsAreExact) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({.limits = capacity_of(kCapacity, 2, OnExhausted::enomem)}));
    // There is so little left that one thread alone would use it up.
    std::uint64_t const left = test::kSanitized ? kMiB : kCapacity / 2;
    std::vector<Block> most = test::make_blocks((kCapacity - left) / 104'000, 100'000, 1);
    std::atomic<std::uint64_t> nulls{0};
    test::in_threads(4, [&](int index) {
      test::Random random(500 + static_cast<std::uint64_t>(index));
      std::vector<Block> blocks;
      for (int i = 0; i < test::rounds(3000); ++i) {
        std::size_t const size = random.skewed(200'000);
        if (blocks.size() > 400 || (random.one_in(4) && !blocks.empty())) {
          std::swap(blocks[random.below(blocks.size())], blocks.back());
          ASSERT_TRUE(test::intact(blocks.back()));
          deallocate(blocks.back().at);
          blocks.pop_back();
          continue;
        }
        errno = 0;
        auto* const p = static_cast<char*>(allocate(size));
        if (p == nullptr) {
          ASSERT_EQ(errno, ENOMEM);
          ++nulls;
          continue;
        }
        ASSERT_EQ(errno, 0);
        blocks.push_back({p, size, random.next()});
        test::write(blocks.back());
      }
      test::free_blocks(blocks);
    });
    test::free_blocks(most);
    EXPECT_GT(nulls, 0u) << "the capacity was never reached: the test says nothing";
    EXPECT_EQ(g_budget.facts().refusals, nulls);
    EXPECT_EQ(g_budget.facts().grants, 0u);
    EXPECT_EQ(g_budget.facts().waiting_now, 0u);
    EXPECT_LE(g_budget.facts().peak_held, kCapacity);
    trim();
    EXPECT_EQ(test::census().all.live, 0u);
    test::expect_consistent();
  });
}

// What goes over the capacity comes back under it, when it can.
TEST(Waits, GrantsComeBack) {
  test::in_a_child([] {
    CapacityLimits limits = capacity_of(kCapacity, 1, OnExhausted::grant);
    ASSERT_TRUE(start_engine({.limits = limits, .purge_delay_ms = 1u << 30}));
    std::vector<Block> blocks = test::make_blocks(kCapacity / 100'000 + 20, 100'000, 1);
    EXPECT_GT(g_budget.held(), kCapacity);
    EXPECT_GT(g_budget.facts().grants, 0u);
    EXPECT_EQ(g_budget.facts().over_bytes, g_budget.held() - kCapacity);
    while (blocks.size() * align_up(100'000, kPage) > kCapacity * 3 / 4) {
      deallocate(blocks.back().at);
      blocks.pop_back();
    }
    EXPECT_LE(g_budget.held(), kCapacity) << "what is freed pays it back, whatever the purge delay";
    std::uint64_t const grants = g_budget.facts().grants;
    deallocate(allocate(100'000));
    EXPECT_EQ(g_budget.facts().grants, grants);
    test::free_blocks(blocks);
    test::expect_consistent();
  });
}

TEST(Waits, ObserveLetsEverybodyThrough) {
  test::in_a_child([] {
    CapacityLimits limits = patient(kMiB);
    limits.mode = Mode::observe;
    limits.on_exhausted = OnExhausted::abort;
    ASSERT_TRUE(start_engine({.limits = limits}));
    test::in_threads(3, [](int index) {
      std::vector<Block> blocks = test::make_blocks(3000, 1000, static_cast<std::uint64_t>(index));
      test::free_blocks(blocks);
    });
    EXPECT_EQ(g_budget.facts().waits, 0u);
    EXPECT_GT(g_budget.facts().observed_ns, 0u);
    EXPECT_GT(g_budget.facts().peak_held, 2 * kMiB) << "any of them alone has more";
    trim();
    test::expect_consistent();
  });
}

TEST(Waits, WhereNobodyMayBeHeldUp) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({.limits = patient()}));
    std::vector<Block> blocks = fill({100'000, 5000, 100});
    g_budget.configure(patient());
    forbid_waits();
    forbid_waits();
    allow_waits();
    for (std::size_t const size : {100u, 5000u, 300'000u}) {
      void* const p = allocate(size);
      EXPECT_NE(p, nullptr) << "let through, over the capacity";
      blocks.push_back({static_cast<char*>(p), size, size});
      test::write(blocks.back());
    }
    allow_waits();
    EXPECT_EQ(g_budget.facts().waits, 0u);
    CapacityLimits limits = patient();
    limits.backoff.patience_ns = 20'000'000;
    g_budget.configure(limits);
    EXPECT_EQ(allocate(300'000), nullptr);
    EXPECT_EQ(g_budget.facts().waits, 1u) << "and now it waits";
    test::free_blocks(blocks);
    test::expect_consistent();
  });
}

// --- all together ---

// A raised capacity, and the end of the process, let all go on: those who wait for pages and those who wait for a
// class.
TEST(Waits, AllAreLetGo) {
  for (bool const by_the_end : {false, true}) {
    test::in_a_child([by_the_end] {
      ASSERT_TRUE(start_engine(
          {.classes = {exactly(1000), exactly(4000, 2), exactly(100'000), exactly(kMiB, 1)}, .limits = patient()}));
      void* const a = allocate(4000);
      void* const b = allocate(4000);
      void* const c = allocate(kMiB);
      std::vector<Block> blocks = fill({100'000, 1000});
      g_budget.configure(patient());
      std::atomic<int> ended{0};
      std::vector<std::thread> threads;
      for (std::size_t const size : {1000u, 100'000u, 4000u, 1'048'576u}) {
        threads.emplace_back([&ended, size] {
          deallocate(allocate(size));
          ++ended;
        });
      }
      fake::only_wakes_end(kLongSleep);
      ASSERT_TRUE(soon([] { return g_budget.facts().waiting_now == 4; }) && all_asleep(4));
      EXPECT_EQ(ended, 0);
      fake::only_wakes_end(0);
      if (by_the_end) {
        g_budget.stop_waiting();
        EXPECT_TRUE(soon([&] { return ended == 4; })) << ended;
      } else {
        g_budget.configure(patient(2 * kCapacity));
        EXPECT_TRUE(soon([&] { return ended == 2; })) << "the classes are as full as before";
        deallocate(a);
        EXPECT_TRUE(soon([&] { return ended == 3; }));
        deallocate(c);
        EXPECT_TRUE(soon([&] { return ended == 4; }));
      }
      for (std::thread& thread : threads) thread.join();
      if (by_the_end) deallocate(a), deallocate(c);
      deallocate(b);
      test::free_blocks(blocks);
      test::expect_consistent();
    });
  }
}

// Who takes over an ended thread's heap starts with a clean account.
TEST(Waits, ANewThreadOwesNothing) {
  test::in_a_child([] {
    CapacityLimits limits = capacity_of(kCapacity, 10, OnExhausted::grant);
    limits.backoff.budget = 2;  // thousandths: 20 ms
    ASSERT_TRUE(start_engine({.limits = limits}));
    deallocate(allocate(64));
    std::vector<Block> blocks;
    Heap* its = nullptr;
    std::thread([&] {
      its = t_thread.own == nullptr ? own_heap() : t_thread.own;
      while (!its->account.spent && g_budget.held() < 4 * kCapacity) {
        blocks.push_back(test::make_blocks(1, 50'000, 1)[0]);
      }
      EXPECT_TRUE(its->account.spent);
      for (int i = 0; i < 5; ++i) free_one(blocks, 0);
      EXPECT_GT(its->account.credit, 0u);
      its->account.granted_left = kMiB;
    }).join();
    std::thread([&] {
      deallocate(allocate(64));
      ASSERT_EQ(t_thread.own, its) << "another heap: the test says nothing";
      ThreadAccount& account = its->account;
      EXPECT_FALSE(account.spent);
      EXPECT_EQ(account.fruitless_time.within(os::monotonic_ns()), 0u);
      EXPECT_EQ(account.granted_left, 0u);
      EXPECT_EQ(account.credit, 0u);
      EXPECT_EQ(account.fruitless, 0u);
      EXPECT_EQ(account.trust, 0);
      EXPECT_EQ(account.in_vain, 0u);
      EXPECT_FALSE(account.waiter.queued);
    }).join();
    test::free_blocks(blocks);
  });
}

// A thread that ends in the midst of a wait (it is cancelled in a signal handler, say) is in nobody's way: what it was
// granted comes back with its heap.
TEST(Waits, AThreadThatEndsInTheMidstOfIt) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({.limits = patient()}));
    std::vector<Block> blocks = fill({100'000});
    g_budget.configure(patient());
    std::uint64_t before = 0;
    Heap* its = nullptr;
    std::thread([&] {
      deallocate(allocate(64));
      its = t_thread.own;
      before = g_budget.held();
      // As it stands when its thread is gone: queued, and granted something.
      alignas(Wait) static char place[sizeof(Wait)];
      static Charge charge{.level = Level::within, .account = &its->account};
      EXPECT_FALSE(g_budget.try_charge(50 * kPage, charge));
      auto* const wait = new (place) Wait(g_budget, charge, {}, []() noexcept { return true; });
      EXPECT_EQ(wait->step(true), Verdict::again);
      g_budget.release(60 * kPage);
      EXPECT_EQ(g_budget.held(), before - 10 * kPage) << "50 are the waiter's";
    }).join();
    EXPECT_TRUE(g_budget.has_waiters());
    std::thread([&] {
      deallocate(allocate(64));
      EXPECT_EQ(t_thread.own, its);
      EXPECT_FALSE(g_budget.has_waiters());
      EXPECT_LE(g_budget.held(), before - 58 * kPage);
    }).join();
    g_budget.charge_anyhow(60 * kPage);
    test::free_blocks(blocks);
    trim();
  });
}

// A child that is forked while others wait: it has its thread alone, waits for nobody, and counts what is there. One of
// the others has been granted something, and has not taken it from the queue yet. (What it has taken and not used
// stands on its stack, and stays counted in the child.)
TEST(Waits, AChildOfManyWaiters) {
  for (bool const taken : {false}) {
    test::in_a_child([taken] {
      ASSERT_EQ(pthread_atfork(fork_prepare, fork_in_parent, fork_in_child), 0);
      ASSERT_TRUE(start_engine({.limits = patient(), .purge_delay_ms = 1u << 30}));
      std::atomic<bool> ready{false}, full{false}, queued{false}, go_on{false}, granted{false}, done{false};
      std::thread first([&] {
        deallocate(allocate(64));
        ready = true;
        while (!full) std::this_thread::yield();
        Charge charge{.level = Level::within, .account = &t_thread.own->account};
        EXPECT_FALSE(g_budget.try_charge(5 * kPage, charge));
        Wait wait(g_budget, charge, {}, []() noexcept { return true; });
        EXPECT_EQ(wait.step(true), Verdict::again);
        queued = true;
        while (!go_on) std::this_thread::yield();
        if (taken) {
          EXPECT_TRUE(wait.claim());
        }
        granted = true;
        while (!done) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      });
      ASSERT_TRUE(soon([&] { return ready.load(); }));
      std::vector<Block> blocks = fill({200'000, 5000, 1000});
      g_budget.configure(patient());
      full = true;
      ASSERT_TRUE(soon([&] { return queued.load(); }));
      std::atomic<int> got{0};
      std::vector<std::thread> threads;
      for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&got] {
          deallocate(allocate(500'000));
          ++got;
        });
      }
      ASSERT_TRUE(soon([] { return g_budget.facts().waiting_now == 4; }));
      free_one(blocks, 0);
      g_arena.purge(0);
      go_on = true;
      ASSERT_TRUE(soon([&] { return granted.load(); }));
      test::in_a_child([&] {
        EXPECT_TRUE(engine_is_valid()) << "the count is what is charged";
        EXPECT_EQ(g_budget.facts().waiting_now, 0u);
        EXPECT_FALSE(g_budget.has_waiters());
        test::free_blocks(blocks);
        trim();
        test::expect_consistent();
        EXPECT_LT(g_budget.held(), kMiB);
        std::vector<Block> own = fill({3000});
        EXPECT_GE(own.size() * ladder_step(3000), kCapacity * 8 / 10);
        test::free_blocks(own);
      });
      done = true;
      first.join();
      test::free_blocks(blocks);
      trim();
      for (std::thread& thread : threads) thread.join();
      EXPECT_EQ(got, 3);
      trim();
      test::expect_consistent();
    });
  }
}

// Producers and consumers of all sizes at a small capacity, under each policy, while the settings change: everybody
// gets through, nothing is lost, and in the end all of it is given back.
TEST(Waits, Storm) {
  for (OnExhausted const policy : {OnExhausted::enomem, OnExhausted::grant}) {
    test::in_a_child([policy] {
      CapacityLimits limits = capacity_of(kCapacity, policy == OnExhausted::grant ? 50 : 5, policy);
      limits.backoff.jitter = 500;
      limits.backoff.budget = 500;
      ASSERT_TRUE(start_engine({.limits = limits}));
      test::Mailbox box;
      std::atomic<int> producers{4};
      test::in_threads(7, [&](int index) {
        test::Random random(600 + static_cast<std::uint64_t>(index));
        Block block;
        if (index >= 4) {
          while (producers > 0 || box.size() > 0) {
            if (index == 6 && random.one_in(100)) {
              limits.capacity = random.one_in(2) ? kCapacity : kCapacity / 2;
              limits.soft = static_cast<std::uint32_t>(1 + random.below(1000));
              g_budget.configure(limits);
            }
            if (box.take(block)) {
              ASSERT_TRUE(test::intact(block));
              deallocate(block.at);
            } else {
              std::this_thread::sleep_for(std::chrono::microseconds(100));
            }
            if (index == 5 && random.one_in(200)) trim();
          }
          return;
        }
        for (int i = 0; i < test::rounds(3000); ++i) {
          std::size_t const size = random.skewed(random.one_in(30) ? 400'000 : 20'000);
          block = {static_cast<char*>(allocate(size)), size, random.next()};
          if (block.at == nullptr) {
            ASSERT_EQ(policy, OnExhausted::enomem);
            continue;
          }
          test::write(block);
          box.put(block);
        }
        --producers;
      });
      EXPECT_EQ(g_budget.facts().waiting_now, 0u);
      EXPECT_FALSE(g_budget.has_waiters());
      trim();
      EXPECT_EQ(test::census().all.live, 0u);
      EXPECT_LT(g_budget.held(), kMiB);
      test::expect_consistent();
    });
  }
}

}  // namespace
