// What the slow path can see of a broken program: one line that names the pointer and what it was, then the end.
#include "engine.hpp"
#include "fault_lines.hpp"

namespace {

using namespace stealth;
using test::text_of;

class FaultsDeathTest : public testing::Test {
 protected:
  // A block of another thread's heap.
  static char* foreign(std::size_t size) {
    void* p = nullptr;
    std::thread([&] { p = allocate(size); }).join();
    return static_cast<char*>(p);
  }
};

// The slow path sees the last block that went back to its slab. The thread's list is made to look full.
TEST_F(FaultsDeathTest, DoubleFreeOfASmallBlock) {
  std::vector<void*> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(allocate(64));
  Bin& bin = t_thread.heap->bins[serving_class(64)];
  void* const p = blocks[0];
  auto const free_slowly = [&] {
    while (bin.head != nullptr) static_cast<void>(allocate(64));
    bin.room = 0;
    deallocate(p);
  };
  EXPECT_FAULT((free_slowly(), free_slowly()), "double free: " + text_of(p) + " is free already (size class 64)");
}

// The batch that a thread collects of another's blocks is asked, too.
TEST_F(FaultsDeathTest, DoubleFreeOfAForeignBlock) {
  void *first = nullptr, *second = nullptr;
  std::thread([&] { first = allocate(64), second = allocate(64); }).join();
  EXPECT_FAULT((deallocate(first), deallocate(first)),
               "double free: " + text_of(first) + " is free already (size class 64)");
  EXPECT_FAULT((deallocate(first), deallocate(second), deallocate(second)),
               "double free: " + text_of(second) + " is free already (size class 64)");
  EXPECT_FAULT((deallocate(first), deallocate(second), deallocate(first)),
               "double free: " + text_of(first) + " is free already (size class 64)");
  deallocate(first);
  deallocate(second);
}

TEST_F(FaultsDeathTest, DoubleFreeOfASpan) {
  void* const p = allocate(100'000);
  EXPECT_FAULT((deallocate(p), deallocate(p)),
               "double free: " + text_of(p) +
                   " is not allocated: a large allocation freed before, or a block of a slab that was "
                   "given back");
  deallocate(p);
}

TEST_F(FaultsDeathTest, DoubleFreeAfterTheSlabIsGone) {
  EXPECT_EXIT(
      {
        trim();
        void* const p = allocate(20'000);
        deallocate(p);
        trim();
        deallocate(p);
      },
      testing::KilledBySignal(SIGABRT), "^stealth: double free: 0x[0-9a-f]+ is not allocated: .*given back\n$");
}

TEST_F(FaultsDeathTest, InsideASpan) {
  auto* const p = static_cast<char*>(allocate(100'000));
  EXPECT_FAULT(deallocate(p + 100),
               "invalid free: " + text_of(p + 100) + " is 100 bytes inside the large allocation at " + text_of(p));
  EXPECT_FAULT(usable_size(p + 16),
               "invalid free: " + text_of(p + 16) + " is 16 bytes inside the large allocation at " + text_of(p));
  EXPECT_FAULT(reallocate(p + 16, 10),
               "invalid free: " + text_of(p + 16) + " is 16 bytes inside the large allocation at " + text_of(p));
  EXPECT_FAULT(deallocate(p + 5 * kSlot), "invalid free: " + text_of(p + 5 * kSlot) + " is " +
                                              std::to_string(5 * kSlot) + " bytes inside the large allocation at " +
                                              text_of(p));
  deallocate(p);
}

TEST_F(FaultsDeathTest, InsideABlock) {
  char* const p = foreign(160);
  EXPECT_FAULT(deallocate(p + 8), "invalid free: " + text_of(p + 8) + " is 8 bytes inside the block at " + text_of(p) +
                                      " (size class 160)");
  deallocate(p);
}

TEST_F(FaultsDeathTest, NeverHandedOut) {
  char* const p = foreign(640);
  std::size_t const slot = g_arena.offset_of(p) >> kSlotShift;
  SizeClass const& c = g_classes.classes[serving_class(640)];
  Slab const* const slab = slab_at(slot, c);
  ASSERT_LT(slab->carved, c.capacity);
  char* const beyond = g_arena.memory_of(slab) + std::size_t{slab->carved} * c.block;
  std::string const line = "invalid free: " + text_of(beyond) + " was never handed out (size class 640)";
  EXPECT_FAULT(deallocate(beyond), line);
  EXPECT_FAULT((deallocate(p), deallocate(beyond)), line) << "into a batch that is begun";
  deallocate(p);
}

TEST_F(FaultsDeathTest, Foreign) {
  alignas(16) static char local[64];
  EXPECT_FAULT(deallocate(local), "invalid free: " + text_of(local) + " was never handed out");
  EXPECT_FAULT(reallocate(local, 10), "invalid free: " + text_of(local) + " was never handed out");
  deallocate(nullptr);
  EXPECT_EQ(usable_size(local), 0u) << "a foreign pointer's size is the next allocator's business";
  EXPECT_EQ(usable_size(nullptr), 0u);
}

TEST_F(FaultsDeathTest, FreedSpansHaveNoSizeAndCannotGrow) {
  void* const p = allocate(100'000);
  EXPECT_EXIT((deallocate(p), static_cast<void>(usable_size(p))), testing::KilledBySignal(SIGABRT),
              "^stealth: use after free: ");
  EXPECT_EXIT((deallocate(p), static_cast<void>(reallocate(p, 10))), testing::KilledBySignal(SIGABRT),
              "^stealth: use after free: ");
  deallocate(p);
}

// What the thread's list shows when it is full: the other half of it goes back to its slabs.
class FullListDeathTest : public FaultsDeathTest {
 protected:
  void SetUp() override {
    for (void*& block : blocks_) block = allocate(64);
  }
  void TearDown() override {
    for (void* const block : blocks_) deallocate(block);
  }
  [[nodiscard]] char* block(int i) const { return static_cast<char*>(blocks_[i]); }
  // One more block than the list has room for.
  static void free_into_full_list(void* p) {
    t_thread.heap->bins[serving_class(64)].room = 0;
    deallocate(p);
  }
  static void write(void* p) { std::memcpy(p, "Trust me", 8); }

 private:
  void* blocks_[10];
};

TEST_F(FullListDeathTest, TheBlockAtItsHead) {
  EXPECT_FAULT((deallocate(block(0)), free_into_full_list(block(0))),
               "double free: " + text_of(block(0)) + " is free already (size class 64)");
}

TEST_F(FullListDeathTest, ABlockTwiceInARow) {
  EXPECT_FAULT((deallocate(block(0)), deallocate(block(0)), deallocate(block(1)), free_into_full_list(block(2))),
               "double free: " + text_of(block(0)) + " is free already (size class 64)");
}

TEST_F(FullListDeathTest, ABlockTwiceWithOneBetween) {
  EXPECT_FAULT((deallocate(block(0)), deallocate(block(1)), deallocate(block(0)), free_into_full_list(block(2))),
               "double free: " + text_of(block(0)) + " is free already (size class 64)");
}

TEST_F(FullListDeathTest, WrittenTo) {
  EXPECT_FAULT((deallocate(block(0)), write(block(0)), deallocate(block(1)), free_into_full_list(block(2))),
               "corrupted free list: the free block at " + text_of(block(0)) +
                   " (size class 64) leads to 0x656d207473757254, where there is no block");
}

// Of a block that was handed out again: nobody knows any more who led there.
TEST_F(FullListDeathTest, WrittenToAndHandedOut) {
  EXPECT_FAULT((deallocate(block(0)), write(block(0)), static_cast<void>(allocate(64)), free_into_full_list(block(2))),
               "corrupted free list: it begins with 0x656d207473757254, where there is no block");
}

TEST_F(FullListDeathTest, APointerInsideABlock) {
  EXPECT_FAULT((deallocate(block(0) + 8), free_into_full_list(block(2))), "invalid free: " + text_of(block(0) + 8) +
                                                                              " is 8 bytes inside the block at " +
                                                                              text_of(block(0)) + " (size class 64)");
  EXPECT_FAULT((deallocate(block(0) + 8), deallocate(block(1)), free_into_full_list(block(2))),
               "corrupted free list: the free block at " + text_of(block(1)) + " (size class 64) leads to " +
                   text_of(block(0) + 8) + ", 8 bytes inside the block at " + text_of(block(0)) +
                   ", which was freed, or written there");
}

// Blocks that lie in a slab's chain.
class SlabChainDeathTest : public FaultsDeathTest {
 protected:
  static constexpr std::size_t kBlock = 256;
  void SetUp() override {
    std::vector<void*> blocks;
    for (int i = 0; i < 256; ++i) blocks.push_back(allocate(kBlock));
    kept_ = blocks.back();
    blocks.pop_back();
    for (void* const block : blocks) deallocate(block);
    trim();
  }
  void TearDown() override { deallocate(kept_); }
  // The n-th of them.
  [[nodiscard]] FreeBlock* free_block(int n) const {
    Slab const* const slab = slab_at(g_arena.offset_of(kept_) >> kSlotShift, g_classes.classes[serving_class(kBlock)]);
    EXPECT_GT(slab->chained(), 10u);
    FreeBlock* block = slab->free;
    for (int i = 0; i < n; ++i) block = block->next;
    return block;
  }
  static void hollow_out() {
    Hold hold(t_thread.own->lock);
    static_cast<void>(t_thread.own->hollow_out(0, ~std::uint32_t{0}));
  }
  static void allocate_all() {
    for (int i = 0; i < 1000; ++i) static_cast<void>(allocate(kBlock));
  }
  static std::string line(FreeBlock const* block, std::string const& leads_to) {
    return "corrupted free list: the free block at " + text_of(block) + " (size class 256) leads to " + leads_to;
  }

 private:
  void* kept_ = nullptr;
};

TEST_F(SlabChainDeathTest, WhenItsPagesAreLookedThrough) {
  for (int const n : {0, 3}) {
    FreeBlock* const block = free_block(n);
    EXPECT_FAULT((std::memcpy(block, "Trust me", 8), hollow_out()),
                 line(block, "0x656d207473757254, where there is no block"));
    EXPECT_FAULT((std::memset(block, 0, 8), hollow_out()), line(block, "nothing, where another should follow"));
    EXPECT_FAULT((block->next = free_block(0), hollow_out()),
                 "double free: " + text_of(free_block(0)) + " is free already (size class 256)");
  }
}

TEST_F(SlabChainDeathTest, WhenItIsHandedOut) {
  FreeBlock* const block = free_block(0);
  EXPECT_FAULT((std::memcpy(block, "Trust me", 8), allocate_all()),
               line(block, "0x656d207473757254, where there is no block"));
  EXPECT_FAULT((std::memset(block, 0, 8), allocate_all()), line(block, "nothing, where another should follow"));
}

// What a signal handler has freed, and the next slow path takes in.
TEST_F(FaultsDeathTest, WrittenToBeforeItIsTakenIn) {
  void* const p = allocate(64);
  auto const free_in_handler = [&] {
    t_thread.busy = true;
    t_thread.heap = &g_no_heap;
    deallocate(p);
    t_thread.heap = t_thread.own;
    t_thread.busy = false;
    std::memcpy(p, "Trust me", 8);
    static_cast<void>(allocate(kMaxListed + 1));
  };
  EXPECT_FAULT(free_in_handler(), "corrupted free list: the free block at " + text_of(p) +
                                      " (size class 64) leads to 0x656d207473757254, where there is no block");
  deallocate(p);
}

// More of a slab's blocks come home than are out.
TEST_F(FaultsDeathTest, ChainsWithABlockTwice) {
  SizeClass const& c = g_classes.classes[serving_class(512)];
  auto const free_all = [&] {
    std::vector<void*> blocks;
    for (std::uint32_t i = 0; i < 2 * c.capacity; ++i) blocks.push_back(allocate(512));
    std::thread([&] {
      for (void* const block : blocks) deallocate(block);
      for (void* const block : blocks) deallocate(block);
    }).join();
    trim();
  };
  EXPECT_EXIT(free_all(), testing::KilledBySignal(SIGABRT), "^stealth: (double free|corrupted free list): ");
}

}  // namespace
