// See stalls.hpp.
#include "capacity/stalls.hpp"

#include "base/units.hpp"

namespace stealth {

void Stalls::waited(std::uint32_t kind, std::uint64_t ns) noexcept {
  waits_.fetch_add(1, std::memory_order_relaxed);
  waited_ns_.fetch_add(ns, std::memory_order_relaxed);
  raise_to(longest_ns_, ns);
  std::uint64_t const us = ns / 1000;
  std::uint32_t const bits = us == 0 ? 0 : 64 - static_cast<std::uint32_t>(__builtin_clzll(us));
  histogram_[min(bits, kStallBuckets - 1)].fetch_add(1, std::memory_order_relaxed);
  by_kind_[kind].waits.fetch_add(1, std::memory_order_relaxed);
  by_kind_[kind].waited_ns.fetch_add(ns, std::memory_order_relaxed);
}

void Stalls::read(StallFacts& into) const noexcept {
  auto const get = [](auto const& counter) { return std::uint64_t{counter.load(std::memory_order_relaxed)}; };
  into.waits = get(waits_);
  into.waited_ns = get(waited_ns_);
  into.longest_ns = get(longest_ns_);
  into.longest_sleep_ns = get(longest_sleep_ns_);
  into.grants = get(grants_);
  into.refusals = get(refusals_);
  into.observed_ns = get(observed_ns_);
  for (std::uint32_t i = 0; i < kStallBuckets; ++i) into.histogram[i] = get(histogram_[i]);
}

StallsOfKind Stalls::of_kind(std::uint32_t kind) const noexcept {
  Kind const& k = by_kind_[kind];
  return {k.waits.load(std::memory_order_relaxed), k.waited_ns.load(std::memory_order_relaxed),
          k.grants.load(std::memory_order_relaxed)};
}

}  // namespace stealth
