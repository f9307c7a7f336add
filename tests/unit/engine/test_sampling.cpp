// Sampling what is allocated: as many samples as the bytes deserve, none lost and none told twice, and blocks that are
// like any others, whether they are samples or not. Each test has an engine of its own, in a child process.
#include <pthread.h>

#include <cmath>

#include "engine.hpp"
#include "engine/sampling.hpp"

namespace {

using namespace stealth;
using test::Block;
using test::soon;
using test::start_engine;

// Keeps the samples, as a profile does; one for the whole process.
class Ledger {
 public:
  std::uint32_t add(std::size_t bytes) {
    std::lock_guard const hold(mutex_);
    if (refuses) return 0;
    live_.push_back(bytes);
    ++taken_[bytes];
    ++live_count_;
    return static_cast<std::uint32_t>(live_.size());
  }
  void resize(std::uint32_t sample, std::size_t bytes) {
    std::lock_guard const hold(mutex_);
    check(sample);
    live_[sample - 1] = bytes;
  }
  void remove(std::uint32_t sample) {
    std::lock_guard const hold(mutex_);
    check(sample);
    live_[sample - 1] = 0;
    --live_count_;
  }
  [[nodiscard]] std::size_t taken() {
    std::lock_guard const hold(mutex_);
    return live_.size();
  }
  [[nodiscard]] std::size_t taken_of(std::size_t bytes) {
    std::lock_guard const hold(mutex_);
    return taken_[bytes];
  }
  [[nodiscard]] std::size_t live() {
    std::lock_guard const hold(mutex_);
    return live_count_;
  }
  [[nodiscard]] std::size_t live_bytes() {
    std::lock_guard const hold(mutex_);
    std::size_t sum = 0;
    for (std::size_t const bytes : live_) sum += bytes;
    return sum;
  }
  void forget() {
    std::lock_guard const hold(mutex_);
    taken_.clear();
  }
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }
  std::atomic<bool> refuses{false};
  std::atomic<std::uint64_t> interval{1};  // 1: each block is a sample

 private:
  void check(std::uint32_t sample) {
    if (sample == 0 || sample > live_.size() || live_[sample - 1] == 0)
      ADD_FAILURE() << "sample " << sample << " is not a live one";
  }
  std::mutex mutex_;
  std::vector<std::size_t> live_;  // by number - 1; 0: freed
  std::map<std::size_t, std::size_t> taken_;
  std::size_t live_count_ = 0;
};
Ledger g_ledger;

std::uint64_t draw(std::uint32_t& random) noexcept {
  EXPECT_NE(random, 0u);
  random ^= random << 13;
  random ^= random >> 17;
  random ^= random << 5;
  std::uint64_t const interval = g_ledger.interval;
  if (interval == 1) return 1;
  return static_cast<std::uint64_t>(-std::log((random + 1.0) / 4294967296.0) * static_cast<double>(interval)) + 1;
}
std::uint32_t taken(std::size_t bytes) noexcept {
  EXPECT_TRUE(t_thread.busy) << "what the sampler allocates must not come back here";
  return g_ledger.add(bytes);
}
void resized(std::uint32_t sample, std::size_t bytes) noexcept { g_ledger.resize(sample, bytes); }
void freed(std::uint32_t sample) noexcept { g_ledger.remove(sample); }
constexpr Sampler kSampler = {draw, taken, resized, freed};

void sample_each(std::uint64_t interval) {
  g_ledger.interval = interval;
  begin_sampling(kSampler);
}

// Everything is freed: nothing is in use, and no sample is left.
void expect_nothing_left() {
  for (int i = 0; i < 3; ++i) trim();
  EXPECT_EQ(test::census().all.live, 0u);
  EXPECT_EQ(g_ledger.live(), 0u);
  EXPECT_EQ(g_ledger.live_bytes(), 0u);
  test::expect_consistent();
}

// Of n blocks each is a sample by the chance that one of its bytes is drawn, independent of all others. Further off
// than six times the standard deviation is one in 10^8; the approximation needs some hundred of them.
void expect_share(std::size_t samples, double n, double bytes, double interval) {
  double const chance = 1 - std::exp(-bytes / interval);
  double const expected = n * chance;
  double const deviation = std::sqrt(n * chance * (1 - chance));
  EXPECT_NEAR(static_cast<double>(samples), expected, 6 * deviation + 3) << bytes << " bytes, of " << n;
}

std::size_t bytes_of(std::size_t size) {  // what a sample of it says
  return size <= kMaxSmall ? g_classes.classes[serving_class(size)].block : ladder_step(size);
}

// So many blocks, of which a few are held for a while.
class Ring {
 public:
  ~Ring() {
    for (void* const p : held_) deallocate(p);
  }
  void allocate_one(std::size_t size) {
    void*& place = held_[next_++ % std::size(held_)];
    deallocate(place);
    place = allocate(size);
    ASSERT_NE(place, nullptr);
  }

 private:
  void* held_[61] = {};
  std::size_t next_ = 0;
};

TEST(Sampling, AsManyAsTheBytesDeserve) {
  for (std::size_t const size : {16U, 100U, 1000U, 8000U, 30'000U, 50'000U, 200'000U}) {
    test::in_a_child([size] {
      ASSERT_TRUE(start_engine({}));
      constexpr double kInterval = 100'000;
      sample_each(100'000);
      auto const bytes = static_cast<double>(bytes_of(size));
      int const n = test::rounds(static_cast<int>(4000 / (1 - std::exp(-bytes / kInterval))));
      {
        Ring ring;
        for (int i = 0; i < n && !testing::Test::HasFatalFailure(); ++i) ring.allocate_one(size);
      }
      expect_share(g_ledger.taken(), n, bytes, kInterval);
      EXPECT_EQ(g_ledger.taken(), g_ledger.taken_of(bytes_of(size)));
      end_sampling();
      expect_nothing_left();
    });
  }
}

TEST(Sampling, EachSizeHasItsShare) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    constexpr std::uint64_t kInterval = 64 * kKiB;
    constexpr std::size_t kSizes[] = {32, 512, 4096, 20'480, 40'960, 262'144, 393'216};
    sample_each(kInterval);
    std::map<std::size_t, int> made;
    {
      test::Random random(7);
      Ring ring;
      for (int i = 0; i < test::rounds(400'000) && !testing::Test::HasFatalFailure(); ++i) {
        std::size_t const size = kSizes[random.one_in(30) ? random.below(std::size(kSizes)) : random.below(3)];
        ++made[size];
        ring.allocate_one(size);
      }
    }
    std::size_t sum = 0;
    for (auto const& [size, n] : made) {
      expect_share(g_ledger.taken_of(size), n, static_cast<double>(size), kInterval);
      sum += g_ledger.taken_of(size);
    }
    EXPECT_EQ(sum, g_ledger.taken()) << "of other sizes";
    end_sampling();
    expect_nothing_left();
  });
}

// Of two classes in turn, neither is seen instead of the other.
TEST(Sampling, TwoSizesInTurn) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    constexpr std::uint64_t kInterval = 8 * kKiB;
    sample_each(kInterval);
    std::vector<void*> blocks(static_cast<std::size_t>(test::rounds(400'000)) * 2);
    for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] = allocate(i % 2 == 0 ? 48 : 96);
    for (std::size_t const size : {48U, 96U})
      expect_share(g_ledger.taken_of(size), static_cast<double>(blocks.size() / 2), static_cast<double>(size),
                   kInterval);
    for (void* const block : blocks) deallocate(block);
    end_sampling();
    expect_nothing_left();
  });
}

// A program must not come to treat samples otherwise: it asks for the size, and resizes.
TEST(Sampling, ASampleHasTheSizeOfItsBlock) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    for (std::size_t size = 1; size <= kMaxSmall; size += size / 2 + 1) {
      void* const plain = allocate(size);
      sample_each(1);
      void* const sample = allocate(size);
      EXPECT_EQ(g_ledger.live(), 1u);
      EXPECT_EQ(usable_size(sample), usable_size(plain)) << size;
      EXPECT_EQ(reallocate(sample, usable_size(sample)), sample) << size;
      EXPECT_EQ(reallocate(sample, usable_size(sample) - usable_size(sample) / 4), sample) << size;
      EXPECT_EQ(g_ledger.taken_of(usable_size(plain)), 1u) << "it stayed where it is";
      void* const larger = reallocate(sample, usable_size(sample) + 1);
      EXPECT_NE(larger, sample) << size;
      EXPECT_EQ(g_ledger.live(), 1u);
      deallocate(larger);
      deallocate(plain);
      end_sampling();
      EXPECT_EQ(g_ledger.live(), 0u);
      g_ledger.forget();
    }
    expect_nothing_left();
  });
}

TEST(Sampling, ASampleIsABlockLikeAnyOther) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    sample_each(1);
    std::vector<Block> blocks;
    for (std::size_t size = 0; size < 600'000; size += size / 3 + 1) {
      std::size_t const before = g_ledger.taken();
      blocks.push_back(test::make_blocks(1, size, size)[0]);
      ASSERT_EQ(g_ledger.taken(), before + 1) << size;
      EXPECT_GE(usable_size(blocks.back().at), size);
      for (std::size_t alignment = 16; alignment <= 256 * kKiB; alignment *= 4) {
        void* const p = allocate_aligned(size, alignment);
        EXPECT_TRUE(p != nullptr && test::aligned_to(p, alignment)) << size << " to " << alignment;
        std::memset(p, 0xA5, size);
        deallocate(p);
      }
      void* const zeroed = allocate_zeroed(size);
      ASSERT_NE(zeroed, nullptr);
      EXPECT_TRUE(test::all_zero(zeroed, size)) << size;
      deallocate(zeroed);
    }
    EXPECT_EQ(g_ledger.live(), blocks.size());
    test::expect_consistent();
    test::free_blocks(blocks);
    end_sampling();
    expect_nothing_left();
  });
}

TEST(Sampling, GrowsAndShrinksAndMoves) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    sample_each(1);
    Block block = test::make_blocks(1, 100, 1)[0];
    // Up to 8 MiB, where pages are moved, and down again; in between something stands in the way.
    std::vector<std::size_t> sizes;
    for (std::size_t size = 150; size < 8 * kMiB; size += size / 2) sizes.push_back(size);
    for (std::size_t size = 8 * kMiB; size > 10; size -= size / 3) sizes.push_back(size);
    std::vector<Block> between;
    for (std::size_t const size : sizes) {
      between.push_back(test::make_blocks(1, 70'000, size)[0]);
      block.at = static_cast<char*>(reallocate(block.at, size));
      ASSERT_NE(block.at, nullptr);
      EXPECT_TRUE(test::intact(block, std::min(block.size, size))) << size;
      block.size = size;
      test::write(block);
      EXPECT_EQ(g_ledger.live(), between.size() + 1);
      EXPECT_GE(g_ledger.live_bytes(), size);
    }
    deallocate(block.at);
    test::free_blocks(between);
    end_sampling();
    expect_nothing_left();
  });
}

// What grows in place counts by what it grows.
TEST(Sampling, GrowthIsCounted) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    void* p = allocate(512 * kKiB);
    sample_each(1);
    EXPECT_EQ(g_ledger.taken(), 0u);
    p = reallocate(p, 512 * kKiB - 5 * kPage);
    EXPECT_EQ(g_ledger.taken(), 0u) << "it has not grown";
    p = reallocate(p, 3 * kMiB);
    EXPECT_EQ(g_ledger.live(), 1u);
    EXPECT_EQ(g_ledger.live_bytes(), 3 * kMiB);
    p = reallocate(p, kMiB);
    EXPECT_EQ(g_ledger.live(), 1u);
    EXPECT_EQ(g_ledger.live_bytes(), kMiB);
    end_sampling();
    p = reallocate(p, 2 * kMiB);
    EXPECT_EQ(g_ledger.live_bytes(), 2 * kMiB) << "also when no new ones are taken";
    deallocate(p);
    expect_nothing_left();
  });
}

TEST(Sampling, ASamplerMayRefuse) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    g_ledger.refuses = true;
    sample_each(1);
    std::vector<Block> blocks = test::make_blocks(50, 100, 1);
    std::vector<Block> large = test::make_blocks(50, 100'000, 2);
    test::free_blocks(blocks);
    test::free_blocks(large);
    end_sampling();
    expect_nothing_left();
  });
}

TEST(Sampling, ClassesWithAMaxStayExact) {
  test::in_a_child([] {
    test::Start start{.classes = {test::exactly(64, 100)}};
    start.limits = test::capacity_of(kGiB, 1, OnExhausted::grant);
    ASSERT_TRUE(start_engine(start));
    ASSERT_TRUE(add_all_classes());
    publish_classes();
    sample_each(1);
    std::vector<Block> others = test::make_blocks(10, 200, 3);
    EXPECT_EQ(g_ledger.taken(), 10u);
    for (int round = 0; round < 3; ++round) {
      std::vector<Block> blocks = test::make_blocks(100, 64, 1);
      EXPECT_EQ(test::census().in_use(64), 100u);
      EXPECT_EQ(allocate(64), nullptr) << "the next allocator's, and there is none";
      EXPECT_EQ(g_ledger.taken(), 10u);
      test::free_blocks(blocks);
      EXPECT_EQ(test::census().in_use(64), 0u);
    }
    test::free_blocks(others);
    end_sampling();
    expect_nothing_left();
  });
}

// Where no span can stand in for a small block, small blocks are not sampled; nor do they make spans look like more.
TEST(Sampling, AListOfClasses) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({.classes = {test::steps(16, kMiB)}}));
    constexpr std::uint64_t kInterval = kMiB;
    sample_each(kInterval);
    int const n = test::rounds(20'000);
    std::uint64_t hits = 0;
    {
      Ring ring;
      for (int i = 0; i < n && !testing::Test::HasFatalFailure(); ++i) {
        void* blocks[100];
        for (void*& block : blocks) {
          block = pop(4000);
          hits += block != nullptr ? 1 : 0;
          if (block == nullptr) block = allocate(4000);
        }
        for (void* const block : blocks) deallocate(block);
        ring.allocate_one(40'960);
      }
    }
    expect_share(g_ledger.taken(), n, 40'960, kInterval);
    EXPECT_EQ(g_ledger.taken(), g_ledger.taken_of(40'960));
    EXPECT_GT(hits, static_cast<std::uint64_t>(n)) << "each malloc of a small block is slow";
    end_sampling();
    expect_nothing_left();
  });
}

// The slow path is taken for a few mallocs only.
TEST(Sampling, MostMallocsAreHits) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    std::vector<void*> blocks(200);
    auto const misses = [&] {
      int missed = 0;
      for (void*& block : blocks) {
        block = pop(48);
        missed += block == nullptr ? 1 : 0;
        if (block == nullptr) block = allocate(48);
      }
      for (void* const block : blocks) deallocate(block);
      return missed;
    };
    sample_each(512 * kKiB);
    int sum = 0;
    for (int i = 0; i < 100; ++i) sum += misses();
    EXPECT_LT(sum, 100 * 200 / 4) << "of " << 100 * 200;
    end_sampling();
    misses();
    EXPECT_LT(misses(), 200 / 4) << "afterwards malloc looks at the lists that free fills";
    expect_nothing_left();
  });
}

TEST(Sampling, OnAndOffUnderThreads) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    test::Mailbox box;
    std::atomic<int> busy{3};
    test::in_threads(4, [&](int index) {
      test::Random random(900 + static_cast<std::uint64_t>(index));
      if (index == 3) {
        while (busy > 0) {
          sample_each(random.one_in(3) ? 1 : 20'000);
          if (random.one_in(2)) request_flush();
          std::this_thread::sleep_for(std::chrono::microseconds(300));
          if (random.one_in(5)) trim();
          end_sampling();
          if (random.one_in(4)) request_flush();
          std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
        return;
      }
      Block block;
      for (int i = 0; i < test::rounds(200'000); ++i) {
        std::size_t const size = random.skewed(random.one_in(50) ? 300'000 : 2000);
        block = {static_cast<char*>(allocate(size)), size, random.next()};
        ASSERT_NE(block.at, nullptr);
        test::write(block);
        if (random.one_in(10)) {
          std::size_t const other = random.skewed(random.one_in(9) ? 600'000 : 3000);
          block.at = static_cast<char*>(reallocate(block.at, other));
          ASSERT_NE(block.at, nullptr);
          ASSERT_TRUE(test::intact(block, std::min(size, other)));
          block.size = other;
          test::write(block);
        }
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
    EXPECT_GT(g_ledger.taken(), 0u);
    expect_nothing_left();
  });
}

// What is counted and not handed out goes back like the rest of a list.
TEST(Sampling, AFlushTakesCountedBlocksToo) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    sample_each(kGiB);
    std::vector<Block> blocks = test::make_blocks(200, 200, 1);
    test::free_blocks(blocks);
    deallocate(allocate(200));  // some are counted
    std::uint32_t const c = serving_class(200);
    EXPECT_NE(t_thread.own->counted(c).head, nullptr);
    auto const lists = [] { return test::census().classes[g_classes.classes[serving_class(200)].block].in_lists; };
    EXPECT_GE(lists(), 2u);
    request_flush();
    deallocate(allocate(64));
    EXPECT_EQ(lists(), 0u);
    EXPECT_EQ(t_thread.own->counted(c).head, nullptr);
    EXPECT_TRUE(soon([] {
      deallocate(allocate(64));
      return !flush_requested();
    }));
    EXPECT_EQ(class_of(200), kLists + c) << "the table leads to the counted ones again";
    end_sampling();
    EXPECT_EQ(class_of(200), c);
    expect_nothing_left();
  });
}

// It begins and ends while threads are called in: the table is put right by whoever ends that.
TEST(Sampling, BeginsDuringAFlush) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    for (bool const begins : {true, false}) {
      EXPECT_TRUE(soon([] {
        request_flush();
        return flush_requested();
      }));
      begins ? sample_each(kGiB) : end_sampling();
      EXPECT_TRUE(class_of(200) == 0 || !flush_requested());
      EXPECT_TRUE(soon([] {
        deallocate(allocate(64));
        return !flush_requested();
      }));
      EXPECT_EQ(class_of(200), (begins ? kLists : 0) + serving_class(200));
      std::this_thread::sleep_for(std::chrono::milliseconds(25));
    }
    expect_nothing_left();
  });
}

// Somebody is called in although another request was just made, and though there is much ado.
TEST(Sampling, WorkIsAlwaysCalledFor) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    static std::atomic<int> done{0};
    std::atomic<bool> over{false};
    std::thread other([&] {
      while (!over) {
        sample_each(kGiB);
        end_sampling();
      }
    });
    for (int i = 0; i < test::rounds(2000) && !testing::Test::HasFailure(); ++i) {
      int const before = done;
      request_flush();
      call_in([]() noexcept { ++done; });
      EXPECT_TRUE(soon([&] {
        deallocate(allocate(64));
        return done == before + 1;
      }));
    }
    over = true;
    other.join();
  });
}

TEST(Sampling, ThreadsEnd) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    sample_each(3000);
    test::Mailbox box;
    for (int round = 0; round < test::rounds(100); ++round) {
      std::thread([&] {
        std::vector<Block> blocks = test::make_blocks(100, 40, 1);
        for (Block const& block : test::make_blocks(20, 500, 2)) box.put(block);
        test::free_blocks(blocks);
      }).join();
      if (round % 3 == 0) trim();
      if (round % 4 == 3) end_sampling();
      if (round % 4 == 0) begin_sampling(kSampler);
    }
    EXPECT_LE(test::census().all.heaps, 4u);
    for (Block block; box.take(block);) {
      EXPECT_TRUE(test::intact(block));
      deallocate(block.at);
    }
    end_sampling();
    expect_nothing_left();
  });
}

void lock_ledger() { g_ledger.lock(); }
void unlock_ledger() { g_ledger.unlock(); }

// The child has its parent's samples, and its own from then on.
TEST(Sampling, AForkInBetween) {
  test::in_a_child([] {
    ASSERT_EQ(pthread_atfork(fork_prepare, fork_in_parent, fork_in_child), 0);
    ASSERT_EQ(pthread_atfork(lock_ledger, unlock_ledger, unlock_ledger), 0);
    ASSERT_TRUE(start_engine({}));
    sample_each(2000);
    std::atomic<bool> done{false};
    std::thread other([&] {
      test::Random random(5);
      while (!done) {
        Block block = test::make_blocks(1, random.skewed(100'000), 1)[0];
        deallocate(block.at);
      }
    });
    std::vector<Block> blocks = test::make_blocks(2000, 100, 1);
    for (int i = 0; i < test::rounds(30); ++i) {
      test::in_a_child([&] {
        std::size_t const taken = g_ledger.taken();
        std::vector<Block> more = test::make_blocks(2000, 300, 2);
        EXPECT_GT(g_ledger.taken(), taken);
        test::free_blocks(more);
        test::free_blocks(blocks);
        EXPECT_LE(g_ledger.live(), 1u) << "but for the one of the other thread";
        end_sampling();
        trim();
        EXPECT_TRUE(engine_is_valid());
      });
    }
    EXPECT_GT(g_ledger.live(), 20u) << "the children's are their own";
    done = true;
    other.join();
    test::free_blocks(blocks);
    end_sampling();
    expect_nothing_left();
  });
}

// Another thread was about to switch it on, or off.
TEST(Sampling, AForkInTheMiddleOfASwitch) {
  test::in_a_child([] {
    ASSERT_EQ(pthread_atfork(fork_prepare, fork_in_parent, fork_in_child), 0);
    ASSERT_TRUE(start_engine({}));
    for (bool const begins : {true, false}) {
      begins ? end_sampling() : sample_each(kGiB);
      if (begins) {
        sample_each(kGiB);
        end_sampling();  // who samples is known
      }
      g_sampling.store(begins);
      test::in_a_child([begins] { EXPECT_EQ(class_of(200), (begins ? kLists : 0) + serving_class(200)); });
    }
  });
}

}  // namespace
