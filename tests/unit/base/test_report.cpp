// What is said on stderr: whole lines, one write each, in our name, as loud as was asked for.
#include <gtest/gtest.h>

#include <string>

#include "base/check.hpp"
#include "base/report.hpp"
#include "fake_sys.hpp"

namespace {

using namespace stealth;
using Lines = std::vector<std::string>;

class Report : public testing::Test {
 protected:
  void SetUp() override { fake::capture(2); }
  void TearDown() override { g_verbosity = Verbosity::problems; }
  fake::Fresh fresh_;
};

TEST_F(Report, OneLineOneWrite) {
  report("held ", Bytes{2048}, " at ", Hex{255}, ' ', 7);
  report("again");
  EXPECT_EQ(fake::captured(), (Lines{"stealth: held 2.0 KiB at 0xff 7\n", "stealth: again\n"}));
}

TEST_F(Report, AsLoudAsAsked) {
  g_verbosity = Verbosity::silent;
  report("a problem");
  remark("a remark");
  EXPECT_EQ(fake::captured(), Lines{});
  g_verbosity = Verbosity::problems;
  report("a problem");
  remark("a remark");
  EXPECT_EQ(fake::captured(), Lines{"stealth: a problem\n"});
  g_verbosity = Verbosity::everything;
  remark("a remark");
  EXPECT_EQ(fake::captured(), (Lines{"stealth: a problem\n", "stealth: a remark\n"}));
}

TEST_F(Report, LongLinesEndAsLines) {
  for (std::size_t const length : {100u, 470u, 480u, 481u, 490u, 500u, 501u, 502u, 503u, 504u, 520u, 4000u}) {
    fake::reset();
    fake::capture(2);
    report(std::string_view(std::string(length, 'x')));
    Lines const lines = fake::captured();
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0].back(), '\n') << length;
    EXPECT_EQ(lines[0].rfind("stealth: xxx", 0), 0u);
    EXPECT_LE(lines[0].size(), 512u);
  }
}

TEST_F(Report, ShortWritesGoOn) {
  fake::move_at_most(10);
  report("in pieces");
  std::string whole;
  for (std::string const& piece : fake::captured()) whole += piece;
  EXPECT_EQ(whole, "stealth: in pieces\n");
}

TEST(ReportDeathTest, DyingIsSaidEvenWhenSilent) {
  fake::reset();
  EXPECT_EXIT(
      {
        g_verbosity = Verbosity::silent;
        die("double free: ", Hex{16}, " (size class ", 32, ")");
      },
      testing::KilledBySignal(SIGABRT), "^stealth: double free: 0x10 \\(size class 32\\)\n$");
}

#if STEALTH_CHECKS >= 1
TEST(ReportDeathTest, AFailedCheckNamesItself) {
  fake::reset();
  int const two = 2;
  STEALTH_CHECK(two == 2);
  EXPECT_EXIT(STEALTH_CHECK(two == 3), testing::KilledBySignal(SIGABRT),
              "^stealth: internal error: two == 3 at .*test_report.cpp:[0-9]+; please report it\n$");
}
#endif

}  // namespace
