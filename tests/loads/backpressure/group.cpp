// Load: a family of forked processes, of one thread each, that allocate and free at random; some are killed at random
// and replaced. At the end all stand still, one takes what is left below `capacity`, a quarter of the others is killed,
// and one takes as much as these had: how soon can it? The parent looks at all of them from outside. Whether they share
// a capacity, and which, is set by who starts this; `capacity` says so to the load.
//
// In the mean a member's live memory is half of kHighest, so that the family would be somewhat below the capacity, and
// above it now and then. (Were it above in the mean, all would end up waiting for each other: none frees while it
// waits.)
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <thread>

#include "common.hpp"

namespace pressure {
namespace {

constexpr unsigned kMost = 256;
constexpr std::size_t kHighest = std::size_t{6} << 20;  // a member's live memory rises and falls up to here
constexpr auto kRest = std::chrono::milliseconds(8);    // after each 64 KiB made or freed

enum Phase : std::uint32_t { churning, standing_still, growing, ending };
enum State : std::uint32_t { starting, ready, still };

// What the parent and its children see together.
struct Shared {
  std::atomic<Phase> phase;
  std::atomic<std::uint32_t> grower;  // who takes memory in the phase `growing`
  std::atomic<std::uint64_t> goal;    // until its live memory is this
  struct Member {
    std::atomic<State> state;
    std::atomic<std::uint64_t> live, operations, longest_ns;
  } members[kMost];
};

// One child: it never returns from run().
class Member {
 public:
  Member(Shared& shared, unsigned number, std::uint64_t seed)
      : shared_(shared), me_(shared.members[number]), number_(number), random_(seed) {}

  [[noreturn]] void run() {
    warm_up();
    me_.state = ready;
    std::this_thread::sleep_for(std::chrono::milliseconds(random_.below(1000)));  // out of step
    while (shared_.phase == churning) {
      approach(kHighest / 2 + random_.below(kHighest / 2));
      approach(random_.below(kHighest / 2));
    }
    me_.state = still;
    while (shared_.phase != ending) {
      if (shared_.phase == growing && shared_.grower == number_ && live_ < shared_.goal) {
        make();
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    }
    std::exit(0);
  }

 private:
  // What a process touches by allocating at all is no memory that it holds: it is there before the parent measures.
  void warm_up() {
    for (loads::Block& block : blocks_) block = {nullptr, 1, 0};  // 1: written, although it is nothing
    void* one[13];
    for (unsigned i = 0; i < 13; ++i) std::memset(one[i] = std::malloc(std::size_t{16} << i), 1, std::size_t{16} << i);
    for (void* block : one) std::free(block);
  }
  void approach(std::size_t target) {
    const bool up = live_ < target;
    while (shared_.phase == churning && (live_ < target) == up) up ? make() : drop();
  }
  void make() {
    if (count_ == kBlocks) loads::fail("more blocks than a member has room for");
    const std::size_t size = shared_.phase == growing ? std::size_t{64} << 10 : random_.doubling(12, 16);
    const auto before = Clock::now();
    loads::Block& block = blocks_[count_++];
    block.fill(size, random_.next());
    const auto took = static_cast<std::uint64_t>(std::chrono::nanoseconds(Clock::now() - before).count());
    if (took > me_.longest_ns) me_.longest_ns = took;
    moved(size);
    live_ += size;
    me_.live = live_;
  }
  void drop() {
    std::swap(blocks_[random_.below(count_)], blocks_[count_ - 1]);
    loads::Block& block = blocks_[--count_];
    live_ -= block.size;
    moved(block.size);
    block.drop(sum_);
    me_.live = live_;
  }
  void moved(std::size_t bytes) {
    me_.operations.fetch_add(1, std::memory_order_relaxed);
    moved_ += bytes;
    if (moved_ < std::size_t{64} << 10 || shared_.phase == growing) return;
    moved_ = 0;
    std::this_thread::sleep_for(kRest);
  }

  static constexpr std::size_t kBlocks = 16384;
  static loads::Block blocks_[kBlocks];

  Shared& shared_;
  Shared::Member& me_;
  unsigned number_;
  loads::Random random_;
  loads::Checksum sum_;
  std::size_t count_ = 0, live_ = 0, moved_ = 0;
};

loads::Block Member::blocks_[Member::kBlocks];

class Family {
 public:
  explicit Family(unsigned size)
      : shared_(*static_cast<Shared*>(
            mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))),
        pids_(size, 0),
        before_(size, 0) {
    if (&shared_ == MAP_FAILED) loads::fail("no shared memory");
    for (unsigned i = 0; i < size; ++i) start(i);
  }

  void start(unsigned number) {
    Shared::Member& member = shared_.members[number];
    member.state = starting;
    member.live = 0;
    before_[number] = 0;
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child < 0) loads::fail("fork");
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(0);
      Member(shared_, number, ++started_ * 1000 + number).run();
    }
    ++started_;
    pids_[number] = child;
  }

  void kill_one(unsigned number) {
    kill(pids_[number], SIGKILL);
    waitpid(pids_[number], nullptr, 0);
    pids_[number] = 0;
  }

  // What all hold beyond what they had before their first block, by the kernel's figures. Noted over time as well.
  std::size_t look() {
    std::size_t sum = 0;
    std::size_t live = 0;
    for (unsigned i = 0; i < pids_.size(); ++i) {
      if (pids_[i] == 0 || shared_.members[i].state == starting) continue;
      const std::size_t resident = private_resident(pids_[i]);
      if (before_[i] == 0) before_[i] = resident;
      sum += resident > before_[i] ? resident - before_[i] : 0;
      live += shared_.members[i].live;
    }
    largest_ = std::max(largest_, sum);
    largest_live_ = std::max(largest_live_, live);
    series_.push_back(seconds(Clock::now() - began_));
    series_.push_back(static_cast<double>(sum) / kMiB);
    return sum;
  }

  // Looks on until done() or for so long; false: not done.
  template <typename Done>
  bool watch(double longest, Done done) {
    const auto end = Clock::now() + duration(longest);
    while (!done()) {
      if (Clock::now() > end) return false;
      look();
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
  }

  void churn(double time, unsigned kills) {
    loads::Random random(5);
    for (unsigned i = 0; i <= kills; ++i) {
      watch(time / (kills + 1), [] { return false; });
      if (i == kills) break;
      const unsigned victim = static_cast<unsigned>(random.below(pids_.size()));
      kill_one(victim);
      start(victim);
    }
  }

  // Seconds until another member has what the dead ones had; below zero: not within `longest`.
  double inherit(std::size_t capacity, double longest, Report& report) {
    shared_.phase = standing_still;
    watch(longest, [this] {
      return std::all_of(shared_.members, shared_.members + pids_.size(),
                         [](const Shared::Member& member) { return member.state == still; });
    });
    const auto grow = [&](std::uint32_t who, std::size_t bytes) {
      shared_.goal = shared_.members[who].live + bytes;
      shared_.grower = who;
      shared_.phase = growing;
      return watch(longest, [&] { return shared_.members[who].live >= shared_.goal; });
    };
    const std::size_t sum = look();
    const std::size_t full = capacity - capacity / 32;
    report.add("standing_still", std::uint64_t{sum});
    if (sum > capacity + capacity / 32 || (sum < full && !grow(0, full - sum))) return -1;

    const std::size_t before = look();
    for (unsigned i = 1; i <= pids_.size() / 4; ++i) kill_one(i);
    const auto killed = Clock::now();
    const std::size_t share = before - look();
    report.add("dead_ones_share", std::uint64_t{share});
    const bool done = grow(static_cast<std::uint32_t>(pids_.size() - 1), share - share / 16);
    return done ? seconds(Clock::now() - killed) : -1;
  }

  // Ends all, politely at first, and tells what was seen.
  void end(Report& report) {
    shared_.phase = ending;
    unsigned stuck = 0;
    unsigned failed = 0;
    const auto latest = Clock::now() + std::chrono::seconds(20);
    for (pid_t& pid : pids_) {
      int status = 0;
      pid_t gone = pid == 0 ? -1 : 0;
      while (gone == 0 && (gone = waitpid(pid, &status, WNOHANG)) == 0) {
        if (Clock::now() > latest) {
          ++stuck;
          kill(pid, SIGKILL);
          waitpid(pid, nullptr, 0);
          break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      failed += gone > 0 && status != 0;
      pid = 0;
    }
    std::uint64_t operations = 0;
    std::uint64_t longest = 0;
    for (unsigned i = 0; i < pids_.size(); ++i) {
      operations += shared_.members[i].operations;
      longest = std::max<std::uint64_t>(longest, shared_.members[i].longest_ns);
    }
    report.add("members", std::uint64_t{pids_.size()});
    report.add("stuck", std::uint64_t{stuck});
    report.add("failed", std::uint64_t{failed});
    report.add("operations", operations);
    report.add("longest_allocation", static_cast<double>(longest) * 1e-9);
    report.add("largest_sum", std::uint64_t{largest_});
    report.add("largest_live_sum", std::uint64_t{largest_live_});
    report.add("series", series_);  // seconds, MiB, seconds, MiB …
  }

 private:
  Shared& shared_;
  std::vector<pid_t> pids_;
  std::vector<std::size_t> before_;  // bytes resident before the first block; 0: not measured yet
  std::vector<double> series_;
  std::size_t largest_ = 0, largest_live_ = 0;
  std::uint64_t started_ = 0;
  Clock::time_point began_ = Clock::now();
};

}  // namespace

void group(const char* name, Arguments& arguments) {
  const unsigned members = arguments.count("members", 64);
  const unsigned kills = arguments.count("kills", 8);
  const double time = arguments.number("seconds", 6);
  const std::size_t capacity = arguments.mib("capacity", 320);
  arguments.refuse_others();
  if (members < 2 || members > kMost) loads::fail("members: 2 to 256");

  const auto began = Clock::now();
  Family family(members);
  family.churn(time, kills);
  Report report(name);
  const double back = family.inherit(capacity, 20, report);
  family.end(report);
  report.add("share_back", back);
  report.add("elapsed", Clock::now() - began);
}

}  // namespace pressure
