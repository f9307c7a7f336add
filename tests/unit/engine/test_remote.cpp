// Blocks that other threads free: batched, posted, drained; every one comes back, whoever has ended in the meantime.
#include "engine.hpp"

namespace {

using namespace stealth;
using test::Block;
using test::census;
using test::expect_consistent;

class Remote : public testing::Test {
 protected:
  void SetUp() override {
    trim();
    live_ = census().all.live;
    held_ = g_budget.held();
  }
  void TearDown() override {
    trim();
    EXPECT_EQ(census().all.live, live_) << "a block was lost, or counted twice";
    EXPECT_LE(g_budget.held(), held_);
    expect_consistent();
  }
  std::uint64_t live_ = 0, held_ = 0;
};

TEST_F(Remote, FreedByAnother) {
  for (std::size_t const size : {16u, 100u, 1000u, 5000u, 32768u}) {
    std::vector<Block> blocks = test::make_blocks(3000, size, size);
    std::thread([&] { test::free_blocks(blocks); }).join();
    EXPECT_TRUE(engine_is_valid());
    trim();
    EXPECT_EQ(census().in_use(size), 0u) << size;
    EXPECT_EQ(census().slabs(size), 0u) << size;
  }
}

TEST_F(Remote, WhatTheOwnerGetsBackItUses) {
  for (int round = 0; round < 30; ++round) {
    std::vector<Block> blocks = test::make_blocks(2000, 512, 1);
    std::thread([&] { test::free_blocks(blocks); }).join();
  }
  EXPECT_LE(g_budget.held(), held_ + 3 * 2000 * 512) << "fresh slabs every time, though the old ones were free";
}

TEST_F(Remote, TheOwnerHasEnded) {
  std::vector<Block> blocks;
  std::thread([&] { blocks = test::make_blocks(3000, 200, 2); }).join();
  std::thread([&] { test::free_blocks(blocks); }).join();
  std::thread([&] { blocks = test::make_blocks(3000, 200, 3); }).join();
  test::free_blocks(blocks);
}

// A batch that is not full stays with the thread that freed, and is found there when it has ended.
TEST_F(Remote, SingleBlocksInBatches) {
  std::vector<Block> blocks = test::make_blocks(5, 24, 4);
  for (Block const& block : blocks) std::thread([&] { deallocate(block.at); }).join();
  trim();
  EXPECT_EQ(census().in_use(24), 0u);
  blocks = test::make_blocks(1, 24, 4);
  test::in_threads(2, [&](int index) {
    if (index == 0) deallocate(blocks[0].at);
  });
}

TEST_F(Remote, BatchesAreBounded) {
  std::vector<Block> blocks = test::make_blocks(20'000, 64, 5);
  std::uint64_t posted_late = 0;
  std::thread([&] {
    test::free_blocks(blocks);
    EXPECT_TRUE(t_thread.heap->is_valid());
    for (RemoteBatch const& batch : t_thread.heap->batches) {
      if (batch.start == nullptr) continue;
      std::uint32_t length = 0;
      for (FreeBlock const* block = batch.head; block != nullptr; block = block->next) ++length;
      EXPECT_LE(length, kBatchBlocks);
      EXPECT_LE(length * 64, kBatchBytes);
      EXPECT_EQ(length, kBatchBytes / 64 - batch.room);
      posted_late += length;
    }
    posted_late += t_thread.heap->outgoing_bytes / 64;
  }).join();
  EXPECT_LE(posted_late, (kBatches * kBatchBytes + kOutgoingBytes) / 64);
}

// One heap after the other of many more than there are places for what goes out.
TEST_F(Remote, MoreOwnersThanPlaces) {
  constexpr std::size_t kOwners = kOutgoing * 3;
  std::vector<std::vector<Block>> blocks(kOwners);
  std::barrier made(kOwners);
  test::in_threads(static_cast<int>(kOwners), [&](int index) {
    for (std::size_t const size : {16u, 48u, 3000u, 20'000u}) {
      std::vector<Block> const more = test::make_blocks(100, size, static_cast<std::uint64_t>(index));
      auto& mine = blocks[static_cast<std::size_t>(index)];
      mine.insert(mine.end(), more.begin(), more.end());
    }
    made.arrive_and_wait();
  });
  test::Random random(17);
  std::vector<Block> all;
  for (auto const& some : blocks) all.insert(all.end(), some.begin(), some.end());
  for (std::size_t i = all.size() - 1; i > 0; --i) std::swap(all[i], all[random.below(i + 1)]);
  std::thread([&] {
    for (Block const& block : all) {
      deallocate(block.at);
      ASSERT_TRUE(t_thread.heap->is_valid());
    }
  }).join();
}

// One block of each of many slabs: chains as short as can be, of which the places for what goes out take so many.
TEST_F(Remote, ChainsAreBounded) {
  std::size_t const in_slab = g_classes.classes[serving_class(128)].capacity;
  std::vector<Block> blocks = test::make_blocks(3 * (kBatches + kOutgoingChains) * in_slab, 128, 6);
  std::vector<Block> rest;
  std::uint32_t most = 0;
  std::thread([&] {
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (i % in_slab != 0) {
        rest.push_back(blocks[i]);
        continue;
      }
      deallocate(blocks[i].at);
      ASSERT_TRUE(t_thread.heap->is_valid());
      for (Outgoing const& out : t_thread.heap->outgoing) most = std::max(most, out.chains);
    }
  }).join();
  EXPECT_EQ(most, kOutgoingChains);
  test::free_blocks(rest);
}

// The owner does nothing but drain, while two post one block after the other: none falls in between.
TEST_F(Remote, DrainedAllTheTime) {
  constexpr std::size_t kBlocks = 2000;
  for (int round = 0; round < test::rounds(20); ++round) {
    std::vector<Block> blocks = test::make_blocks(2 * kBlocks, kBatchBytes, 7);
    std::atomic<int> posting{2};
    std::vector<std::thread> posters;
    for (std::size_t from : {std::size_t{0}, kBlocks}) {
      posters.emplace_back([&, from] {
        for (std::size_t i = from; i < from + kBlocks; ++i) deallocate(blocks[i].at);
        --posting;
      });
    }
    Heap& own = *t_thread.own;
    while (posting != 0) {
      Hold hold(own.lock);
      for (int i = 0; i < 100; ++i) own.drain();
    }
    for (std::thread& poster : posters) poster.join();
    trim();
    ASSERT_EQ(census().in_use(kBatchBytes), 0u) << "a block was lost";
  }
}

// Everybody's blocks go to everybody.
TEST_F(Remote, ManyThreadsManyOwners) {
  for (std::size_t const most : {std::size_t{64}, std::size_t{2000}, std::size_t{40'000}}) {
    constexpr int kThreads = 6;
    test::Mailbox boxes[kThreads];
    std::atomic<int> busy{kThreads};
    test::in_threads(kThreads, [&](int index) {
      test::Random random(100 + static_cast<std::uint64_t>(index));
      auto& mine = boxes[index];
      Block block;
      for (int i = 0; i < test::rounds(20'000); ++i) {
        std::size_t const size = random.skewed(most);
        block = {static_cast<char*>(allocate(size)), size, random.next()};
        ASSERT_NE(block.at, nullptr);
        test::write(block);
        boxes[random.below(kThreads)].put(block);
        while ((mine.size() > 50 || random.one_in(2)) && mine.take(block)) {
          ASSERT_TRUE(test::intact(block));
          deallocate(block.at);
        }
      }
      --busy;
      while (busy > 0) std::this_thread::yield();
      while (mine.take(block)) {
        ASSERT_TRUE(test::intact(block));
        deallocate(block.at);
      }
    });
    trim();
    EXPECT_EQ(census().all.live, live_) << most;
    EXPECT_TRUE(engine_is_valid());
  }
}

// One makes, one frees, for long: memory stays at what is on its way.
TEST_F(Remote, AStreamThatStaysSmall) {
  test::Mailbox box;
  std::atomic<bool> done{false};
  std::uint64_t peak = 0;
  test::in_threads(2, [&](int index) {
    if (index == 0) {
      for (int i = 0; i < test::rounds(200'000); ++i) {
        Block const block{static_cast<char*>(allocate(512)), 512, 0};
        ASSERT_NE(block.at, nullptr);
        block.at[0] = 1;
        while (box.size() > 1000) std::this_thread::yield();
        box.put(block);
        peak = std::max(peak, g_budget.held());
      }
      done = true;
      return;
    }
    Block block;
    while (!done || box.size() > 0) {
      if (box.take(block)) deallocate(block.at);
    }
  });
  EXPECT_LE(peak, held_ + 6 * kMiB) << "half a MiB was on its way";
}

// The same few slabs, from many sides at once: posts onto posts, and drains in between.
TEST_F(Remote, OneSlabFromManySides) {
  constexpr int kThreads = 5;
  std::atomic<void*> slots[64] = {};
  std::atomic<int> busy{kThreads - 1};
  test::in_threads(kThreads, [&](int index) {
    test::Random random(200 + static_cast<std::uint64_t>(index));
    if (index == 0) {  // the owner
      while (busy > 0) {
        for (auto& slot : slots) {
          if (slot.load(std::memory_order_relaxed) != nullptr) continue;
          void* const p = allocate(2048);
          ASSERT_NE(p, nullptr);
          std::memset(p, 0x77, 2048);
          void* expected = nullptr;
          if (!slot.compare_exchange_strong(expected, p)) deallocate(p);
        }
        std::this_thread::yield();
      }
    } else {
      int freed = 0;
      for (int tries = 0; freed < test::rounds(20'000) && tries < 100'000'000; ++tries) {
        void* const p = slots[random.below(std::size(slots))].exchange(nullptr);
        if (p == nullptr) {
          std::this_thread::yield();
          continue;
        }
        ASSERT_EQ(*static_cast<unsigned char*>(p), 0x77);
        std::memset(p, 0x11, 2048);
        deallocate(p);
        ++freed;
      }
      --busy;
    }
  });
  for (auto& slot : slots) deallocate(slot.load());
}

// Trims by others, while blocks fly: the owner's lists are its own.
TEST_F(Remote, TrimsInBetween) {
  test::Mailbox boxes[3];
  std::atomic<int> busy{3};
  test::in_threads(4, [&](int index) {
    if (index == 3) {
      while (busy > 0) {
        trim();
        std::this_thread::sleep_for(std::chrono::microseconds(300));
      }
      return;
    }
    test::Random random(300 + static_cast<std::uint64_t>(index));
    Block block;
    for (int i = 0; i < test::rounds(20'000); ++i) {
      std::size_t const size = random.skewed(random.one_in(30) ? 100'000 : 3000);
      block = {static_cast<char*>(allocate(size)), size, random.next()};
      ASSERT_NE(block.at, nullptr);
      test::write(block);
      boxes[random.below(3)].put(block);
      while (boxes[index].size() > 40 && boxes[index].take(block)) {
        ASSERT_TRUE(test::intact(block));
        deallocate(block.at);
      }
    }
    --busy;
  });
  for (auto& box : boxes) {
    for (Block block; box.take(block);) {
      EXPECT_TRUE(test::intact(block));
      deallocate(block.at);
    }
  }
}

}  // namespace
