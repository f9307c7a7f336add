// Which programs a comma list of globs means.
#include "config/globs.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace stealth::config {
namespace {

struct Case {
  std::string_view globs;
  std::string_view program;
  bool meant;
};

TEST(Globs, OneGlob) {
  for (Case const& row : std::to_array<Case>({
           {"", "", true},
           {"", "a", false},
           {"a", "a", true},
           {"a", "A", false},
           {"a", "ab", false},
           {"ab", "a", false},
           {"*", "", true},
           {"*", "anything", true},
           {"**", "x", true},
           {"?", "", false},
           {"?", "x", true},
           {"?", "xy", false},
           {"a*", "a", true},
           {"a*", "abc", true},
           {"*c", "abc", true},
           {"*c", "abcd", false},
           {"a*c", "abbbc", true},
           {"a*c", "abbb", false},
           {"*ab*ab", "abxab", true},
           {"*ab*ab", "aab", false},
           {"*aab", "aaaab", true},
           {"a?c*", "abcd", true},
           {"python3*", "python3.11", true},
           {"[a]", "a", false},
           {"[a]", "[a]", true},
       })) {
    EXPECT_EQ(matches_glob(row.globs, row.program), row.meant) << row.globs << " on " << row.program;
  }
}

TEST(Globs, ManyStarsStayQuick) {
  std::string glob;
  for (int i = 0; i < 200; ++i) {
    glob += "*a";
  }
  EXPECT_FALSE(matches_glob(glob + "b", std::string(1000, 'a')));
}

TEST(Globs, Lists) {
  for (Case const& row : std::to_array<Case>({
           {"", "redis-server", true},
           {",", "redis-server", true},
           {"redis-server", "redis-server", true},
           {"redis-server", "redis-cli", false},
           {"nginx,redis-*", "redis-cli", true},
           {"nginx,redis-*", "bash", false},
           {"!bash", "bash", false},
           {"!bash", "python3", true},
           {"!", "bash", true},
           {"redis-*,!redis-cli", "redis-cli", false},
           {"!redis-cli,redis-*", "redis-cli", false},
           {"!redis-cli,redis-*", "redis-server", true},
           {"!redis-cli,redis-*", "bash", false},
           {"!*sh,!awk", "dash", false},
           {"!*sh,!awk", "gawk", true},
           {"*,!*", "anything", false},
           {"a,,b", "b", true},
           {"a,,b", "", false},
       })) {
    EXPECT_EQ(matches_only(row.globs, row.program), row.meant) << row.globs << " on " << row.program;
  }
}

TEST(Globs, BaseName) {
  EXPECT_EQ(base_name("/usr/bin/python3"), "python3");
  EXPECT_EQ(base_name("python3"), "python3");
  EXPECT_EQ(base_name("./a b"), "a b");
  EXPECT_EQ(base_name("/"), "");
  EXPECT_EQ(base_name(""), "");
}

}  // namespace
}  // namespace stealth::config
