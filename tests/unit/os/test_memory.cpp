// Memory and waiting: what each call promises, with the kernel willing and unwilling.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "fake_sys.hpp"
#include "os/os.hpp"
#include "support.hpp"

namespace {

namespace os = stealth::os;
namespace fake = stealth::fake;

constexpr std::size_t kBytes = 1 << 16;

class Memory : public testing::Test {
 protected:
  fake::Fresh fresh_;
};

// Whether the kernel knows the page, without touching it.
bool is_mapped(void* page) {
  unsigned char resident = 0;
  return os::sys(SYS_mincore, static_cast<long>(reinterpret_cast<std::uintptr_t>(page)), 4096,
                 static_cast<long>(reinterpret_cast<std::uintptr_t>(&resident))) != -ENOMEM;
}

TEST_F(Memory, ReserveCommitPurgeUnmap) {
  auto* const at = static_cast<char*>(os::reserve(kBytes));
  ASSERT_NE(at, nullptr);
  ASSERT_TRUE(os::commit(at, kBytes / 2));
  EXPECT_EQ(at[0], 0);
  std::memset(at, 'x', kBytes / 2);
  ASSERT_TRUE(os::purge(at, kBytes / 4));
  EXPECT_EQ(at[0], 0);
  EXPECT_EQ(at[kBytes / 4 - 1], 0);
  EXPECT_EQ(at[kBytes / 4], 'x');
  EXPECT_TRUE(os::exclude_from_dumps(at, kBytes));
  EXPECT_TRUE(os::unmap(at, kBytes));
  EXPECT_FALSE(is_mapped(at));
}

TEST_F(Memory, MovedPagesLeaveAnEmptyPlaceOfOurs) {
  auto* const from = static_cast<char*>(os::map(kBytes));
  auto* const to = static_cast<char*>(os::map(kBytes));
  ASSERT_TRUE(from != nullptr && to != nullptr);
  std::memset(from, 'a', kBytes);
  std::memset(to, 'b', kBytes);
  ASSERT_TRUE(os::move_pages(from, to, kBytes / 2));
  EXPECT_EQ(to[0], 'a');
  EXPECT_EQ(to[kBytes / 2 - 1], 'a');
  EXPECT_EQ(to[kBytes / 2], 'b');
  ASSERT_TRUE(is_mapped(from)) << "the next mmap of anybody's could land there";
  EXPECT_EQ(from[0], 0);
  EXPECT_EQ(from[kBytes / 2], 'a');
  ASSERT_TRUE(os::map_afresh(from, kBytes));
  EXPECT_EQ(from[kBytes / 2], 0);
  from[0] = 'z';
  os::unmap(from, kBytes);
  os::unmap(to, kBytes);
}

TEST_F(Memory, EveryCallSaysThatItFailed) {
  fake::fail(SYS_mmap, 1, ENOMEM, 2);
  EXPECT_EQ(os::reserve(kBytes), nullptr);
  EXPECT_EQ(os::map(kBytes), nullptr);
  auto* const at = static_cast<char*>(os::map(kBytes));
  ASSERT_NE(at, nullptr);
  auto* const to = static_cast<char*>(os::map(kBytes));
  ASSERT_NE(to, nullptr);
  std::memset(at, 'x', kBytes);
  fake::fail(SYS_mprotect, 1, ENOMEM);
  EXPECT_FALSE(os::commit(at, kBytes));
  fake::fail(SYS_madvise, 1, EINVAL, 2);
  EXPECT_FALSE(os::purge(at, kBytes));
  EXPECT_FALSE(os::exclude_from_dumps(at, kBytes));
  fake::fail(SYS_mremap, 1, ENOMEM);
  EXPECT_FALSE(os::move_pages(at, to, kBytes));
  fake::fail(SYS_mmap, 1, ENOMEM);
  EXPECT_FALSE(os::map_afresh(at, kBytes));
  fake::fail(SYS_munmap, 1, ENOMEM);
  EXPECT_FALSE(os::unmap(at, kBytes));
  EXPECT_EQ(at[kBytes - 1], 'x');
  os::unmap(at, kBytes);
  os::unmap(to, kBytes);
}

TEST_F(Memory, AnImpossibleReservationIsNull) { EXPECT_EQ(os::reserve(std::size_t{1} << 62), nullptr); }

TEST_F(Memory, WaitsEndByTimeByWakeAndByAChangedWord) {
  std::atomic<std::uint32_t> word{7};
  auto const* const raw = reinterpret_cast<std::uint32_t const*>(&word);
  auto const begin = std::chrono::steady_clock::now();
  os::futex_wait(raw, 6, 200'000'000'000);
  EXPECT_LT(stealth::test::ms_since(begin), 100'000u) << "the word was another already";
  os::futex_wait(raw, 7, 30'000'000);
  EXPECT_GE(stealth::test::ms_since(begin), 29u);

  std::thread sleeper([&] {
    while (word.load() == 7) os::futex_wait(raw, 7, 200'000'000'000);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  word = 8;
  os::futex_wake(raw, 1);
  sleeper.join();
  EXPECT_LT(stealth::test::ms_since(begin), 100'000u);
}

TEST_F(Memory, Clocks) {
  std::uint64_t const ns = os::monotonic_ns();
  std::uint32_t const ms = os::coarse_ms();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_GE(os::monotonic_ns() - ns, 30'000'000u);
  EXPECT_GE(os::coarse_ms() - ms, 20u);
  EXPECT_LT(os::coarse_ms() - ms, 100'000u);
}

TEST_F(Memory, Threads) {
  EXPECT_EQ(os::process_id(), getpid());
  EXPECT_EQ(os::thread_id(), gettid());
  EXPECT_TRUE(os::thread_exists(os::thread_id()));
  std::atomic<int> other{0};
  std::atomic<bool> stop{false};
  std::thread thread([&] {
    other = os::thread_id();
    while (!stop) std::this_thread::yield();
  });
  ASSERT_TRUE(stealth::test::soon([&] { return other != 0; }));
  EXPECT_NE(other, os::thread_id());
  EXPECT_TRUE(os::thread_exists(other));
  stop = true;
  thread.join();
  EXPECT_TRUE(stealth::test::soon([&] { return !os::thread_exists(other); }));
}

}  // namespace
