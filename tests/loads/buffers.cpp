// The bench of buffers (tools/bench buffers), on Google Benchmark: a write of 64 bytes, and a get, a write and a put,
// beside an uncontended pthread mutex pair and what a program would do without: a vector behind a mutex.
//
// As long as a process has one thread, the C library's mutexes do without locked instructions. So the cases come twice:
// `alone`, and `threaded`, after a thread has been there.
#include <benchmark/benchmark.h>
#include <pthread.h>

#include <array>
#include <cstddef>
#include <mutex>
#include <stealth/stealth.hpp>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t kPiece = 64, kUntilReset = 16384;  // pieces to a mebibyte
constexpr std::size_t kTarget = std::size_t{4} << 30;
std::array<std::byte, kPiece> const g_piece{};

void mutex_pair(benchmark::State& state) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  for (auto _ : state) {
    pthread_mutex_lock(&mutex);
    benchmark::ClobberMemory();
    pthread_mutex_unlock(&mutex);
  }
}

// Touched before, and emptied when it has come to a mebibyte.
template <class What>
void write_some(benchmark::State& state, What& what) {
  for (std::size_t n = 0; n < kUntilReset; ++n) what.write();
  std::size_t left = 0;
  for (auto _ : state) {
    if (left-- == 0) {
      what.reset();
      left = kUntilReset - 1;
    }
    what.write();
  }
}

struct Stealth {
  explicit Stealth(stealth::BufferPool& pool) : buffer(pool.get()) {}
  stealth::Buffer buffer;
  void write() { buffer.write(g_piece); }
  void reset() { buffer.reset(); }
};

struct LockedVector {
  std::mutex mutex;
  std::vector<std::byte> bytes;
  void write() {
    std::lock_guard const hold(mutex);
    bytes.insert(bytes.end(), g_piece.begin(), g_piece.end());
  }
  void reset() {
    std::lock_guard const hold(mutex);
    bytes.clear();
  }
};

stealth::BufferPool& pool(bool write_backoff) {
  static stealth::BufferPool plain(kTarget), waiting(kTarget, {.write_backoff = true});
  return write_backoff ? waiting : plain;
}

// Each thread its own buffer, all of one pool.
void write_stealth(benchmark::State& state, bool write_backoff) {
  Stealth what(pool(write_backoff));
  write_some(state, what);
}

void write_vector(benchmark::State& state) {
  LockedVector what;
  write_some(state, what);
}

void cycle_stealth(benchmark::State& state) {
  stealth::BufferPool& from = pool(false);
  for (auto _ : state) {
    stealth::Buffer buffer = from.get();
    buffer.write(g_piece);
    from.put(std::move(buffer));
  }
}

// To a gibibyte, as fast as it gets there: time of each byte is the page fault's.
void grow_stealth(benchmark::State& state) {
  for (auto _ : state) {
    Stealth what(pool(false));
    for (std::size_t n = 0; n < (std::size_t{1} << 30) / kPiece; ++n) what.write();
  }
}
void grow_vector(benchmark::State& state) {
  for (auto _ : state) {
    LockedVector what;
    for (std::size_t n = 0; n < (std::size_t{1} << 30) / kPiece; ++n) what.write();
  }
}

void make_a_thread(benchmark::State& state) {
  std::thread([] {}).join();
  for (auto _ : state) {
  }
}

void add_all(std::string const& when) {
  auto const add = [&when](char const* name, auto... how) {
    benchmark::RegisterBenchmark((when + name).c_str(), how...);
  };
  add("/mutex pair", mutex_pair);
  add("/write/stealth", write_stealth, false);
  add("/write/stealth, write_backoff", write_stealth, true);
  add("/write/vector, mutex", write_vector);
  add("/get, write, put/stealth", cycle_stealth);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  add_all("alone");
  benchmark::RegisterBenchmark("grow to 1 GiB/stealth", grow_stealth)->Iterations(1);
  benchmark::RegisterBenchmark("grow to 1 GiB/vector, mutex", grow_vector)->Iterations(1);
  benchmark::RegisterBenchmark("make a thread", make_a_thread)->Iterations(1);
  add_all("threaded");
  for (int const threads : {1, 2, 64}) {
    benchmark::RegisterBenchmark("scaling/write/stealth", write_stealth, true)->Threads(threads)->UseRealTime();
    benchmark::RegisterBenchmark("scaling/get, write, put/stealth", cycle_stealth)->Threads(threads)->UseRealTime();
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
