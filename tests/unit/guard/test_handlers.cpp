// A signal handler that interrupts its thread's slow path may free: nothing is written into the block meanwhile, and
// the next call of any thread frees it.
#include "guarded.hpp"

namespace {

using namespace stealth;
using test::Owned;

// As a handler finds its thread.
void free_while_busy(void* p) {
  Busy const busy;
  deallocate(p);
}

// One that takes all of the slow path.
void call_slowly() { deallocate(allocate(100'000)); }

TEST(GuardHandlers, FreesAreDeferred) {
  std::uint64_t const live = test::live();
  for (std::size_t const size : {0u, 1u, 4u, 7u, 8u, 24u, 5000u, 100'000u}) {
    Owned const block = test::own_fresh(size);
    free_while_busy(block.at);
    EXPECT_TRUE(block.holds()) << size << ": written to";
    EXPECT_GT(test::live(), live) << size;
    std::thread(call_slowly).join();
    EXPECT_EQ(test::live(), live) << size;
  }
  test::expect_sound();
}

TEST(GuardHandlers, ManyAtOnce) {
  std::uint64_t const live = test::live();
  std::vector<Owned> blocks = test::own_many(60, 4);
  for (Owned const& block : blocks) free_while_busy(block.at);
  for (Owned const& block : blocks) EXPECT_TRUE(block.holds());
  call_slowly();
  EXPECT_EQ(test::live(), live);
  // There is room for 64: the others stay with the program. None is damaged, and none is freed twice.
  blocks = test::own_many(500, 4);
  for (Owned const& block : blocks) free_while_busy(block.at);
  call_slowly();
  EXPECT_EQ(test::live(), live + (500 - 64) * 16);
  test::expect_sound();
}

TEST(GuardHandlersDeathTest, ASecondFreeIsFoundLater) {
  void* const p = allocate(4);
  EXPECT_EXIT((free_while_busy(p), free_while_busy(p), call_slowly()), testing::KilledBySignal(SIGABRT),
              "^stealth: double free: 0x[0-9a-f]+ of 4 bytes");
  deallocate(p);
}

}  // namespace
