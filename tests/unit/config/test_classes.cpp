// The class list: its grammar, the checks within one value, and which part of it a refusal names.
#include "config/classes.hpp"

#include <gtest/gtest.h>

#include "helpers.hpp"

namespace stealth::config {
namespace {

Classes parsed(std::string_view text) {
  Classes classes;
  Fault const fault = parse_classes(text, classes);
  EXPECT_TRUE(fault.fine()) << text << ": " << fault.item << ": " << explain(fault.why);
  return classes;
}

std::string shown(Classes const& classes) {
  return printed([&](Line& line) { print_classes(classes, line); });
}

TEST(Classes, AllAndNone) {
  EXPECT_EQ(parsed("all"), Classes{});
  EXPECT_EQ(parsed("ALL").kind, Classes::Kind::all);
  EXPECT_EQ(parsed("none").kind, Classes::Kind::none);
  EXPECT_EQ(parsed("none").count, 0);
}

TEST(Classes, TheContractsExample) {
  Classes const classes = parsed("16-1024,4k:max=10000:prealloc=100,64k,1m:max=64");
  EXPECT_EQ(classes.kind, Classes::Kind::list);
  ASSERT_EQ(classes.count, 4);
  EXPECT_EQ(classes.rules[0], (ClassRule{.low = 16, .high = 1024, .ladder = true}));
  EXPECT_EQ(classes.rules[1], (ClassRule{.low = 4096, .high = 4096, .max = 10000, .prealloc = 100}));
  EXPECT_EQ(classes.rules[2], (ClassRule{.low = 65536, .high = 65536}));
  EXPECT_EQ(classes.rules[3], (ClassRule{.low = 1048576, .high = 1048576, .max = 64}));
  EXPECT_EQ(classes.rules[4], ClassRule{});
}

struct Accepted {
  std::string_view text;
  std::string_view printed;
};

TEST(Classes, AcceptedLists) {
  for (Accepted const& row : std::to_array<Accepted>({
           {"1", "1"},
           {"1g", "1g"},
           {"1024m", "1g"},
           {"100", "100"},
           {"1.5k", "1536"},
           {"16-16", "16-16"},
           {"1-16", "1-16"},
           {"16-1G", "16-1g"},
           {"1k-1m:max=5", "1k-1m:max=5"},
           {"64:prealloc=5:max=5", "64:max=5:prealloc=5"},
           {"64:MAX=1", "64:max=1"},
           {"64:prealloc=7", "64:prealloc=7"},
           {"64:prealloc=0", "64"},
           {"64:max=1099511627776", "64:max=1099511627776"},
           {"1m,64,4k", "64,4k,1m"},          // kept in ascending order
           {"16-1000,1001", "16-1000,1001"},  // steps of the range end at 992, the size becomes 1008
           {"16-1024,1025-2k", "16-1k,1025-2k"},
           {"17,16", "16,17"},  // 32 and 16
       })) {
    Classes const classes = parsed(row.text);
    EXPECT_EQ(shown(classes), row.printed) << row.text;
    EXPECT_EQ(parsed(row.printed), classes) << row.text;
  }
}

struct Refused {
  std::string_view text;
  std::string_view item;
  Why why;
};

TEST(Classes, RefusalsNameTheItem) {
  for (Refused const& row : std::to_array<Refused>({
           {"", "", Why::empty},
           {",", "", Why::class_empty_item},
           {"16,", "", Why::class_empty_item},
           {"16,,32", "", Why::class_empty_item},
           {"x", "x", Why::not_a_size},
           {"16,all", "all", Why::not_a_size},
           {"16,4x,64", "4x", Why::not_a_size},
           {"16, 64", " 64", Why::not_a_size},
           {"0", "0", Why::out_of_range},
           {"16,2g", "2g", Why::out_of_range},
           {"1073741825", "1073741825", Why::out_of_range},
           {"99999999999999999999", "99999999999999999999", Why::out_of_range},
           {"-", "-", Why::not_a_size},
           {"-16", "-16", Why::not_a_size},
           {"16-", "16-", Why::not_a_size},
           {"16-32-64", "32-64", Why::not_a_size},
           {"16-64y", "64y", Why::not_a_size},
           {"16-2g", "2g", Why::out_of_range},
           {"128,64-32:max=1", "64-32", Why::class_reversed},
           {"17-31", "17-31", Why::class_between_steps},
           {":max=1", ":max=1", Why::not_a_size},
           {"16:", "16:", Why::class_option},
           {"16::max=1", "16::max=1", Why::class_option},
           {"16:max", "max", Why::class_option},
           {"16:min=1", "min=1", Why::class_option},
           {"16:=1", "=1", Why::class_option},
           {"16:max=", "max=", Why::not_a_number},
           {"16:max=1k", "max=1k", Why::not_a_number},
           {"16:max=-1", "max=-1", Why::not_a_number},
           {"16:max=1=1", "max=1=1", Why::not_a_number},
           {"16:max=0", "max=0", Why::out_of_range},
           {"16:max=1099511627777", "max=1099511627777", Why::out_of_range},
           {"16:prealloc=1099511627777", "prealloc=1099511627777", Why::out_of_range},
           {"16:max=1:max=1", "max=1", Why::class_option_twice},
           {"16:prealloc=0:prealloc=2", "prealloc=2", Why::class_option_twice},
           {"16,64:max=4:prealloc=5", "64:max=4:prealloc=5", Why::class_prealloc_above_max},
           {"64:prealloc=5:max=4", "64:prealloc=5:max=4", Why::class_prealloc_above_max},
           {"64,64", "64", Why::class_overlaps},
           {"20,32", "32", Why::class_overlaps},  // both are 32
           {"16-1024,64:max=1", "64:max=1", Why::class_overlaps},
           {"64,16-1024", "16-1024", Why::class_overlaps},
           {"16-64,64-128", "64-128", Why::class_overlaps},
           {"1k-4k,16-1m", "16-1m", Why::class_overlaps},
       })) {
    Classes classes = parsed("48:max=3");
    Fault const fault = parse_classes(row.text, classes);
    EXPECT_EQ(explain(fault.why), explain(row.why)) << row.text;
    EXPECT_EQ(fault.item, row.item) << row.text;
    EXPECT_EQ(shown(classes), "48:max=3") << "changed by a refused " << row.text;
  }
}

TEST(Classes, HoldsSixtyFourItemsAndRefusesMore) {
  std::string text;
  for (std::size_t i = 1; i <= Classes::most_rules; ++i) {
    text += std::to_string(i * 16) + ',';
  }
  std::string const full = text + std::to_string(16 * (Classes::most_rules + 1));
  text.pop_back();
  EXPECT_EQ(parsed(text).count, Classes::most_rules);
  Classes classes;
  Fault const fault = parse_classes(full, classes);
  EXPECT_EQ(fault.why, Why::class_too_many);
  EXPECT_EQ(fault.item, "1040");
}

}  // namespace
}  // namespace stealth::config
