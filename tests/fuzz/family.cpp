// Fuzz target: any sequence of calls of the malloc family, by one to four threads, by turns or at once, with forks.
// Every byte that a block has is written to and watched; alignment, usable sizes, calloc's zeroes, what realloc keeps,
// errno, and what is refused are as the C library has them. With STEALTH_GUARD=full in the environment the engine is
// guarded, and what that promises is asked for as well: sizes to the byte, what nobody has written, what is freed.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>

#include "blocks.hpp"
#include "crew.hpp"
#include "family.hpp"

namespace {

using namespace fuzz;

constexpr std::int64_t kTouched = 24 << 20;  // bytes that an input may have written, so that none takes long

struct Block {
  unsigned char* at = nullptr;
  std::size_t size = 0, usable = 0;
  std::uint64_t seed = 0;
};

using Table = Slots<Block, 48>;
Table g_table;
std::atomic<std::int64_t> g_left{0};
std::atomic<int> g_forks{0};
bool g_may_refuse = false;
bool g_looks_back = false;  // at what was freed: nobody else can have it meanwhile

bool is_intact(Block const& block) { return holds(block.at, block.usable, block.seed); }

std::size_t size_of(Op const& op) {
  switch (op.b & 15U) {
    case 0:
    case 1:
    case 2:
    case 3:
      return op.a % 1025U;
    case 4:
    case 5:
    case 6:
      return op.a % 4097U;
    case 7:
    case 8:
      return op.a % 40U;
    case 9:  // next to a power of two
      return (std::size_t{4} << (op.a % 20U)) + (op.a >> 8U) % 5U - 2;
    case 10:
    case 11:
      return op.a;
    case 12:
      return std::size_t{op.a} * 8;
    case 13:
      return std::size_t{op.a} * 64;
    default:
      return op.a % 300U;
  }
}
std::size_t alignment_of(Op const& op) { return std::size_t{1} << (op.b >> 4U); }

// An answer to `size` bytes, of which the first `written` have been looked at; `alignment` is what was asked for, at
// least 16.
void take(Block& block, void* at, std::size_t size, std::size_t alignment = 16, std::size_t written = 0) {
  if (at == nullptr) {
    REQUIRE(g_may_refuse && errno == ENOMEM);
    return;
  }
  REQUIRE(is_aligned(at, 16) && is_aligned(at, alignment));
  std::size_t const usable = FAMILY(malloc_usable_size)(at);
  // What is to shrink stays as it is where no other block is to be had.
  REQUIRE(is_guarded() && !g_may_refuse ? usable == size : usable >= size);
  REQUIRE(!is_guarded() || consists_of(static_cast<unsigned char*>(at) + written, size - written, 0xA5));
  block = {static_cast<unsigned char*>(at), size, usable, new_seed()};
  fill(block.at, block.usable, block.seed);
}

enum class Free : std::uint8_t { plain, sized, aligned, resized };

void give(Block& block, Free how = Free::plain) {
  if (block.at == nullptr) return;
  REQUIRE(is_intact(block));
  Block const before = block;
  bool const is_to_be_zero = g_looks_back && reads_as_zero_once_freed(block.at);
  errno = 77;
#ifdef FUZZ_LINKED
  constexpr bool kHasSized = true;
#else
  bool const kHasSized = &free_sized != nullptr && &free_aligned_sized != nullptr;
#endif
  if (how == Free::sized && kHasSized) {
    FAMILY(free_sized)(block.at, block.size);
  } else if (how == Free::aligned && kHasSized) {
    FAMILY(free_aligned_sized)(block.at, 16, block.size);
  } else if (how == Free::resized) {
    REQUIRE(FAMILY(realloc)(block.at, 0) == nullptr);
    errno = 77;
  } else {
    FAMILY(free)(block.at);
  }
  REQUIRE(errno == 77);
  REQUIRE(!is_to_be_zero || is_zero(before.at, before.size));
  block = {};
}

void resize(Block& block, std::size_t size, bool as_array) {
  if (block.at == nullptr) return take(block, FAMILY(realloc)(nullptr, size), size);
  if (size == 0) return give(block, Free::resized);
  REQUIRE(is_intact(block));
  void* const at =
      as_array && size % 4 == 0 ? FAMILY(reallocarray)(block.at, size / 4, 4) : FAMILY(realloc)(block.at, size);
  if (at == nullptr) {
    REQUIRE(g_may_refuse && errno == ENOMEM && is_intact(block));
    return;
  }
  std::size_t const kept = std::min(size, block.usable);
  REQUIRE(holds(at, kept, block.seed));
  block = {};
  take(block, at, size, 16, kept);
}

// Sizes that nobody has, and alignments that are none: refused, and nothing has happened.
void ask_for_too_much(Block& block, Op const& op) {
  std::size_t huge = (op.a & 1U) != 0 ? ~std::size_t{0} - op.b : std::size_t{PTRDIFF_MAX} + 1 + op.b;
  asm("" : "+r"(huge));  // the compiler would warn of what it knows
  void* result = &result;
  errno = 0;
  switch ((op.a >> 1U) % 10U) {
    case 0:
      REQUIRE(FAMILY(malloc)(huge) == nullptr);
      break;
    case 1:
      REQUIRE(FAMILY(calloc)(huge / 16, 33) == nullptr);
      break;
    case 2:
      REQUIRE(FAMILY(realloc)(block.at, huge) == nullptr);
      break;
    case 3:
      REQUIRE(FAMILY(reallocarray)(block.at, huge / 2, 3 + op.b) == nullptr);
      break;
    case 4:
      REQUIRE(FAMILY(memalign)(std::size_t{1} << (op.b & 31U), huge) == nullptr);
      break;
    case 5:
      REQUIRE(FAMILY(pvalloc)(huge) == nullptr);
      break;
    case 6:
      REQUIRE(FAMILY(valloc)(huge) == nullptr);
      break;
    case 7:
      REQUIRE(FAMILY(posix_memalign)(&result, 64, huge) == ENOMEM && result == &result);
      break;
    case 8:
      REQUIRE(FAMILY(posix_memalign)(&result, std::size_t{op.b} * 2 + 3, 100) == EINVAL && result == &result);
      errno = 0;
      REQUIRE(FAMILY(aligned_alloc)(std::size_t{op.b} * 2 + 3, 100) == nullptr && errno == EINVAL);
      errno = ENOMEM;
      break;
    default:
      REQUIRE(FAMILY(malloc_usable_size)(nullptr) == 0);
      FAMILY(free)(nullptr);
      errno = ENOMEM;
  }
  REQUIRE(errno == ENOMEM);
  REQUIRE(block.at == nullptr || is_intact(block));
}

void fork_now(Op const& op) {
  if (g_forks.fetch_add(1) != 0) return;
  auto const go_on = [&](Block& block) {
    if (block.at == nullptr) {
      take(block, FAMILY(malloc)(op.a % 700U), op.a % 700U);
    } else if (block.size % 3 == 0) {
      give(block);
      take(block, FAMILY(calloc)(1, op.a % 5000U), op.a % 5000U, 16, op.a % 5000U);
    } else if (block.size % 3 == 1) {
      resize(block, block.size + op.b, false);
    }
    REQUIRE(block.at == nullptr || is_intact(block));
  };
  fork_with(g_table, op.b % 3U == 0 ? 0 : op.a % 2U, op.b % 3U == 0 ? 1 : 2, go_on, check_family);
}

void play_on(Block& block, Op const& op) {
  std::size_t const size = size_of(op), alignment = alignment_of(op);
  unsigned const kind = op.kind % 24U;
  bool const allocates = kind < 17;
  if (allocates && g_left.fetch_sub(static_cast<std::int64_t>(size)) < 0) return give(block);
  if (kind < 14 && block.at != nullptr) give(block);
  errno = 0;
  switch (kind) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      return take(block, FAMILY(malloc)(size), size);
    case 5:
    case 6: {
      std::size_t const count = 1 + op.who / 4U % 7U;
      void* const at = FAMILY(calloc)(count, size / count);
      REQUIRE(at == nullptr || is_zero(at, size / count * count));
      return take(block, at, size / count * count, 16, size / count * count);
    }
    case 7:
      return take(block, FAMILY(memalign)(alignment - alignment / 4, size), size, alignment);
    case 8:
      return take(block, FAMILY(aligned_alloc)(alignment, size), size, alignment);
    case 9: {
      void* at = nullptr;
      std::size_t const wanted = std::max(alignment, sizeof(void*));
      int const error = FAMILY(posix_memalign)(&at, wanted, size);
      REQUIRE(error == (at == nullptr ? ENOMEM : 0) && errno == error);
      return take(block, at, size, wanted);
    }
    case 10:
      return take(block, FAMILY(valloc)(size), size, 4096);
    case 11: {
      void* const at = FAMILY(pvalloc)(size);
      std::size_t const rounded = size == 0 ? 4096 : (size + 4095) / 4096 * 4096;
      return take(block, at, rounded, 4096);
    }
    case 12:
      return take(block, FAMILY(memalign)(alignment << 7U, size), size, alignment << 7U);
    case 13:
      return take(block, FAMILY(reallocarray)(nullptr, size, 1), size);
    case 14:
    case 15:
      return resize(block, size, kind == 15);
    case 16:  // a little more or less, as growing programs do
      return resize(block, (op.a & 1U) == 0 ? block.size + op.b : block.size - std::min(block.size, std::size_t{op.b}),
                    false);
    case 17:
    case 18:
    case 19:
      return give(block, static_cast<Free>(op.b % 3U));
    case 20:
      return give(block, Free::resized);
    case 21:
      return ask_for_too_much(block, op);
    case 22:
      if (op.b % 8U == 0) return trim_family();
      [[fallthrough]];
    default:
      REQUIRE(block.at == nullptr || is_intact(block));
  }
}

void expect_apart() {
  for (std::size_t i = 0; i < Table::size(); ++i) {
    Block const& one = g_table.at(i);
    for (std::size_t j = 0; one.at != nullptr && j < i; ++j) {
      Block const& other = g_table.at(j);
      REQUIRE(other.at == nullptr || one.at + one.usable <= other.at || other.at + other.usable <= one.at);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static bool const started = (start_family(), true);
  static_cast<void>(started);
  Script const script(data, size);
  Conditions const conditions = {script.flag(3), script.flag(4), script.flag(5) ? script.options[0] : std::uint8_t{0}};
  g_left = kTouched;
  g_forks = 0;
  g_may_refuse = begin_conditions(conditions);
  g_looks_back = !script.at_once();
  perform(script, [](Op const& op) {
    if (op.kind == 255) return fork_now(op);
    Block* const block = g_table.lock(op.slot);
    if (block == nullptr) return;
    play_on(*block, op);
    g_table.unlock(op.slot);
  });
  expect_apart();
  g_looks_back = true;
  for (std::size_t i = 0; i < Table::size(); ++i) give(g_table.at(i));
  end_conditions(conditions);
  return 0;
}
