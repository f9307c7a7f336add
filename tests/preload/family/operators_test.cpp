// Every operator new and delete, and the part that the new-handler plays.
#include <cstdint>
#include <new>

#include "../support/gtest_main.h"

namespace {

constexpr std::align_val_t kAlign{256};
constexpr std::size_t kHuge = std::size_t{1} << 60U;  // no overflow, yet nobody has it

TEST(New, EachFormWithEachDelete) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{5000}, std::size_t{1} << 20U}) {
    operator delete(operator new(size));
    operator delete(operator new(size), size);
    operator delete(operator new(size, std::nothrow), std::nothrow);
    operator delete[](operator new[](size));
    operator delete[](operator new[](size), size);
    operator delete[](operator new[](size, std::nothrow), std::nothrow);
    operator delete(operator new(size, kAlign), kAlign);
    operator delete(operator new(size, kAlign), size, kAlign);
    operator delete(operator new(size, kAlign, std::nothrow), kAlign, std::nothrow);
    operator delete[](operator new[](size, kAlign), kAlign);
    operator delete[](operator new[](size, kAlign), size, kAlign);
    operator delete[](operator new[](size, kAlign, std::nothrow), kAlign, std::nothrow);
  }
}

TEST(New, GivesDistinctAlignedBlocksAlsoOfNothing) {
  void* one = operator new(opaque(0));
  void* two = operator new[](opaque(0));
  EXPECT_NE(one, nullptr);
  EXPECT_NE(one, two);
  EXPECT_TRUE(aligned_to(one, 16));
  operator delete(one);
  operator delete[](two);
  for (std::size_t alignment = 1; alignment <= 65536; alignment *= 2) {
    void* single = operator new (100, std::align_val_t{alignment});
    void* array = operator new[](100, std::align_val_t{alignment}, std::nothrow);
    EXPECT_TRUE(aligned_to(single, alignment) && aligned_to(array, alignment));
    operator delete (single, std::align_val_t{alignment});
    operator delete[](array, std::align_val_t{alignment});
  }
}

TEST(Delete, OfNullDoesNothing) {
  operator delete(nullptr);
  operator delete (nullptr, std::size_t{8});
  operator delete(nullptr, std::nothrow);
  operator delete(nullptr, kAlign);
  operator delete[](nullptr);
  operator delete[](nullptr, std::size_t{8}, kAlign);
  SUCCEED();
}

// What new gives may be given to free, and the other way round: programs mix them, and both are one heap here.
TEST(New, SharesItsHeapWithMalloc) {
  void* fromNew = operator new(100);
  EXPECT_GE(malloc_usable_size(fromNew), 100U);
  free(fromNew);
}

TEST(BadAlloc, WithoutAHandler) {
  EXPECT_THROW(keep(operator new(opaque(kHuge))), std::bad_alloc);
  EXPECT_THROW(keep(operator new[](opaque(kHuge))), std::bad_alloc);
  EXPECT_THROW(keep(operator new(opaque(SIZE_MAX))), std::bad_alloc);
  EXPECT_THROW(keep(operator new(opaque(kHuge), kAlign)), std::bad_alloc);
  EXPECT_THROW(keep(operator new[](opaque(SIZE_MAX), kAlign)), std::bad_alloc);
  EXPECT_EQ(operator new(opaque(kHuge), std::nothrow), nullptr);
  EXPECT_EQ(operator new[](opaque(kHuge), std::nothrow), nullptr);
  EXPECT_EQ(operator new(opaque(kHuge), kAlign, std::nothrow), nullptr);
  EXPECT_EQ(operator new[](opaque(kHuge), kAlign, std::nothrow), nullptr);
}

int handlerCalls = 0;

// Takes itself out at the third call: the allocation fails only then.
void give_up_after_three() {
  if (++handlerCalls == 3) {
    std::set_new_handler(nullptr);
  }
}

template <typename Call>
void expect_three_calls(Call call) {
  handlerCalls = 0;
  std::set_new_handler(give_up_after_three);
  call();
  EXPECT_EQ(handlerCalls, 3);
  std::set_new_handler(nullptr);
}

TEST(NewHandler, IsAskedUntilItGivesUp) {
  expect_three_calls([] { EXPECT_THROW(keep(operator new(opaque(kHuge))), std::bad_alloc); });
  expect_three_calls([] { EXPECT_THROW(keep(operator new[](opaque(kHuge))), std::bad_alloc); });
  expect_three_calls([] { EXPECT_THROW(keep(operator new(opaque(kHuge), kAlign)), std::bad_alloc); });
  expect_three_calls([] { EXPECT_EQ(operator new(opaque(kHuge), std::nothrow), nullptr); });
  expect_three_calls([] { EXPECT_EQ(operator new[](opaque(kHuge), kAlign, std::nothrow), nullptr); });
}

struct HandlersOwn : std::bad_alloc {};

TEST(NewHandler, MayThrow) {
  std::set_new_handler([] { throw HandlersOwn(); });
  EXPECT_THROW(keep(operator new(opaque(kHuge))), HandlersOwn);
  EXPECT_THROW(keep(operator new(opaque(kHuge), kAlign)), HandlersOwn);
  EXPECT_EQ(operator new(opaque(kHuge), std::nothrow), nullptr);  // nothrow swallows it
  std::set_new_handler(nullptr);
}

}  // namespace
