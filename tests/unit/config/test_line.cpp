// Text in a fixed buffer: never past its end, cut at whole pieces, nothing from outside unescaped.
#include "config/line.hpp"

#include <gtest/gtest.h>

#include <set>

#include "helpers.hpp"

namespace stealth::config {
namespace {

std::string escaped(std::string_view text, std::size_t most = 100) {
  return printed([&](Line& line) { line.add_escaped(text, most); });
}

TEST(Line, AddsTextAndNumbers) {
  EXPECT_EQ(printed([](Line& line) { line.add("a").add(std::uint64_t{0}).add("").add(UINT64_MAX); }),
            "a018446744073709551615");
}

TEST(Line, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(escaped("plain ~ text"), "plain ~ text");
  EXPECT_EQ(escaped("a\nb\tc\rd"), "a\\nb\\tc\\rd");
  EXPECT_EQ(escaped("it's a \\"), "it\\'s a \\\\");
  EXPECT_EQ(escaped("\x1b[31m\x7f\xff"), "\\x1b[31m\\x7f\\xff");
  EXPECT_EQ(escaped({"\0", 1}), "\\x00");
}

TEST(Line, ShowsOnlySoMuch) {
  EXPECT_EQ(escaped("abcdef", 6), "abcdef");
  EXPECT_EQ(escaped("abcdefg", 6), "abcdef...");
}

TEST(Line, CutsAtWholePiecesForEverySize) {
  for (std::size_t size = 0; size < 32; ++size) {
    std::array<char, 40> room;
    room.fill('#');
    Line line{std::span<char>{room.data(), size}};
    line.add("ab").add_escaped("\x01\x02\x03\x04\x05", 9).add(std::uint64_t{123456}).add("tail");
    ASSERT_LE(line.view().size(), size);
    EXPECT_EQ(std::string(room.data() + size, 40 - size), std::string(40 - size, '#')) << "past the end of " << size;
    EXPECT_TRUE(line.cut());
    if (size < 3) {
      continue;
    }
    std::string_view const text = line.view();
    ASSERT_TRUE(text.ends_with("...")) << text;
    std::string const all = "ab\\x01\\x02\\x03\\x04\\x05123456tail";
    std::string_view const kept = text.substr(0, text.size() - 3);
    EXPECT_TRUE(all.starts_with(kept)) << text;
    std::set<std::size_t> const ends{0, 1, 2, 6, 10, 14, 18, 22, 28, 29, 30, 31};
    EXPECT_TRUE(ends.contains(kept.size())) << "cut within a piece: " << text;
    EXPECT_GE(kept.size() + 3 + 6, size) << "cut too early: " << text;
  }
}

TEST(Line, NothingFollowsACut) {
  std::array<char, 8> room{};
  Line line{room};
  line.add(std::uint64_t{123456789}).add("x");
  EXPECT_EQ(line.view(), "...");
  EXPECT_TRUE(line.cut());
}

TEST(Line, FillsUpToTheMarksPlace) {
  std::array<char, 8> room{};
  Line line{room};
  line.add("abcde");
  EXPECT_EQ(line.view(), "abcde");
  EXPECT_FALSE(line.cut());
  line.add("f");
  EXPECT_EQ(line.view(), "abcde...");
}

}  // namespace
}  // namespace stealth::config
