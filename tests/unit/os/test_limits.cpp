// What the process may use, read from files that the test serves.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "fake_sys.hpp"
#include "os/os.hpp"

namespace {

namespace os = stealth::os;
namespace fake = stealth::fake;

class Limits : public testing::Test {
 protected:
  void SetUp() override { fake::serve_nothing_else(); }
  void TearDown() override { EXPECT_EQ(fake::open_files(), 0u); }
  fake::Fresh fresh_;
};

constexpr char kGroups[] = "/proc/self/cgroup";

TEST_F(Limits, NoFileNoLimit) {
  EXPECT_EQ(os::cgroup_limit(), os::kUnlimited);
  fake::serve(kGroups, "");
  EXPECT_EQ(os::cgroup_limit(), os::kUnlimited);
  fake::serve(kGroups, "0::/a\n");
  EXPECT_EQ(os::cgroup_limit(), os::kUnlimited);
}

TEST_F(Limits, UnifiedGroup) {
  fake::serve(kGroups, "0::/a/b\n");
  fake::serve("/sys/fs/cgroup/a/b/memory.max", "1048576\n");
  EXPECT_EQ(os::cgroup_limit(), 1048576u);
  EXPECT_EQ(fake::opened(), (std::vector<std::string>{kGroups, "/sys/fs/cgroup/a/b/memory.max",
                                                      "/sys/fs/cgroup/a/memory.max", "/sys/fs/cgroup/memory.max"}));
}

TEST_F(Limits, TheTightestAncestorCounts) {
  fake::serve(kGroups, "0::/a/b/c\n");
  fake::serve("/sys/fs/cgroup/a/b/c/memory.max", "max\n");
  fake::serve("/sys/fs/cgroup/a/b/memory.max", "3000000\n");
  fake::serve("/sys/fs/cgroup/a/memory.max", "2000000\n");
  fake::serve("/sys/fs/cgroup/memory.max", "4000000\n");
  EXPECT_EQ(os::cgroup_limit(), 2000000u);
  fake::serve("/sys/fs/cgroup/a/b/c/memory.max", "1000000\n");
  EXPECT_EQ(os::cgroup_limit(), 1000000u);
  fake::serve("/sys/fs/cgroup/memory.max", "500000\n");
  EXPECT_EQ(os::cgroup_limit(), 500000u);
}

TEST_F(Limits, RootGroup) {
  fake::serve(kGroups, "0::/\n");
  fake::serve("/sys/fs/cgroup/memory.max", "77000000");
  EXPECT_EQ(os::cgroup_limit(), 77000000u);
}

TEST_F(Limits, NoNewlineAtTheEnd) {
  fake::serve(kGroups, "0::/a");
  fake::serve("/sys/fs/cgroup/a/memory.max", "123");
  EXPECT_EQ(os::cgroup_limit(), 123u);
}

TEST_F(Limits, OldHierarchies) {
  fake::serve(kGroups, "12:cpu,cpuacct:/x\n5:memory:/docker/abc\n1:name=systemd:/y\n");
  fake::serve("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "64000000\n");
  fake::serve("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  fake::serve("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1\n");
  fake::serve("/sys/fs/cgroup/memory/y/memory.limit_in_bytes", "1\n");
  EXPECT_EQ(os::cgroup_limit(), 64000000u);
}

TEST_F(Limits, OldHierarchiesSayNoneByAHugeNumber) {
  fake::serve(kGroups, "5:memory:/\n");
  fake::serve("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(os::cgroup_limit(), os::kUnlimited);
}

TEST_F(Limits, ControllersAreWholeWords) {
  for (std::string const controllers : {"memory", "cpu,memory", "memory,cpu", "cpu,memory,io"}) {
    fake::serve(kGroups, "5:" + controllers + ":/g\n");
    fake::serve("/sys/fs/cgroup/memory/g/memory.limit_in_bytes", "4096\n");
    EXPECT_EQ(os::cgroup_limit(), 4096u) << controllers;
  }
  for (std::string const controllers : {"memories", "xmemory", "memor", "cpu,memoryx", "name=memory"}) {
    fake::serve(kGroups, "5:" + controllers + ":/g\n");
    EXPECT_EQ(os::cgroup_limit(), os::kUnlimited) << controllers;
  }
}

TEST_F(Limits, BothHierarchiesTheTighterCounts) {
  fake::serve(kGroups, "4:memory:/old\n0::/new\n");
  fake::serve("/sys/fs/cgroup/memory/old/memory.limit_in_bytes", "2000\n");
  fake::serve("/sys/fs/cgroup/new/memory.max", "1000\n");
  EXPECT_EQ(os::cgroup_limit(), 1000u);
  fake::serve("/sys/fs/cgroup/new/memory.max", "3000\n");
  EXPECT_EQ(os::cgroup_limit(), 2000u);
}

TEST_F(Limits, ZeroIsALimit) {
  fake::serve(kGroups, "0::/a\n");
  fake::serve("/sys/fs/cgroup/a/memory.max", "0\n");
  EXPECT_EQ(os::cgroup_limit(), 0u);
}

TEST_F(Limits, BrokenLinesAreNoLimit) {
  fake::serve("/sys/fs/cgroup/memory.max", "1\n");
  for (std::string const text : {"\n", "no colons\n", "one:colon\n", "\n\n\n", "::", ":"}) {
    fake::serve(kGroups, text);
    bool const names_unified_root = text == "::";
    EXPECT_EQ(os::cgroup_limit(), names_unified_root ? 1u : os::kUnlimited) << text;
  }
  fake::serve(kGroups, "0::/a\n");
  for (std::string const text : {"", "\n", "many\n", "-1\n"}) {
    fake::serve("/sys/fs/cgroup/memory.max", text);
    EXPECT_EQ(os::cgroup_limit(), os::kUnlimited) << text;
  }
}

TEST_F(Limits, LongPathsAndLongFilesStayInTheirBuffers) {
  fake::serve("/sys/fs/cgroup/memory.max", "5000\n");
  for (std::size_t const length : {900u, 995u, 996u, 997u, 998u, 999u, 1000u, 1010u, 2000u, 4000u, 5000u}) {
    std::string path = "/";
    while (path.size() < length) path += path.size() % 50 == 0 ? '/' : 'x';
    fake::serve(kGroups, "0::" + path);
    std::uint64_t const limit = os::cgroup_limit();
    EXPECT_TRUE(limit == 5000 || limit == os::kUnlimited) << length;
    if (length <= 900) {
      EXPECT_EQ(limit, 5000u);
    }
  }
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "7:cpu:/nothing\n";
  fake::serve(kGroups, "0::/\n" + many);
  EXPECT_EQ(os::cgroup_limit(), 5000u);
}

TEST_F(Limits, FailingReadsAreNoLimit) {
  fake::serve(kGroups, "0::/a\n");
  fake::serve("/sys/fs/cgroup/a/memory.max", "1000\n");
  fake::fail(SYS_read, 1, EIO);
  EXPECT_EQ(os::cgroup_limit(), os::kUnlimited);
  fake::fail(SYS_openat, 2, EACCES);
  EXPECT_EQ(os::cgroup_limit(), os::kUnlimited);
  fake::fail(SYS_read, 3, EIO);  // the first two read /proc/self/cgroup and its end
  EXPECT_EQ(os::cgroup_limit(), os::kUnlimited);
  fake::fail(SYS_read, 1, EINTR, 3);
  EXPECT_EQ(os::cgroup_limit(), 1000u);
}

TEST_F(Limits, FilesThatComeInPieces) {
  fake::serve(kGroups, "0::/a\n");
  fake::serve("/sys/fs/cgroup/a/memory.max", "123456789\n");
  fake::move_at_most(1);
  EXPECT_EQ(os::cgroup_limit(), 123456789u);
}

TEST_F(Limits, Footprint) {
  fake::serve("/proc/self/statm", "1000 200 30 4 0 50 0\n");
  EXPECT_EQ(os::footprint().mapped, 1000 * os::page_size());
  EXPECT_EQ(os::footprint().resident, 200 * os::page_size());
  EXPECT_EQ(os::footprint().shared, 30 * os::page_size());
  for (char const* const text : {"1000 200", "1000 200 ", "1000 x 30\n", "99999999999999999999999 200 30\n"}) {
    fake::serve("/proc/self/statm", text);
    EXPECT_EQ(os::footprint().mapped, 0u) << text;
    EXPECT_EQ(os::footprint().shared, 0u) << text;
  }
  fake::serve("/proc/self/statm", "1000");
  EXPECT_EQ(os::footprint().mapped, 0u);
  fake::serve("/proc/self/statm", "");
  EXPECT_EQ(os::footprint().resident, 0u);
  fake::fail(SYS_openat, 1, EMFILE);
  EXPECT_EQ(os::footprint().mapped, 0u);
}

TEST(RealLimits, Footprint) {
  fake::Fresh const fresh;
  os::Footprint const now = os::footprint();
  EXPECT_GT(now.resident, 100'000u);
  EXPECT_GT(now.mapped, now.resident);
  EXPECT_GT(now.shared, 0u);
  // Anonymous memory counts as resident alone, shared memory as both.
  constexpr std::size_t kBytes = 16 << 20;
  for (int const kind : {MAP_PRIVATE, MAP_SHARED}) {
    os::Footprint const before = os::footprint();
    void* const memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    os::Footprint const after = os::footprint();
    munmap(memory, kBytes);
    EXPECT_GT(after.resident, before.resident + kBytes / 2);
    EXPECT_EQ(after.shared > before.shared + kBytes / 2, kind == MAP_SHARED);
  }
}

TEST(RealLimits, AddressSpace) {
  fake::Fresh const fresh;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  if (before.rlim_cur == RLIM_INFINITY) {
    EXPECT_EQ(os::address_space_left(), os::kUnlimited);
  }
  constexpr rlim_t kMore = rlim_t{1} << 30;
  rlimit const lower = {os::footprint().mapped + kMore, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &lower), 0);
  std::uint64_t const left = os::address_space_left();
  rlimit const none = {4096, before.rlim_max};
  int const lowered = setrlimit(RLIMIT_AS, &none);
  std::uint64_t const nothing_left = os::address_space_left();
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_EQ(lowered, 0);
  EXPECT_LE(left, kMore);
  EXPECT_GT(left, kMore - (1u << 26));
  EXPECT_EQ(nothing_left, 0u);
  fake::fail(SYS_prlimit64, 1, EPERM);
  EXPECT_EQ(os::address_space_left(), os::kUnlimited);
}

TEST(RealLimits, PhysicalMemory) {
  fake::Fresh const fresh;
  auto const pages = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES));
  EXPECT_EQ(os::physical_memory(), pages * os::page_size());
  fake::fail(SYS_sysinfo, 1, EFAULT);
  EXPECT_EQ(os::physical_memory(), os::kUnlimited);
}

}  // namespace
