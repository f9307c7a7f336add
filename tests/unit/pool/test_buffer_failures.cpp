// Buffers with an unwilling kernel: every call of every kind fails once, and for ever, at every place of their lives.
// Whatever fails, it is a clear error, what was written before is there, nothing is lost, and the next pool is as good
// as ever.
#include <sys/mman.h>

#include <cerrno>

#include "buffers.hpp"
#include "fake_sys.hpp"

namespace {

using namespace buffers;
namespace fake = stealth::fake;

class BufferFailures : public testing::Test {
 protected:
  fake::Fresh fresh_;
};

bool is_expected(std::error_code error) {
  return !error || error == errc::not_enough_memory || error == errc::not_supported;
}

// A pool's life with all that calls the kernel. True: nothing has failed.
bool live(BufferPoolOptions options) {
  bool all_well = true;
  std::error_code error;
  auto const note = [&] {
    EXPECT_TRUE(is_expected(error)) << error.message();
    if (error) all_well = false;
  };
  options.initial_interval = 1us;
  options.max_elapsed_time = 2us;
  BufferPool pool(100000, options, error);
  note();
  if (error) {
    EXPECT_EQ(pool.handle(), nullptr);
    return false;
  }
  std::vector<Buffer> all;
  std::string expected;
  for (int i = 0; i < 4; ++i) {
    Buffer buffer = pool.get(error);
    note();
    EXPECT_EQ(static_cast<bool>(buffer), !error);
    if (!error) all.push_back(std::move(buffer));
  }
  if (!all.empty()) {
    for (int i = 0; i < 40; ++i) {
      std::string const text(1000u << (i / 10), static_cast<char>('a' + i % 26));
      std::size_t const wrote = all[0].write(text, error);
      note();
      if (!error) expected += text;
      EXPECT_EQ(wrote, error ? 0 : text.size());
    }
    EXPECT_EQ(all[0].text(), expected);
    EXPECT_EQ(pool.stats().used, expected.size());
    all[0].truncate(expected.size() / 2);
    static_cast<void>(all[0].extend(expected.size() / 2 + 5, error));
    note();
    if (expected.size() > 1000) all[0].truncate(1000);
  }
  Buffer made = pool.make_buffer(pattern(70000), error);
  note();
  EXPECT_EQ(made.size(), error ? 0u : 70000u);
  made = {};
  all.clear();
  EXPECT_EQ(pool.stats().used, 0u);
  EXPECT_EQ(pool.stats().out, 0u);
  all.push_back(pool.get(error));
  note();
  pool.trim();
  pool.close();
  all.clear();
  EXPECT_EQ(pool.stats().held, 0u);
  return all_well;
}

void fail_everywhere(long number, int error) {
  std::uint64_t const before = held();
  BufferPoolOptions const kinds[] = {
      {.max_pool_size = 3},
      {.max_pool_size = 3, .write_backoff = true, .max_buffer_size = 1 << 20, .wipe_on_put = true},
      {.max_pool_size = 50, .exclude_from_core_dump = true, .lock_in_memory = true, .huge_pages = true},
  };
  for (BufferPoolOptions const& options : kinds) {
    for (std::uint64_t const times : {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{20}, fake::kForEver}) {
      int well = 0;
      for (std::uint64_t n = 1; n < 200 && well < 3; ++n) {
        fake::reset();
        fake::fail(number, n, error, times);
        well = live(options) && fake::count(number) < n ? well + 1 : 0;
        fake::stop_failing(number);
        ASSERT_EQ(held(), before) << "call " << n << ", " << times << " times";
        if (testing::Test::HasFailure()) return;
      }
      fake::reset();
      EXPECT_TRUE(live(options)) << "afterwards";
    }
  }
}

TEST_F(BufferFailures, Mmap) { fail_everywhere(SYS_mmap, ENOMEM); }
TEST_F(BufferFailures, Munmap) { fail_everywhere(SYS_munmap, ENOMEM); }
TEST_F(BufferFailures, Mprotect) { fail_everywhere(SYS_mprotect, ENOMEM); }
TEST_F(BufferFailures, Madvise) { fail_everywhere(SYS_madvise, EINVAL); }
TEST_F(BufferFailures, Mlock) { fail_everywhere(SYS_mlock2, ENOMEM); }
TEST_F(BufferFailures, Munlock) { fail_everywhere(SYS_munlock, EPERM); }
TEST_F(BufferFailures, Futex) { fail_everywhere(SYS_futex, ENOSYS); }
TEST_F(BufferFailures, Prlimit) { fail_everywhere(SYS_prlimit64, EPERM); }

// As many addresses as there are, if not as many as were asked for.
TEST_F(BufferFailures, FewerAddresses) {
  BufferPool pool(kMiB, {.max_buffer_size = kMiB});
  static_cast<void>(pool.make_buffer("x"));
  static_cast<void>(pool.trim());
  fake::fail(SYS_mmap, 1, ENOMEM, 3);
  Buffer buffer = pool.get();
  fill(buffer, kMiB / 8);
  EXPECT_EQ(error_of([&](auto& error) { buffer.write("x", error); }), errc::not_enough_memory);
  EXPECT_EQ(buffer.size(), kMiB / 8);
  EXPECT_EQ(pool.stats().used, kMiB / 8);
}

// Charged for a bit more than needed, unless the kernel gives only what is needed.
TEST_F(BufferFailures, NoMoreThanNeeded) {
  BufferPool pool(kMiB);
  Buffer buffer = pool.get();
  fill(buffer, 4096);
  fake::fail(SYS_mprotect, 1, ENOMEM, 2);
  EXPECT_EQ(buffer.extend(100000), 4096u);
  EXPECT_LE(pool.stats().held, std::uint64_t{4096 * 27});
}

}  // namespace
