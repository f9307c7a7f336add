// What the settings add up to: plain data with the defaults, no pointers into anybody else's memory (programs such as
// nginx and PostgreSQL overwrite their own environment), so a Config can be copied, compared and kept for ever.
// Knows neither where the values came from nor who reads them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stealth::config {

inline constexpr std::uint64_t kib = 1024;
inline constexpr std::uint64_t mib = 1024 * kib;
inline constexpr std::uint64_t gib = 1024 * mib;
inline constexpr std::uint64_t tib = 1024 * gib;

inline constexpr std::uint64_t microsecond = 1000;  // times are nanoseconds
inline constexpr std::uint64_t millisecond = 1000 * microsecond;
inline constexpr std::uint64_t second = 1000 * millisecond;
inline constexpr std::uint64_t minute = 60 * second;

inline constexpr std::uint32_t whole = 1000;  // shares are parts per thousand

// A short string held in place. Always followed by a NUL, so that c_str() can go to a system call.
template <std::size_t Size>
struct ShortText {
  std::array<char, Size> bytes{};
  std::uint16_t length = 0;

  static constexpr std::size_t capacity = Size - 1;

  constexpr std::string_view view() const noexcept { return {bytes.data(), length}; }
  constexpr char const* c_str() const noexcept { return bytes.data(); }
  constexpr bool empty() const noexcept { return length == 0; }

  // False, and nothing changed, when `text` does not fit.
  constexpr bool assign(std::string_view text) noexcept {
    static_assert(capacity <= UINT16_MAX);
    if (text.size() > capacity) {
      return false;
    }
    bytes = {};
    for (std::size_t i = 0; i < text.size(); ++i) {
      bytes[i] = text[i];
    }
    length = static_cast<std::uint16_t>(text.size());
    return true;
  }

  friend constexpr bool operator==(ShortText const& a, ShortText const& b) noexcept { return a.view() == b.view(); }
};

using Path = ShortText<1024>;

struct Capacity {
  enum class Kind : std::uint8_t { none, automatic, bytes, share };
  Kind kind = Kind::automatic;
  std::uint64_t value = 0;  // bytes, or parts per thousand of the cgroup's limit or RAM; 0 for the other two

  friend constexpr bool operator==(Capacity const&, Capacity const&) noexcept = default;
};

// One item of the class list. A single size has low == high; a range stands for all steps of the engine's ladder
// from low to high, and `max` and `prealloc` then hold for each of those classes.
struct ClassRule {
  std::uint32_t low = 0;  // bytes as written; the engine rounds a single size up to its block alignment
  std::uint32_t high = 0;
  std::uint64_t max = 0;  // blocks; 0: no limit
  std::uint64_t prealloc = 0;
  bool ladder = false;  // LO-HI, as opposed to a single SIZE

  friend constexpr bool operator==(ClassRule const&, ClassRule const&) noexcept = default;
};

struct Classes {
  enum class Kind : std::uint8_t { all, none, list };
  static constexpr std::size_t most_rules = 64;
  Kind kind = Kind::all;
  std::uint8_t count = 0;                     // rules in use, only for Kind::list
  std::array<ClassRule, most_rules> rules{};  // ascending, never overlapping; those from `count` on stay empty

  friend constexpr bool operator==(Classes const&, Classes const&) noexcept = default;
};

enum class Mode : std::uint8_t { enforce, observe, off };
enum class OnExhausted : std::uint8_t { grant, enomem, abort };
enum class HugePages : std::uint8_t { never, automatic, always };
enum class Guard : std::uint8_t { off, sample, full };
enum class Control : std::uint8_t { automatic, on, off };

struct Stats {
  enum class When : std::uint8_t { off, exit, interval };
  enum class Format : std::uint8_t { text, json };
  When when = When::off;
  Format format = Format::text;
  std::uint64_t interval = 0;  // nanoseconds, only for When::interval
  Path path{};                 // empty: stderr; %p stands for the process id

  friend constexpr bool operator==(Stats const&, Stats const&) noexcept = default;
};

struct Profile {
  std::uint64_t interval = 0;  // mean bytes between samples; 0: off
  Path path{};                 // empty: none named; %p stands for the process id

  friend constexpr bool operator==(Profile const&, Profile const&) noexcept = default;
};

struct Config {
  Capacity capacity{};
  Classes classes{};
  Mode mode = Mode::enforce;
  std::uint32_t soft = 900;  // parts per thousand of the capacity
  std::uint64_t backoff_max_wait = 100 * millisecond;
  std::uint64_t backoff_patience = second;
  std::uint64_t backoff_max_elapsed = 15 * second;
  std::uint32_t backoff_budget = 500;  // parts per thousand of wall time
  std::uint32_t backoff_jitter = 500;  // parts per thousand of a wait, up and down
  OnExhausted on_exhausted = OnExhausted::grant;
  std::uint64_t purge_delay = 500 * millisecond;
  HugePages huge_pages = HugePages::automatic;
  Guard guard = Guard::off;
  bool dumpable = true;
  Stats stats{};
  Control control = Control::automatic;
  Profile profile{};
  ShortText<64> group{};   // empty: in no group
  ShortText<1024> only{};  // comma list of globs (see globs.hpp); empty: every program
  std::uint8_t verbose = 1;

  friend constexpr bool operator==(Config const&, Config const&) noexcept = default;
};

inline constexpr Config defaults{};

}  // namespace stealth::config
