// A whole environment: what is applied, which lines come out, and when none may.
#include <gtest/gtest.h>

#include "helpers.hpp"

namespace stealth::config {
namespace {

using List = std::vector<std::string>;

TEST(Load, AppliesWhatIsOursAndLeavesTheRest) {
  Loaded const loaded =
      load_all({"PATH=/bin", "STEALTH_CAPACITY=1g", "HOME=", "STEALTH_ON_EXHAUSTED=enomem", "XSTEALTH_MODE=off",
                "stealth_mode=off", "STEALTHMODE=off", "no equals sign", "STEALTH_MODE", ""});
  Config expected;
  expected.capacity = {Capacity::Kind::bytes, gib};
  expected.on_exhausted = OnExhausted::enomem;
  EXPECT_EQ(loaded.config, expected);
  EXPECT_TRUE(loaded.served);
  EXPECT_EQ(loaded.lines, List{});
}

TEST(Load, AnEmptyEnvironmentIsTheDefault) {
  Loaded const loaded = load_all({});
  EXPECT_EQ(loaded.config, defaults);
  EXPECT_TRUE(loaded.served);
  EXPECT_EQ(loaded.lines, List{});
  Config config;
  EXPECT_TRUE(load(config, {}, {}));
  EXPECT_EQ(config, defaults);
}

TEST(Load, ARefusedValueIsReportedOnceAndTheDefaultStays) {
  Loaded const loaded = load_all({"STEALTH_CAPACITY=12x", "STEALTH_DUMPABLE=off"});
  Config expected;
  expected.dumpable = false;
  EXPECT_EQ(loaded.config, expected);
  EXPECT_EQ(loaded.lines, List{"STEALTH_CAPACITY='12x': not a size; accepted: bytes with k, m, g or t, N%, auto, none; "
                               "using auto"});
}

TEST(Load, EveryRowReportsARefusedValueOnce) {
  for (Setting const& setting : settings) {
    Loaded const loaded = load_all({std::string{setting.variable} + "=\x01"});
    EXPECT_EQ(loaded.config, defaults) << setting.variable;
    ASSERT_EQ(loaded.lines.size(), 1U) << setting.variable;
    std::string const& line = loaded.lines[0];
    EXPECT_TRUE(line.starts_with(std::string{setting.variable} + "='\\x01': ")) << line;
    EXPECT_TRUE(line.ends_with("; accepted: " + std::string{setting.accepted} + "; using " +
                               std::string{setting.default_value}))
        << line;
  }
}

TEST(Load, AnUnknownNameGetsOneLineWithTheNearest) {
  Loaded const loaded = load_all({"STEALTH_CAPACTY=1g", "STEALTH_=", "STEALTH_mode=off"});
  EXPECT_EQ(loaded.config, defaults);
  EXPECT_EQ(loaded.lines, (List{"STEALTH_CAPACTY: unknown setting; the nearest known name is STEALTH_CAPACITY",
                                "STEALTH_: unknown setting; the nearest known name is STEALTH_CAPACITY",
                                "STEALTH_mode: unknown setting; the nearest known name is STEALTH_MODE"}));
}

TEST(Load, WhatHasEffectSaysNothing) {
  Loaded const loaded =
      load_all({"STEALTH_GUARD=sample", "STEALTH_SOFT=80%", "STEALTH_PROFILE=512k", "STEALTH_STATS=10s"});
  EXPECT_EQ(loaded.config.profile.interval, 512 * kib);
  EXPECT_EQ(loaded.config.stats.interval, 10 * second);
  EXPECT_EQ(loaded.config.guard, Guard::sample);
  EXPECT_EQ(loaded.config.soft, 800U);
  EXPECT_EQ(loaded.lines, List{});
}

TEST(Load, ADefaultSpelledOutSaysNothing) {
  List entries;
  for (Setting const& setting : settings) {
    entries.push_back(std::string{setting.variable} + '=' + std::string{setting.default_value});
  }
  entries.emplace_back("STEALTH_SOFT_=");
  Loaded const loaded = load_all(entries);
  EXPECT_EQ(loaded.config, defaults);
  EXPECT_EQ(loaded.lines, List{"STEALTH_SOFT_: unknown setting; the nearest known name is STEALTH_SOFT"});
}

TEST(Load, TheFirstOfEqualNamesCounts) {
  Loaded const loaded = load_all({"STEALTH_CAPACITY=1g", "STEALTH_CAPACITY=2g", "STEALTH_CAPACITY=x"});
  EXPECT_EQ(loaded.config.capacity.value, gib);
  EXPECT_EQ(loaded.lines, List{});
  EXPECT_EQ(load_all({"STEALTH_VERBOSE=0", "STEALTH_VERBOSE=1", "STEALTH_X=1"}).lines, List{});
}

TEST(Load, NothingIsReadInASecureProgram) {
  Loaded const loaded =
      load_all({"STEALTH_CAPACITY=1g", "STEALTH_CAPACTY=1g", "STEALTH_GUARD=x", "STEALTH_ONLY=other"}, "program", true);
  EXPECT_EQ(loaded.config, defaults);
  EXPECT_TRUE(loaded.served);
  EXPECT_EQ(loaded.lines, List{});
}

TEST(Load, VerboseZeroSilencesWhatStandsBeforeItToo) {
  Loaded const loaded = load_all({"STEALTH_CAPACITY=x", "STEALTH_X=", "STEALTH_GUARD=full", "STEALTH_VERBOSE=0"});
  Config expected;
  expected.guard = Guard::full;
  expected.verbose = 0;
  EXPECT_EQ(loaded.config, expected);
  EXPECT_EQ(loaded.lines, List{});
  EXPECT_EQ(load_all({"STEALTH_X=", "STEALTH_VERBOSE=zero"}).lines.size(), 2U);
}

TEST(Load, OnlyLeavesOtherProgramsAloneAndSilent) {
  List const entries{"STEALTH_X=", "STEALTH_ONLY=redis-*,!redis-cli"};
  for (std::string_view const program : {"redis-server", "/usr/bin/redis-server", ""}) {
    Loaded const loaded = load_all(entries, program);
    EXPECT_TRUE(loaded.served) << program;
    EXPECT_EQ(loaded.lines.size(), 1U) << program;
  }
  for (std::string_view const program : {"redis-cli", "/usr/bin/redis-cli", "/redis-x/sh", "bash"}) {
    Loaded const loaded = load_all(entries, program);
    EXPECT_FALSE(loaded.served) << program;
    EXPECT_EQ(loaded.lines, List{}) << program;
  }
}

TEST(Load, NothingIsKeptOfTheEnvironmentsMemory) {
  std::string stats = "STEALTH_STATS=exit:json:/tmp/x";
  std::string group = "STEALTH_GROUP=web";
  std::string only = "STEALTH_ONLY=pro*";
  std::array<char const*, 4> const environment{stats.c_str(), group.c_str(), only.c_str(), nullptr};
  Config config;
  EXPECT_TRUE(load(config, {environment.data(), "program", false}, {}));
  for (std::string* text : {&stats, &group, &only}) {
    text->assign(text->size(), '#');  // as programs do that write their title over it
  }
  EXPECT_EQ(config.stats.path.view(), "/tmp/x");
  EXPECT_STREQ(config.stats.path.c_str(), "/tmp/x");
  EXPECT_EQ(config.group.view(), "web");
  EXPECT_EQ(config.only.view(), "pro*");
}

TEST(Load, LinesAreEscapedAndBounded) {
  std::string const hostile = "STEALTH_\x1b[2J'\n" + std::string(5000, 'n') + "=v";
  Loaded const loaded = load_all({hostile, "STEALTH_CLASSES=" + std::string(5000, '\x01')});
  ASSERT_EQ(loaded.lines.size(), 2U);
  EXPECT_TRUE(loaded.lines[0].starts_with("STEALTH_\\x1b[2J\\'\\nnnn")) << loaded.lines[0];
  EXPECT_NE(loaded.lines[0].find("n...: unknown setting; the nearest known name is STEALTH_"), std::string::npos);
  EXPECT_TRUE(loaded.lines[1].starts_with("STEALTH_CLASSES='\\x01\\x01")) << loaded.lines[1];
  for (std::string const& line : loaded.lines) {
    EXPECT_LE(line.size(), 1024U);
  }
  // Even the longest message ends with what is used instead.
  EXPECT_TRUE(loaded.lines[1].ends_with("; using all")) << loaded.lines[1];
}

TEST(Load, ChangingARunningProcessGoesThroughTheSameParser) {
  Config config;
  Problem problem;
  EXPECT_TRUE(set(config, "capacity", "1g", problem));
  EXPECT_EQ(config.capacity.value, gib);
  EXPECT_FALSE(set(config, "capacity", "x", problem));
  EXPECT_EQ(config.capacity.value, gib);  // what was set stays
  EXPECT_EQ(problem.why, Why::not_a_size);
  EXPECT_EQ(problem.setting, find_setting("CAPACITY"));
  EXPECT_EQ(problem.name, "capacity");
  EXPECT_EQ(problem.value, "x");
  EXPECT_FALSE(set(config, "capcity", "1g", problem));
  EXPECT_EQ(printed([&](Line& line) { describe(problem, line); }),
            "capcity: unknown setting; the nearest known name is STEALTH_CAPACITY");
}

}  // namespace
}  // namespace stealth::config
