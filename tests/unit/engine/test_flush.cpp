// Calling threads in: who allocates gives back what its lists hold, who does not keeps it, and the table that malloc
// reads is as before. Each test has an engine of its own, in a child process.
#include <pthread.h>

#include "engine.hpp"

namespace {

using namespace stealth;
using test::Block;
using test::census;
using test::soon;
using test::start_engine;

bool shown() {
  for (std::size_t size = 0; size <= kMaxSmall; ++size) {
    if (class_of(size) != serving_class(size)) return false;
  }
  return true;
}

// Calls threads in, again and again: each time only those come that allocate within a moment. True: until it holds.
template <class Condition>
bool called_in(Condition condition) {
  return soon([&] {
    if (condition()) return true;
    request_flush();
    return false;
  });
}

std::uint64_t in_lists(std::size_t size) {
  return census().classes[g_classes.classes[serving_class(size)].block].in_lists;
}

// A thread with some blocks of 200 bytes in its list, that does what `life` says until it is told to end.
class Holder {
 public:
  template <class Life>
  explicit Holder(Life life)
      : thread_([this, life] {
          std::vector<Block> blocks = test::make_blocks(10, 200, 1);
          test::free_blocks(blocks);
          ready_ = true;
          while (!done_) life();
        }) {
    EXPECT_TRUE(soon([this] { return ready_.load(); }));
  }
  ~Holder() {
    done_ = true;
    thread_.join();
  }
  Holder(Holder const&) = delete;
  Holder& operator=(Holder const&) = delete;

 private:
  std::atomic<bool> ready_{false}, done_{false};
  std::thread thread_;
};

void allocate_something() {
  deallocate(allocate(64));
  std::this_thread::yield();
}
void do_nothing() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

TEST(Flush, TheTableIsHiddenAndShown) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    EXPECT_TRUE(shown());
    deallocate(allocate(100));
    std::uint32_t const c = serving_class(100);
    hide_classes();
    for (std::size_t size = 0; size <= kMaxSmall; ++size) ASSERT_EQ(class_of(size), 0u) << size;
    EXPECT_EQ(serving_class(100), c);
    EXPECT_EQ(pop(100), nullptr) << "though the list has one";
    // Everything works; it is only slow.
    for (std::size_t const size :
         {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{5000}, kMaxSmall, std::size_t{100'000}}) {
      Block block = test::make_blocks(1, size, size)[0];
      block.at = static_cast<char*>(reallocate(block.at, size + 3000));
      EXPECT_TRUE(test::intact(block));
      EXPECT_GE(usable_size(block.at), size + 3000);
      deallocate(block.at);
      void* const aligned = allocate_aligned(size, 256);
      EXPECT_TRUE(aligned != nullptr && test::aligned_to(aligned, 256));
      deallocate(aligned);
      void* const zeroed = allocate_zeroed(size);
      EXPECT_TRUE(test::all_zero(zeroed, size));
      deallocate(zeroed);
    }
    test::expect_consistent();
    show_classes();
    EXPECT_TRUE(shown());
    void* const p = pop(100);
    EXPECT_NE(p, nullptr);
    deallocate(p);
  });
}

TEST(Flush, WhoAllocatesGivesBack) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    Holder const a(allocate_something), b(allocate_something), c(allocate_something);
    EXPECT_GE(in_lists(200), 30u);
    request_flush();
    EXPECT_TRUE(flush_requested());
    EXPECT_TRUE(called_in([] { return in_lists(200) == 0; })) << in_lists(200);
    EXPECT_TRUE(soon([] { return !flush_requested() && shown(); })) << "whoever comes when it is over ends it";
  });
}

TEST(Flush, WhoDoesNotAllocateKeepsThem) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    std::atomic<bool> awake{false};
    Holder const idle([&] { awake ? allocate_something() : do_nothing(); });
    std::uint64_t const its = in_lists(200);
    EXPECT_GE(its, 10u);
    {
      Holder const busy(allocate_something);
      EXPECT_GE(in_lists(200), its + 10);
      EXPECT_TRUE(called_in([&] { return in_lists(200) == its; }));
      EXPECT_TRUE(soon([] { return !flush_requested() && shown(); }));
    }
    awake = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_EQ(in_lists(200), its) << "it is not called in any more";
    EXPECT_TRUE(called_in([] { return in_lists(200) == 0; }));
    EXPECT_TRUE(soon([] { return !flush_requested(); }));
  });
}

// Nobody allocates for a while: the next one that does finds the table hidden, and shows it.
TEST(Flush, NobodyComesForALongTime) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    deallocate(allocate(200));
    request_flush();
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_TRUE(flush_requested());
    EXPECT_EQ(class_of(64), 0u);
    deallocate(allocate(64));
    EXPECT_FALSE(flush_requested());
    EXPECT_TRUE(shown());
    EXPECT_EQ(in_lists(200), 0u);
  });
}

// A moment has an end, and the next request is not at once.
TEST(Flush, NotTooOften) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    allocate_something();
    std::uint32_t const before = t_thread.own->flushed_epoch;
    auto const begin = std::chrono::steady_clock::now();
    while (test::ms_since(begin) < 300) {
      request_flush();
      allocate_something();
    }
    std::uint64_t const took = test::ms_since(begin);
    std::uint32_t const times = t_thread.own->flushed_epoch - before;
    EXPECT_LE(times, took / 20 + 1);
    EXPECT_GE(times, 1u);
  });
}

// Threads come and go through it while blocks fly.
TEST(Flush, UnderThreads) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    test::Mailbox box;
    std::atomic<int> busy{3};
    test::in_threads(4, [&](int index) {
      if (index == 3) {
        for (int i = 0; busy > 0; ++i) {
          switch (i % 4) {
            case 0:
              hide_classes();
              break;
            case 1:
              show_classes();
              break;
            case 2:
              request_flush();
              break;
            default:
              std::this_thread::sleep_for(std::chrono::microseconds(200));
          }
        }
        return;
      }
      test::Random random(400 + static_cast<std::uint64_t>(index));
      Block block;
      for (int i = 0; i < test::rounds(60'000); ++i) {
        std::size_t const size = random.skewed(random.one_in(50) ? 100'000 : 2000);
        block = {static_cast<char*>(allocate(size)), size, random.next()};
        ASSERT_NE(block.at, nullptr);
        test::write(block);
        if (random.one_in(2)) {
          box.put(block);
          if (box.size() < 100 || !box.take(block)) continue;
        }
        ASSERT_TRUE(test::intact(block));
        deallocate(block.at);
      }
      --busy;
    });
    for (Block block; box.take(block);) deallocate(block.at);
    EXPECT_TRUE(soon([] {
      // As it always is but for what this test has done: hidden just as long as a request is under way. Else nobody's
      // malloc might come to the slow path, which ends the request.
      flush_requested() ? hide_classes() : show_classes();
      allocate_something();
      return !flush_requested() && shown();
    }));
    trim();
    EXPECT_EQ(census().all.live, 0u);
    test::expect_consistent();
  });
}

// A child is forked in the midst of it: nobody else is there to show the table.
TEST(Flush, InAForkedChild) {
  test::in_a_child([] {
    ASSERT_EQ(pthread_atfork(fork_prepare, fork_in_parent, fork_in_child), 0);
    ASSERT_TRUE(start_engine({}));
    Holder const idle(do_nothing);
    request_flush();
    EXPECT_EQ(class_of(64), 0u);
    test::in_a_child([] {
      EXPECT_FALSE(flush_requested());
      EXPECT_TRUE(shown());
      deallocate(allocate(64));
      test::expect_consistent();
    });
    EXPECT_TRUE(flush_requested()) << "in the parent it goes on";
    deallocate(allocate(64));
  });
}

}  // namespace
