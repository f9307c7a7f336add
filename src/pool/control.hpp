// The control API behind the C functions, as a table: what libstealthpool calls is the interposer's table where
// libstealth.so serves the process, since its budget is the one that counts, and the library's own elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>

#include "stealth/stealth.h"

namespace stealth {

// A C structure, shared by libraries of different versions: only ever added to at its end.
struct Control {
  std::uint64_t size;  // of the table
  int (*stats)(struct stealth_statistics* stats);
  int (*set)(char const* name, char const* value);
  int (*check)(char const* name, char const* value, char* why, std::size_t size);
  int (*trim)(std::uint64_t* given_back);
  int (*on_pressure)(stealth_pressure_callback* callback, void* context, std::uint64_t* handle);
  int (*pressure_end)(std::uint64_t handle);
  // Memory of explicit pools; `how` is a Waiting (engine/outside.hpp). Called through charge.hpp, which knows what an
  // older table lacks.
  int (*charge)(std::uint64_t bytes, std::uint32_t how);
  void (*release)(std::uint64_t bytes);
};

// On the budget and the engine that this library brings.
extern constinit Control const g_own_control;

// Gives back what is free in this library's pools and buffer pools; the bytes.
std::size_t trim_explicit_pools() noexcept;

// The table in force. Defined by whoever links: preload/control.cpp, or interposer.cpp for libstealthpool.
[[nodiscard]] Control const& control() noexcept;

// fork: before the engine's own handler, and after it in parent and child.
void control_before_fork() noexcept;
void control_after_fork_in_parent() noexcept;
void control_after_fork_in_child() noexcept;

}  // namespace stealth
