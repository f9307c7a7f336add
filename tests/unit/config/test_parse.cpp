// Each form of a value: what it accepts, what it becomes, why it is refused, how it is printed.
#include <gtest/gtest.h>

#include "config/config.hpp"
#include "helpers.hpp"

namespace stealth::config {
namespace {

template <class Value>
struct Good {
  std::string_view text;
  Value value;
  std::string_view printed;  // as print_… gives it back
};

struct Bad {
  std::string_view text;
  Why why;
};

constexpr std::string_view digits_20 = "18446744073709551615";  // 2^64 - 1
constexpr std::string_view digits_20_more = "18446744073709551616";

template <class Value, class Parse, class Print, std::size_t N>
void check_good(Parse parse, Print print, std::array<Good<Value>, N> const& rows) {
  for (auto const& row : rows) {
    Value value{12345};
    EXPECT_EQ(parse(row.text, value).why, Why::fine) << row.text;
    EXPECT_EQ(value, row.value) << row.text;
    EXPECT_EQ(printed([&](Line& line) { print(value, line); }), row.printed) << row.text;
    Value again{54321};
    EXPECT_EQ(parse(row.printed, again).why, Why::fine) << row.printed;
    EXPECT_EQ(again, row.value) << row.printed;
  }
}

template <class Value, class Parse, std::size_t N>
void check_bad(Parse parse, std::array<Bad, N> const& rows) {
  for (Bad const& row : rows) {
    Value value{12345};
    EXPECT_EQ(explain(parse(row.text, value).why), explain(row.why)) << row.text;
    EXPECT_EQ(value, Value{12345}) << "written by a refused " << row.text;
  }
}

TEST(Parse, Sizes) {
  check_good(parse_size, print_size,
             std::to_array<Good<std::uint64_t>>({{"0", 0, "0"},
                                                 {"1", 1, "1"},
                                                 {"007", 7, "7"},
                                                 {"1000", 1000, "1000"},
                                                 {"1k", kib, "1k"},
                                                 {"1K", kib, "1k"},
                                                 {"1024", kib, "1k"},
                                                 {"1025", kib + 1, "1025"},
                                                 {"64k", 64 * kib, "64k"},
                                                 {"3m", 3 * mib, "3m"},
                                                 {"3M", 3 * mib, "3m"},
                                                 {"2G", 2 * gib, "2g"},
                                                 {"1t", tib, "1t"},
                                                 {"1.5g", gib + gib / 2, "1536m"},
                                                 {".5k", 512, "512"},
                                                 {"0.3k", 307, "307"},
                                                 {"1.0000001k", kib, "1k"},
                                                 {"0k", 0, "0"},
                                                 {"16777215t", 16777215 * tib, "16777215t"},
                                                 {digits_20, UINT64_MAX, digits_20}}));
  check_bad<std::uint64_t>(parse_size, std::to_array<Bad>({{"", Why::empty},
                                                           {"k", Why::not_a_size},
                                                           {".", Why::not_a_size},
                                                           {".k", Why::not_a_size},
                                                           {"1.", Why::not_a_size},
                                                           {"1.k", Why::not_a_size},
                                                           {"1.5", Why::not_a_size},
                                                           {"1.5.5k", Why::not_a_size},
                                                           {"-1", Why::not_a_size},
                                                           {"+1", Why::not_a_size},
                                                           {"0x10", Why::not_a_size},
                                                           {" 1", Why::not_a_size},
                                                           {"1 ", Why::not_a_size},
                                                           {"1 k", Why::not_a_size},
                                                           {"1kb", Why::not_a_size},
                                                           {"1kk", Why::not_a_size},
                                                           {"12x", Why::not_a_size},
                                                           {"1e", Why::not_a_size},
                                                           {"1%", Why::not_a_size},
                                                           {"1,5k", Why::not_a_size},
                                                           {digits_20_more, Why::out_of_range},
                                                           {"16777216t", Why::out_of_range},
                                                           {"99999999999999999999999", Why::out_of_range},
                                                           {"99999999999999999999999x", Why::not_a_size}}));
}

TEST(Parse, Times) {
  check_good(parse_time, print_time,
             std::to_array<Good<std::uint64_t>>({{"0", 0, "0"},
                                                 {"0s", 0, "0"},
                                                 {"1us", microsecond, "1us"},
                                                 {"1ms", millisecond, "1ms"},
                                                 {"1000us", millisecond, "1ms"},
                                                 {"1s", second, "1s"},
                                                 {"1m", minute, "1m"},
                                                 {"60s", minute, "1m"},
                                                 {"90s", 90 * second, "90s"},
                                                 {"1.5ms", 1500 * microsecond, "1500us"},
                                                 {"1.5us", 1500, "1.5us"},
                                                 {"0.001us", 1, "0.001us"},
                                                 {".25s", 250 * millisecond, "250ms"}}));
  check_bad<std::uint64_t>(parse_time, std::to_array<Bad>({{"", Why::empty},
                                                           {"1", Why::time_without_unit},
                                                           {"00", Why::time_without_unit},
                                                           {"1.5", Why::time_without_unit},
                                                           {"s", Why::not_a_time},
                                                           {"1.s", Why::not_a_time},
                                                           {"1h", Why::not_a_time},
                                                           {"1ns", Why::not_a_time},
                                                           {"1S", Why::not_a_time},
                                                           {"1 s", Why::not_a_time},
                                                           {"1s ", Why::not_a_time},
                                                           {"-1s", Why::not_a_time},
                                                           {"1sec", Why::not_a_time},
                                                           {"18446744073710s", Why::out_of_range},
                                                           {"18446744073709551616us", Why::out_of_range}}));
}

TEST(Parse, Shares) {
  check_good(parse_share, print_share,
             std::to_array<Good<std::uint32_t>>({{"0%", 0, "0%"},
                                                 {"1%", 10, "1%"},
                                                 {"90%", 900, "90%"},
                                                 {"12.5%", 125, "12.5%"},
                                                 {"12.59%", 125, "12.5%"},
                                                 {".1%", 1, "0.1%"},
                                                 {"100%", 1000, "100%"},
                                                 {"429496729.5%", UINT32_MAX, "429496729.5%"}}));
  check_bad<std::uint32_t>(parse_share, std::to_array<Bad>({{"", Why::empty},
                                                            {"%", Why::not_a_share},
                                                            {"90", Why::not_a_share},
                                                            {"0.9", Why::not_a_share},
                                                            {"90%%", Why::not_a_share},
                                                            {"90 %", Why::not_a_share},
                                                            {"-1%", Why::not_a_share},
                                                            {"1.%", Why::not_a_share},
                                                            {"429496729.6%", Why::out_of_range},
                                                            {"99999999999999999999%", Why::out_of_range}}));
}

TEST(Parse, Fractions) {
  check_good(parse_fraction, print_fraction,
             std::to_array<Good<std::uint32_t>>({{"0", 0, "0"},
                                                 {"0.5", 500, "0.5"},
                                                 {".25", 250, "0.25"},
                                                 {"0.005", 5, "0.005"},
                                                 {"0.0059", 5, "0.005"},
                                                 {"1", 1000, "1"},
                                                 {"1.000", 1000, "1"},
                                                 {"2.125", 2125, "2.125"}}));
  check_bad<std::uint32_t>(parse_fraction, std::to_array<Bad>({{"", Why::empty},
                                                               {".", Why::not_a_number},
                                                               {"1.", Why::not_a_number},
                                                               {"50%", Why::not_a_number},
                                                               {"1e-1", Why::not_a_number},
                                                               {"-0.5", Why::not_a_number},
                                                               {"half", Why::not_a_number},
                                                               {"4294967.296", Why::out_of_range}}));
}

TEST(Parse, Counts) {
  std::uint64_t value = 9;
  EXPECT_TRUE(parse_count("0", value).fine());
  EXPECT_EQ(value, 0U);
  EXPECT_TRUE(parse_count(digits_20, value).fine());
  EXPECT_EQ(value, UINT64_MAX);
  check_bad<std::uint64_t>(parse_count, std::to_array<Bad>({{"", Why::empty},
                                                            {"1k", Why::not_a_number},
                                                            {"1.0", Why::not_a_number},
                                                            {"x", Why::not_a_number},
                                                            {"-1", Why::not_a_number},
                                                            {digits_20_more, Why::out_of_range}}));
}

TEST(Parse, Words) {
  constexpr std::array<std::string_view, 3> words{"off", "sample", "full"};
  std::size_t index = 9;
  EXPECT_TRUE(parse_word("full", words, index).fine());
  EXPECT_EQ(index, 2U);
  EXPECT_TRUE(parse_word("OFF", words, index).fine());
  EXPECT_EQ(index, 0U);
  for (std::string_view const bad : {"of", "offf", "off ", "fuII", "@ff"}) {
    EXPECT_EQ(parse_word(bad, words, index).why, Why::not_a_word) << bad;
  }
  EXPECT_EQ(parse_word("", words, index).why, Why::empty);
  EXPECT_EQ(index, 0U);
}

TEST(Parse, OnlyLettersHaveTwoCases) {
  EXPECT_TRUE(same_word("azAZ", "AZaz"));
  EXPECT_FALSE(same_word("@[", "`{"));
  EXPECT_FALSE(same_word("a", "ab"));
}

TEST(Parse, Texts) {
  EXPECT_EQ(check_text("abc", 3).why, Why::fine);
  EXPECT_EQ(check_text("abcd", 3).why, Why::too_long);
  EXPECT_EQ(check_text("", 3).why, Why::empty);
  EXPECT_EQ(check_text("a\nb", 3).why, Why::control_character);
  EXPECT_EQ(check_text("a\x7f", 3).why, Why::control_character);
  EXPECT_EQ(check_text({"a\0b", 3}, 3).why, Why::control_character);
  EXPECT_EQ(check_text("\xc3\xa9 ~", 4).why, Why::fine);
}

TEST(Parse, SplitTakesOnePieceAtATime) {
  std::string_view rest = "a::b";
  std::string_view head;
  EXPECT_TRUE(split(rest, ':', head));
  EXPECT_EQ(head, "a");
  EXPECT_TRUE(split(rest, ':', head));
  EXPECT_EQ(head, "");
  EXPECT_FALSE(split(rest, ':', head));
  EXPECT_EQ(head, "b");
  EXPECT_EQ(rest, "");
  EXPECT_FALSE(split(rest, ':', head));
  EXPECT_EQ(head, "");
}

TEST(Parse, EveryReasonHasItsOwnWords) {
  std::vector<std::string_view> known;
  for (int i = 0; i <= static_cast<int>(Why::class_too_many); ++i) {
    std::string_view const words = explain(static_cast<Why>(i));
    EXPECT_NE(words, explain(static_cast<Why>(255)));
    for (std::string_view const other : known) {
      EXPECT_NE(words, other);
    }
    known.push_back(words);
  }
}

}  // namespace
}  // namespace stealth::config
