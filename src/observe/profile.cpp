// See profile.hpp.
#include "observe/profile.hpp"

#include <atomic>
#include <cstring>

#include "base/chances.hpp"
#include "base/mappings.hpp"
#include "base/mutex.hpp"
#include "capacity/stalls.hpp"
#include "engine/backtrace.hpp"
#include "engine/sampling.hpp"
#include "observe/dump.hpp"
#include "observe/stacks.hpp"
#include "os/os.hpp"

namespace stealth::observe::profile {

namespace {

constexpr std::uint32_t kMostSamples = 1 << 18;
constexpr std::uint32_t kNone = 0;
constexpr std::uint32_t kUncounted = ~std::uint32_t{0};  // its memory has shrunk: now it would not be one

struct Sample {
  std::uint32_t stack;
  std::uint32_t next_free;  // the next number that is free, where this one is; or kUncounted
  std::uint64_t bytes;
};

constinit Mutex g_mutex;  // a leaf; guards the three that follow, and g_resize_random
constinit Stacks g_stacks;
constinit Sample* g_samples = nullptr;  // numbered from 1
constinit std::uint32_t g_samples_used = 0, g_first_free = kNone;

constinit std::atomic<std::uint64_t> g_interval{0}, g_last_interval{0};
constinit std::atomic<std::uint64_t> g_live{0};

std::uint64_t draw(std::uint32_t& random) noexcept {
  double const bytes = static_cast<double>(g_interval.load(std::memory_order_relaxed)) * exponential(random);
  return static_cast<std::uint64_t>(bytes) + 1;
}

std::uint32_t taken(std::size_t bytes) noexcept {
  void* frames[kMostFrames];
  std::uint32_t const depth = backtrace(frames, kMostFrames);
  Hold hold(g_mutex);
  std::uint32_t number = g_first_free;
  if (number != kNone) {
    g_first_free = g_samples[number].next_free;
  } else if (g_samples_used + 1 < kMostSamples) {
    number = ++g_samples_used;
  } else {
    return 0;
  }
  std::uint32_t const at =
      g_stacks.find_or_add(frames, depth, group_of(bytes, g_last_interval.load(std::memory_order_relaxed)));
  Stack& stack = g_stacks.at(at);
  ++stack.live;
  ++stack.all;
  stack.live_bytes += bytes;
  stack.all_bytes += bytes;
  g_samples[number] = {at, kNone, bytes};
  g_live.fetch_add(1, std::memory_order_relaxed);
  return number;
}

constinit std::uint32_t g_resize_random = 0;  // from begin() on not 0

void remove_live(Sample const& sample) noexcept {
  Stack& stack = g_stacks.at(sample.stack);
  --stack.live;
  stack.live_bytes -= sample.bytes;
}

// Whether memory is a sample must not depend on how it came to its size: what shrinks stays one by the share of the
// chances, what grows becomes one by the chance of what is added.
void resized(std::uint32_t number, std::size_t bytes) noexcept {
  Hold hold(g_mutex);
  Sample& sample = g_samples[number];
  std::uint64_t const interval = g_last_interval.load(std::memory_order_relaxed);
  bool const counted = sample.next_free != kUncounted;
  bool const grows = bytes > sample.bytes;
  auto const happens = [](double chance) { return next_random(g_resize_random) < chance * 4294967296.; };
  bool const counts = grows ? counted || happens(chance_of(bytes - sample.bytes, interval))
                            : counted && happens(chance_of(bytes, interval) / chance_of(sample.bytes, interval));
  if (counted) remove_live(sample);
  if (counts) {
    Stack const& before = g_stacks.at(sample.stack);
    std::uint32_t const at = g_stacks.find_or_add(g_stacks.frames_of(before), before.depth, group_of(bytes, interval));
    // What grows adds to what ever was, but is no more objects; so does what shrinks, unless into another group.
    if (counted && (grows || at == sample.stack)) {
      Stack& ever = g_stacks.at(sample.stack);
      --ever.all;
      ever.all_bytes -= grows ? sample.bytes : bytes;
    }
    Stack& stack = g_stacks.at(at);
    ++stack.live;
    ++stack.all;
    stack.live_bytes += bytes;
    stack.all_bytes += bytes;
    sample.stack = at;
  }
  g_live.fetch_add(static_cast<std::uint64_t>(counts) - static_cast<std::uint64_t>(counted), std::memory_order_relaxed);
  sample.bytes = bytes;
  sample.next_free = counts ? kNone : kUncounted;
}

void freed(std::uint32_t number) noexcept {
  Hold hold(g_mutex);
  Sample& sample = g_samples[number];
  if (sample.next_free != kUncounted) {
    remove_live(sample);
    g_live.fetch_sub(1, std::memory_order_relaxed);
  }
  sample = {0, g_first_free, 0};
  g_first_free = number;
}

void stalled(std::uint64_t ns) noexcept {
  void* frames[kMostFrames];
  std::uint32_t const depth = backtrace(frames, kMostFrames);
  Hold hold(g_mutex);
  Stack& stack = g_stacks.at(g_stacks.find_or_add(frames, depth));
  ++stack.stalls;
  stack.stalled_ns += ns;
}

constinit Sampler const g_profiler = {draw, taken, resized, freed};

}  // namespace

bool begin(std::uint64_t interval) noexcept {
  {
    Hold hold(g_mutex);
    if (g_samples == nullptr) g_samples = static_cast<Sample*>(os::map(kMostSamples * sizeof(Sample)));
    if (g_resize_random == 0) g_resize_random = static_cast<std::uint32_t>(os::monotonic_ns()) | 1;
    if (g_samples == nullptr || !(g_stacks.is_there() || g_stacks.map())) return false;
  }
  g_interval.store(interval, std::memory_order_relaxed);
  g_last_interval.store(interval, std::memory_order_relaxed);
  g_stall_witness.store(stalled, std::memory_order_release);
  begin_sampling(g_profiler);
  return true;
}

void end() noexcept {
  end_sampling();
  g_stall_witness.store(nullptr, std::memory_order_relaxed);
  g_interval.store(0, std::memory_order_relaxed);
}

std::uint64_t interval() noexcept { return g_interval.load(std::memory_order_relaxed); }
std::uint64_t live_samples() noexcept { return g_live.load(std::memory_order_relaxed); }

namespace {

int write_dump(What what, DumpFile& file) noexcept {
  // Stacks are never changed but for their counts, and none goes away: the lock is held for one at a time.
  std::uint32_t count = 0;
  Stack total = {};
  {
    Hold hold(g_mutex);
    count = g_stacks.count();
    for (std::uint32_t i = 0; i < count; ++i) {
      Stack const& stack = g_stacks.at(i);
      total.live += stack.live;
      total.live_bytes += stack.live_bytes;
      total.all += stack.all;
      total.all_bytes += stack.all_bytes;
    }
  }
  if (what == What::heap) {
    file.begin_heap(total, g_last_interval.load(std::memory_order_relaxed));
  } else {
    file.begin_stalls();
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    Stack stack;
    {
      Hold hold(g_mutex);
      stack = g_stacks.at(i);
    }
    if (what == What::heap) {
      file.add_heap(stack, g_stacks.frames_of(stack));
    } else {
      file.add_stalls(stack, g_stacks.frames_of(stack));
    }
  }
  file.add_mappings();
  return file.finish();
}

}  // namespace

int dump(What what, char const* path) noexcept {
  DumpFile file(os::create_file(path));
  return file.error() != 0 ? file.error() : write_dump(what, file);
}

int dump_into_new(What what, char const* path) noexcept {
  DumpFile file(os::create_new_file(path));
  return file.error() != 0 ? file.error() : write_dump(what, file);
}

void write_top(Text& into, std::uint32_t most) noexcept {
  constexpr std::uint32_t kFrames = 8;
  std::uint64_t last_bytes = ~std::uint64_t{0};
  std::uint32_t last = 0;  // of those that hold as much, the earlier ones come first
  for (std::uint32_t rank = 0; rank < most; ++rank) {
    Stack top = {};
    std::uint32_t number = 0;
    {
      Hold hold(g_mutex);
      for (std::uint32_t i = 0; i < g_stacks.count(); ++i) {
        Stack const& stack = g_stacks.at(i);
        bool const comes_later = stack.live_bytes < last_bytes || (stack.live_bytes == last_bytes && i > last);
        if (!comes_later || stack.live_bytes <= top.live_bytes) continue;
        top = stack;
        number = i;
      }
    }
    if (top.live_bytes == 0) return;
    last_bytes = top.live_bytes;
    last = number;
    into << "stealth:   sampled " << Bytes{top.live_bytes} << " in " << top.live << " blocks:";
    for (std::uint32_t i = 0; i < min(top.depth, kFrames); ++i) {
      into << ' ';
      write_place(into, g_stacks.frames_of(top)[i]);
    }
    into << (top.depth > kFrames ? " ...\n" : "\n");
  }
}

// A handler that forks may have interrupted this thread right here: as the engine, it then does without.
void fork_prepare() noexcept {
  if (t_thread.unprotected_forks == 0) g_mutex.lock();
}
void fork_in_parent() noexcept {
  if (t_thread.unprotected_forks == 0) g_mutex.unlock();
}
void fork_in_child() noexcept { g_mutex.reset(); }

}  // namespace stealth::observe::profile
