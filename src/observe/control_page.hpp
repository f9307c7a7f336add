// The process's side of the control page (page.hpp): makes it, keeps its figures fresh, and does what is wished there.
//
// All of it is the keeper's work (engine/keeper.hpp), so that it goes on when every thread of the program waits, and
// costs them nothing. The keeper comes to be for it on the slow path, once the process holds 16 MiB, and stays. What
// is in the file may be written, cut short or taken away by anybody who has the user's rights: it is touched by careful
// copies only, and what was read is treated as any text from outside.
//
// Where there can be no keeper (a sandbox), there is no page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/line.hpp"

namespace stealth::observe {

// What the page says of the rooms above, and asks of them. All are called by the keeper, which has no heap.
struct Surroundings {
  char const* program;
  char const* library;  // its version
  // STEALTH_NAME=value, a line each.
  void (*print_settings)(config::Line& into) noexcept;
  // A stealth_error; if not 0, `why` says more.
  int (*set)(std::string_view name, std::string_view value, config::Line& why) noexcept;
  std::uint64_t (*profile_wanted)() noexcept;  // the interval; 0: off
  void (*passed_on)(std::uint64_t& calls, std::uint64_t& bytes) noexcept;
};

inline constexpr std::uint64_t kHeldForPage = std::uint64_t{16} << 20;

// Once, at start: there is to be a page from `held` bytes on. `surroundings` stays.
void begin_control_page(Surroundings const& surroundings, std::uint64_t held) noexcept;
// The keeper's errand (engine/keeper.hpp).
[[nodiscard]] std::uint64_t tend_control_page(bool own_files) noexcept;
bool rest_at_control_page(std::uint64_t ns, bool (*may)() noexcept) noexcept;
void ring_control_page() noexcept;
// The process exits: takes the file away.
void end_control_page() noexcept;
// A child has none of its own yet. Its parent's is not to be touched.
void control_page_fork_in_child() noexcept;

}  // namespace stealth::observe
