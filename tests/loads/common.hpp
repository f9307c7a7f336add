// What the load programs share: the command line, a seeded generator, a checksum that needs no order, and blocks that
// carry a stamp, so that memory handed out twice, moved wrongly or not zeroed is seen. Knows no allocator: the loads
// call malloc and new like any program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

namespace loads {

// Uniform 64-bit numbers (splitmix64): the same on every machine, and cheap beside a malloc.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t x = state_ += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }
  // 0 … n-1, for n below 2^32.
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(((next() >> 32) * n) >> 32); }
  std::size_t between(std::size_t low, std::size_t high) { return low + below(high - low + 1); }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  // As many from each doubling: small sizes are common, large ones take most of the memory. 2^low … 2^high.
  std::size_t doubling(unsigned low, unsigned high) {
    const std::size_t base = std::size_t{1} << (low + below(high - low));
    return base + below(base + 1);
  }

 private:
  std::uint64_t state_;
};

// A sum, so that threads may add in any order.
class Checksum {
 public:
  void add(std::uint64_t value) { sum_ += (value ^ (value >> 29)) * 0xff51afd7ed558ccdu; }
  void add(const Checksum& other) { sum_ += other.sum_; }
  void print(const char* name) const {
    std::printf("%s checksum %016llx\n", name, static_cast<unsigned long long>(sum_));
  }

 private:
  std::uint64_t sum_ = 0;
};

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "load failed: %s\n", what);
  std::_Exit(3);
}

// How much work to do: `NAME [SCALE [COUNT]]`; SCALE multiplies the operations, not what is live.
class Arguments {
 public:
  Arguments(int argc, char** argv)
      : scale_(argc > 1 ? std::atof(argv[1]) : 1.0), count_(argc > 2 ? std::atoi(argv[2]) : 0) {
    if (scale_ <= 0 || count_ < 0) fail("usage: NAME [SCALE [COUNT]], both above zero");
  }
  std::size_t scaled(std::size_t operations) const {
    const double n = static_cast<double>(operations) * scale_;
    return n < 1 ? 1 : static_cast<std::size_t>(n);
  }
  unsigned count(unsigned otherwise) const { return count_ == 0 ? otherwise : static_cast<unsigned>(count_); }

 private:
  double scale_;
  int count_;
};

inline constexpr std::size_t kPage = 4096;

// What the process has resident. By plain system calls, so that a silent program stays silent for its allocator.
inline long resident_kib() {
  char text[128] = {};
  const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0 || read(file, text, sizeof text - 1) <= 0) fail("/proc/self/statm");
  close(file);
  char* pages = nullptr;
  std::strtol(text, &pages, 10);
  return std::strtol(pages, nullptr, 10) * static_cast<long>(kPage / 1024);
}

// CPU time of the calling thread: steadier than the clock where more threads run than there are cores.
inline double thread_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// Calls visit(offset, bytes) for the words that a stamp covers, none overlapping: the first, one in each page, the
// last.
template <typename Visit>
inline void each_stamped_word(std::size_t size, Visit visit) {
  const std::size_t word = size < 8 ? size : 8;
  visit(std::size_t{0}, word);
  for (std::size_t at = kPage; at + 16 <= size; at += kPage) visit(at, word);
  if (size >= 16) visit(size - word, word);
}

inline void stamp(void* block, std::size_t size, std::uint64_t key) {
  if (block == nullptr) fail("no memory");
  char* bytes = static_cast<char*>(block);
  each_stamped_word(size, [&](std::size_t at, std::size_t n) { std::memcpy(bytes + at, &key, n); });
}

inline void check(const void* block, std::size_t size, std::uint64_t key) {
  const char* bytes = static_cast<const char*>(block);
  each_stamped_word(size, [&](std::size_t at, std::size_t n) {
    if (std::memcmp(bytes + at, &key, n) != 0) fail("a block does not hold what was written to it");
  });
}

// A block of malloc with its stamp: `fill` makes it, `drop` checks and frees it. Plain, so that arrays of it are free.
struct Block {
  void* data = nullptr;
  std::size_t size = 0;
  std::uint64_t key = 0;

  void fill(std::size_t bytes, std::uint64_t mark) {
    data = std::malloc(bytes);
    size = bytes;
    key = mark;
    stamp(data, size, key);
  }
  void drop(Checksum& sum) {
    if (data == nullptr) return;
    check(data, size, key);
    sum.add(key ^ size);
    std::free(data);
    data = nullptr;
  }
};

}  // namespace loads
