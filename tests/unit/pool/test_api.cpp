// The C functions: what they take, what they answer, and structures of other versions.
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

#include "capacity/budget.hpp"
#include "fake_sys.hpp"
#include "stealth/stealth.h"
#include "support.hpp"

namespace {

using namespace stealth;

struct stealth_statistics figures() {
  struct stealth_statistics now;
  std::memset(&now, 0xee, sizeof now);
  now.size = sizeof now;
  EXPECT_EQ(stealth_stats(&now), STEALTH_OK);
  EXPECT_EQ(now.size, sizeof now);
  return now;
}

class Api : public testing::Test {
 protected:
  void SetUp() override {
    for (auto const& [name, value] : std::initializer_list<std::pair<char const*, char const*>>{
             {"capacity", "none"}, {"mode", "enforce"}, {"on_exhausted", "grant"}}) {
      ASSERT_EQ(stealth_set(name, value), STEALTH_OK);
    }
  }
  void TearDown() override { g_budget.release(static_cast<std::size_t>(g_budget.held())); }
  fake::Fresh fresh_;
};

TEST_F(Api, StatsShowTheBudget) {
  g_budget.charge_anyhow(3 * kMiB);
  struct stealth_statistics now = figures();
  EXPECT_EQ(now.capacity, 0u);
  EXPECT_EQ(now.soft_point, 0u);
  EXPECT_EQ(now.held, 3 * kMiB);
  EXPECT_GE(now.peak, 3 * kMiB);
  EXPECT_EQ(now.over, 0u);
  EXPECT_EQ(now.idle, 0u);
  EXPECT_EQ(now.waiting_now, 0u);
  EXPECT_EQ(now.group_members, 0u);
  EXPECT_EQ(now.mode, std::uint32_t{STEALTH_MODE_ENFORCE});
  EXPECT_EQ(now.policy, std::uint32_t{STEALTH_POLICY_GRANT});
  EXPECT_EQ(now.reserved, 0u);

  ASSERT_EQ(stealth_set("capacity", "2m"), STEALTH_OK);
  ASSERT_EQ(stealth_set("mode", "observe"), STEALTH_OK);
  ASSERT_EQ(stealth_set("on_exhausted", "abort"), STEALTH_OK);
  now = figures();
  EXPECT_EQ(now.capacity, 2 * kMiB);
  EXPECT_EQ(now.soft_point, 2 * kMiB / 1000 * 900);
  EXPECT_EQ(now.used - now.over, 2 * kMiB);
  EXPECT_EQ(now.mode, std::uint32_t{STEALTH_MODE_OBSERVE});
  EXPECT_EQ(now.policy, std::uint32_t{STEALTH_POLICY_ABORT});
}

TEST_F(Api, StatsOfAnOlderProgram) {
  g_budget.charge_anyhow(kMiB);
  struct stealth_statistics now;
  std::memset(&now, 0xee, sizeof now);
  now.size = offsetof(struct stealth_statistics, used);
  ASSERT_EQ(stealth_stats(&now), STEALTH_OK);
  EXPECT_EQ(now.size, offsetof(struct stealth_statistics, used));
  EXPECT_EQ(now.held, kMiB);
  EXPECT_EQ(now.used, 0xeeeeeeeeeeeeeeeeu) << "what the program has no room for stays untouched";
  now.size = 16;
  EXPECT_EQ(stealth_stats(&now), STEALTH_OK);
}

TEST_F(Api, StatsOfANewerProgram) {
  struct {
    struct stealth_statistics known;
    std::uint64_t later;
  } now;
  std::memset(&now, 0xee, sizeof now);
  now.known.size = sizeof now;
  ASSERT_EQ(stealth_stats(&now.known), STEALTH_OK);
  EXPECT_EQ(now.known.size, sizeof now.known) << "so the program sees what it was not told";
  EXPECT_EQ(now.later, 0xeeeeeeeeeeeeeeeeu);
}

TEST_F(Api, StatsWithoutRoom) {
  struct stealth_statistics now;
  for (std::uint64_t const size : {0u, 1u, 8u, 15u}) {
    now.size = size;
    EXPECT_EQ(stealth_stats(&now), STEALTH_INVALID_ARGUMENT) << size;
  }
  EXPECT_EQ(stealth_stats(nullptr), STEALTH_INVALID_ARGUMENT);
}

TEST_F(Api, NullPointers) {
  std::uint64_t handle = 1;
  EXPECT_EQ(stealth_set(nullptr, "1"), STEALTH_INVALID_ARGUMENT);
  EXPECT_EQ(stealth_set("capacity", nullptr), STEALTH_INVALID_ARGUMENT);
  EXPECT_EQ(stealth_check(nullptr, nullptr, nullptr, 0), STEALTH_INVALID_ARGUMENT);
  EXPECT_EQ(stealth_on_pressure(nullptr, nullptr, &handle), STEALTH_INVALID_ARGUMENT);
  EXPECT_EQ(handle, 0u);
  EXPECT_EQ(stealth_on_pressure([](enum stealth_pressure, void*) {}, nullptr, nullptr), STEALTH_INVALID_ARGUMENT);
  EXPECT_EQ(stealth_trim(nullptr), STEALTH_OK);
}

TEST_F(Api, NothingToTrim) {
  std::uint64_t bytes = 7;
  EXPECT_EQ(stealth_trim(&bytes), STEALTH_OK);
  EXPECT_EQ(bytes, 0u);
}

TEST_F(Api, TheReasonFitsAnyRoom) {
  char why[64];
  std::string const whole = "STEALTH_MODE='x': not a known word; accepted: enforce, observe, off";
  for (std::size_t size = 0; size <= sizeof why; ++size) {
    std::memset(why, 'z', sizeof why);
    EXPECT_EQ(stealth_check("mode", "x", why, size), STEALTH_INVALID_VALUE);
    for (std::size_t i = size; i < sizeof why; ++i) ASSERT_EQ(why[i], 'z') << size;
    if (size == 0) continue;
    std::size_t const length = std::strlen(why);
    EXPECT_LT(length, size);
    if (length > 3) {
      EXPECT_EQ(whole.substr(0, length - 3) + "...", why);
    }
  }
  char room[128];
  EXPECT_EQ(stealth_check("mode", "x", room, sizeof room), STEALTH_INVALID_VALUE);
  EXPECT_EQ(room, whole);
  EXPECT_EQ(stealth_check("mode", "off", room, sizeof room), STEALTH_OK);
  EXPECT_STREQ(room, "");
  EXPECT_EQ(stealth_check("mode", "x", nullptr, 99), STEALTH_INVALID_VALUE);
  EXPECT_EQ(stealth_check(nullptr, "x", room, sizeof room), STEALTH_INVALID_ARGUMENT);
  EXPECT_STREQ(room, "");
}

TEST_F(Api, EveryErrorHasAMessageOfItsOwn) {
  std::set<std::string> messages;
  for (int error = STEALTH_OK; error <= STEALTH_INVALID_OPTIONS; ++error) {
    std::string const message = stealth_error_message(error);
    EXPECT_TRUE(messages.insert(message).second) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
    if (error != STEALTH_OK) {
      EXPECT_NE(message.find(": "), std::string::npos) << message;
      EXPECT_NE(message.find("; "), std::string::npos) << message;
    }
  }
  EXPECT_EQ(std::string(stealth_error_message(STEALTH_TOO_MANY)),
            "too many: all " + std::to_string(STEALTH_MOST_SUBSCRIPTIONS) + " subscriptions, " +
                std::to_string(STEALTH_MOST_POOLS) + " pools, " + std::to_string(STEALTH_MOST_BUFFER_POOLS) +
                " buffer pools or " + std::to_string(STEALTH_MOST_BUFFERS) + " buffers are in use; end one");
  for (int const error : {-1, STEALTH_INVALID_OPTIONS + 1, 1 << 30}) {
    EXPECT_FALSE(messages.contains(stealth_error_message(error)));
    EXPECT_NE(std::string(stealth_error_message(error)).find("unknown error"), std::string::npos);
  }
}

}  // namespace
