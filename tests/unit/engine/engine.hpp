// Starting the engine for tests, asking it for its figures, and blocks that know what stands in them.
//
// The engine is one for the whole process. Programs start it once for all of their tests, with EngineStart; where each
// test wants an engine of its own, it runs in a child process, by in_a_child().
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "engine/hot.hpp"
#include "engine/outside.hpp"
#include "engine/slow.hpp"
#include "starting.hpp"
#include "support.hpp"

namespace stealth::test {

class EngineStart : public testing::Environment {
 public:
  explicit EngineStart(Start setup) : setup_(std::move(setup)) {}
  void SetUp() override {
    static bool started = false;  // --gtest_repeat comes here again
    if (!started) {
      ASSERT_TRUE(start_engine(setup_));
    }
    started = true;
  }

 private:
  Start setup_;
};

// Runs the body in a child process; what fails there fails here.
template <class Body>
void in_a_child(Body body) {
  if (testing::Test::HasFailure()) return;  // a child would take it for its own
  std::fflush(nullptr);
  pid_t const child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(250);
    body();
    std::fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_FALSE(WIFSIGNALED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(status, 0) << "in the child";
}

// The engine's figures at one moment.
struct Census {
  EngineFacts all{};
  std::map<std::uint64_t, ClassFacts> classes;  // by block size

  [[nodiscard]] std::uint64_t in_use(std::size_t size) const {
    auto const found = classes.find(g_classes.classes[serving_class(size)].block);
    return found == classes.end() ? 0 : found->second.in_use;
  }
  [[nodiscard]] std::uint64_t slabs(std::size_t size) const {
    auto const found = classes.find(g_classes.classes[serving_class(size)].block);
    return found == classes.end() ? 0 : found->second.slabs;
  }
};

inline Census census() {
  Census taken;
  taken.all = gather_facts(
      [](void* into, ClassFacts const& facts) { static_cast<Census*>(into)->classes[facts.size] = facts; }, &taken);
  return taken;
}

// What every quiet moment must show.
inline void expect_consistent() {
  EXPECT_TRUE(engine_is_valid());
  Census const now = census();
  std::uint64_t live = now.all.large_bytes;
  for (auto const& [size, facts] : now.classes) {
    live += facts.in_use * size;
    EXPECT_LE(facts.in_use + facts.in_lists + facts.in_slabs, facts.blocks) << size;
    if (facts.max != 0) {
      EXPECT_LE(facts.in_use, facts.max) << size;
    }
  }
  EXPECT_EQ(now.all.live, live);
  EXPECT_GE(g_budget.held(), live) << "the program has more than is charged";
}

// A block and what the test wrote into it.
struct Block {
  char* at = nullptr;
  std::size_t size = 0;
  std::uint64_t seed = 0;
};

// Small blocks are filled whole, larger ones at both ends of each page.
template <class Action>
bool every_piece(Block const& block, Action action) {
  constexpr std::size_t kWhole = 2 * kKiB, kEdge = 32;
  if (block.size <= kWhole) return action(std::size_t{0}, block.size);
  for (std::size_t page = 0; page < block.size; page += kPage) {
    std::size_t const end = std::min(page + kPage, block.size);
    if (!action(page, std::min(page + kEdge, end))) return false;
    if (end - page > kEdge && !action(std::max(page + kEdge, end - kEdge), end)) return false;
  }
  return true;
}

inline char pattern(std::uint64_t seed, std::size_t at) {
  return static_cast<char>((seed + at / 8 * 0x9E3779B97F4A7C15u) >> (at % 8 * 8));
}

inline void write(Block const& block) {
  every_piece(block, [&](std::size_t from, std::size_t to) {
    for (std::size_t at = from; at < to; ++at) block.at[at] = pattern(block.seed, at);
    return true;
  });
}

// Whether what was written still stands in its first `upto` bytes.
[[nodiscard]] inline bool intact(Block const& block, std::size_t upto = ~std::size_t{0}) {
  return every_piece(block, [&](std::size_t from, std::size_t to) {
    for (std::size_t at = from; at < std::min(to, upto); ++at) {
      if (block.at[at] != pattern(block.seed, at)) return false;
    }
    return true;
  });
}

[[nodiscard]] inline bool all_zero(void const* p, std::size_t bytes) {
  auto const* const at = static_cast<char const*>(p);
  return bytes == 0 || (at[0] == 0 && std::memcmp(at, at + 1, bytes - 1) == 0);
}

[[nodiscard]] inline bool aligned_to(void const* p, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(p) % alignment == 0;
}

// As many blocks as asked for, written.
inline std::vector<Block> make_blocks(std::size_t count, std::size_t size, std::uint64_t seed) {
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < count; ++i) {
    blocks.push_back({static_cast<char*>(allocate(size)), size, seed + i});
    if (blocks.back().at == nullptr) {
      ADD_FAILURE() << "block " << i << " of " << size << " bytes cannot be had";
      blocks.pop_back();
      break;
    }
    write(blocks.back());
  }
  return blocks;
}

inline void free_blocks(std::vector<Block>& blocks) {
  for (Block const& block : blocks) {
    EXPECT_TRUE(intact(block));
    deallocate(block.at);
  }
  blocks.clear();
}

// Blocks on their way between threads.
template <class Item>
class MailboxOf {
 public:
  void put(Item const& block) {
    std::lock_guard const hold(mutex_);
    blocks_.push_back(block);
  }
  bool take(Item& block) {
    std::lock_guard const hold(mutex_);
    if (blocks_.empty()) return false;
    block = blocks_.back();
    blocks_.pop_back();
    return true;
  }
  [[nodiscard]] std::size_t size() {
    std::lock_guard const hold(mutex_);
    return blocks_.size();
  }

 private:
  std::mutex mutex_;
  std::vector<Item> blocks_;
};
using Mailbox = MailboxOf<Block>;

}  // namespace stealth::test
