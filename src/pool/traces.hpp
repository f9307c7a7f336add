// Where blocks and buffers that are out were taken: the stacks of some gets, kept beside a pool that was asked to, and
// told when it ends with some of them still out. A pool that was not asked has nothing of this on its way.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stealth {

struct Stack {
  static constexpr std::uint32_t kMost = 14;
  void* calls[kMost];  // return addresses, the innermost first
  std::uint32_t depth;
  std::uint32_t hash;

  // Of the calling thread, which holds no lock: the unwinder may take the loader's.
  void capture() noexcept;
  [[nodiscard]] bool operator==(Stack const& other) const noexcept;
};

// Every how many gets one is traced, and which is the next.
class TraceRate {
 public:
  void begin(std::uint32_t every) noexcept {
    every_.store(every, std::memory_order_relaxed);
    gets_.store(0, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t every() const noexcept { return every_.load(std::memory_order_relaxed); }  // 0: none is
  // Whether one of the next `count` gets is to be traced.
  [[nodiscard]] bool is_due(std::size_t count) noexcept {
    std::uint32_t const one_in = every();
    if (one_in == 0) return false;
    std::uint64_t const before = gets_.fetch_add(count, std::memory_order_relaxed);
    return before / one_in != (before + count) / one_in;
  }

 private:
  std::atomic<std::uint32_t> every_{0};
  std::atomic<std::uint64_t> gets_{0};
};

// What a pool that ends has to tell of those that are out: the stacks that are there most often.
struct TraceSummary {
  static constexpr std::uint32_t kMost = 4;
  struct Place {
    Stack stack;
    std::uint32_t count;
  };
  Place places[kMost];
  std::uint32_t used = 0;   // of them
  std::uint32_t total = 0;  // that are traced and out

  // A line on stderr for each. No lock is held.
  void tell(std::string_view what, std::uint32_t every) const noexcept;
};

// Its owner's mutex guards it. Full sets lose their oldest: so much is kept, and no more.
class Traces {
 public:
  static constexpr std::uint32_t kSets = 256, kWays = 4;

  // Null: no memory. Loads what unwinding needs; no lock is held.
  [[nodiscard]] static Traces* make() noexcept;
  void end() noexcept;

  void remember(void const* what, Stack const& stack) noexcept;
  void forget(void const* what) noexcept;
  void summarize(TraceSummary& into) const noexcept;

 private:
  struct Entry {
    void const* what;  // null: free
    Stack stack;
    std::uint64_t age;
  };
  [[nodiscard]] Entry* set_of(void const* what) noexcept {
    std::uint64_t const mixed = reinterpret_cast<std::uintptr_t>(what) * 0x9E3779B97F4A7C15u;
    return entries_ + (mixed >> 56) % kSets * kWays;
  }

  Entry entries_[std::size_t{kSets} * kWays];
  std::uint64_t remembered_;
};

}  // namespace stealth
