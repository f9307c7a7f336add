// Every row of the table: what it accepts, what that makes of Config, how it is printed, and why it
// refuses the rest (the whole wording is in test_messages.cpp).
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "helpers.hpp"

namespace stealth::config {
namespace {

struct Accepted {
  std::string_view name;
  std::string_view value;
  std::function<void(Config&)> effect;  // on the default Config
  std::string_view printed;
};

Config with(std::function<void(Config&)> const& effect) {
  Config config;
  effect(config);
  return config;
}

std::vector<Accepted> accepted() {
  using K = Capacity::Kind;
  auto const capacity = [](K kind, std::uint64_t value) { return [=](Config& c) { c.capacity = {kind, value}; }; };
  auto const stats = [](Stats::When when, Stats::Format format, std::uint64_t interval, std::string_view path) {
    return [=](Config& c) {
      c.stats.when = when;
      c.stats.format = format;
      c.stats.interval = interval;
      EXPECT_TRUE(c.stats.path.assign(path));
    };
  };
  auto const profile = [](std::uint64_t interval, std::string_view path) {
    return [=](Config& c) {
      c.profile.interval = interval;
      EXPECT_TRUE(c.profile.path.assign(path));
    };
  };
  auto const group = [](std::string_view name) { return [=](Config& c) { EXPECT_TRUE(c.group.assign(name)); }; };
  auto const only = [](std::string_view globs) { return [=](Config& c) { EXPECT_TRUE(c.only.assign(globs)); }; };
  auto const same = [](Config&) {};
  using W = Stats::When;
  using F = Stats::Format;
  static std::string const longest_group(63, 'g');
  static std::string const longest_only(1023, '*');
  static std::string const longest_path = '/' + std::string(1022, 'p');
  static std::string const long_stats = "exit:json:" + longest_path;
  return {
      {"CAPACITY", "auto", same, "auto"},
      {"CAPACITY", "Auto", same, "auto"},
      {"CAPACITY", "none", capacity(K::none, 0), "none"},
      {"CAPACITY", "1", capacity(K::bytes, 1), "1"},
      {"CAPACITY", "1.5G", capacity(K::bytes, 1536 * mib), "1536m"},
      {"CAPACITY", "9223372036854775807", capacity(K::bytes, INT64_MAX), "9223372036854775807"},
      {"CAPACITY", "80%", capacity(K::share, 800), "80%"},
      {"CAPACITY", "0.1%", capacity(K::share, 1), "0.1%"},
      {"CAPACITY", "100%", capacity(K::share, 1000), "100%"},
      {"CLASSES", "all", same, "all"},
      {"CLASSES", "none", [](Config& c) { c.classes.kind = Classes::Kind::none; }, "none"},
      {"CLASSES", "4096:max=2",
       [](Config& c) {
         c.classes.kind = Classes::Kind::list;
         c.classes.count = 1;
         c.classes.rules[0] = {.low = 4096, .high = 4096, .max = 2};
       },
       "4k:max=2"},
      {"MODE", "enforce", same, "enforce"},
      {"MODE", "observe", [](Config& c) { c.mode = Mode::observe; }, "observe"},
      {"MODE", "OFF", [](Config& c) { c.mode = Mode::off; }, "off"},
      {"SOFT", "90%", same, "90%"},
      {"SOFT", "0.1%", [](Config& c) { c.soft = 1; }, "0.1%"},
      {"SOFT", "100%", [](Config& c) { c.soft = 1000; }, "100%"},
      {"BACKOFF_MAX_WAIT", "1us", [](Config& c) { c.backoff_max_wait = microsecond; }, "1us"},
      {"BACKOFF_MAX_WAIT", "100ms", same, "100ms"},
      {"BACKOFF_MAX_WAIT", "60m", [](Config& c) { c.backoff_max_wait = 60 * minute; }, "60m"},
      {"BACKOFF_PATIENCE", "0", [](Config& c) { c.backoff_patience = 0; }, "0"},
      {"BACKOFF_PATIENCE", "1s", same, "1s"},
      {"BACKOFF_PATIENCE", "3600s", [](Config& c) { c.backoff_patience = 60 * minute; }, "60m"},
      {"BACKOFF_MAX_ELAPSED", "0s", [](Config& c) { c.backoff_max_elapsed = 0; }, "0"},
      {"BACKOFF_MAX_ELAPSED", "15s", same, "15s"},
      {"BACKOFF_MAX_ELAPSED", "1440m", [](Config& c) { c.backoff_max_elapsed = 1440 * minute; }, "1440m"},
      {"BACKOFF_BUDGET", "0%", [](Config& c) { c.backoff_budget = 0; }, "0%"},
      {"BACKOFF_BUDGET", "50%", same, "50%"},
      {"BACKOFF_BUDGET", "100%", [](Config& c) { c.backoff_budget = 1000; }, "100%"},
      {"BACKOFF_JITTER", "0", [](Config& c) { c.backoff_jitter = 0; }, "0"},
      {"BACKOFF_JITTER", "0.50", same, "0.5"},
      {"BACKOFF_JITTER", "1", [](Config& c) { c.backoff_jitter = 1000; }, "1"},
      {"ON_EXHAUSTED", "grant", same, "grant"},
      {"ON_EXHAUSTED", "enomem", [](Config& c) { c.on_exhausted = OnExhausted::enomem; }, "enomem"},
      {"ON_EXHAUSTED", "abort", [](Config& c) { c.on_exhausted = OnExhausted::abort; }, "abort"},
      {"PURGE_DELAY", "0", [](Config& c) { c.purge_delay = 0; }, "0"},
      {"PURGE_DELAY", "0.5s", same, "500ms"},
      {"PURGE_DELAY", "60m", [](Config& c) { c.purge_delay = 60 * minute; }, "60m"},
      {"HUGE_PAGES", "never", [](Config& c) { c.huge_pages = HugePages::never; }, "never"},
      {"HUGE_PAGES", "auto", same, "auto"},
      {"HUGE_PAGES", "always", [](Config& c) { c.huge_pages = HugePages::always; }, "always"},
      {"GUARD", "off", same, "off"},
      {"GUARD", "sample", [](Config& c) { c.guard = Guard::sample; }, "sample"},
      {"GUARD", "full", [](Config& c) { c.guard = Guard::full; }, "full"},
      {"DUMPABLE", "on", same, "on"},
      {"DUMPABLE", "off", [](Config& c) { c.dumpable = false; }, "off"},
      {"STATS", "off", same, "off"},
      {"STATS", "exit", stats(W::exit, F::text, 0, ""), "exit"},
      {"STATS", "exit:text", stats(W::exit, F::text, 0, ""), "exit"},
      {"STATS", "EXIT:JSON", stats(W::exit, F::json, 0, ""), "exit:json"},
      {"STATS", "exit:json:/var/tmp/x.%p.json", stats(W::exit, F::json, 0, "/var/tmp/x.%p.json"),
       "exit:json:/var/tmp/x.%p.json"},
      {"STATS", "exit:json:x", stats(W::exit, F::json, 0, "x"), "exit:json:x"},
      {"STATS", "exit:text:a:b c", stats(W::exit, F::text, 0, "a:b c"), "exit:text:a:b c"},
      {"STATS", "exit:./x:y", stats(W::exit, F::text, 0, "./x:y"), "exit:text:./x:y"},
      {"STATS", "exit:/x", stats(W::exit, F::text, 0, "/x"), "exit:text:/x"},
      {"STATS", long_stats, stats(W::exit, F::json, 0, longest_path), long_stats},
      {"STATS", "100ms", stats(W::interval, F::text, 100 * millisecond, ""), "100ms"},
      {"STATS", "10s:json", stats(W::interval, F::json, 10 * second, ""), "10s:json"},
      {"STATS", "1440m:json:/x", stats(W::interval, F::json, 1440 * minute, "/x"), "1440m:json:/x"},
      {"CONTROL", "auto", same, "auto"},
      {"CONTROL", "on", [](Config& c) { c.control = Control::on; }, "on"},
      {"CONTROL", "off", [](Config& c) { c.control = Control::off; }, "off"},
      {"PROFILE", "off", same, "off"},
      {"PROFILE", "512k", profile(512 * kib, ""), "512k"},
      {"PROFILE", "1", profile(1, ""), "1"},
      {"PROFILE", "1t", profile(tib, ""), "1t"},
      {"PROFILE", "512k:/var/tmp/heap.%p.heap", profile(512 * kib, "/var/tmp/heap.%p.heap"),
       "512k:/var/tmp/heap.%p.heap"},
      {"PROFILE", "512k:a:b", profile(512 * kib, "a:b"), "512k:a:b"},
      {"GROUP", "none", same, "none"},
      {"GROUP", "web-1.A_b", group("web-1.A_b"), "web-1.A_b"},
      {"GROUP", "azAZ09", group("azAZ09"), "azAZ09"},
      {"GROUP", longest_group, group(longest_group), longest_group},
      {"ONLY", "all", same, "all"},
      {"ONLY", "redis-*,!redis-cli", only("redis-*,!redis-cli"), "redis-*,!redis-cli"},
      {"ONLY", longest_only, only(longest_only), longest_only},
      {"VERBOSE", "0", [](Config& c) { c.verbose = 0; }, "0"},
      {"VERBOSE", "1", same, "1"},
      {"VERBOSE", "2", [](Config& c) { c.verbose = 2; }, "2"},
  };
}

TEST(Rows, AcceptedValues) {
  std::map<std::string_view, int> tried;
  for (Accepted const& row : accepted()) {
    Config config;
    Problem problem;
    EXPECT_TRUE(set(config, row.name, row.value, problem)) << row.name << '=' << row.value;
    EXPECT_EQ(config, with(row.effect)) << row.name << '=' << row.value;
    Setting const* const setting = find_setting(row.name);
    ASSERT_NE(setting, nullptr) << row.name;
    EXPECT_EQ(shown(*setting, config), row.printed) << row.name << '=' << row.value;
    Config again;
    EXPECT_TRUE(set(again, row.name, row.printed, problem)) << row.name << '=' << row.printed;
    EXPECT_EQ(again, config) << row.name << '=' << row.printed;
    ++tried[setting->name()];
  }
  for (Setting const& setting : settings) {
    EXPECT_GE(tried[setting.name()], 2) << setting.name() << " is not tried";
  }
}

TEST(Rows, ALaterValueReplacesAllOfAnEarlierOne) {
  for (Accepted const& row : accepted()) {
    Config config;
    Problem problem;
    EXPECT_TRUE(set(config, row.name, row.value, problem));
    EXPECT_TRUE(set(config, row.name, find_setting(row.name)->default_value, problem));
    EXPECT_EQ(config, defaults) << row.name << '=' << row.value;
  }
}

struct Refused {
  std::string_view name;
  std::string_view value;
  std::string_view why;  // what stands between the value and "; accepted: "
};

std::vector<Refused> refused() {
  static std::string const group_too_long(64, 'g');
  static std::string const only_too_long(1024, '*');
  static std::string const stats_too_long = "exit:json:" + std::string(1024, 'p');
  return {
      {"CAPACITY", "", "empty"},
      {"CAPACITY", "12x", "not a size"},
      {"CAPACITY", "off", "not a size"},
      {"CAPACITY", "%", "not a share"},
      {"CAPACITY", "a%", "not a share"},
      {"CAPACITY", "0", "out of range"},
      {"CAPACITY", "0%", "out of range"},
      {"CAPACITY", "100.1%", "out of range"},
      {"CAPACITY", "8388608t", "out of range"},
      {"CAPACITY", "9223372036854775808", "out of range"},
      {"CAPACITY", "1g\n", "not a size"},
      {"CLASSES", "", "empty"},
      {"CLASSES", "16,4x", "4x: not a size"},
      {"CLASSES", "64-32", "the first size is above the second"},
      {"CLASSES", "16:max=0", "max=0: out of range"},
      {"CLASSES", "16,32:max=1:prealloc=2", "32:max=1:prealloc=2: prealloc is above max"},
      {"CLASSES", "16-64,32", "32: overlaps an earlier item"},
      {"CLASSES", "16,", "has an empty item"},
      {"CLASSES", "16:maxx=1", "maxx=1: neither max=N nor prealloc=N"},
      {"CLASSES", "16:max=1:max=2", "max=2: given twice"},
      {"MODE", "", "empty"},
      {"MODE", "on", "not a known word"},
      {"SOFT", "0%", "out of range"},
      {"SOFT", "101%", "out of range"},
      {"SOFT", "0.9", "not a share"},
      {"BACKOFF_MAX_WAIT", "0", "out of range"},
      {"BACKOFF_MAX_WAIT", "100", "a time without its unit"},
      {"BACKOFF_MAX_WAIT", "61m", "out of range"},
      {"BACKOFF_MAX_WAIT", "1h", "not a time"},
      {"BACKOFF_PATIENCE", "1", "a time without its unit"},
      {"BACKOFF_PATIENCE", "3600.1s", "out of range"},
      {"BACKOFF_MAX_ELAPSED", "1441m", "out of range"},
      {"BACKOFF_MAX_ELAPSED", "forever", "not a time"},
      {"BACKOFF_BUDGET", "100.1%", "out of range"},
      {"BACKOFF_BUDGET", "50", "not a share"},
      {"BACKOFF_JITTER", "1.001", "out of range"},
      {"BACKOFF_JITTER", "50%", "not a number"},
      {"ON_EXHAUSTED", "fail", "not a known word"},
      {"PURGE_DELAY", "-1s", "not a time"},
      {"PURGE_DELAY", "2", "a time without its unit"},
      {"PURGE_DELAY", "61m", "out of range"},
      {"HUGE_PAGES", "yes", "not a known word"},
      {"GUARD", "on", "not a known word"},
      {"DUMPABLE", "1", "not a known word"},
      {"STATS", "", "empty"},
      {"STATS", "on", "not a known word"},
      {"STATS", ":json", "not a known word"},
      {"STATS", "off:json", "off: not a known word"},
      {"STATS", "exit:", "neither text nor json"},
      {"STATS", "exit:jsn", "jsn: neither text nor json"},
      {"STATS", "exit:xml:/x", "xml: neither text nor json"},
      {"STATS", "exit:json:", "the file is missing after the colon"},
      {"STATS", "exit:json:/a\tb", "/a\\tb: has a control character"},
      {"STATS", stats_too_long, "pppppppppppppppppppppppppppppppppppppppppppppppp...: too long"},
      {"STATS", "5", "a time without its unit"},
      {"STATS", "99ms", "out of range"},
      {"STATS", "1441m:json", "1441m: out of range"},
      {"CONTROL", "yes", "not a known word"},
      {"PROFILE", "", "empty"},
      {"PROFILE", "on", "not a size"},
      {"PROFILE", ":/x", "not a size"},
      {"PROFILE", "0", "out of range"},
      {"PROFILE", "2t:/x", "2t: out of range"},
      {"PROFILE", "512k:", "the file is missing after the colon"},
      {"GROUP", "", "empty"},
      {"GROUP", "../x", "not a plain name"},
      {"GROUP", "a/b", "not a plain name"},
      {"GROUP", "a b", "not a plain name"},
      {"GROUP", ".hidden", "not a plain name"},
      {"GROUP", group_too_long, "too long"},
      {"ONLY", "", "empty"},
      {"ONLY", "a\x1b", "has a control character"},
      {"ONLY", only_too_long, "too long"},
      {"VERBOSE", "3", "out of range"},
      {"VERBOSE", "yes", "not a number"},
      {"VERBOSE", "-1", "not a number"},
  };
}

TEST(Rows, RefusedValues) {
  std::map<std::string_view, int> tried;
  for (Refused const& row : refused()) {
    Setting const* const setting = find_setting(row.name);
    ASSERT_NE(setting, nullptr) << row.name;
    std::string const value = printed([&](Line& line) { line.add_escaped(row.value, 96); });
    std::string expected{setting->variable};
    expected.append("='").append(value).append("': ").append(row.why).append("; accepted: ").append(setting->accepted);
    EXPECT_EQ(refusal(row.name, row.value), expected);
    ++tried[setting->name()];
  }
  for (Setting const& setting : settings) {
    EXPECT_GE(tried[setting.name()], 1) << setting.name() << " is not tried";
  }
}

}  // namespace
}  // namespace stealth::config
