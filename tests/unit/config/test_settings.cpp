// The table as a whole: it agrees with the contract, with the defaults of Config and with itself; names are found.
#include "config/settings.hpp"

#include <gtest/gtest.h>

#include <set>
#include <type_traits>

#include "helpers.hpp"

namespace stealth::config {
namespace {

constinit Config before_everything{};  // a Config must be usable before any constructor ran
static_assert(std::is_trivially_copyable_v<Config> && std::is_trivially_destructible_v<Config>);
static_assert(defaults == Config{});
static_assert(defaults.capacity.kind == Capacity::Kind::automatic);
static_assert(settings.size() == 20);

TEST(Settings, DefaultConfigNeedsNoConstructor) { EXPECT_EQ(before_everything, defaults); }

struct Promise {
  std::string_view variable;
  std::string_view default_value;  // empty: ours to choose
  bool live;
};

constexpr std::array<Promise, 20> contract{{
    {"STEALTH_CAPACITY", "auto", true},
    {"STEALTH_CLASSES", "all", false},
    {"STEALTH_MODE", "enforce", true},
    {"STEALTH_SOFT", "90%", true},
    {"STEALTH_BACKOFF_MAX_WAIT", "100ms", true},
    {"STEALTH_BACKOFF_PATIENCE", "1s", true},
    {"STEALTH_BACKOFF_MAX_ELAPSED", "15s", true},
    {"STEALTH_BACKOFF_BUDGET", "50%", true},
    {"STEALTH_BACKOFF_JITTER", "0.5", true},
    {"STEALTH_ON_EXHAUSTED", "grant", true},
    {"STEALTH_PURGE_DELAY", "", true},
    {"STEALTH_HUGE_PAGES", "", false},
    {"STEALTH_GUARD", "off", false},
    {"STEALTH_DUMPABLE", "on", false},
    {"STEALTH_STATS", "off", false},
    {"STEALTH_CONTROL", "auto", false},
    {"STEALTH_PROFILE", "off", true},
    {"STEALTH_GROUP", "none", false},
    {"STEALTH_ONLY", "all", false},
    {"STEALTH_VERBOSE", "1", false},
}};

// For each row, a value that is not the default.
constexpr std::array<std::string_view, 20> other_values{"1g",   "none", "off",   "80%", "1ms",   "2s",     "3s",
                                                        "10%",  "0.1",  "abort", "1ms", "never", "sample", "off",
                                                        "exit", "on",   "64k",   "web", "sh",    "2"};

TEST(Settings, AsTheContractSays) {
  ASSERT_EQ(settings.size(), contract.size());
  for (std::size_t i = 0; i < settings.size(); ++i) {
    Setting const& setting = settings[i];
    EXPECT_EQ(setting.variable, contract[i].variable);
    EXPECT_EQ(setting.live, contract[i].live) << setting.variable;
    if (!contract[i].default_value.empty()) {
      EXPECT_EQ(setting.default_value, contract[i].default_value) << setting.variable;
    }
    Config config;
    Problem problem;
    ASSERT_TRUE(set(config, setting.variable, other_values[i], problem)) << setting.variable;
    EXPECT_NE(config, defaults) << setting.variable;
  }
}

TEST(Settings, EveryDefaultTextIsTheDefault) {
  for (Setting const& setting : settings) {
    Config config;
    EXPECT_TRUE(setting.parse(setting.default_value, config).fine()) << setting.variable;
    EXPECT_EQ(config, defaults) << setting.variable << '=' << setting.default_value;
    EXPECT_EQ(shown(setting, defaults), setting.default_value) << setting.variable;
  }
}

TEST(Settings, OneValueChangesOneRow) {
  for (std::size_t i = 0; i < settings.size(); ++i) {
    Config config;
    ASSERT_TRUE(settings[i].parse(other_values[i], config).fine()) << settings[i].variable;
    for (std::size_t j = 0; j < settings.size(); ++j) {
      EXPECT_EQ(shown(settings[j], config) == settings[j].default_value, i != j)
          << settings[i].variable << '=' << other_values[i] << " shows in " << settings[j].variable;
    }
  }
}

TEST(Settings, TextsAreOneLineEach) {
  std::set<std::string_view> helps;
  for (Setting const& setting : settings) {
    EXPECT_TRUE(setting.variable.starts_with(prefix));
    EXPECT_FALSE(setting.help.empty()) << setting.variable;
    EXPECT_FALSE(setting.accepted.empty()) << setting.variable;
    EXPECT_LE(setting.help.size(), 120U) << setting.variable;
    EXPECT_LE(setting.accepted.size(), 120U) << setting.variable;
    EXPECT_FALSE(setting.help.ends_with('.')) << setting.variable;
    EXPECT_TRUE(helps.insert(setting.help).second) << setting.variable;
  }
}

TEST(Settings, WordsAreAllNamedAsAccepted) {
  auto const named = [](std::string_view setting, auto const& words) {
    std::set<std::string> wanted;
    for (std::string_view const word : words) {
      wanted.emplace(word);
    }
    std::set<std::string> found;
    std::string_view rest = find_setting(setting)->accepted;
    std::string_view word;
    for (bool more = true; more;) {
      more = split(rest, ',', word);
      found.emplace(word.starts_with(' ') ? word.substr(1) : word);
    }
    EXPECT_EQ(found, wanted) << setting;
  };
  named("MODE", mode_words);
  named("ON_EXHAUSTED", on_exhausted_words);
  named("HUGE_PAGES", huge_pages_words);
  named("GUARD", guard_words);
  named("CONTROL", control_words);
  named("DUMPABLE", off_on);
}

TEST(Settings, FoundByEverySpellingOfTheName) {
  Setting const* const wait = find_setting("STEALTH_BACKOFF_MAX_WAIT");
  ASSERT_NE(wait, nullptr);
  EXPECT_EQ(wait->name(), "BACKOFF_MAX_WAIT");
  for (std::string_view const name :
       {"BACKOFF_MAX_WAIT", "backoff_max_wait", "backoff-max-wait", "Stealth_Backoff-Max_Wait"}) {
    EXPECT_EQ(find_setting(name), wait) << name;
  }
  for (std::string_view const name : {"", "STEALTH_", "BACKOFF", "MAX_WAIT", "backoff max wait", "BACKOFF_MAX_WAITS"}) {
    EXPECT_EQ(find_setting(name), nullptr) << name;
  }
}

TEST(Settings, EditDistance) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("abc", "abc"), 0U);
  EXPECT_EQ(edit_distance("abc", "ABC"), 0U);
  EXPECT_EQ(edit_distance("a-z", "A_Z"), 0U);
  EXPECT_EQ(edit_distance("`{", "@["), 4U);
  EXPECT_EQ(edit_distance("abc", "ab"), 1U);
  EXPECT_EQ(edit_distance("abc", "abcd"), 1U);
  EXPECT_EQ(edit_distance("abc", "axc"), 2U);  // one out, one in
  EXPECT_EQ(edit_distance("abc", "acb"), 2U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 5U);
  EXPECT_EQ(edit_distance("abc", "xyz"), 6U);
  EXPECT_EQ(edit_distance(std::string(1000, 'a'), std::string(1000, 'b')), 128U);  // only the first 64 count
}

TEST(Settings, NearestName) {
  for (auto const& [typed, meant] : std::to_array<std::array<std::string_view, 2>>({
           {"STEALTH_CAPACTY", "STEALTH_CAPACITY"},
           {"STEALTH_CAPACITIES", "STEALTH_CAPACITY"},
           {"STEALTH_CAP", "STEALTH_CAPACITY"},
           {"STEALTH_CLASS", "STEALTH_CLASSES"},
           {"STEALTH_MDOE", "STEALTH_MODE"},
           {"STEALTH_MAX_WAIT", "STEALTH_BACKOFF_MAX_WAIT"},
           {"STEALTH_BACKOFF_MAXWAIT", "STEALTH_BACKOFF_MAX_WAIT"},
           {"STEALTH_PATIENCE", "STEALTH_BACKOFF_PATIENCE"},
           {"STEALTH_JITTER", "STEALTH_BACKOFF_JITTER"},
           {"STEALTH_HUGEPAGES", "STEALTH_HUGE_PAGES"},
           {"STEALTH_GAURD", "STEALTH_GUARD"},
           {"STEALTH_STAT", "STEALTH_STATS"},
           {"STEALTH_ONEXHAUSTED", "STEALTH_ON_EXHAUSTED"},
           {"STEALTH_PURGE", "STEALTH_PURGE_DELAY"},
           {"verbos", "STEALTH_VERBOSE"},
       })) {
    EXPECT_EQ(nearest_setting(typed).variable, meant) << typed;
  }
  for (Setting const& setting : settings) {
    EXPECT_EQ(&nearest_setting(setting.variable), &setting);
  }
}

}  // namespace
}  // namespace stealth::config
