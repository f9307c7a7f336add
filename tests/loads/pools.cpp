// The bench of explicit pools (tools/bench pools), on Google Benchmark: a get and a put of a block of 4 KiB, from ours
// and from its peers, beside an uncontended pthread mutex pair.
//
//   pools [Google Benchmark's options]      every case
//   pools instructions N                    N times get and put, for callgrind
//
// As long as a process has one thread, the C library's mutexes do without locked instructions. So the cases come twice:
// `alone`, and `threaded`, after a thread has been there. With DPDK, which makes threads itself, there is no `alone`.
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <boost/lockfree/stack.hpp>
#include <boost/pool/pool.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory_resource>
#include <mutex>
#include <stealth/stealth.hpp>
#include <string>
#include <thread>
#include <vector>

#ifdef WITH_DPDK
#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_mempool.h>
#endif

namespace {

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kBlocks = 4096;

// --- what is compared: get() and put(void*) of one block ---

struct Mutex {  // no pool: what the figures are measured by
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  void* get() {
    pthread_mutex_lock(&mutex);
    return this;
  }
  void put(void*) { pthread_mutex_unlock(&mutex); }
};

struct Stealth {
  stealth::Pool pool{kBlocks, {.block_size = kBlock}};
  void* get() { return pool.get().release().data(); }
  void put(void* block) { pool.put(std::span(static_cast<std::byte*>(block), kBlock)); }
};

struct StealthC {
  stealth::Pool pool{kBlocks, {.block_size = kBlock}};
  stealth_pool* handle = pool.handle();
  void* get() {
    void* block = nullptr;
    return stealth_pool_get(handle, &block) == STEALTH_OK ? block : nullptr;
  }
  void put(void* block) {
    if (stealth_pool_put(handle, block, kBlock) != STEALTH_OK) std::abort();
  }
};

struct Malloc {
  void* get() { return std::malloc(kBlock); }
  void put(void* block) { std::free(block); }
};

struct BoostPool {
  std::mutex mutex;
  boost::pool<> pool{kBlock};
  void* get() {
    std::lock_guard const hold(mutex);
    return pool.malloc();
  }
  void put(void* block) {
    std::lock_guard const hold(mutex);
    pool.free(block);
  }
};

struct BoostLockfree {
  std::vector<std::byte> memory = std::vector<std::byte>(kBlocks * kBlock);
  boost::lockfree::stack<void*, boost::lockfree::capacity<kBlocks>> free;
  BoostLockfree() {
    for (std::size_t i = 0; i < kBlocks; ++i) free.push(memory.data() + i * kBlock);
  }
  void* get() {
    void* block = nullptr;
    free.pop(block);
    return block;
  }
  void put(void* block) { free.push(block); }
};

struct SynchronizedPool {
  std::pmr::synchronized_pool_resource pool{{.max_blocks_per_chunk = 0, .largest_required_pool_block = kBlock}};
  void* get() { return pool.allocate(kBlock, 16); }
  void put(void* block) { pool.deallocate(block, kBlock, 16); }
};

#ifdef WITH_DPDK
struct Dpdk {
  rte_mempool* pool = rte_mempool_create("bench", kBlocks - 1, kBlock, RTE_MEMPOOL_CACHE_MAX_SIZE, 0, nullptr, nullptr,
                                         nullptr, nullptr, SOCKET_ID_ANY, 0);
  void* get() {
    void* block = nullptr;
    return rte_mempool_get(pool, &block) == 0 ? block : nullptr;
  }
  void put(void* block) { rte_mempool_put(pool, block); }
};
#endif

// Never destroyed: it may be used from threads that outlive main's statics.
template <class What>
What& one() {
  static auto* const made = new What;
  return *made;
}

// --- the cases ---

// A block, and back.
template <class What>
void pair(benchmark::State& state) {
  What& what = one<What>();
  for (auto _ : state) {
    void* const block = what.get();
    benchmark::DoNotOptimize(block);
    what.put(block);
  }
}

// Many blocks, and back in the order in which they came, which is the worse one for a stack. Time is that of a pair.
template <class What>
void burst(benchmark::State& state) {
  What& what = one<What>();
  std::array<void*, 32> blocks{};
  while (state.KeepRunningBatch(blocks.size())) {
    for (void*& block : blocks) block = what.get();
    benchmark::DoNotOptimize(blocks);
    for (void* const block : blocks) what.put(block);
  }
}

// A fresh block and its first byte, against a fresh page's.
[[maybe_unused]] void first_touch_stealth(benchmark::State& state) {
  constexpr std::size_t kFresh = 16384;
  std::vector<void*> blocks(kFresh);
  while (state.KeepRunningBatch(kFresh)) {
    state.PauseTiming();
    stealth::Pool pool(kFresh, {.block_size = kBlock});
    stealth_pool* const handle = pool.handle();
    state.ResumeTiming();
    for (void*& block : blocks) {
      if (stealth_pool_get(handle, &block) != STEALTH_OK) std::abort();
      *static_cast<char volatile*>(block) = 1;
    }
    state.PauseTiming();
    if (stealth_pool_put_bulk(handle, blocks.data(), kFresh, sizeof(void*)) != STEALTH_OK) std::abort();
    pool.close();
    state.ResumeTiming();
  }
}
[[maybe_unused]] void first_touch_page(benchmark::State& state) {
  constexpr std::size_t kFresh = 16384;
  while (state.KeepRunningBatch(kFresh)) {
    state.PauseTiming();
    void* const mapped = mmap(nullptr, kFresh * kBlock, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(mapped, kFresh * kBlock, MADV_NOHUGEPAGE);
    state.ResumeTiming();
    for (std::size_t at = 0; at < kFresh * kBlock; at += kBlock) static_cast<char volatile*>(mapped)[at] = 1;
    state.PauseTiming();
    munmap(mapped, kFresh * kBlock);
    state.ResumeTiming();
  }
}

template <class What>
void add(std::string const& when, char const* name) {
  benchmark::RegisterBenchmark((when + "/pair/" + name).c_str(), pair<What>);
  if constexpr (!std::is_same_v<What, Mutex>)  // which cannot be had twice
    benchmark::RegisterBenchmark((when + "/burst/" + name).c_str(), burst<What>);
}

[[maybe_unused]] void add_all(std::string const& when) {
  add<Mutex>(when, "mutex");
  add<StealthC>(when, "stealth");
  add<Stealth>(when, "stealth C++");
  add<Malloc>(when, "malloc");
  add<BoostPool>(when, "boost::pool, mutex");
  add<BoostLockfree>(when, "boost::lockfree::stack");
  add<SynchronizedPool>(when, "pmr::synchronized_pool_resource");
}

// From here on the C library takes the process for one with threads.
[[maybe_unused]] void make_a_thread(benchmark::State& state) {
  std::thread([] {}).join();
  for (auto _ : state) {
  }
}

int count_instructions(long pairs) {
  StealthC pool;
  for (long i = 0; i < pairs; ++i) pool.put(pool.get());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "instructions") return count_instructions(std::atol(argv[2]));
  benchmark::Initialize(&argc, argv);
#ifdef WITH_DPDK
  std::array<char const*, 11> const wanted = {"pools",       "--no-huge", "--no-pci", "--no-telemetry",
                                              "--no-shconf", "-m",        "64",       "--log-level",
                                              "lib.eal:err", "-l",        "0"};
  std::array<char*, wanted.size()> given{};
  for (std::size_t i = 0; i < wanted.size(); ++i) given[i] = strdup(wanted[i]);
  if (rte_eal_init(static_cast<int>(given.size()), given.data()) < 0) {
    std::fputs("pools: DPDK does not start\n", stderr);
    return 1;
  }
  add<Mutex>("dpdk", "mutex");
  add<StealthC>("dpdk", "stealth");
  add<Dpdk>("dpdk", "rte_mempool with cache");
#else
  add_all("alone");
  benchmark::RegisterBenchmark("alone/touch/page", first_touch_page);
  benchmark::RegisterBenchmark("alone/touch/stealth", first_touch_stealth);
  benchmark::RegisterBenchmark("make a thread", make_a_thread)->Iterations(1);
  add_all("threaded");
  for (int const threads : {1, 2, 64}) {
    benchmark::RegisterBenchmark("scaling/pair/stealth", pair<StealthC>)->Threads(threads)->UseRealTime();
    benchmark::RegisterBenchmark("scaling/burst/stealth", burst<StealthC>)->Threads(threads)->UseRealTime();
    benchmark::RegisterBenchmark("scaling/pair/malloc", pair<Malloc>)->Threads(threads)->UseRealTime();
    benchmark::RegisterBenchmark("scaling/pair/boost::lockfree::stack", pair<BoostLockfree>)
        ->Threads(threads)
        ->UseRealTime();
  }
#endif
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
