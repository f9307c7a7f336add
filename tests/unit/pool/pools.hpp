// What the tests of explicit pools share. They see the public headers alone, as a program does.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>
#include <stealth/stealth.hpp>
#include <string>
#include <vector>

#include "support.hpp"

namespace pools {

using stealth::Block;
using stealth::errc;
using stealth::Pool;
using stealth::PoolOptions;
using stealth::test::in_threads;
using stealth::test::rounds;

inline std::uint64_t held() { return stealth::stats().held; }
inline std::uint64_t held_by_pools() { return stealth::stats().pools; }

// The error of a get, for tests that want no more of it.
inline std::error_code error_of_get(Pool& pool) {
  std::error_code error;
  Block const block = pool.get(error);
  EXPECT_EQ(block.data() == nullptr, static_cast<bool>(error));
  return error;
}
inline std::error_code error_of_put(Pool& pool, std::span<std::byte> block) {
  std::error_code error;
  pool.put(block, error);
  return error;
}

inline std::vector<Block> take(Pool& pool, std::size_t count) {
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < count; ++i) blocks.push_back(pool.get());
  return blocks;
}

// Rather than to sleep and hope so.
inline void until_so_many_wait(Pool const& pool, std::uint32_t threads) {
  EXPECT_TRUE(stealth::test::soon([&] { return pool.stats().waiting >= threads; })) << "nobody has come to wait";
}
inline void until_one_waits(Pool const& pool) { until_so_many_wait(pool, 1); }

// What must hold of any pool at a quiet moment.
inline void expect_sane(Pool const& pool) {
  ::stealth_pool_statistics const now = pool.stats();
  EXPECT_EQ(now.allocated, now.free + now.in_use);
  EXPECT_LE(now.allocated, now.max_blocks);
  EXPECT_LE(now.in_use, now.high_water);
  EXPECT_LE(now.high_water, now.max_blocks);
  EXPECT_EQ(now.waiting, 0u);
}

// Runs the body in a child process. What fails there fails here; its lines on stderr are returned.
template <class Body>
std::string in_a_child(Body body, int signal = 0) {
  if (testing::Test::HasFailure()) return {};  // a child would take it for its own
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  std::fflush(nullptr);
  pid_t const child = fork();
  if (child == 0) {
    alarm(60);
    dup2(ends[1], 2);
    close(ends[0]);
    close(ends[1]);
    body();
    std::fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  close(ends[1]);
  std::string said;
  char some[512];
  for (ssize_t got; (got = read(ends[0], some, sizeof some)) > 0;) said.append(some, static_cast<std::size_t>(got));
  close(ends[0]);
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  if (signal != 0) {
    // A sanitizer takes the signal for itself, reports, and exits.
    bool const reported = stealth::test::kSanitized && WIFEXITED(status) && said.find("SEGV") != std::string::npos;
    EXPECT_TRUE(reported || (WIFSIGNALED(status) && WTERMSIG(status) == signal)) << said;
  } else {
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status << ", said: " << said;
  }
  return said;
}

inline void expect_fault(std::byte* at) {
  in_a_child([at] { *static_cast<std::byte volatile*>(at) = std::byte{1}; }, SIGSEGV);
}

// Resident bytes of the process.
inline std::size_t resident() {
  std::ifstream file("/proc/self/statm");
  std::size_t size = 0, pages = 0;
  file >> size >> pages;
  return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// Whether a page of the process is in memory; false also where nothing is mapped.
inline bool is_resident(void const* page) {
  unsigned char in_memory = 0;
  return mincore(const_cast<void*>(page), 1, &in_memory) == 0 && (in_memory & 1) != 0;
}

}  // namespace pools
