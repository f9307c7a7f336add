// The control page as a file: made under the process's own name, and then touched by careful copies only, since others
// may cut it short at any time (os::copy_carefully). Where a filter of system calls is in force, its size is looked at
// before each copy instead: who cuts it in that microsecond ends the process. One thread at a time, but for ring() and
// remove().
#pragma once

#include <atomic>
#include <cstdint>

#include "base/text.hpp"
#include "observe/page.hpp"
#include "os/process_mark.hpp"
#include "os/shared_file.hpp"

namespace stealth::observe {

class PageFile {
 public:
  using Made = os::SharedFile::Outcome;

  // A file with no snapshot yet, in place of one that this process, or another of its number, had before. Also removes
  // pages of processes that have ended. Some thirty system calls. `root`: the only place to try; for tests.
  [[nodiscard]] Made make(char const* program, char const* library, char const* root = nullptr) noexcept;
  // As a problem where the user insisted on a page.
  void tell_failure(Made made, bool insisted) const noexcept;
  [[nodiscard]] bool is_good() const noexcept { return page_.load(std::memory_order_acquire) != nullptr; }
  // Whether it was made for the user that the process now is.
  [[nodiscard]] bool is_present_users() const noexcept;
  // Whether others find it by its name.
  [[nodiscard]] bool is_in_place() const noexcept;
  // The path, with a NUL, of a file in the same directory. False: too long.
  [[nodiscard]] bool path_beside(std::string_view name, Text& path) const noexcept;
  // From now on there is no page; its name is taken away. The memory stays mapped: somebody may be ringing.
  void give_up() noexcept;
  void remove() const noexcept;
  void forget_in_child() noexcept;

  // False: the file was cut short.
  [[nodiscard]] bool put_snapshot(Snapshot const& snapshot) noexcept;
  [[nodiscard]] bool put_answer(Answer const& answer) noexcept;
  [[nodiscard]] bool read_wish_number(std::uint32_t& number) const noexcept;
  [[nodiscard]] bool read_wish(Wish& wish) const noexcept;

  // Until somebody rings, at most so long, and only if `may` says so after the bell was looked at.
  bool rest_at_bell(std::uint64_t ns, bool (*may)() noexcept) const noexcept;
  void ring() const noexcept;

 private:
  [[nodiscard]] bool copy(void* to, void const* from, std::size_t bytes) const noexcept;
  void sweep(char const* directory) const noexcept;

  os::SharedFile file_;
  std::atomic<Page*> page_{nullptr};
  std::uint32_t user_ = 0;
  bool careful_ = false;  // the kernel copies for us
  os::ProcessMark mark_;
  os::ProcessWorld world_{};
};

}  // namespace stealth::observe
