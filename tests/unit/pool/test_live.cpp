// Settings that change in a running process: each one of the table by each of its spellings, what it does to the
// budget, what is refused, and that threads which wait notice at once.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>

#include "capacity/wait.hpp"
#include "config/settings.hpp"
#include "fake_sys.hpp"
#include "pool/live.hpp"
#include "support.hpp"

namespace {

using namespace stealth;

constexpr std::uint64_t kMs = 1'000'000;

// Of the live rows of the table, in its order.
struct Change {
  std::string_view name, value;
  std::function<bool(CapacityLimits const&)> is_in_force;
};
std::array<Change, 10> const changes{{
    {"CAPACITY", "123m", [](auto const& now) { return now.capacity == 123 * kMiB && now.cgroup_share == 0; }},
    {"MODE", "observe", [](auto const& now) { return now.mode == Mode::observe; }},
    {"SOFT", "75%", [](auto const& now) { return now.soft == 750; }},
    {"BACKOFF_MAX_WAIT", "7ms", [](auto const& now) { return now.backoff.max_wait_ns == 7 * kMs; }},
    {"BACKOFF_PATIENCE", "8ms", [](auto const& now) { return now.backoff.patience_ns == 8 * kMs; }},
    {"BACKOFF_MAX_ELAPSED", "9s", [](auto const& now) { return now.backoff.max_elapsed_ns == 9000 * kMs; }},
    {"BACKOFF_BUDGET", "12%", [](auto const& now) { return now.backoff.budget == 120; }},
    {"BACKOFF_JITTER", "0.25", [](auto const& now) { return now.backoff.jitter == 250; }},
    {"ON_EXHAUSTED", "enomem", [](auto const& now) { return now.on_exhausted == OnExhausted::enomem; }},
    {"PURGE_DELAY", "50ms", [](auto const&) { return true; }},  // the arena's: tests/preload/control
}};

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(c));
  return text;
}
std::string dashed(std::string text) {
  for (char& c : text) c = c == '_' ? '-' : c;
  return text;
}

std::string reason(std::string_view name, std::string_view value) {
  std::array<char, 512> room;
  config::Line line{room};
  static_cast<void>(live::check(name, value, line));
  return std::string(line.view());
}

class Live : public testing::Test {
 protected:
  void SetUp() override {
    config::Config settings;
    settings.capacity.kind = config::Capacity::Kind::none;
    live::begin(settings);
    live::put_in_force();
  }
  void TearDown() override {
    SetUp();
    g_budget.release(static_cast<std::size_t>(g_budget.held()));
  }
  fake::Fresh fresh_;
};

TEST_F(Live, EveryLiveRowInEverySpelling) {
  std::size_t at = 0;
  for (config::Setting const& setting : config::settings) {
    if (!setting.live || setting.variable == "STEALTH_PROFILE") continue;
    ASSERT_LT(at, changes.size()) << setting.variable << " has no test";
    Change const& change = changes[at++];
    ASSERT_EQ(setting.name(), change.name);
    std::string const name(change.name);
    for (std::string const& spelling :
         {name, "STEALTH_" + name, lower(name), lower(dashed(name)), dashed(name), lower("STEALTH_" + name)}) {
      SetUp();
      CapacityLimits const before = g_budget.limits();
      EXPECT_TRUE(name == "PURGE_DELAY" || !change.is_in_force(before)) << name << ": the test would prove nothing";
      EXPECT_EQ(live::set(spelling, change.value), STEALTH_OK) << spelling;
      EXPECT_TRUE(change.is_in_force(g_budget.limits())) << spelling;
      EXPECT_EQ(reason(spelling, change.value), "");
    }
  }
  EXPECT_EQ(at, changes.size());
}

TEST_F(Live, OthersStayAsTheyWereSet) {
  for (Change const& change : changes) EXPECT_EQ(live::set(change.name, change.value), STEALTH_OK);
  for (Change const& change : changes) EXPECT_TRUE(change.is_in_force(g_budget.limits())) << change.name;
}

TEST_F(Live, WhatIsReadAtStartOnly) {
  int refused = 0;
  for (config::Setting const& setting : config::settings) {
    if (setting.live) continue;
    ++refused;
    EXPECT_EQ(live::set(setting.name(), setting.default_value), STEALTH_NOT_LIVE) << setting.variable;
    EXPECT_EQ(live::set(setting.name(), "neither this"), STEALTH_NOT_LIVE) << setting.variable;
    EXPECT_EQ(reason(setting.name(), setting.default_value),
              std::string(setting.variable) + ": is read at start only; set it in the environment of the program");
  }
  EXPECT_EQ(refused, 9);
}

TEST_F(Live, WhatIsRefusedChangesNothing) {
  ASSERT_EQ(live::set("capacity", "64m"), STEALTH_OK);
  EXPECT_EQ(live::set("capacity", "12x"), STEALTH_INVALID_VALUE);
  EXPECT_EQ(live::set("capacity", ""), STEALTH_INVALID_VALUE);
  EXPECT_EQ(live::set("soft", "0%"), STEALTH_INVALID_VALUE);
  EXPECT_EQ(live::set("", "1"), STEALTH_UNKNOWN_SETTING);
  EXPECT_EQ(live::set("STEALTH_", "1"), STEALTH_UNKNOWN_SETTING);
  EXPECT_EQ(live::set("capacty", "1g"), STEALTH_UNKNOWN_SETTING);
  EXPECT_EQ(live::set("profile", "512k"), STEALTH_NOT_SUPPORTED);
  EXPECT_EQ(live::set("profile", "off"), STEALTH_OK);
  CapacityLimits const now = g_budget.limits();
  EXPECT_EQ(now.capacity, 64 * kMiB);
  EXPECT_EQ(now.soft, 900u);
  EXPECT_EQ(live::set("mode", "off"), STEALTH_OK) << "and a refused value is not stuck";
  EXPECT_EQ(g_budget.limits().capacity, 64 * kMiB);
}

TEST_F(Live, ReasonsAreOneLineWithWhatToDo) {
  EXPECT_EQ(reason("capacity", "12x"),
            "STEALTH_CAPACITY='12x': not a size; accepted: bytes with k, m, g or t, N%, auto, none");
  EXPECT_EQ(reason("capacty", "1"), "capacty: unknown setting; the nearest known name is STEALTH_CAPACITY");
  EXPECT_EQ(reason("profile", "512k"),
            "STEALTH_PROFILE='512k': no effect without libstealth.so preloaded; leave it at off");
  EXPECT_EQ(reason("mode", "a\nb"), "STEALTH_MODE='a\\nb': not a known word; accepted: enforce, observe, off");
  EXPECT_EQ(g_budget.limits().capacity, CapacityLimits::kNoCapacity) << "asking changes nothing";
}

TEST_F(Live, CapacitiesOfTheCgroup) {
  fake::serve("/proc/self/cgroup", "0::/box\n");
  fake::serve("/sys/fs/cgroup/box/memory.max", "104857600\n");
  fake::serve("/sys/fs/cgroup/box/memory.current", "52428800\n");
  fake::serve("/sys/fs/cgroup/box/memory.stat", "inactive_file 0\n");
  ASSERT_EQ(live::set("capacity", "auto"), STEALTH_OK);
  EXPECT_EQ(g_budget.limits().capacity, 104857600u / 1000 * 950);
  EXPECT_EQ(g_budget.limits().cgroup_share, 950u);
  EXPECT_EQ(g_budget.meter().source(), Meter::Source::cgroup);
  Charge charge{.level = Level::within};
  ASSERT_TRUE(g_budget.try_charge(kMiB, charge));
  EXPECT_EQ(g_budget.used(), 51 * kMiB) << "what the others of the cgroup use counts";
  ASSERT_EQ(live::set("mode", "off"), STEALTH_OK);
  EXPECT_EQ(g_budget.meter().source(), Meter::Source::cgroup) << "another setting leaves it as it is";
  EXPECT_EQ(g_budget.limits().cgroup_share, 950u);

  ASSERT_EQ(live::set("capacity", "50%"), STEALTH_OK);
  EXPECT_EQ(g_budget.limits().capacity, 104857600u / 1000 * 500);
  EXPECT_EQ(g_budget.meter().source(), Meter::Source::resident);
  EXPECT_EQ(g_budget.used(), kMiB);

  ASSERT_EQ(live::set("capacity", "none"), STEALTH_OK);
  EXPECT_EQ(g_budget.capacity(), CapacityLimits::kNoCapacity);
  fake::reset();
  fake::serve("/proc/self/cgroup", "0::/\n");
  fake::serve_nothing_else();
  ASSERT_EQ(live::set("capacity", "auto"), STEALTH_OK);
  EXPECT_EQ(g_budget.capacity(), CapacityLimits::kNoCapacity);
  EXPECT_EQ(g_budget.limits().cgroup_share, 0u);
}

// --- threads that wait ---

bool always() noexcept { return true; }

// A call as the engine makes it, until it has `bytes` or the policy has spoken.
Verdict charge_or_wait(std::size_t bytes, ThreadAccount& account) {
  Charge charge{.level = Level::within, .account = &account};
  Wait wait(g_budget, charge, {}, always);
  while (!g_budget.try_charge(bytes, charge)) {
    Verdict const verdict = wait.step(true);
    if (verdict == Verdict::exhausted) return wait.decide();
  }
  return Verdict::again;
}

// With everything used up, a thread waits for more; then `change` is made. How long the thread waited on, in ms.
std::uint64_t waits_on(std::function<void()> const& change, Verdict expected) {
  for (auto const& [name, value] :
       std::initializer_list<std::pair<char const*, char const*>>{{"capacity", "1m"},
                                                                  {"on_exhausted", "enomem"},
                                                                  {"backoff_patience", "10m"},
                                                                  {"backoff_max_elapsed", "10m"},
                                                                  {"backoff_budget", "100%"},
                                                                  {"backoff_jitter", "0"}}) {
    EXPECT_EQ(live::set(name, value), STEALTH_OK);
  }
  g_budget.charge_anyhow(kMiB);
  // So much that is not resident would not be waited for.
  g_budget.measure_by(Meter::Source::none);
  fake::only_wakes_end(kMs);  // which is what all but the first few of its sleeps last
  std::chrono::steady_clock::time_point ended;
  std::thread waiter([&] {
    ThreadAccount account{};
    EXPECT_EQ(charge_or_wait(64 * kKiB, account), expected);
    ended = std::chrono::steady_clock::now();
  });
  EXPECT_TRUE(test::soon([] { return g_budget.facts().waiting_now == 1; }));
  EXPECT_TRUE(test::soon([] { return fake::asleep() == 1; }));
  EXPECT_EQ(g_budget.facts().waiting_now, 1u);
  fake::only_wakes_end(0);  // the one that it is in apart
  auto const begin = std::chrono::steady_clock::now();
  change();
  waiter.join();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(ended - begin).count());
}

// No clock ends the wait before that.
constexpr std::uint64_t kAtOnceMs = test::kLateMs;

TEST_F(Live, ALargerCapacityEndsAWait) {
  EXPECT_LT(waits_on([] { EXPECT_EQ(live::set("capacity", "2m"), STEALTH_OK); }, Verdict::again), kAtOnceMs);
}
TEST_F(Live, NoCapacityEndsAWait) {
  EXPECT_LT(waits_on([] { EXPECT_EQ(live::set("capacity", "none"), STEALTH_OK); }, Verdict::again), kAtOnceMs);
}
TEST_F(Live, ModeOffEndsAWait) {
  EXPECT_LT(waits_on([] { EXPECT_EQ(live::set("mode", "off"), STEALTH_OK); }, Verdict::again), kAtOnceMs);
}
TEST_F(Live, NoPatienceEndsAWait) {
  EXPECT_LT(waits_on([] { EXPECT_EQ(live::set("backoff_patience", "0"), STEALTH_OK); }, Verdict::refused), kAtOnceMs);
}
TEST_F(Live, NoTimeEndsAWait) {
  EXPECT_LT(waits_on([] { EXPECT_EQ(live::set("backoff_max_elapsed", "1ms"), STEALTH_OK); }, Verdict::refused),
            kAtOnceMs);
}
TEST_F(Live, AnotherPolicyEndsAWait) {
  EXPECT_LT(waits_on([] { EXPECT_EQ(live::set("on_exhausted", "grant"), STEALTH_OK); }, Verdict::granted), kAtOnceMs);
}

// Who sleeps for a delay between the soft point and the capacity is in no queue that releases look at.
TEST_F(Live, ADelayEndsToo) {
  ASSERT_EQ(live::set("capacity", "1m"), STEALTH_OK);
  ASSERT_EQ(live::set("backoff_max_wait", "50s"), STEALTH_OK);
  ASSERT_EQ(live::set("backoff_budget", "100%"), STEALTH_OK);
  ASSERT_EQ(live::set("backoff_jitter", "0"), STEALTH_OK);
  fake::only_wakes_end(kMs);
  std::thread sleeper([] {
    ThreadAccount account{};
    Charge charge{.account = &account, .refusal = Refusal::delay, .wanted = 4096, .delay_ns = 9000 * kMs};
    Wait wait(g_budget, charge, {}, always);
    EXPECT_EQ(wait.step(true), Verdict::again);
  });
  EXPECT_TRUE(test::soon([] { return g_budget.facts().waiting_now == 1 && fake::asleep() == 1; }));
  fake::only_wakes_end(0);
  auto const begin = std::chrono::steady_clock::now();
  EXPECT_EQ(live::set("mode", "off"), STEALTH_OK);
  sleeper.join();
  EXPECT_LT(test::ms_since(begin), kAtOnceMs);
}

TEST_F(Live, ManyThreadsAtOnce) {
  test::in_threads(4, [](int index) {
    for (int i = 0; i < test::rounds(2000); ++i) {
      ASSERT_EQ(live::set("capacity", i % 2 == 0 ? "64m" : "none"), STEALTH_OK);
      ASSERT_EQ(live::set("soft", index % 2 == 0 ? "80%" : "70%"), STEALTH_OK);
      ASSERT_EQ(live::set("mode", "never"), STEALTH_INVALID_VALUE);
      std::uint32_t const soft = g_budget.limits().soft;
      ASSERT_TRUE(soft == 900 || soft == 800 || soft == 700) << soft;
    }
  });
}

}  // namespace
