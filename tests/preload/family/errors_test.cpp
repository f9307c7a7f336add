// Overflow and bad arguments: the documented result and errno, and errno left alone where the documentation says so.
#include <cstdint>
#include <cstring>

#include "../support/gtest_main.h"

namespace {

constexpr std::size_t kTooLarge = std::size_t{PTRDIFF_MAX} + 1;

// NULL with ENOMEM, without any block lost on the way (a hundred lost huge ones would show in the address space).
template <typename Call>
void expect_fails(Call call, int expected, const char* name) {
  for (int i = 0; i < 100; ++i) {
    errno = 0;
    void* block = call();
    EXPECT_EQ(block, nullptr) << name;
    EXPECT_EQ(errno, expected) << name;
    free(block);
  }
}
#define EXPECT_NO_MEMORY(call) expect_fails([&] { return call; }, ENOMEM, #call)
#define EXPECT_INVALID(call)   expect_fails([&] { return call; }, EINVAL, #call)

TEST(Overflow, Malloc) {
  for (const std::size_t size : {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX - 4095, SIZE_MAX - 65536, kTooLarge,
                                 kTooLarge + 1, SIZE_MAX / 2 + 4096}) {
    EXPECT_NO_MEMORY(malloc(opaque(size)));
  }
}

TEST(Overflow, MallocOfMoreThanTheAddressSpace) {
  // PTRDIFF_MAX itself is no overflow, but nobody has that much.
  for (const std::size_t size :
       {std::size_t{PTRDIFF_MAX}, std::size_t{PTRDIFF_MAX} - 65536, std::size_t{1} << 62U, std::size_t{1} << 48U}) {
    EXPECT_NO_MEMORY(malloc(opaque(size)));
    EXPECT_NO_MEMORY(calloc(1, opaque(size)));
    EXPECT_NO_MEMORY(realloc(nullptr, opaque(size)));
  }
}

TEST(Overflow, Calloc) {
  EXPECT_NO_MEMORY(calloc(opaque(SIZE_MAX), 2));
  EXPECT_NO_MEMORY(calloc(2, opaque(SIZE_MAX)));
  EXPECT_NO_MEMORY(calloc(opaque(SIZE_MAX), opaque(SIZE_MAX)));
  EXPECT_NO_MEMORY(calloc(opaque(std::size_t{1} << 32U), opaque(std::size_t{1} << 32U)));
  EXPECT_NO_MEMORY(calloc(opaque((std::size_t{1} << 32U) + 1), opaque(std::size_t{1} << 32U)));
  EXPECT_NO_MEMORY(calloc(1, opaque(SIZE_MAX)));
  EXPECT_NO_MEMORY(calloc(1, opaque(kTooLarge)));
  EXPECT_NO_MEMORY(calloc(opaque(kTooLarge / 16), 16));
}

TEST(Overflow, Reallocarray) {
  char* block = static_cast<char*>(malloc(20));
  strcpy(block, "untouched");
  EXPECT_NO_MEMORY(reallocarray(block, opaque(SIZE_MAX), 2));
  EXPECT_NO_MEMORY(reallocarray(block, 2, opaque(SIZE_MAX)));
  EXPECT_NO_MEMORY(reallocarray(block, opaque(std::size_t{1} << 32U), opaque(std::size_t{1} << 32U)));
  EXPECT_NO_MEMORY(reallocarray(block, opaque(kTooLarge), 1));
  EXPECT_NO_MEMORY(reallocarray(nullptr, opaque(SIZE_MAX), 2));
  EXPECT_STREQ(block, "untouched");
  free(block);
}

TEST(Overflow, AlignedForms) {
  EXPECT_NO_MEMORY(memalign(64, opaque(SIZE_MAX)));
  EXPECT_NO_MEMORY(memalign(64, opaque(SIZE_MAX - 63)));
  EXPECT_NO_MEMORY(memalign(4096, opaque(kTooLarge)));
  EXPECT_NO_MEMORY(memalign(opaque(std::size_t{1} << 40U), opaque(SIZE_MAX - (std::size_t{1} << 40U))));
  EXPECT_NO_MEMORY(aligned_alloc(64, opaque(SIZE_MAX - 63)));
  EXPECT_NO_MEMORY(aligned_alloc(4096, opaque(kTooLarge)));
  EXPECT_NO_MEMORY(valloc(opaque(SIZE_MAX)));
  EXPECT_NO_MEMORY(valloc(opaque(SIZE_MAX - 4095)));
  EXPECT_NO_MEMORY(valloc(opaque(kTooLarge)));
  EXPECT_NO_MEMORY(pvalloc(opaque(SIZE_MAX)));
  EXPECT_NO_MEMORY(pvalloc(opaque(SIZE_MAX - 1)));
  EXPECT_NO_MEMORY(pvalloc(opaque(SIZE_MAX - 4095)));
  EXPECT_NO_MEMORY(pvalloc(opaque(kTooLarge)));
}

TEST(Overflow, AlignmentLargerThanAnything) {
  EXPECT_NO_MEMORY(memalign(opaque(std::size_t{1} << 62U), 100));
  EXPECT_NO_MEMORY(aligned_alloc(opaque(std::size_t{1} << 62U), 100));
  EXPECT_NO_MEMORY(memalign(opaque(std::size_t{1} << 63U), 100));
  EXPECT_NO_MEMORY(memalign(opaque(std::size_t{1} << 63U), opaque(SIZE_MAX)));
  EXPECT_NO_MEMORY(memalign(opaque(SIZE_MAX / 2), 100));
  EXPECT_NO_MEMORY(aligned_alloc(opaque(std::size_t{1} << 63U), 100));
  void* block = nullptr;
  EXPECT_EQ(posix_memalign(&block, opaque(std::size_t{1} << 62U), 100), ENOMEM);
  EXPECT_EQ(posix_memalign(&block, opaque(std::size_t{1} << 63U), 100), ENOMEM);
}

TEST(BadAlignment, MemalignBeyondTheLastPowerOfTwo) {
  // There is nothing to round up to: glibc says EINVAL.
  EXPECT_INVALID(memalign(opaque(SIZE_MAX / 2 + 2), 100));
  EXPECT_INVALID(memalign(opaque(SIZE_MAX), 100));
}

TEST(BadAlignment, AlignedAlloc) {
  if (standing_in()) {
    return;  // before 2.38 glibc's aligned_alloc was memalign, and rounded up
  }
  for (const std::size_t bad : {std::size_t{0}, std::size_t{3}, std::size_t{24}, std::size_t{4097}, SIZE_MAX}) {
    EXPECT_INVALID(aligned_alloc(opaque(bad), 100));
  }
}

TEST(BadAlignment, PosixMemalignSaysSoAndTouchesNothing) {
  for (const std::size_t bad : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{4}, std::size_t{3},
                                std::size_t{12}, std::size_t{24}, std::size_t{48}, std::size_t{4097}, SIZE_MAX}) {
    void* block = &block;
    errno = 77;
    EXPECT_EQ(posix_memalign(&block, opaque(bad), 100), EINVAL) << bad;
    EXPECT_EQ(block, &block) << bad;
    EXPECT_EQ(errno, 77) << bad;
  }
}

TEST(PosixMemalign, WithoutMemorySaysSoAndLeavesThePointer) {
  for (const std::size_t size : {SIZE_MAX, SIZE_MAX - 4096, kTooLarge, std::size_t{1} << 50U}) {
    void* block = &block;
    errno = 77;
    EXPECT_EQ(posix_memalign(&block, 64, opaque(size)), ENOMEM) << size;
    EXPECT_EQ(block, &block) << size;
    EXPECT_EQ(errno, ENOMEM) << size << ": POSIX leaves it open, glibc has programs that look there";
  }
}

TEST(Errno, SuccessLeavesItAlone) {
  for (const std::size_t size : {std::size_t{10}, std::size_t{3000}, std::size_t{100000}, std::size_t{40} << 20U}) {
    errno = 77;
    void* block = malloc(size);
    block = realloc(block, size * 2);
    void* other = calloc(1, size);
    void* third = memalign(128, size);
    EXPECT_EQ(errno, 77) << size;
    void* fourth = nullptr;
    EXPECT_EQ(posix_memalign(&fourth, 4096, size), 0);
    EXPECT_EQ(errno, 77) << size;
    free(block);
    free(other);
    free(third);
    free(fourth);
    EXPECT_EQ(errno, 77) << size;
  }
}

}  // namespace
