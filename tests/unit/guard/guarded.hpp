// An engine under STEALTH_GUARD=full, for tests: how it is started, what is known of each block that is handed out, and
// what every quiet moment must show.
#pragma once

#include <pthread.h>

#include "../../fuzz/blocks.hpp"
#include "../engine/engine.hpp"
#include "engine/guarding.hpp"
#include "guard/guard.hpp"

namespace stealth::test {

// As preload/start.cpp does it.
inline bool start_guarded(Start const& setup = {}) {
  bool const complete = start_engine(setup);
  guard::begin_full(0x0123'4567'89AB'CDEFu);
  return complete;
}

// Once for all tests of a program.
class GuardedStart : public testing::Environment {
 public:
  void SetUp() override {
    static bool const started = start_guarded() && pthread_atfork(fork_prepare, fork_in_parent, fork_in_child) == 0;
    ASSERT_TRUE(started);
  }
};

// Up to here what nobody has written is 0xA5; beyond it is the kernel's zeros.
inline constexpr std::size_t kMostPatterned = 16 * kMiB;

[[nodiscard]] inline bool all_are(char const* at, std::size_t bytes, char value) {
  return bytes == 0 || (at[0] == value && std::memcmp(at, at + 1, bytes - 1) == 0);
}
// Whether nobody has written these bytes of a block that is so large.
[[nodiscard]] inline bool unwritten(char const* at, std::size_t bytes, std::size_t size) {
  return all_are(at, bytes, size <= kMostPatterned ? '\xA5' : '\0');
}

// A block with a pattern of its own over each of its bytes.
struct Owned {
  char* at = nullptr;
  std::size_t size = 0;
  std::uint64_t seed = 0;

  [[nodiscard]] bool holds(std::size_t upto = ~std::size_t{0}) const {
    return fuzz::holds(at, std::min(size, upto), seed);
  }
};

// What was just handed out: looked at, and filled.
inline Owned own(void* p, std::size_t size, std::size_t alignment = kMinAlignment) {
  if (p == nullptr) {
    ADD_FAILURE() << size << " bytes cannot be had";
    return {};
  }
  EXPECT_TRUE(aligned_to(p, alignment)) << size << " at " << alignment;
  EXPECT_EQ(usable_size(p), size);
  Owned const block = {static_cast<char*>(p), size, fuzz::new_seed()};
  fuzz::fill(block.at, block.size, block.seed);
  return block;
}

inline Owned own_fresh(std::size_t size) {
  auto* const p = static_cast<char*>(allocate(size));
  if (p != nullptr) {
    EXPECT_TRUE(unwritten(p, size, size)) << size;
  }
  return own(p, size);
}

inline void give_back(Owned const& block) {
  EXPECT_TRUE(block.holds()) << block.size;
  deallocate(block.at);
}

inline void give_back(std::vector<Owned>& blocks) {
  for (Owned const& block : blocks) give_back(block);
  blocks.clear();
}

inline std::vector<Owned> own_many(std::size_t count, std::size_t size) {
  std::vector<Owned> blocks;
  for (std::size_t i = 0; i < count && !testing::Test::HasFailure(); ++i) blocks.push_back(own_fresh(size));
  return blocks;
}

// Bytes with the program, rounded up to blocks and pages.
inline std::uint64_t live() { return census().all.live; }

// Nobody else is at work.
inline void expect_sound() {
  EXPECT_TRUE(engine_is_valid());
  EXPECT_GE(g_budget.held(), live()) << "the program has more than is charged";
  guard::check_everything();
}

}  // namespace stealth::test
