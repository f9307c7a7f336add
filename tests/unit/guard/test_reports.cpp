// What is said of faults of which tests/faults has no program, and of accesses that have faulted: in unit tests nobody
// handles the signal, so the explanation is asked for by hand.
#include "../engine/fault_lines.hpp"
#include "engine/backtrace.hpp"
#include "engine/guarding.hpp"
#include "guard/blocks.hpp"
#include "guarded.hpp"

namespace {

using namespace stealth;
using test::text_of;

void write_at(char* at) {
  auto* const byte = static_cast<char volatile*>(at);
  *byte = static_cast<char>(~*byte);
}

// Two neighbours, the first of which lies before the other.
struct Pair {
  char *first, *second;
};
Pair neighbours(std::size_t size) {
  auto* const one = static_cast<char*>(allocate(size));
  auto* const other = static_cast<char*>(allocate(size));
  if (other == nullptr) return {};
  bool const are_neighbours = other - one > 0 && other - one < static_cast<std::ptrdiff_t>(2 * size + 32);
  return are_neighbours ? Pair{one, other} : neighbours(size);
}

class GuardReportsDeathTest : public testing::Test {
 protected:
  void TearDown() override { test::expect_sound(); }
};

TEST_F(GuardReportsDeathTest, InsideAFreedBlock) {
  auto* const p = static_cast<char*>(allocate(1000));
  EXPECT_FAULT((deallocate(p), deallocate(p + 16)), "invalid free: " + text_of(p + 16) +
                                                        " is 16 bytes inside the freed block at " + text_of(p) +
                                                        " of 1000 bytes (size class 1024)");
  EXPECT_FAULT(usable_size(p + 1), "invalid free: " + text_of(p + 1) + " is 1 bytes inside the block at " + text_of(p) +
                                       " of 1000 bytes (size class 1024)");
  EXPECT_FAULT(reallocate(p + 8, 50), "invalid free: " + text_of(p + 8) + " is 8 bytes inside the block at " +
                                          text_of(p) + " of 1000 bytes (size class 1024)");
  deallocate(p);
}

TEST_F(GuardReportsDeathTest, InsideASpan) {
  auto* const p = static_cast<char*>(allocate(100'000));
  std::string const inside = " bytes inside the block at " + text_of(p) + " of 100000 bytes";
  EXPECT_FAULT(reallocate(p + 16, 50), "invalid free: " + text_of(p + 16) + " is 16" + inside);
  EXPECT_FAULT(usable_size(p + 5), "invalid free: " + text_of(p + 5) + " is 5" + inside);
  deallocate(p);
}

// Where a slab has its records, its inaccessible pages, and no block yet.
TEST_F(GuardReportsDeathTest, WhereNoBlockIs) {
  auto* const p = static_cast<char*>(allocate(3000));
  constexpr std::size_t kSlabBytes = std::size_t{guard::kSlabSlots} * kSlot;
  char* const slab = p - g_arena.offset_of(p) % kSlabBytes;
  for (char* const at : {slab, slab + 16, slab + kSlabBytes - 16}) {
    EXPECT_FAULT(deallocate(at), "invalid free: " + text_of(at) + " was never handed out (size class 3072)");
    EXPECT_FAULT(reallocate(at, 1), "invalid free: " + text_of(at) + " was never handed out (size class 3072)");
  }
  deallocate(p);
}

TEST_F(GuardReportsDeathTest, DoubleFreeOfANothing) {
  void* const p = allocate(0);
  EXPECT_FAULT((deallocate(p), deallocate(p)),
               "double free: " + text_of(p) + " of 0 bytes (size class 16) is free already");
  EXPECT_FAULT(deallocate(static_cast<char*>(p) + 8), "invalid free: " + text_of(static_cast<char*>(p) + 8) +
                                                          " is 8 bytes inside the block at " + text_of(p) +
                                                          " of 0 bytes (size class 16)");
  deallocate(p);
}

// Two threads free the same block at once: one of them is told.
TEST_F(GuardReportsDeathTest, DoubleFreeByTwoThreadsAtOnce) {
  EXPECT_EXIT(
      {
        void* const p = allocate(100);
        test::in_threads(2, [&](int) { deallocate(p); });
      },
      testing::KilledBySignal(SIGABRT), "^stealth: double free: 0x[0-9a-f]+ of 100 bytes");
}

// A byte before a block whose neighbour is free: nobody else's end.
TEST_F(GuardReportsDeathTest, UnderflowBehindAFreedBlock) {
  Pair const pair = neighbours(2000);
  ASSERT_NE(pair.first, nullptr);
  EXPECT_FAULT((deallocate(pair.first), write_at(pair.second - 1), deallocate(pair.second)),
               "underflow: 1 bytes before the block at " + text_of(pair.second) +
                   " of 2000 bytes (size class 2048) were written");
  deallocate(pair.first);
  deallocate(pair.second);
}

// Found when the program ends, in blocks that are never freed: a live one, a freed one, the bytes behind a freed one.
TEST_F(GuardReportsDeathTest, FoundAtTheEnd) {
  auto* const p = static_cast<char*>(allocate(2000));
  EXPECT_FAULT((write_at(p + 2003), guard::check_everything()), "overflow: 4 bytes beyond the end of the block at " +
                                                                    text_of(p) +
                                                                    " of 2000 bytes (size class 2048) were written");
  EXPECT_FAULT((deallocate(p), write_at(p + 1999), guard::check_everything()),
               "write after free: byte 1999 of the freed block at " + text_of(p) +
                   " of 2000 bytes (size class 2048) was changed");
  EXPECT_FAULT((deallocate(p), write_at(p + 2047), guard::check_everything()),
               "write after free: byte 2047 of the freed block at " + text_of(p) +
                   " of 2000 bytes (size class 2048) was changed");
  deallocate(p);
  auto* const span = static_cast<char*>(allocate(50'001));
  EXPECT_FAULT((write_at(span - 1), guard::check_everything()),
               "underflow: 1 bytes before the block at " + text_of(span) + " of 50001 bytes were written");
  deallocate(span);
}

TEST_F(GuardReportsDeathTest, WriteAfterFreeIsFoundWhenTheBlockIsHandedOutAgain) {
  auto* const p = static_cast<char*>(allocate(700));
  auto const go_round = [] {
    for (int i = 0; i < 3000; ++i) deallocate(allocate(700));
  };
  EXPECT_FAULT(
      (deallocate(p), write_at(p + 600), go_round()),
      "write after free: byte 600 of the freed block at " + text_of(p) + " of 700 bytes (size class 768) was changed");
  deallocate(p);
}

// Of two slabs that are empty one goes back, and its blocks are looked at though nobody gets them any more.
TEST_F(GuardReportsDeathTest, WriteAfterFreeIsFoundWhenTheSlabGoesBack) {
  EXPECT_EXIT(
      {
        std::vector<char*> blocks;
        for (int i = 0; i < 2000; ++i) blocks.push_back(static_cast<char*>(allocate(700)));
        for (std::size_t i = 0; i < blocks.size(); ++i) {
          deallocate(blocks[i]);
          if (i == 500) write_at(blocks[i] + 9);  // in the second slab
        }
      },
      testing::KilledBySignal(SIGABRT), "^stealth: write after free: byte 9 of the freed block at 0x[0-9a-f]+ of 700");
}

// By the doors of C++ and C23 that tests/faults does not try.
TEST_F(GuardReportsDeathTest, WrongDoors) {
  Guard const& guard = *active_guard();
  auto* const p = static_cast<char*>(allocate(100));
  std::string const it = "mismatched free: " + text_of(p) + " of 100 bytes (size class 112) ";
  EXPECT_FAULT((guard.came_by(p, Door::new_array), deallocate(p)), it + "came by new[] and is freed by free");
  EXPECT_FAULT(slow_deallocate_as(p, Door::new_array), it + "came by malloc and is freed by delete[]");
  EXPECT_FAULT(slow_deallocate_as(p, Door::malloc, 99), it + "is freed as 99 bytes");
  EXPECT_FAULT(slow_deallocate_as(p, Door::malloc, 0), it + "is freed as 0 bytes");
  auto const address = reinterpret_cast<std::uintptr_t>(p);
  std::size_t const beyond = (address & -address) * 2;
  EXPECT_FAULT(slow_deallocate_as(p, Door::malloc, 100, beyond),
               it + "is freed as aligned to " + std::to_string(beyond) + ", which it is not");
  EXPECT_FAULT((deallocate(p), slow_deallocate_as(p, Door::new_object, 100)),
               "double free: " + text_of(p) + " of 100 bytes (size class 112) is free already");
  guard.came_by(p, Door::new_object);
  slow_deallocate_as(p, Door::new_object, 100, 16);
  slow_deallocate_as(nullptr, Door::new_array, 5);
}

// --- accesses that have faulted ---

std::string explained(void const* address) {
  testing::internal::CaptureStderr();
  guard::explain_access(address);
  return testing::internal::GetCapturedStderr();
}

TEST(GuardExplains, WhereAnAccessWas) {
  auto* const span = static_cast<char*>(allocate(100'000));
  std::string const it = "block at " + text_of(span) + " of 100000 bytes\n";
  EXPECT_EQ(explained(span - 10),
            "stealth: underflow: access to " + text_of(span - 10) + ", 10 bytes before the " + it);
  EXPECT_EQ(explained(span + 100'100),
            "stealth: overflow: access to " + text_of(span + 100'100) + ", 101 bytes beyond the end of the " + it);
  deallocate(span);
  EXPECT_EQ(explained(span - 10),
            "stealth: underflow: access to " + text_of(span - 10) + ", 10 bytes before the freed " + it);
  EXPECT_EQ(explained(span + 5),
            "stealth: use after free: access to " + text_of(span + 5) + ", 5 bytes inside the freed " + it);
  EXPECT_EQ(explained(span + 100'000),
            "stealth: overflow: access to " + text_of(span + 100'000) + ", 1 bytes beyond the end of the freed " + it);
}

// In front of a slab's blocks the nearest is the first.
TEST(GuardExplains, TheNearestBlock) {
  auto* const p = static_cast<char*>(allocate(10'000));
  constexpr std::size_t kSlabBytes = std::size_t{guard::kSlabSlots} * kSlot;
  char* const slab = p - g_arena.offset_of(p) % kSlabBytes;
  std::string const before = explained(slab), behind = explained(slab + kSlabBytes - 1);
  EXPECT_NE(before.find("stealth: underflow: access to " + text_of(slab)), std::string::npos) << before;
  EXPECT_NE(behind.find("stealth: overflow: access to " + text_of(slab + kSlabBytes - 1)), std::string::npos) << behind;
  deallocate(p);
}

TEST(GuardExplains, NothingOfWhatIsNotItsOwn) {
  int local = 0;
  EXPECT_EQ(explained(&local), "");
  EXPECT_EQ(explained(nullptr), "");
  EXPECT_EQ(explained(g_arena.memory_of(g_arena.run_at(0)) + g_arena.committed_bytes() + kSlot), "");
}

// --- who allocated and freed it ---

std::uintptr_t g_frame = 0;
int unwind(void** into, int) noexcept {
  into[0] = reinterpret_cast<void*>(g_frame);
  into[1] = reinterpret_cast<void*>(g_frame + 1);
  return 2;
}

TEST_F(GuardReportsDeathTest, StacksOfAllocationAndFree) {
  tell_stacks_by(unwind, {nullptr, nullptr});
  auto const as = [](std::uintptr_t frame, auto call) {
    g_frame = frame;
    return call();
  };
  char* p = nullptr;
  auto const get = [&] { p = static_cast<char*>(as(0x110, [] { return allocate(100); })); };
  get();
  std::string const it = text_of(p) + " of 100 bytes (size class 112)";
  EXPECT_FAULT((as(0x220, [&] { deallocate(p); }), as(0x330, [&] { deallocate(p); })),
               "double free: " + it +
                   " is free already\nstealth:   allocated by 0x110 0x111\n"
                   "stealth:   freed by 0x220 0x221\nstealth:   found by 0x330 0x331");
  EXPECT_FAULT((write_at(p + 100), as(0x330, [&] { deallocate(p); })),
               "overflow: 1 bytes beyond the end of the block at " + it +
                   " were written\nstealth:   allocated by 0x110 0x111\nstealth:   freed by 0x330 0x331\n"
                   "stealth:   found by 0x330 0x331");
  deallocate(p);
  tell_stacks_by(nullptr, {nullptr, nullptr});
}

}  // namespace
