// One control page as a file that somebody else may write to, cut, or have made up: it is copied by pread, never
// mapped, and nothing of it is handed on that was not checked.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "observe/page.hpp"
#include "processes.hpp"

namespace stealth::command {

// Why a page cannot be read: "is of layout 2; …". What it is of is for the catcher to say.
class Unreadable : public std::runtime_error {
 public:
  enum class Why : std::uint8_t {
    gone,        // no such file
    refused,     // by the system
    distrusted,  // a link, another user's, open to others
    version,
    damaged,
    empty,  // no figures yet
  };
  Unreadable(Why why, std::string const& text) : std::runtime_error(text), why_(why) {}
  [[nodiscard]] Why why() const noexcept { return why_; }

 private:
  Why why_;
};

class PageFile {
 public:
  enum class For : std::uint8_t { reading, writing };

  // Opens NAME in an open directory; never through a link. `owner`: whose it must be.
  PageFile(int directory, std::string const& name, std::uint32_t owner, For purpose = For::reading);

  [[nodiscard]] observe::Head const& head() const { return head_; }
  // The newest one, whole: tried again where the process was quicker.
  [[nodiscard]] observe::Snapshot snapshot() const;

  [[nodiscard]] int number() const { return file_.number(); }
  [[nodiscard]] std::uint64_t inode() const { return inode_; }
  // All of these bytes, or Unreadable.
  void copy(void* into, std::size_t bytes, std::size_t offset) const;

 private:
  File file_;
  observe::Head head_{};
  std::uint64_t inode_ = 0;
};

// The text up to its NUL, with everything escaped that is no printable character.
template <std::size_t Size>
std::string text_of(char const (&bounded)[Size]);
std::string escaped(std::string_view text);

template <std::size_t Size>
std::string text_of(char const (&bounded)[Size]) {
  std::string_view const all(bounded, Size);
  return escaped(all.substr(0, all.find('\0')));
}

}  // namespace stealth::command
