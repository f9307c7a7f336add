// Text and lines: numbers at their extremes, units, cuts.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>

#include "base/text.hpp"
#include "base/units.hpp"

namespace {

using namespace stealth;

template <class... Parts>
std::string text_of(Parts const&... parts) {
  FixedText<256> text;
  (text << ... << parts);
  return std::string(text.view());
}

TEST(Text, Numbers) {
  EXPECT_EQ(text_of(0), "0");
  EXPECT_EQ(text_of(7), "7");
  EXPECT_EQ(text_of(-7), "-7");
  EXPECT_EQ(text_of(std::uint64_t{10}), "10");
  EXPECT_EQ(text_of(std::numeric_limits<int>::max()), "2147483647");
  EXPECT_EQ(text_of(std::numeric_limits<int>::min()), "-2147483648");
  EXPECT_EQ(text_of(std::uint32_t{4294967295}), "4294967295");
  EXPECT_EQ(text_of(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
}

TEST(Text, Hexadecimal) {
  EXPECT_EQ(text_of(Hex{0}), "0x0");
  EXPECT_EQ(text_of(Hex{0xF}), "0xf");
  EXPECT_EQ(text_of(Hex{0x10}), "0x10");
  EXPECT_EQ(text_of(Hex{~std::uint64_t{0}}), "0xffffffffffffffff");
  EXPECT_EQ(text_of(hex(nullptr)), "0x0");
  EXPECT_EQ(text_of(hex(reinterpret_cast<void const*>(std::uintptr_t{0x7f00deadbeef}))), "0x7f00deadbeef");
}

TEST(Text, ByteCounts) {
  EXPECT_EQ(text_of(Bytes{0}), "0 B");
  EXPECT_EQ(text_of(Bytes{1023}), "1023 B");
  EXPECT_EQ(text_of(Bytes{1024}), "1.0 KiB");
  EXPECT_EQ(text_of(Bytes{1536}), "1.5 KiB");
  EXPECT_EQ(text_of(Bytes{kMiB - 1}), "1023.9 KiB");
  EXPECT_EQ(text_of(Bytes{kMiB}), "1.0 MiB");
  EXPECT_EQ(text_of(Bytes{96 * kMiB + 52 * kKiB}), "96.0 MiB");
  EXPECT_EQ(text_of(Bytes{std::uint64_t{5} * kGiB / 2}), "2.5 GiB");
  EXPECT_EQ(text_of(Bytes{std::uint64_t{1} << 40}), "1.0 TiB");
  EXPECT_EQ(text_of(Bytes{std::uint64_t{1} << 50}), "1.0 PiB");
  EXPECT_EQ(text_of(Bytes{std::uint64_t{1} << 60}), "1.0 EiB");
  // The remainder times ten does not fit into 64 bits here.
  EXPECT_EQ(text_of(Bytes{(std::uint64_t{1} << 61) - 1}), "1.9 EiB");
  EXPECT_EQ(text_of(Bytes{~std::uint64_t{0}}), "15.9 EiB");
}

TEST(Text, Mixed) { EXPECT_EQ(text_of("a ", 'b', std::string_view(" c"), 1, ' ', Bytes{2048}), "a b c1 2.0 KiB"); }

TEST(Text, CutsAtTheEndAndSaysSo) {
  char room[12];
  std::memset(room, '#', sizeof room);
  Text text(room, 8);
  text << "01234567";
  EXPECT_FALSE(text.cut());
  text << "";
  EXPECT_FALSE(text.cut());
  text << '8';
  EXPECT_TRUE(text.cut());
  EXPECT_EQ(text.view(), "01234567");
  text.clear();
  EXPECT_EQ(text.view(), "");
  text << "abc" << std::uint64_t{1234567890};
  EXPECT_EQ(text.view(), "abc12345");
  EXPECT_EQ(std::string(room + 8, 4), "####");
}

TEST(Text, NoRoomAtAll) {
  char nothing = '#';
  Text text(&nothing, 0);
  text << "x" << 1 << Hex{1} << Bytes{1} << 'c';
  EXPECT_EQ(text.view(), "");
  EXPECT_TRUE(text.cut());
  EXPECT_EQ(nothing, '#');
}

TEST(Text, EveryLengthOfCut) {
  std::string const whole = text_of("held ", Bytes{123456789}, " of ", std::uint64_t{987654321}, " at ", Hex{0xABC});
  for (std::size_t room = 0; room <= whole.size() + 1; ++room) {
    std::string buffer(room + 1, '#');
    Text text(buffer.data(), room);
    text << "held " << Bytes{123456789} << " of " << std::uint64_t{987654321} << " at " << Hex{0xABC};
    EXPECT_EQ(text.view(), std::string_view(whole).substr(0, room));
    EXPECT_EQ(text.cut(), room < whole.size());
    EXPECT_EQ(buffer[room], '#');
  }
}

TEST(Units, Arithmetic) {
  EXPECT_FALSE(is_power_of_two(0));
  EXPECT_TRUE(is_power_of_two(1));
  EXPECT_FALSE(is_power_of_two(3));
  EXPECT_TRUE(is_power_of_two(std::size_t{1} << 63));
  EXPECT_EQ(align_up(0, 16), 0u);
  EXPECT_EQ(align_up(1, 16), 16u);
  EXPECT_EQ(align_up(16, 16), 16u);
  EXPECT_EQ(align_down(31, 16), 16u);
  EXPECT_EQ(divide_up(0, 7), 0u);
  EXPECT_EQ(divide_up(1, 7), 1u);
  EXPECT_EQ(divide_up(7, 7), 1u);
  EXPECT_EQ(divide_up(8, 7), 2u);
  EXPECT_EQ(min(2, 1), 1);
  EXPECT_EQ(max(2, 1), 2);
}

}  // namespace
