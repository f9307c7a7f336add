// Regions: what can be used, what faults, and when addresses come back.
#include "pool/region.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "fake_sys.hpp"
#include "support.hpp"

namespace {

using namespace stealth;

constexpr std::size_t kKilo = 1024, kMega = 1024 * kKilo;

class Regions : public testing::Test {
 protected:
  fake::Fresh fresh_;
};

// Whether the address may be read and written, as the kernel sees it.
bool is_usable(char* at) {
  int ends[2];
  if (pipe(ends) != 0) return false;
  bool const readable = write(ends[1], at, 1) == 1;
  bool const writable = readable && read(ends[0], at, 1) == 1;
  close(ends[0]);
  close(ends[1]);
  return writable;
}
bool is_mapped(char* at) {
  unsigned char in_memory = 0;
  return mincore(at, 1, &in_memory) == 0;
}

TEST_F(Regions, CommitsFromTheFront) {
  Region region;
  ASSERT_EQ(region.reserve(10 * kMega, 1, {}), RegionError::none);
  EXPECT_EQ(region.size(), 10 * kMega);
  EXPECT_EQ(region.committed(), 0u);
  EXPECT_FALSE(is_usable(region.data()));
  ASSERT_TRUE(region.commit(1));
  EXPECT_GE(region.committed(), 4096u);
  EXPECT_TRUE(is_usable(region.data()));
  EXPECT_TRUE(is_usable(region.data() + region.committed() - 1));
  EXPECT_FALSE(is_usable(region.data() + region.committed()));
  EXPECT_FALSE(region.commit(10 * kMega + 1));
  ASSERT_TRUE(region.commit(10 * kMega));
  std::memset(region.data(), 1, region.size());
  EXPECT_FALSE(is_usable(region.data() - 1)) << "what runs over hits nobody";
  EXPECT_FALSE(is_usable(region.data() + region.size()));
  region.release();
  EXPECT_EQ(region.data(), nullptr);
}

TEST_F(Regions, FewCallsForManySteps) {
  Region region;
  ASSERT_EQ(region.reserve(std::size_t{1} << 30, 1, {}), RegionError::none);
  for (std::size_t at = 4096; at <= region.size(); at += 4096) ASSERT_TRUE(region.commit(at));
  EXPECT_LE(fake::count(SYS_mprotect), 150u);
  region.release();
}

TEST_F(Regions, LessWhereTheKernelGivesNoMore) {
  Region region;
  ASSERT_EQ(region.reserve(kMega, 1, {}), RegionError::none);
  fake::fail(SYS_mprotect, 1, ENOMEM);
  ASSERT_TRUE(region.commit(5000));
  EXPECT_EQ(region.committed(), 8192u);
  fake::fail(SYS_mprotect, 1, ENOMEM, 2);
  EXPECT_FALSE(region.commit(10000));
  EXPECT_EQ(region.committed(), 8192u);
  region.release();
}

TEST_F(Regions, Alignment) {
  for (std::size_t const alignment : {std::size_t{1}, std::size_t{4096}, kMega, 64 * kMega}) {
    Region region;
    ASSERT_EQ(region.reserve(12345, alignment, {}), RegionError::none);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(region.data()) % std::max(alignment, std::size_t{4096}), 0u);
    ASSERT_TRUE(region.commit(12345));
    EXPECT_FALSE(is_usable(region.data() - 1));
    EXPECT_FALSE(is_usable(region.data() + region.size()));
    region.release();
  }
}

TEST_F(Regions, PurgedPagesReadAsZero) {
  for (bool const locked : {false, true}) {
    Region region;
    ASSERT_EQ(region.reserve(64 * kKilo, 1, {.lock_in_memory = locked}), RegionError::none);
    ASSERT_TRUE(region.commit(64 * kKilo));
    std::memset(region.data(), 7, 64 * kKilo);
    ASSERT_TRUE(region.purge(4096, 12288));
    EXPECT_EQ(region.data()[4095], 7);
    EXPECT_EQ(region.data()[4096], 0);
    EXPECT_EQ(region.data()[12287], 0);
    EXPECT_EQ(region.data()[12288], 7);
    EXPECT_TRUE(region.purge(4096, 4096));
    region.release();
  }
}

TEST_F(Regions, LockedPagesArePurgedOnOldKernels) {
  Region region;
  ASSERT_EQ(region.reserve(64 * kKilo, 1, {.lock_in_memory = true}), RegionError::none);
  ASSERT_TRUE(region.commit(64 * kKilo));
  std::memset(region.data(), 7, 64 * kKilo);
  fake::fail(SYS_madvise, 1, EINVAL);
  ASSERT_TRUE(region.purge(0, 8192));
  EXPECT_EQ(region.data()[0], 0);
  fake::fail(SYS_madvise, 1, EINVAL);
  fake::fail(SYS_mlock2, 1, ENOMEM);
  EXPECT_FALSE(region.purge(0, 8192));
  region.release();
}

TEST_F(Regions, WhatCannotBeLockedIsNotGivenOut) {
  Region region;
  ASSERT_EQ(region.reserve(64 * kKilo, 1, {.lock_in_memory = true}), RegionError::none);
  fake::fail(SYS_mlock2, 1, ENOMEM, fake::kForEver);
  EXPECT_FALSE(region.commit(4096));
  EXPECT_EQ(region.committed(), 0u);
  fake::stop_failing(SYS_mlock2);
  EXPECT_TRUE(region.commit(4096));
  region.release();
}

TEST_F(Regions, NotInCoreDumpsOrNotAtAll) {
  Region region;
  fake::fail(SYS_madvise, 1, EINVAL);
  EXPECT_EQ(region.reserve(kMega, 1, {.exclude_from_core_dump = true}), RegionError::not_supported);
  EXPECT_EQ(region.data(), nullptr);
  EXPECT_EQ(fake::count(SYS_munmap), 1u);
}

TEST_F(Regions, HugePagesAreAWish) {
  Region region;
  fake::fail(SYS_madvise, 1, EINVAL);
  ASSERT_EQ(region.reserve(3 * kMega, 1, {.huge_pages = true}), RegionError::none);
  EXPECT_EQ(region.size(), 4 * kMega);
  ASSERT_TRUE(region.commit(1));
  EXPECT_EQ(region.committed(), 2 * kMega);
  region.release();
}

TEST_F(Regions, MoreThanThereIs) {
  Region region;
  EXPECT_EQ(region.reserve(~std::size_t{0}, 1, {}), RegionError::no_memory);
  EXPECT_EQ(region.reserve(std::size_t{1} << 62, 1, {}), RegionError::no_memory);
  EXPECT_EQ(region.reserve(4096, std::size_t{1} << 62, {}), RegionError::no_memory);
  fake::fail(SYS_mmap, 1, ENOMEM);
  EXPECT_EQ(region.reserve(4096, 1, {}), RegionError::no_memory);
}

TEST_F(Regions, RetiredAddressesFaultAndStayTaken) {
  Region region;
  ASSERT_EQ(region.reserve(kMega, 1, {}), RegionError::none);
  ASSERT_TRUE(region.commit(kMega));
  char* const at = region.data();
  std::memset(at, 1, kMega);
  region.retire();
  region.retire();
  EXPECT_FALSE(is_usable(at));
  EXPECT_TRUE(is_mapped(at));
  // Until many others were retired after it: nobody gets them before.
  std::uint64_t const unmapped = fake::count(SYS_munmap);
  for (int i = 0; i < 63; ++i) {
    Region other;
    ASSERT_EQ(other.reserve(kMega, 1, {}), RegionError::none);
    EXPECT_TRUE(other.data() + other.size() <= at || other.data() >= at + kMega);
    other.retire();
  }
  EXPECT_FALSE(is_usable(at));
  Region last;
  ASSERT_EQ(last.reserve(kMega, 1, {}), RegionError::none);
  last.retire();
  EXPECT_GT(fake::count(SYS_munmap), unmapped);
}

TEST_F(Regions, RetiredWithAnUnwillingKernel) {
  for (int const fails : {1, 2, 3}) {
    Region region;
    ASSERT_EQ(region.reserve(kMega, 1, {}), RegionError::none);
    ASSERT_TRUE(region.commit(kMega));
    char* const at = region.data();
    fake::fail(SYS_mmap, 1, ENOMEM);
    if (fails >= 2) fake::fail(SYS_madvise, 1, EINVAL);
    if (fails >= 3) fake::fail(SYS_mprotect, 1, ENOMEM);
    region.retire();
    EXPECT_FALSE(is_usable(at));
    EXPECT_EQ(region.data(), nullptr);
  }
}

TEST_F(Regions, ReleasedWithAnUnwillingKernel) {
  Region region;
  ASSERT_EQ(region.reserve(kMega, 1, {}), RegionError::none);
  ASSERT_TRUE(region.commit(kMega));
  char* const at = region.data();
  fake::fail(SYS_munmap, 1, ENOMEM);
  region.release();
  EXPECT_FALSE(is_usable(at));
}

TEST_F(Regions, VeryLargeOnesAreNotKept) {
  if (test::kTsan) return;  // which leaves fewer addresses than that
  for (int i = 0; i < 3; ++i) {
    Region region;
    ASSERT_EQ(region.reserve(std::size_t{5} << 40, 1, {}), RegionError::none);
    char* const at = region.data();
    region.retire();
    EXPECT_FALSE(is_mapped(at));
  }
}

}  // namespace
