// Load: aligned blocks by all the doors: aligned_alloc, posix_memalign, aligned new; mostly for cache lines and
// vectors, some for pages, mixed with plain blocks.
#include <new>

#include "common.hpp"

namespace {

struct Aligned {
  loads::Block block;
  std::size_t by = 0;  // alignment when it came from aligned new, else 0
};

void drop(Aligned& one, loads::Checksum& sum) {
  if (one.block.data == nullptr) return;
  if (one.by == 0) return one.block.drop(sum);
  loads::check(one.block.data, one.block.size, one.block.key);
  sum.add(one.block.key ^ one.block.size);
  ::operator delete (one.block.data, std::align_val_t{one.by});
  one.block.data = nullptr;
}

void fill(Aligned& one, std::uint64_t bits, std::size_t size, std::size_t alignment) {
  one.block.size = (size + alignment - 1) / alignment * alignment;
  one.block.key = bits;
  one.by = 0;
  switch (bits >> 62) {
    case 0:
      one.block.data = std::aligned_alloc(alignment, one.block.size);
      break;
    case 1:
      if (posix_memalign(&one.block.data, alignment, one.block.size) != 0) loads::fail("posix_memalign");
      break;
    case 2:
      one.by = alignment;
      one.block.data = ::operator new (one.block.size, std::align_val_t{alignment});
      break;
    default:
      alignment = 16;
      one.block.data = std::malloc(one.block.size);
  }
  if (reinterpret_cast<std::uintptr_t>(one.block.data) % alignment != 0) loads::fail("a block is not aligned");
  loads::stamp(one.block.data, one.block.size, bits);
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  loads::Random random(11);
  loads::Checksum sum;
  constexpr std::size_t kLive = 5'000;
  static Aligned live[kLive];

  const std::size_t operations = arguments.scaled(4'000'000);
  for (std::size_t i = 0; i < operations; ++i) {
    const std::uint64_t bits = random.next();
    Aligned& slot = live[random.below(kLive)];
    drop(slot, sum);
    const std::size_t alignment = bits % 64 == 0 ? 4096 : std::size_t{32} << (bits % 3);
    fill(slot, bits, random.doubling(5, 12), alignment);
  }
  for (Aligned& one : live) drop(one, sum);
  sum.print("aligned");
}
