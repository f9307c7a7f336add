// What fault detection knows of each allocation, apart from it, where no overflow comes.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/alone.hpp"
#include "engine/guarding.hpp"
#include "guard/traces.hpp"

namespace stealth::guard {

// (unused | freed) -> moving -> live -> moving -> freed: whoever sets `moving` may look at and write what stands in the
// memory.
enum class State : std::uint8_t { unused, moving, live, freed };

struct Record {
  std::atomic<State> state;
  Door door;
  std::uint32_t block;  // of its size class: bytes from a block's start to the next one's; 0: a span
  std::size_t size;     // as asked for
  Trace allocated_by, freed_by;

  // False: it was in another state.
  [[nodiscard]] bool leave(State from) noexcept {
    if (!is_alone())
      return state.compare_exchange_strong(from, State::moving, std::memory_order_acquire, std::memory_order_relaxed);
    if (state.load(std::memory_order_relaxed) != from) return false;
    state.store(State::moving, std::memory_order_relaxed);
    return true;
  }
  // From `live`, as soon as nobody else moves it (who frees it at the same time, or looks at it at the program's end).
  // False: it is not live, or somebody has gone on moving it for a second: a thread that is no more, in a forked child.
  [[nodiscard]] bool leave_live() noexcept;
  void enter(State to) noexcept { state.store(to, std::memory_order_release); }
};

// Before an allocation is freed, as the caller says: dies if that is wrong. False: it stays as it is, as leave_live()
// says.
[[nodiscard]] bool take_leave_slowly(void const* p, Record& record, Farewell const& farewell, bool has_left) noexcept;
[[nodiscard]] inline bool take_leave(void const* p, Record& record, Farewell const& farewell) noexcept {
  bool const has_left = record.leave(State::live);
  bool const is_so = record.door == farewell.door && farewell.alignment == 0 &&
                     (farewell.size == Farewell::kUnknown || farewell.size == record.size);
  if (has_left && is_so) [[likely]]
    return true;
  return take_leave_slowly(p, record, farewell, has_left);
}

}  // namespace stealth::guard
