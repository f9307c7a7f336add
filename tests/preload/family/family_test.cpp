// The malloc family call by call: what each gives on success, and the corner values that programs rely on.
#include <cstdint>
#include <cstring>
#include <vector>

#include "../support/gtest_main.h"

namespace {

constexpr std::size_t kPage = 4096;

// glibc declares neither, although C23 does; both come from libstealth alone.
template <typename Function>
Function find(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

TEST(Malloc, GivesDistinctWritableBlocks) {
  void* one = malloc(100);
  void* two = malloc(100);
  ASSERT_NE(one, nullptr);
  ASSERT_NE(two, nullptr);
  EXPECT_NE(one, two);
  memset(one, 1, 100);
  memset(two, 2, 100);
  EXPECT_EQ(static_cast<char*>(one)[99], 1);
  free(one);
  free(two);
}

TEST(Malloc, OfNothingIsABlockOfItsOwn) {
  std::vector<void*> blocks;
  for (int i = 0; i < 100; ++i) {
    blocks.push_back(malloc(0));
    ASSERT_NE(blocks.back(), nullptr);
    for (std::size_t earlier = 0; earlier + 1 < blocks.size(); ++earlier) {
      ASSERT_NE(blocks[earlier], blocks.back());
    }
  }
  for (void* block : blocks) {
    free(block);
  }
}

TEST(Free, OfNullDoesNothing) {
  free(nullptr);
  SUCCEED();
}

TEST(Calloc, IsZeroed) {
  void* block = calloc(100, 100);
  ASSERT_NE(block, nullptr);
  EXPECT_TRUE(all_zero(block, 10000));
  free(block);
}

TEST(Calloc, OfNothingIsABlock) {
  void* one = calloc(0, 10);
  void* two = calloc(10, 0);
  EXPECT_NE(one, nullptr);
  EXPECT_NE(two, nullptr);
  EXPECT_NE(one, two);
  free(one);
  free(two);
}

TEST(Realloc, OfNullIsMalloc) {
  void* block = realloc(nullptr, 100);
  ASSERT_NE(block, nullptr);
  EXPECT_GE(malloc_usable_size(block), 100U);
  free(block);
  block = realloc(nullptr, 0);
  EXPECT_NE(block, nullptr);
  free(block);
}

TEST(Realloc, ToNothingFreesAndGivesNull) {
  // Many times over, at a small and a large size: if it did not free, the second half would cost memory.
  for (const std::size_t size : {std::size_t{1000}, std::size_t{1} << 20U}) {
    const std::size_t before = resident_bytes();
    for (int i = 0; i < 300; ++i) {
      void* block = malloc(size);
      memset(block, 1, size);
      EXPECT_EQ(realloc(block, opaque(0)), nullptr);
    }
    EXPECT_LT(resident_bytes(), before + (std::size_t{64} << 20U));
  }
}

TEST(Realloc, FailsAndLeavesTheBlock) {
  char* block = static_cast<char*>(malloc(100));
  strcpy(block, "still here");
  errno = 0;
  EXPECT_EQ(realloc(block, opaque(SIZE_MAX)), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  errno = 0;
  EXPECT_EQ(realloc(block, opaque(std::size_t{PTRDIFF_MAX} + 1)), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_STREQ(block, "still here");
  free(block);
}

TEST(Reallocarray, Multiplies) {
  void* block = reallocarray(nullptr, 100, 30);
  ASSERT_NE(block, nullptr);
  EXPECT_GE(malloc_usable_size(block), 3000U);
  fill(block, 0, 3000, 5);
  block = reallocarray(block, 1000, 30);
  EXPECT_TRUE(holds(block, 0, 3000, 5));
  EXPECT_EQ(reallocarray(block, 0, 30), nullptr);
}

TEST(Memalign, RoundsTheAlignmentUpAsGlibcDoes) {
  for (const std::size_t odd : {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{17}, std::size_t{48},
                                std::size_t{100}, std::size_t{5000}}) {
    std::size_t rounded = 16;
    while (rounded < odd) {
      rounded *= 2;
    }
    void* block = memalign(opaque(odd), 100);
    ASSERT_NE(block, nullptr) << odd;
    EXPECT_TRUE(aligned_to(block, rounded)) << odd;
    free(block);
  }
}

TEST(AlignedAlloc, AcceptsASizeThatIsNoMultiple) {
  void* block = aligned_alloc(256, 100);
  ASSERT_NE(block, nullptr);
  EXPECT_TRUE(aligned_to(block, 256));
  free(block);
}

TEST(PosixMemalign, OfNothingCanBeFreed) {
  void* block = reinterpret_cast<void*>(1);
  EXPECT_EQ(posix_memalign(&block, 64, 0), 0);
  EXPECT_TRUE(aligned_to(block, 64));
  free(block);
}

TEST(Valloc, IsPageAligned) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kPage, kPage + 1, std::size_t{1} << 20U}) {
    void* block = valloc(size);
    ASSERT_NE(block, nullptr);
    EXPECT_TRUE(aligned_to(block, kPage));
    EXPECT_GE(malloc_usable_size(block), size);
    free(block);
  }
}

TEST(Pvalloc, IsPageAlignedAndWholePages) {
  for (const std::size_t size : {std::size_t{1}, kPage, kPage + 1, std::size_t{1} << 20U}) {
    void* block = pvalloc(size);
    ASSERT_NE(block, nullptr);
    EXPECT_TRUE(aligned_to(block, kPage));
    EXPECT_GE(malloc_usable_size(block), (size + kPage - 1) / kPage * kPage);
    free(block);
  }
}

TEST(FreeSized, TakesBackWhatMallocGave) {
  auto* free_sized = find<void (*)(void*, std::size_t)>("free_sized");
  if (standing_in() && free_sized == nullptr) {
    return;
  }
  ASSERT_NE(free_sized, nullptr);
  free_sized(nullptr, 0);
  const std::size_t before = resident_bytes();
  for (int i = 0; i < 1000; ++i) {
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{5000}, std::size_t{300000}}) {
      void* block = i % 2 == 0 ? malloc(size) : calloc(1, size);
      ASSERT_NE(block, nullptr);
      free_sized(block, size);
    }
  }
  EXPECT_LT(resident_bytes(), before + (std::size_t{32} << 20U));
}

TEST(FreeAlignedSized, TakesBackWhatAlignedAllocGave) {
  auto* free_aligned_sized = find<void (*)(void*, std::size_t, std::size_t)>("free_aligned_sized");
  if (standing_in() && free_aligned_sized == nullptr) {
    return;
  }
  ASSERT_NE(free_aligned_sized, nullptr);
  free_aligned_sized(nullptr, 64, 0);
  const std::size_t before = resident_bytes();
  for (int i = 0; i < 1000; ++i) {
    for (const std::size_t alignment : {std::size_t{16}, std::size_t{64}, kPage, std::size_t{1} << 17U}) {
      void* block = aligned_alloc(alignment, 3 * alignment);
      ASSERT_NE(block, nullptr);
      free_aligned_sized(block, alignment, 3 * alignment);
    }
  }
  EXPECT_LT(resident_bytes(), before + (std::size_t{32} << 20U));
}

TEST(Mallopt, KnowsTheDocumentedParameters) {
  EXPECT_EQ(mallopt(M_MXFAST, 64), 1);
  EXPECT_EQ(mallopt(M_TRIM_THRESHOLD, 128 * 1024), 1);
  EXPECT_EQ(mallopt(M_TOP_PAD, 128 * 1024), 1);
  EXPECT_EQ(mallopt(M_MMAP_THRESHOLD, 128 * 1024), 1);
  EXPECT_EQ(mallopt(M_MMAP_MAX, 65536), 1);
  EXPECT_EQ(mallopt(M_CHECK_ACTION, 3), 1);
  EXPECT_EQ(mallopt(M_PERTURB, 0), 1);
  EXPECT_EQ(mallopt(M_ARENA_TEST, 8), 1);
  EXPECT_EQ(mallopt(M_ARENA_MAX, 8), 1);
}

TEST(Mallopt, RefusesWhatItDoesNotKnow) {
  if (standing_in()) {
    return;  // glibc says 1 to anything
  }
  EXPECT_EQ(mallopt(-1000, 1), 0);
  EXPECT_EQ(mallopt(12345, 1), 0);
}

}  // namespace
