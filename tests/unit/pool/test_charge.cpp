// Charging where the interposer is of a version that knows nothing of it: the library counts by itself.
#include <gtest/gtest.h>

#include <cstddef>

#include "pool/charge.hpp"
#include "pool/control.hpp"

namespace stealth {

namespace {

std::uint64_t g_own = 0, g_interposers = 0;

int own_charge(std::uint64_t bytes, std::uint32_t) {
  g_own += bytes;
  return STEALTH_OK;
}
void own_release(std::uint64_t bytes) { g_own -= bytes; }
int interposers_charge(std::uint64_t bytes, std::uint32_t how) {
  if (how == static_cast<std::uint32_t>(Waiting::refused_instead)) return STEALTH_NOT_ENOUGH_MEMORY;
  g_interposers += bytes;
  return STEALTH_OK;
}
void interposers_release(std::uint64_t bytes) { g_interposers -= bytes; }

constexpr Control table(std::uint64_t size, decltype(Control::charge) charge, decltype(Control::release) release) {
  return {size, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, charge, release};
}

Control const* g_in_force = nullptr;

}  // namespace

constinit Control const g_own_control = table(sizeof(Control), own_charge, own_release);
Control const& control() noexcept { return *g_in_force; }

namespace {

TEST(Charge, GoesToTheInterposer) {
  Control const now = table(sizeof(Control), interposers_charge, interposers_release);
  g_in_force = &now;
  EXPECT_TRUE(memory::charge(100, Waiting::as_malloc));
  EXPECT_FALSE(memory::charge(100, Waiting::refused_instead));
  EXPECT_EQ(g_interposers, 100u);
  memory::release(100);
  EXPECT_EQ(g_interposers, 0u);
  EXPECT_EQ(g_own, 0u);
}

TEST(Charge, GoesToALaterInterposer) {
  Control const later = table(sizeof(Control) + 64, interposers_charge, interposers_release);
  g_in_force = &later;
  EXPECT_TRUE(memory::charge(100, Waiting::never));
  EXPECT_EQ(g_interposers, 100u);
  memory::release(100);
}

TEST(Charge, StaysHereWithAnOlderInterposer) {
  for (std::uint64_t const size : {offsetof(Control, charge), offsetof(Control, release)}) {
    Control const older = table(size, nullptr, nullptr);
    g_in_force = &older;
    EXPECT_TRUE(memory::charge(100, Waiting::as_malloc));
    EXPECT_EQ(g_own, 100u);
    memory::release(100);
    EXPECT_EQ(g_own, 0u);
  }
}

TEST(Charge, AChildsComesRight) {
  Control const now = table(sizeof(Control), interposers_charge, interposers_release);
  g_in_force = &now;
  g_interposers = 1000;  // another library's
  EXPECT_TRUE(memory::charge(300, Waiting::as_malloc));
  memory::fork_in_child(300);
  EXPECT_EQ(g_interposers, 1300u);
  memory::fork_in_child(200);
  EXPECT_EQ(g_interposers, 1200u);
  memory::fork_in_child(250);
  EXPECT_EQ(g_interposers, 1250u);
  memory::release(250);
  EXPECT_EQ(g_interposers, 1000u);
  g_interposers = 0;
}

TEST(Charge, NothingIsNothing) {
  g_in_force = nullptr;
  EXPECT_TRUE(memory::charge(0, Waiting::as_malloc));
  memory::release(0);
}

}  // namespace
}  // namespace stealth
