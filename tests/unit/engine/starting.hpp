// Starting the engine by itself, as the interposer does it; for the unit tests and the fuzz targets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/hot.hpp"
#include "engine/outside.hpp"
#include "engine/slow.hpp"

namespace stealth::test {

struct Start {
  std::vector<ClassRequest> classes{};  // none: all of the ladder, and spans
  CapacityLimits limits{};
  std::size_t reservation = 16 * kGiB;
  std::uint32_t purge_delay_ms = 500;
};

inline CapacityLimits capacity_of(std::uint64_t bytes, std::uint64_t patience_ms, OnExhausted policy) {
  CapacityLimits limits;
  limits.capacity = bytes;
  limits.backoff = {10'000'000, patience_ms * 1'000'000, 20'000'000'000, 1000, 0};
  limits.on_exhausted = policy;
  return limits;
}

inline ClassRequest exactly(std::size_t size, std::uint64_t max = 0, std::uint64_t prealloc = 0) {
  return {size, size, false, max, prealloc};
}
inline ClassRequest steps(std::size_t lo, std::size_t hi, std::uint64_t max = 0) { return {lo, hi, true, max, 0}; }

// As preload/start.cpp does it. True: every class found its place and every block to preallocate was had.
inline bool start_engine(Start const& setup) {
  g_budget.configure(setup.limits);
  g_arena.set_purge_delay(setup.purge_delay_ms);
  bool complete = g_arena.reserve(setup.reservation);
  if (setup.classes.empty()) complete = add_all_classes() && complete;
  for (ClassRequest const& request : setup.classes) complete = add_classes(request) && complete;
  publish_classes();
  complete = preallocate() && complete;
  declare_started();
  return complete;
}

}  // namespace stealth::test
