// The profile: who holds what was sampled, as the dump tells it. Each test is a process of its own.
#include <pthread.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "engine.hpp"
#include "engine/backtrace.hpp"
#include "engine/sampling.hpp"
#include "observe/profile.hpp"
#include "temporary.hpp"

namespace {

using namespace stealth;
namespace profile = observe::profile;

thread_local std::uintptr_t t_frame = 0x1000;  // where this thread says that it is
char g_library[100];
std::atomic<int> g_unwound{0};

// Two frames of our own, then one of the program's.
int unwind(void** into, int most) noexcept {
  ++g_unwound;
  if (most < 3) return 0;
  into[0] = g_library + 10;
  into[1] = g_library + 99;
  into[2] = reinterpret_cast<void*>(t_frame);
  return 3;
}
int unwind_nothing(void**, int) noexcept { return -1; }

bool begin(std::uint64_t interval, Unwind* how = unwind) {
  tell_stacks_by(how, {g_library, g_library + sizeof g_library});
  return profile::begin(interval);
}

struct Counts {
  std::uint64_t live, live_bytes, all, all_bytes;
  friend bool operator==(Counts const&, Counts const&) = default;
};

struct Dumped {
  Counts total{};
  std::uint64_t interval = 0;
  std::map<std::string, Counts> stacks;  // of all lines of a stack together
  std::size_t lines = 0;
};

Dumped dump() {
  test::TemporaryDirectory const directory;
  std::string const path = directory / "heap";
  EXPECT_EQ(profile::dump(profile::What::heap, path.c_str()), 0);
  std::ifstream file(path);
  Dumped result;
  std::string line;
  // The four counts in `line` after what `before` reads, and where they end in it; 0: they are not there.
  unsigned long long live, live_bytes, all, all_bytes;
  auto const counts = [&](char const* before) {
    int end = 0;
    std::string const form = std::string(before) + "%llu: %llu [%llu: %llu] @%n";
    static_cast<void>(std::sscanf(line.c_str(), form.c_str(), &live, &live_bytes, &all, &all_bytes, &end));
    return static_cast<std::size_t>(end);
  };
  std::getline(file, line);
  std::size_t end = counts("heap profile: ");
  EXPECT_EQ(line.compare(end, 9, " heap_v2/"), 0) << line;
  if (end != 0) {
    result.total = {live, live_bytes, all, all_bytes};
    result.interval = std::stoull(line.substr(end + 9));
  }
  while (std::getline(file, line) && !line.empty()) {
    end = counts(" ");
    std::string const frames = line.substr(end);
    EXPECT_TRUE(end != 0 && frames.find_first_not_of(" 0x123456789abcdef") == std::string::npos) << line;
    if (end == 0) continue;
    EXPECT_TRUE(live <= all && live_bytes <= all_bytes) << line;
    Counts& stack = result.stacks[frames];
    stack = {stack.live + live, stack.live_bytes + live_bytes, stack.all + all, stack.all_bytes + all_bytes};
    ++result.lines;
  }
  std::getline(file, line);
  EXPECT_EQ(line, "MAPPED_LIBRARIES:");
  return result;
}

void* at(std::uintptr_t frame, std::size_t bytes) {
  t_frame = frame;
  return allocate(bytes);
}

TEST(Profile, WhoHoldsWhat) {
  test::in_a_child([] {
    ASSERT_TRUE(test::start_engine({}));
    EXPECT_EQ(profile::interval(), 0u);
    void* const before = at(0x1000, 64);
    ASSERT_TRUE(begin(1));
    EXPECT_EQ(profile::interval(), 1u);
    std::vector<void*> blocks;
    for (int i = 0; i < 10; ++i) blocks.push_back(at(0xa000, 96));
    for (int i = 0; i < 5; ++i) blocks.push_back(at(0xb000, 50'000));
    for (int i = 0; i < 3; ++i) deallocate(at(0xa000, 96));
    t_frame = 0xc000;
    blocks[12] = reallocate(blocks[12], 55'000);
    EXPECT_EQ(profile::live_samples(), 15u);
    Dumped const all = dump();
    EXPECT_EQ(all.interval, 1u);
    EXPECT_EQ(all.stacks.size(), 2u) << "our own frames are left out";
    EXPECT_EQ(all.stacks.at(" 0xa000"), (Counts{10, 960, 13, 1248}));
    EXPECT_EQ(all.stacks.at(" 0xb000").live, 5u);
    EXPECT_EQ(all.stacks.at(" 0xb000").all, 5u);
    EXPECT_GE(all.stacks.at(" 0xb000").live_bytes, 255'000u);
    EXPECT_EQ(all.total.live, 15u);
    EXPECT_EQ(all.total.all, 18u);
    EXPECT_EQ(all.total.live_bytes, 960 + all.stacks.at(" 0xb000").live_bytes);
    deallocate(before);
    profile::end();
    EXPECT_EQ(profile::interval(), 0u);
    deallocate(at(0xd000, 96));
    for (void* const block : blocks) deallocate(block);
    EXPECT_EQ(profile::live_samples(), 0u) << "what is freed later is told, too";
    Dumped const none = dump();
    EXPECT_EQ(none.total, (Counts{0, 0, 18, all.total.all_bytes}));
    EXPECT_EQ(none.interval, 1u);
    EXPECT_FALSE(none.stacks.contains(" 0xd000"));
  });
}

// Resized where it is, memory is a sample as if it had always been of its size; and what is live once was.
TEST(Profile, ShrinksAndGrows) {
  test::in_a_child([] {
    ASSERT_TRUE(test::start_engine({}));
    ASSERT_TRUE(begin(64 * kKiB));
    std::vector<void*> blocks(1000);
    for (void*& block : blocks) block = at(0xa000, kMiB);
    auto const expect = [&](std::size_t bytes) {
      for (void*& block : blocks) block = reallocate(block, bytes);
      double const chance = 1 - std::exp(-static_cast<double>(bytes) / (64 * kKiB)), n = 1000;
      Dumped const all = dump();
      EXPECT_NEAR(static_cast<double>(all.total.live), n * chance, 6 * std::sqrt(n * chance * (1 - chance)) + 1);
      EXPECT_EQ(all.total.live, profile::live_samples());
      EXPECT_EQ(all.total.live_bytes, all.total.live * bytes);
      EXPECT_LE(all.total.live_bytes, all.total.all_bytes);
      EXPECT_LE(all.stacks.at(" 0xa000").live_bytes, all.stacks.at(" 0xa000").all_bytes);
    };
    for (std::size_t const kib : {1024U, 64U, 48U, 128U, 40U, 1024U}) expect(kib * kKiB);
    for (void* const block : blocks) deallocate(block);
    EXPECT_EQ(profile::live_samples(), 0u);
    Dumped const none = dump();
    EXPECT_EQ(none.total.live_bytes, 0u);
  });
}

// A reader scales each line by its mean size.
TEST(Profile, SizesThatDifferHaveTheirOwnLines) {
  test::in_a_child([] {
    ASSERT_TRUE(test::start_engine({}));
    ASSERT_TRUE(begin(64 * kKiB));
    std::vector<void*> blocks;
    for (int i = 0; i < 30'000; ++i) blocks.push_back(at(0xa000, 1024));
    for (int i = 0; i < 30; ++i) blocks.push_back(at(0xa000, kMiB));
    Dumped const all = dump();
    EXPECT_EQ(all.lines, 2u);
    for (void* const block : blocks) deallocate(block);
  });
}

// Where nobody may wait, nobody looks at the loader's lists.
TEST(Profile, WithoutAStack) {
  test::in_a_child([] {
    ASSERT_TRUE(test::start_engine({}));
    ASSERT_TRUE(begin(1));
    forbid_waits();
    void* const a = at(0x1000, 96);
    allow_waits();
    EXPECT_EQ(g_unwound, 0);
    ASSERT_TRUE(begin(1, unwind_nothing));
    void* const b = at(0x1000, 96);
    ASSERT_TRUE(begin(1, nullptr));
    void* const c = at(0x1000, 96);
    Dumped const all = dump();
    ASSERT_EQ(all.stacks.size(), 1u);
    EXPECT_EQ(all.stacks.at(""), (Counts{3, 288, 3, 288}));
    for (void* const block : {a, b, c}) deallocate(block);
    EXPECT_EQ(profile::live_samples(), 0u);
  });
}

// No more samples than there is room for; the program goes on, and so does the profile when some are freed.
TEST(Profile, Full) {
  test::in_a_child([] {
    ASSERT_TRUE(test::start_engine({}));
    ASSERT_TRUE(begin(1));
    std::vector<void*> blocks((1 << 18) + 1000);
    for (void*& block : blocks) {
      block = at(0x1000, 16);
      ASSERT_NE(block, nullptr);
    }
    std::uint64_t const most = profile::live_samples();
    EXPECT_GE(most, (1u << 18) - 10);
    EXPECT_LT(most, blocks.size());
    EXPECT_EQ(dump().total.live, most);
    for (void*& block : blocks) deallocate(block);
    EXPECT_EQ(profile::live_samples(), 0u);
    for (int round = 0; round < 2; ++round) {
      for (std::size_t i = 0; i < 1000; ++i) blocks[i] = at(0x2000, 16);
      EXPECT_EQ(profile::live_samples(), 1000u);
      for (std::size_t i = 0; i < 1000; ++i) deallocate(blocks[i]);
    }
    profile::end();
    trim();
    test::expect_consistent();
  });
}

TEST(Profile, Stalls) {
  test::in_a_child([] {
    ASSERT_TRUE(test::start_engine({.limits = test::capacity_of(4 * kMiB, 5, OnExhausted::grant)}));
    ASSERT_TRUE(begin(kGiB));
    t_frame = 0xe000;
    std::vector<void*> blocks;
    while (g_budget.facts().waits == 0 && blocks.size() < 1000) blocks.push_back(allocate(100'000));
    test::TemporaryDirectory const directory;
    ASSERT_EQ(profile::dump(profile::What::stalls, (directory / "stalls").c_str()), 0);
    std::ifstream file(directory / "stalls");
    std::stringstream text;
    text << file.rdbuf();
    std::string const content = text.str(), period = "\nsampling period = 1\n";
    std::size_t const row = content.find(period);
    ASSERT_NE(row, std::string::npos) << content;
    unsigned long long ns = 0, waits = 0;
    char end = 0;
    ASSERT_EQ(std::sscanf(content.c_str() + row + period.size(), "%llu %llu @ 0xe000%c", &ns, &waits, &end), 3)
        << content;
    EXPECT_EQ(end, '\n');
    EXPECT_EQ(waits, g_budget.facts().waits);
    EXPECT_EQ(ns, g_budget.facts().waited_ns);
    for (void* const block : blocks) deallocate(block);
  });
}

// Threads come and go, and the sums are right in the end.
TEST(Profile, ByThreads) {
  test::in_a_child([] {
    ASSERT_TRUE(test::start_engine({}));
    ASSERT_TRUE(begin(1));
    std::atomic<bool> done{false};
    test::in_threads(4, [&](int index) {
      if (index == 3) {
        for (int i = 0; !done; ++i) {
          static_cast<void>(dump());
          EXPECT_TRUE(i % 3 != 0 || begin(i % 2 == 0 ? 1 : 2));
        }
        return;
      }
      for (int i = 0; i < test::rounds(3000); ++i)
        deallocate(
            at(0x10'0000 + static_cast<std::uintptr_t>(index) * 0x1000 + static_cast<std::uintptr_t>(i % 50), 200));
      if (index == 0) done = true;
    });
    profile::end();
    EXPECT_EQ(profile::live_samples(), 0u);
    EXPECT_EQ(dump().total.live_bytes, 0u);
  });
}

void before() {
  fork_prepare();
  profile::fork_prepare();
}
void in_parent() {
  profile::fork_in_parent();
  fork_in_parent();
}
void in_child() {
  profile::fork_in_child();
  fork_in_child();
}

TEST(Profile, Forks) {
  test::in_a_child([] {
    ASSERT_EQ(pthread_atfork(before, in_parent, in_child), 0);
    ASSERT_TRUE(test::start_engine({}));
    ASSERT_TRUE(begin(1));
    std::atomic<bool> done{false};
    std::thread other([&] {
      while (!done) deallocate(at(0x9000, 100));
    });
    void* const block = at(0x1000, 96);
    for (int i = 0; i < test::rounds(50); ++i) {
      test::in_a_child([&] {
        deallocate(block);
        EXPECT_LE(profile::live_samples(), 1u);
        void* const own = at(0x7000, 96);
        EXPECT_EQ(dump().stacks.at(" 0x7000").live, 1u);
        deallocate(own);
      });
    }
    done = true;
    other.join();
    EXPECT_EQ(profile::live_samples(), 1u);
    deallocate(block);
  });
}

std::atomic<bool> g_stuck{false}, g_go_on{false};
int unwind_slowly(void** into, int) noexcept {
  into[0] = into[1] = reinterpret_cast<void*>(t_frame);
  g_stuck = true;
  while (!g_go_on) std::this_thread::yield();
  return 1;
}

// A fork waits for those who unwind, but not for ever: they may wait for the forking thread. Its child then must not
// unwind, for nobody will give the unwinder's locks free there.
TEST(Profile, AForkWhileSomebodyUnwinds) {
  test::in_a_child([] {
    ASSERT_EQ(pthread_atfork(before, in_parent, in_child), 0);
    ASSERT_TRUE(test::start_engine({}));
    deallocate(
        allocate(16));  // this thread's heap is made here: TSan knows nothing of locks that an ended thread leaves
    ASSERT_TRUE(begin(1, unwind_slowly));
    std::thread other([] { deallocate(at(0x9000, 100)); });
    EXPECT_TRUE(test::soon([] { return g_stuck.load(); }));
    test::in_a_child([] {
      for (int i = 0; i < 2; ++i) deallocate(at(0x7000, 96));
      EXPECT_EQ(dump().stacks.at("").all, 2u);
    });
    std::thread goes_on([] {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      g_go_on = true;
    });
    goes_on.join();
    other.join();
    test::in_a_child([] {
      deallocate(at(0x7000, 96));
      EXPECT_EQ(dump().stacks.at(" 0x7000").all, 1u) << "nobody was unwinding";
    });
  });
}

// From a handler that came while this thread was in the slow path, and had the profile's lock.
TEST(Profile, AForkFromAHandler) {
  test::in_a_child([] {
    ASSERT_TRUE(test::start_engine({}));
    ASSERT_TRUE(begin(1));
    profile::fork_prepare();  // takes the lock, as what was interrupted did
    t_thread.busy = true;
    for (auto* const after : {in_parent, in_child}) {
      before();
      after();
    }
    t_thread.busy = false;
    deallocate(at(0x1000, 96));
    EXPECT_EQ(profile::live_samples(), 0u);
  });
}

}  // namespace
