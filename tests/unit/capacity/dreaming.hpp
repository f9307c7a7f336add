// A full budget, somebody else who releases, and a clock of their own: for what a call's waiting is made of.
#pragma once

#include "callers.hpp"
#include "dream.hpp"
#include "puppet.hpp"

namespace stealth::test {

class Dreaming : public Waiting {
 protected:
  void fill(CapacityLimits const& limits) {
    budget_.configure(limits);
    std::uint64_t const rest = limits.capacity - budget_.held();
    ASSERT_TRUE(charge(budget_, rest));
  }
  // The time that it took.
  std::uint64_t take(Caller& caller, std::size_t bytes, Verdict expected, Place place = {}) {
    std::uint64_t const begin = dream_.now();
    EXPECT_EQ(caller.take(budget_, bytes, place), expected);
    return dream_.now() - begin;
  }
  // As if another thread had freed what nobody gets.
  void free_elsewhere(std::size_t bytes = kMiB, void const* key = nullptr) {
    other_.act([&] { budget_.freed(bytes, key, &others_); });
  }
  void release_elsewhere(std::size_t bytes) {
    other_.act([&] {
      budget_.pages_freed(static_cast<std::int64_t>(bytes));
      budget_.freed(bytes, nullptr, &others_);
      budget_.release(bytes);
    });
  }

  Puppet other_;
  ThreadAccount others_{};
  Dream dream_;
};

}  // namespace stealth::test
