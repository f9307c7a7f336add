// What the public suites of other allocators ask of a malloc, and the other tests here did not: see
// docs/conformance.md. Each test says what it is about, in the terms of the standards and of glibc's manual.
#include <pthread.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

#include "../support/gtest_main.h"

namespace {

constexpr std::size_t kLargest = std::size_t{PTRDIFF_MAX};

// After each refusal the next small block must be its own and whole: sums that run over have given out blocks of a
// few bytes for requests of nearly all there is.
void expect_refused(std::size_t size) {
  auto const refused = [&](void* block, char const* call) {
    EXPECT_EQ(block, nullptr) << call << " of " << size;
    EXPECT_EQ(errno, ENOMEM) << call << " of " << size;
    errno = 0;
    void* const small = malloc(16);
    ASSERT_NE(small, nullptr);
    memset(small, 1, 16);
    free(small);
  };
  void* kept = malloc(16);
  memset(kept, 0x5a, 16);
  errno = 0;
  refused(malloc(opaque(size)), "malloc");
  refused(realloc(kept, opaque(size)), "realloc");
  for (std::size_t count = 1; count <= 8 && size % count == 0; count *= 2) {
    refused(calloc(opaque(count), opaque(size / count)), "calloc");
    refused(calloc(opaque(size / count), opaque(count)), "calloc");
    refused(reallocarray(kept, opaque(count), opaque(size / count)), "reallocarray");
    refused(reallocarray(kept, opaque(size / count), opaque(count)), "reallocarray");
  }
  for (std::size_t alignment = 1; alignment <= 8192; alignment *= 2) {
    refused(memalign(alignment, opaque(size)), "memalign");
    refused(aligned_alloc(alignment, opaque(size)), "aligned_alloc");
    if (alignment < sizeof(void*)) continue;
    void* block = nullptr;
    EXPECT_EQ(posix_memalign(&block, alignment, opaque(size)), ENOMEM) << size;
    refused(block, "posix_memalign");
  }
  refused(valloc(opaque(size)), "valloc");
  refused(pvalloc(opaque(size)), "pvalloc");
  for (int i = 0; i < 16; ++i) ASSERT_EQ(static_cast<char*>(kept)[i], 0x5a);
  free(kept);
}

TEST(TooLarge, CloseToTheEndOfSizes) {
  for (std::size_t below = 0; below <= 16384; below += below < 80 ? 1 : 61) expect_refused(SIZE_MAX - below);
  for (std::size_t page = 1; page <= 4; ++page) expect_refused(SIZE_MAX - page * 4096 + 1);
}

TEST(TooLarge, BeyondTheLargestObject) {
  for (std::size_t above = 1; above <= 16384; above += above < 80 ? 1 : 61) expect_refused(kLargest + above);
}

TEST(TooLarge, BeyondEveryAddressSpace) {
  constexpr std::size_t kLow = (std::size_t{1} << 50) - 1;
  for (std::size_t high = 1; high < 1 << 14; high += 37) {
    expect_refused(high << 50);
    expect_refused(high << 50 | kLow);
  }
}

// Each call's block of no bytes: not null, its own, of which something can be used, and an error is not set.
TEST(Nothing, IsABlockFromEveryCall) {
  std::set<void*> blocks;
  std::size_t count = 0;
  errno = 0;
  auto const keep_one = [&](void* block, std::size_t at_least = 1) {
    ASSERT_NE(block, nullptr) << count;
    EXPECT_GE(malloc_usable_size(block), at_least) << count;
    EXPECT_EQ(errno, 0) << count;
    memset(block, 1, malloc_usable_size(block));
    blocks.insert(block);
    ++count;
  };
  for (int i = 0; i < 20; ++i) {
    keep_one(malloc(opaque(0)));
    keep_one(calloc(opaque(0), 1000));
    keep_one(calloc(1000, opaque(0)));
    keep_one(realloc(nullptr, opaque(0)));
    keep_one(reallocarray(nullptr, opaque(0), 16));
    keep_one(reallocarray(nullptr, 16, opaque(0)));
    keep_one(memalign(8, opaque(0)));
    keep_one(aligned_alloc(8, opaque(0)));
    keep_one(aligned_alloc(4096, opaque(0)));
    keep_one(valloc(opaque(0)));
    keep_one(pvalloc(opaque(0)), 4096);
    void* block = nullptr;
    ASSERT_EQ(posix_memalign(&block, 64, opaque(0)), 0);
    keep_one(block);
  }
  EXPECT_EQ(blocks.size(), count) << "two are the same";
  for (void* const block : blocks) free(block);
}

// Beyond what anybody asks for, and beyond a huge page; sizes below and above. Most of it is never touched.
TEST(Alignment, UpToAQuarterOfAGigabyte) {
  for (std::size_t alignment = 1; alignment <= std::size_t{256} << 20U; alignment *= 2) {
    std::vector<void*> blocks;
    for (std::size_t const size :
         {std::size_t{8}, std::size_t{512}, std::size_t{1} << 20U, alignment / 2 + 1, alignment + 1, std::size_t{0}}) {
      blocks.push_back(memalign(alignment, size));
      ASSERT_NE(blocks.back(), nullptr) << alignment << ' ' << size;
      EXPECT_TRUE(aligned_to(blocks.back(), alignment)) << alignment << ' ' << size;
      EXPECT_GE(malloc_usable_size(blocks.back()), size);
    }
    for (void* const block : blocks) free(block);
  }
}

// The bits between a power of two and the sizes that are no multiple of it, small ones all.
TEST(Alignment, EverySmallSizeAtEveryAlignment) {
  for (std::size_t size = 1; size <= 2048; size += size < 300 ? 1 : 13) {
    for (std::size_t alignment = 1; alignment <= 2048; alignment *= 2) {
      std::array<void*, 6> blocks{};
      for (void*& block : blocks) {
        block = memalign(alignment, size);
        ASSERT_TRUE(block != nullptr && aligned_to(block, alignment)) << size << ' ' << alignment;
        memset(block, 7, size);
      }
      for (void* const block : blocks) free(block);
    }
  }
}

// Four steps to a doubling: nobody gets more than a quarter more than he asked for, but for the smallest.
TEST(UsableSize, IsAtMostAQuarterMore) {
  EXPECT_EQ(malloc_usable_size(nullptr), 0u);
  for (std::size_t size = 128; size <= 128 * 1024; ++size) {
    void* const block = malloc(size);
    std::size_t const usable = malloc_usable_size(block);
    free(block);
    ASSERT_GE(usable, size);
    ASSERT_LE(usable, size + size / 4 + 16);
  }
}

// Growth by single bytes, through all classes and into what is mapped; nothing of the contents is lost.
TEST(Realloc, ByteByByte) {
  std::size_t size = 1;
  auto* block = static_cast<unsigned char*>(malloc(size));
  block[0] = pattern_byte(0, 9);
  while (size < 600'000) {
    block = static_cast<unsigned char*>(realloc(block, size + 1));
    ASSERT_NE(block, nullptr);
    block[size] = pattern_byte(size, 9);
    ++size;
    if ((size & (size - 1)) == 0) {
      ASSERT_TRUE(holds(block, 0, size, 9)) << size;
    }
  }
  ASSERT_TRUE(holds(block, 0, size, 9));
  for (; size > 1; size -= 1 + size / 100) {
    block = static_cast<unsigned char*>(realloc(block, size));
    ASSERT_NE(block, nullptr);
    ASSERT_TRUE(holds(block, size - 1, size, 9));
  }
  free(block);
}

// From an aligned block, whose address is no beginning of a block that malloc would give.
TEST(Realloc, OfAlignedBlocks) {
  for (std::size_t alignment = 32; alignment <= 65536; alignment *= 2) {
    for (std::size_t const size : {std::size_t{1}, std::size_t{100}, std::size_t{5000}, std::size_t{70000}}) {
      void* block = memalign(alignment, size);
      fill(block, 0, size, 4);
      for (std::size_t const next : {size + 1, size * 3, size * 40, size}) {
        block = realloc(block, next);
        ASSERT_NE(block, nullptr);
        ASSERT_TRUE(holds(block, 0, size, 4)) << alignment << ' ' << size << ' ' << next;
      }
      free(block);
    }
  }
}

// The figure that programs compare before and after: it grows by no less than what they have taken in between.
TEST(Mallinfo, GrowsByNoLessThanWasTaken) {
  std::vector<void*> blocks;
  blocks.reserve(64);
  for (std::size_t const step : {std::size_t{160}, std::size_t{1600}, std::size_t{16000}}) {
    struct mallinfo2 const before = mallinfo2();
    std::size_t sum = 0;
    for (std::size_t i = 1; i < 20; ++i) {
      blocks.push_back(malloc(step * i));
      sum += step * i;
    }
    struct mallinfo2 const after = mallinfo2();
    EXPECT_GE(after.uordblks + after.hblkhd, before.uordblks + before.hblkhd + sum) << step;
    if (step == 160) {
      EXPECT_GE(after.uordblks, before.uordblks + sum) << "small ones stand in this figure alone";
    }
    for (void* const block : blocks) free(block);
    blocks.clear();
  }
}

void* take_and_end(void* size) {
  free(malloc(reinterpret_cast<std::size_t>(size)));
  return malloc(reinterpret_cast<std::size_t>(size));
}

// What ended threads had kept at hand serves the next ones.
TEST(Threads, EndWithoutALoss) {
  std::size_t const before = resident_bytes();
  for (std::size_t i = 0; i < 3000; ++i) {
    pthread_t thread{};
    void* block = nullptr;
    ASSERT_EQ(pthread_create(&thread, nullptr, take_and_end, reinterpret_cast<void*>(32 + i % 16 * 64)), 0);
    ASSERT_EQ(pthread_join(thread, &block), 0);
    free(block);
  }
  EXPECT_LT(resident_bytes(), before + (std::size_t{16} << 20U));
}

}  // namespace
