// stub
#pragma once
#include <cstdint>
#include <string_view>
namespace stealth {
class Group {
 public:
  bool joined() const noexcept { return false; }
  void charge(std::uint64_t) noexcept {}
  void release(std::uint64_t) noexcept {}
  std::uint64_t used() const noexcept { return 0; }
  std::uint64_t capacity() const noexcept { return 0; }
  void set_capacity(std::uint64_t) noexcept {}
  std::uint32_t const* word() const noexcept { return nullptr; }
  void begin_wait() noexcept {}
  void end_wait() noexcept {}
  bool has_waiters() const noexcept { return false; }
  void announce() noexcept {}
  bool sweep() noexcept { return false; }
  void after_fork_in_child() noexcept {}
};
}  // namespace stealth
