// Limits and use of nested memory cgroups, in directories that stand for the mounts, and in files that fail.
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "fake_sys.hpp"
#include "os/cgroup.hpp"
#include "temporary.hpp"

namespace {

namespace os = stealth::os;
namespace fake = stealth::fake;
using Reading = os::CgroupMemory::Reading;

class Cgroup : public testing::Test {
 protected:
  void SetUp() override {
    groups_ = directory_ / "groups";
    unified_ = directory_ / "unified";
    old_ = directory_ / "old";
    memory_ = os::CgroupMemory({groups_.c_str(), unified_.c_str(), old_.c_str()});
  }
  void TearDown() override { EXPECT_EQ(stealth::test::open_descriptors(), descriptors_) << "left open"; }
  void in(std::string const& lines) const { directory_.put("groups", lines); }
  // `inactive`: of file pages. The line stands among others that look alike.
  void unified(std::string const& group, std::string const& limit, std::uint64_t used, std::uint64_t inactive) const {
    std::string const at = "unified" + group + "/memory.";
    directory_.put(at + "max", limit + "\n");
    directory_.put(at + "current", std::to_string(used) + "\n");
    directory_.put(at + "stat", "anon 5\nfile 6\nxinactive_file 8\ninactive_anon 7\ninactive_file " +
                                    std::to_string(inactive) + "\nactive_file 9\nslab 10\n");
  }
  void old(std::string const& group, std::string const& limit, std::uint64_t used, std::uint64_t inactive) const {
    std::string const at = "old" + group + "/memory.";
    directory_.put(at + "limit_in_bytes", limit + "\n");
    directory_.put(at + "usage_in_bytes", std::to_string(used) + "\n");
    directory_.put(at + "stat", "cache 4\ninactive_file 1\ntotal_cache 5\ntotal_inactive_file " +
                                    std::to_string(inactive) + "\ntotal_active_file 9\n");
  }
  void expect(std::uint64_t limit, std::uint64_t used, std::uint64_t roomy = os::kUnlimited) const {
    Reading reading{1, 1};
    EXPECT_TRUE(memory_.read(reading, roomy));
    EXPECT_EQ(reading.limit, limit);
    EXPECT_EQ(reading.used, used);
  }

  fake::Fresh fresh_;
  int descriptors_ = stealth::test::open_descriptors();
  stealth::test::TemporaryDirectory directory_;
  std::string groups_, unified_, old_;
  os::CgroupMemory memory_;
};

TEST_F(Cgroup, NothingFound) {
  EXPECT_EQ(memory_.limit(), os::kUnlimited);
  expect(os::kUnlimited, 0);
  EXPECT_FALSE(memory_.find());
  in("");
  EXPECT_FALSE(memory_.find());
  in("0::/a\n");
  EXPECT_FALSE(memory_.find());
  unified("/a", "max", 100, 0);
  EXPECT_FALSE(memory_.find());
  EXPECT_EQ(memory_.limit(), os::kUnlimited);
  expect(os::kUnlimited, 0);
}

TEST_F(Cgroup, Unified) {
  in("0::/a\n");
  unified("/a", "1000", 600, 250);
  EXPECT_TRUE(memory_.find());
  EXPECT_EQ(memory_.limit(), 1000u);
  expect(1000, 350);
}

TEST_F(Cgroup, Old) {
  in("9:cpu:/x\n4:memory:/a/b\n0::/\n");
  old("/a/b", "1000", 600, 250);
  old("/a", "9223372036854771712", 5000, 0);
  EXPECT_TRUE(memory_.find());
  EXPECT_EQ(memory_.limit(), 1000u);
  expect(1000, 350);
}

// What counts is the room, not the limit.
TEST_F(Cgroup, TheLevelWithTheLeastRoom) {
  in("0::/a/b/c\n");
  unified("/a/b/c", "1000", 400, 0);  // room for 600
  unified("/a/b", "max", 9000, 0);
  unified("/a", "3000", 2900, 200);  // room for 300
  EXPECT_TRUE(memory_.find());
  EXPECT_EQ(memory_.limit(), 1000u);
  expect(3000, 2700);
  unified("/a/b/c", "1000", 950, 150);  // room for 200
  expect(1000, 800);
}

TEST_F(Cgroup, BothHierarchies) {
  in("4:memory:/old\n0::/new\n");
  old("/old", "2000", 100, 0);
  unified("/new", "1000", 100, 0);
  EXPECT_TRUE(memory_.find());
  EXPECT_EQ(memory_.limit(), 1000u);
  expect(1000, 100);
  old("/old", "2000", 1500, 0);
  expect(2000, 1500);
}

// Containers are resized while they run.
TEST_F(Cgroup, LimitsAreReadAnew) {
  in("0::/a\n");
  unified("/a", "1000", 600, 0);
  EXPECT_TRUE(memory_.find());
  unified("/a", "5000", 700, 0);
  expect(5000, 700);
  unified("/a", "max", 700, 0);
  expect(os::kUnlimited, 0);
  unified("/a", "500", 700, 100);
  expect(500, 600);
  EXPECT_EQ(memory_.limit(), 1000u) << "as find() saw it";
}

// A container shows its own group as the mount's root, and names a path that only the host can see.
TEST_F(Cgroup, PathsThatAreNotVisible) {
  in("0::/docker/0123456789\n");
  unified("", "1000", 300, 100);
  EXPECT_TRUE(memory_.find());
  expect(1000, 200);
  in("4:memory:/kubepods/pod1/0123\n");
  old("", "2000", 1300, 100);
  EXPECT_TRUE(memory_.find());
  expect(2000, 1200);
}

TEST_F(Cgroup, PathsOutsideOfTheNamespace) {
  directory_.put("elsewhere/memory.max", "1\n");
  directory_.put("memory.max", "1\n");
  for (char const* const path : {"/../elsewhere", "/..", "/a/../../elsewhere"}) {
    in(std::string("0::") + path + "\n");
    EXPECT_FALSE(memory_.find()) << path;
  }
  unified("/..a", "1000", 1, 0);
  in("0::/..a\n");
  EXPECT_TRUE(memory_.find());
}

TEST_F(Cgroup, FewSystemCalls) {
  in("0::/a/b\n");
  unified("/a/b", "1000", 600, 250);
  unified("/a", "max", 600, 250);
  ASSERT_TRUE(memory_.find());
  auto const calls = [] { return fake::count(SYS_openat) + fake::count(SYS_read) + fake::count(SYS_close); };
  std::uint64_t before = calls();
  expect(1000, 350);
  EXPECT_EQ(calls() - before, 9u);
  before = calls();
  expect(1000, 600, 400);  // 400 bytes are room enough
  EXPECT_EQ(calls() - before, 6u);
  before = calls();
  expect(1000, 350, 401);
  EXPECT_EQ(calls() - before, 9u);
}

// The outer level has less room even before its droppable pages are known, or it does not matter.
TEST_F(Cgroup, LevelsThatCannotMatterAreNotReadToTheEnd) {
  in("0::/a/b\n");
  unified("/a/b", "1000", 600, 250);  // room for 650
  unified("/a", "3000", 2300, 0);     // room for 700 or more
  ASSERT_TRUE(memory_.find());
  std::uint64_t const before = fake::count(SYS_openat);
  expect(1000, 350);
  EXPECT_EQ(fake::count(SYS_openat) - before, 5u);
  unified("/a", "3000", 2400, 100);  // 600 at first sight, then 700
  expect(1000, 350);
  EXPECT_EQ(fake::count(SYS_openat) - before, 11u);
}

TEST_F(Cgroup, ManyLevels) {
  std::string path;
  for (int i = 0; i < 12; ++i) {
    path += "/l";
    unified(path, std::to_string(10'000 - i), 5'000, 0);
  }
  in("0::" + path + "\n");
  ASSERT_TRUE(memory_.find());
  EXPECT_EQ(memory_.limit(), 9'989u);
  expect(9'989, 5'000);
  unified("/l/l/l/l/l/l/l", "9000", 8'999, 0);
  expect(9'000, 8'999);
}

TEST_F(Cgroup, FailuresAreSaidAndSurvived) {
  in("0::/a\n");
  unified("/a", "1000", 600, 100);
  ASSERT_TRUE(memory_.find());
  for (std::uint64_t nth = 1; nth <= 3; ++nth) {
    for (long const call : {SYS_openat, SYS_read}) {
      fake::fail(call, nth, EMFILE);
      Reading reading{7, 8};
      EXPECT_FALSE(memory_.read(reading));
      EXPECT_EQ(reading.limit, 7u);
      EXPECT_EQ(reading.used, 8u);
      fake::stop_failing(call);
    }
  }
  expect(1000, 500);
  fake::fail(SYS_read, 1, EINTR, 5);
  expect(1000, 500);
}

TEST_F(Cgroup, AfterAMoveItIsFoundAgain) {
  in("0::/a\n");
  unified("/a", "1000", 600, 100);
  ASSERT_TRUE(memory_.find());
  in("0::/b\n");
  unified("/b", "2000", 700, 0);
  for (char const* const file : {"max", "current", "stat"}) directory_.remove(std::string("unified/a/memory.") + file);
  Reading reading{};
  EXPECT_FALSE(memory_.read(reading));
  EXPECT_TRUE(memory_.find());
  EXPECT_EQ(memory_.limit(), 2000u);
  expect(2000, 700);
}

TEST_F(Cgroup, DamagedFiguresAreFailures) {
  in("0::/a\n");
  unified("/a", "1000", 600, 100);
  ASSERT_TRUE(memory_.find());
  Reading reading{};
  directory_.put("unified/a/memory.current", "many\n");
  EXPECT_FALSE(memory_.read(reading));
  unified("/a", "1000", 600, 100);
  directory_.put("unified/a/memory.stat", "anon 5\n");
  EXPECT_FALSE(memory_.read(reading));
  directory_.put("unified/a/memory.stat", "inactive_file x\n");
  EXPECT_FALSE(memory_.read(reading));
  directory_.put("unified/a/memory.stat", "");
  EXPECT_FALSE(memory_.read(reading));
  unified("/a", "1000", 600, 5000);  // the two figures are not of the same moment
  expect(1000, 0);
  directory_.put("unified/a/memory.max", "99999999999999999999999\n");
  expect(os::kUnlimited, 0);
}

TEST_F(Cgroup, LongFilesAndPieces) {
  in("0::/a\n");
  unified("/a", "1000", 600, 100);
  std::string stat;
  for (int i = 0; i < 500; ++i) stat += "something_else_" + std::to_string(i) + " 12345\n";
  directory_.put("unified/a/memory.stat", stat + "inactive_file 123");
  ASSERT_TRUE(memory_.find());
  expect(1000, 477);
  fake::move_at_most(1);
  expect(1000, 477);
  fake::move_at_most(0);
  directory_.put("unified/a/memory.stat", std::string(5000, 'x') + "\ninactive_file 123\n");
  Reading reading{};
  EXPECT_FALSE(memory_.read(reading)) << "a line that no kernel writes";
}

// Whatever machine this is: what can be read must make sense.
TEST(RealCgroup, MakesSense) {
  fake::Fresh const fresh;
  os::CgroupMemory memory;
  bool const found = memory.find();
  EXPECT_EQ(found, memory.limit() != os::kUnlimited);
  EXPECT_EQ(os::cgroup_limit(), memory.limit());
  Reading reading{};
  if (memory.read(reading) && reading.limit != os::kUnlimited) {
    EXPECT_GT(reading.used, 0u);
    EXPECT_LE(reading.used, reading.limit);
  }
}

}  // namespace
