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
              "^stealth: double free: ");
  EXPECT_EXIT((deallocate(p), static_cast<void>(reallocate(p, 10))), testing::KilledBySignal(SIGABRT),
              "^stealth: double free: ");
  deallocate(p);
}

}  // namespace
