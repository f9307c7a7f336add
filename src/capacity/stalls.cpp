// See stalls.hpp.
#include "capacity/stalls.hpp"

#include "base/units.hpp"
#include "os/os.hpp"

namespace stealth {

constinit std::atomic<StallWitness*> g_stall_witness{nullptr};

std::uint32_t Stalls::waiting(std::uint32_t kind, std::uint64_t bytes, std::uint64_t since_ns) noexcept {
  auto const thread = static_cast<std::uint32_t>(os::thread_id());
  for (std::uint32_t i = 0; i < kRows; ++i) {
    std::uint32_t const number = (thread + i) % kRows;
    Row& row = rows_[number];
    std::uint32_t expected = 0;
    bool const taken = row.thread.compare_exchange_strong(expected, thread, std::memory_order_relaxed);
    if (!taken && expected != thread) continue;
    row.kind.store(kind, std::memory_order_relaxed);
    row.bytes.store(bytes, std::memory_order_relaxed);
    row.since_ns.store(since_ns, std::memory_order_release);
    return number;
  }
  return kNoRow;
}

WaitingThread Stalls::row(std::uint32_t i) const noexcept {
  Row const& row = rows_[i];
  std::uint64_t const since = row.since_ns.load(std::memory_order_acquire);
  if (since == 0) return {};
  return {row.thread.load(std::memory_order_relaxed), since, row.bytes.load(std::memory_order_relaxed),
          row.kind.load(std::memory_order_relaxed)};
}

void Stalls::after_fork_in_child() noexcept {
  for (Row& row : rows_) {
    row.since_ns.store(0, std::memory_order_relaxed);
    row.thread.store(0, std::memory_order_relaxed);
  }
}

void Stalls::ends_to_wait(std::uint32_t row) noexcept {
  if (row == kNoRow) return;
  rows_[row].since_ns.store(0, std::memory_order_relaxed);
  rows_[row].thread.store(0, std::memory_order_release);
}

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
