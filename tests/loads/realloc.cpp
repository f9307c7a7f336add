// Load: one buffer grown to 100 MiB by realloc, 64 KiB at a time, only what is new being touched: a reader that does
// not know how much will come. Nothing is in the way, so that growing need not copy; who copies pays many times over.
#include "common.hpp"

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  loads::Random random(16);
  loads::Checksum sum;
  constexpr std::size_t kStep = 64 << 10;
  constexpr std::size_t kMost = 100 << 20;

  for (std::size_t round = arguments.scaled(12); round > 0; --round) {
    const std::uint64_t key = random.next();
    char* data = nullptr;
    for (std::size_t size = 0; size < kMost; size += kStep) {
      data = static_cast<char*>(std::realloc(data, size + kStep));
      loads::stamp(data, size == 0 ? kStep : 8, key);  // the first word, each time: no move may lose it
      loads::stamp(data + size, kStep, key + size);
    }
    for (std::size_t at = kStep; at < kMost; at += kStep) loads::check(data + at, kStep, key + at);
    sum.add(key);
    std::free(data);
  }
  sum.print("realloc");
}
