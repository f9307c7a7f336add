// Where memory is short, a free block of a somewhat larger class serves: it costs no page.
#include "engine.hpp"

namespace {

using namespace stealth;
using test::Block;
using test::census;
using test::exactly;
using test::start_engine;

void* take_larger(std::size_t size, std::size_t alignment = kMinAlignment) {
  Heap* const heap = t_thread.own;
  Hold hold(heap->lock);
  return heap->take_larger(serving_class(size), alignment);
}

// Leaves free blocks of that size in the thread's slabs, and of no other.
std::vector<Block> free_blocks_of(std::size_t size) {
  std::vector<Block> kept;
  std::vector<Block> blocks = test::make_blocks(64, size, size);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (i % 2 == 0) {
      deallocate(blocks[i].at);
    } else {
      kept.push_back(blocks[i]);
    }
  }
  trim();
  return kept;
}

TEST(Larger, OfTheNextClasses) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    std::vector<Block> kept = free_blocks_of(96);
    std::uint64_t const held = g_budget.held(), in_use = census().in_use(96);
    for (std::size_t const size : {49u, 64u, 80u}) {
      auto* const p = static_cast<char*>(take_larger(size));
      ASSERT_NE(p, nullptr) << size;
      EXPECT_EQ(usable_size(p), 96u);
      EXPECT_EQ(census().in_use(96), in_use + 1);
      std::memset(p, 0x5A, 96);
      auto const* const grown = static_cast<char*>(reallocate(p, 95));
      EXPECT_EQ(grown, p) << "it has the room";
      EXPECT_EQ(p[94], 0x5A);
      deallocate(p);
      EXPECT_EQ(census().in_use(96), in_use) << "freed to its own class";
      EXPECT_EQ(census().in_use(size), 0u);
    }
    EXPECT_EQ(g_budget.held(), held) << "no page was charged";
    test::expect_consistent();
    test::free_blocks(kept);
  });
}

TEST(Larger, OnlySomewhat) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    std::vector<Block> kept = free_blocks_of(160);
    EXPECT_EQ(take_larger(64), nullptr) << "more than twice its size";
    EXPECT_EQ(take_larger(160), nullptr) << "its own class is none of this";
    EXPECT_EQ(take_larger(500), nullptr) << "nor are smaller ones";
    EXPECT_EQ(take_larger(kMaxSmall), nullptr) << "there is none";
    void* const p = take_larger(80);
    EXPECT_NE(p, nullptr);
    deallocate(p);
    test::free_blocks(kept);
  });
}

TEST(Larger, TheAlignmentIsKept) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    std::vector<Block> kept = free_blocks_of(96);
    EXPECT_EQ(take_larger(64, 64), nullptr) << "blocks of 96 bytes are not aligned to 64";
    void* p = take_larger(64, 32);
    EXPECT_TRUE(p != nullptr && test::aligned_to(p, 32));
    deallocate(p);
    std::vector<Block> more = free_blocks_of(128);
    for (std::size_t alignment = 16; alignment <= 128; alignment *= 2) {
      p = take_larger(64, alignment);
      EXPECT_TRUE(p != nullptr && test::aligned_to(p, alignment));
      EXPECT_EQ(usable_size(p), alignment <= 32 ? 96u : 128u) << "the smallest that does";
      deallocate(p);
      trim();
    }
    test::free_blocks(kept);
    test::free_blocks(more);
  });
}

// Classes with a max are counted exactly: their blocks are nobody else's.
TEST(Larger, NotOfSharedClasses) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({.classes = {exactly(64), exactly(96, 1000), exactly(112, 0, 50), exactly(128)}}));
    std::vector<Block> kept = free_blocks_of(96);
    deallocate(allocate(64));
    EXPECT_EQ(take_larger(64), nullptr);
    std::vector<Block> more = free_blocks_of(128);
    void* const p = take_larger(64);
    EXPECT_EQ(usable_size(p), 128u);
    deallocate(p);
    test::free_blocks(kept);
    test::free_blocks(more);
  });
}

// What others have freed, and nobody has collected yet, is there for it, too.
TEST(Larger, WhatOthersHaveFreed) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    std::vector<Block> blocks = test::make_blocks(300, 96, 1);
    std::thread([&] { test::free_blocks(blocks); }).join();
    trim();  // makes the ended thread post what it had left
    blocks = test::make_blocks(300, 96, 2);
    std::atomic<bool> done{false};
    std::thread other([&] {
      for (std::size_t i = 0; i < blocks.size(); i += 2) deallocate(blocks[i].at);
      done = true;
      while (done) std::this_thread::yield();
    });
    ASSERT_TRUE(test::soon([&] { return done.load(); }));
    t_thread.own->bins[serving_class(96)].head == nullptr ? void() : t_thread.own->flush_bin(serving_class(96));
    void* const p = take_larger(80);
    EXPECT_NE(p, nullptr);
    deallocate(p);
    done = false;
    other.join();
  });
}

// At the capacity malloc itself does so: before anybody waits, let alone is refused.
TEST(Larger, AtTheCapacity) {
  test::in_a_child([] {
    constexpr std::uint64_t kCapacity = 4 * kMiB;
    ASSERT_TRUE(start_engine({.limits = test::capacity_of(kCapacity, 0, OnExhausted::enomem)}));
    std::vector<Block> blocks;
    while (auto* const p = static_cast<char*>(allocate(112))) {
      blocks.push_back({p, 112, blocks.size()});
      test::write(blocks.back());
    }
    std::vector<Block> kept;
    std::size_t freed = 0;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (i % 50 != 0) {
        kept.push_back(blocks[i]);
      } else {
        deallocate(blocks[i].at);
        ++freed;
      }
    }
    std::uint64_t const refusals = g_budget.facts().refusals, held = g_budget.held();
    std::vector<Block> served;
    for (std::size_t i = 0; i < freed; ++i) {
      auto* const p = static_cast<char*>(allocate(i % 2 == 0 ? 60 : 90));
      ASSERT_NE(p, nullptr) << i << " of " << freed;
      served.push_back({p, 60, 1000 + i});
      test::write(served.back());
    }
    EXPECT_EQ(g_budget.facts().refusals, refusals);
    EXPECT_LE(g_budget.held(), held) << "every page has live blocks on it";
    EXPECT_EQ(allocate(60), nullptr);
    test::expect_consistent();
    test::free_blocks(served);
    test::free_blocks(kept);
    test::expect_consistent();
    trim();
    EXPECT_EQ(census().all.live, 0u);
  });
}

}  // namespace
