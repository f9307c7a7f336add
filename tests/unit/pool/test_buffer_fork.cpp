// fork while another thread is in the middle of a call of a buffer: what its copy in the child is, and its figures.
#include <sys/mman.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "buffers.hpp"
#include "fake_sys.hpp"

namespace {

using namespace buffers;
using stealth::test::soon;
namespace fake = stealth::fake;

constexpr std::size_t kPage = 4096, kPages = 64;

// A thread that has come somewhere, and stays there until it may go on.
std::atomic<bool> g_is_there{false}, g_may_go{false};
thread_local bool t_stops = false;

void stop_here() {
  g_is_there = true;
  while (!g_may_go) usleep(1000);
}

// Bytes that nobody can read beyond the middle: who copies them stops there, in the midst of the copy.
class Obstacle {
 public:
  Obstacle() {
    at_ = static_cast<char*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    std::memset(at_, 'x', kBytes);
    EXPECT_EQ(mprotect(middle(), kPage, PROT_NONE), 0);
    g_middle = middle();
    struct sigaction action = {};
    action.sa_handler = [](int) {
      stop_here();
      if (mprotect(g_middle, kPage, PROT_READ) != 0) _exit(3);
    };
    EXPECT_EQ(sigaction(SIGSEGV, &action, &before_), 0);
  }
  Obstacle(Obstacle const&) = delete;
  Obstacle& operator=(Obstacle const&) = delete;
  ~Obstacle() {
    sigaction(SIGSEGV, &before_, nullptr);
    munmap(at_, kBytes);
  }
  static constexpr std::size_t kBytes = kPages * kPage;
  [[nodiscard]] std::span<std::byte const> bytes() const { return {reinterpret_cast<std::byte const*>(at_), kBytes}; }

 private:
  [[nodiscard]] char* middle() const { return at_ + kBytes / 2; }
  static char* g_middle;
  char* at_;
  struct sigaction before_ = {};
};
char* Obstacle::g_middle = nullptr;

class BufferFork : public testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(held_by_pools(), 0u) << "all memory has come back"; }

  // Runs `call` in a thread, and `body` in a child that is forked while the call has stopped.
  template <class Call, class Body>
  void fork_during(Call call, Body body) {
    g_is_there = g_may_go = false;
    std::thread thread([&] {
      t_stops = true;
      call();
      t_stops = false;
    });
    EXPECT_TRUE(soon([] { return g_is_there.load(); }));
    in_a_child(body);
    g_may_go = true;
    thread.join();
  }

  fake::Fresh fresh_;
};

bool is_zero(std::span<std::byte const> bytes) {
  for (std::byte const byte : bytes) {
    if (byte != std::byte{0}) return false;
  }
  return true;
}

// In the child the write is not there, wherever its bytes are.
TEST_F(BufferFork, AWriteThatWasUnderWay) {
  for (bool const wipes : {false, true}) {
    for (bool const write_backoff : {false, true}) {
      Obstacle const obstacle;
      // With write_backoff the write takes all that is left up to the target, and gets no credit.
      BufferPool pool(2 * Obstacle::kBytes + 10, {.max_pool_size = 1,
                                                  .initial_interval = 1us,
                                                  .max_elapsed_time = 2us,
                                                  .write_backoff = write_backoff,
                                                  .wipe_on_put = wipes});
      Buffer other = pool.get(), buffer = pool.make_buffer("begin");
      fill(other, Obstacle::kBytes);
      fork_during([&] { buffer.write(obstacle.bytes()); },
                  [&] {
                    EXPECT_EQ(buffer.text(), "begin");
                    EXPECT_EQ(pool.stats().used, other.size() + 5);
                    EXPECT_EQ(pool.fill_ratio(), 0.5);
                    std::byte const* const at = buffer.data();
                    if (wipes) {
                      pool.put(std::move(buffer));
                      buffer = pool.get();
                      EXPECT_EQ(buffer.data(), at);
                    }
                    std::size_t const from = buffer.size();
                    buffer.extend(Obstacle::kBytes);
                    EXPECT_TRUE(is_zero(buffer.bytes().subspan(from)));
                    EXPECT_EQ(pool.stats().used, other.size() + buffer.size());
                    buffer.write("more");
                    other = {};
                    EXPECT_EQ(pool.stats().used, buffer.size());
                    buffer = {};
                    EXPECT_EQ(pool.stats().used, 0u);
                  });
      EXPECT_EQ(buffer.size(), 5 + Obstacle::kBytes) << "in the parent it is";
      EXPECT_EQ(pool.stats().used, other.size() + buffer.size());
    }
  }
}

void stop_at_mprotect(long number, bool done) {
  if (number == SYS_mprotect && !done && t_stops) stop_here();
}
void stop_at_madvise(long number, bool done) {
  if (number == SYS_madvise && !done && t_stops) stop_here();
}

// What was charged for memory that is not there in the child is not charged there, either.
TEST_F(BufferFork, GrowthThatWasUnderWay) {
  BufferPool pool(kMiB);
  Buffer buffer = pool.make_buffer("begin"), other = pool.make_buffer("other");
  fake::tell(stop_at_mprotect);
  fork_during([&] { fill(buffer, kMiB); },
              [&] {
                EXPECT_EQ(buffer.text(), "begin");
                EXPECT_EQ(pool.stats().held, 2 * kPage);
                EXPECT_EQ(held_by_pools(), 2 * kPage);
                buffer = {};
                other = {};
                static_cast<void>(pool.trim());
                EXPECT_EQ(pool.stats().held, 0u);
                EXPECT_EQ(held_by_pools(), 0u);
                EXPECT_EQ(held(), 0u);
              });
  EXPECT_EQ(pool.stats().held, held_by_pools());
}

// And what was not charged any more, but is still there, is charged again.
TEST_F(BufferFork, AReturnThatWasUnderWay) {
  BufferPool pool(27 * 10000);
  Buffer buffer = pool.get(), other = pool.make_buffer("other");
  fill(buffer, kMiB);
  buffer.reset();
  fake::tell(stop_at_madvise);
  fork_during([&] { pool.put(std::move(buffer)); },
              [&] {
                EXPECT_GE(pool.stats().held, kMiB);
                EXPECT_EQ(pool.stats().held, held_by_pools());
                EXPECT_EQ(pool.stats().used, 5u);
              });
  EXPECT_LE(pool.stats().held, 4 * kPage);
}

}  // namespace
