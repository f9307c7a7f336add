// A small file that the processes of one user map together. It appears whole or not at all, is never followed through a
// link, never somebody else's, and its blocks are allocated before it is mapped, so that a full file system is an error
// here and not a SIGBUS later.
//
// It lies in a directory stealth-UID that only the user may enter, in /dev/shm, else in /run/user/UID, else in /tmp.
// (/dev/shm comes first though the other is more private: it is there for daemons and before the first log-in, too, and
// all processes of a user must find the same file.) No descriptor stays open.
//
// What remains: whoever has the user's rights can cut the file short, and then the next touch of the mapping is a
// SIGBUS. now() tells, when it is asked in time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stealth::os {

struct SharedFileKind {
  char const* name;        // without a slash
  std::size_t bytes;       // its size, always
  void const* head;        // what a new one begins with; the rest is zero
  std::size_t head_bytes;  // <= bytes
  // Whether what is in the file can be used; else a new file takes its place, and whoever has the old one mapped keeps
  // it until he asks now().
  bool (*usable)(void const* mapping, void const* context);
  void const* context;
};

class SharedFile {
 public:
  enum class Outcome : std::uint8_t {  // the later ones say more, and are told where several places were tried
    fine,
    failed,   // error() says why
    full,     // no room for it
    exposed,  // a file or directory of its name can be reached by others
    odd,      // …is a link, or of another type
    foreign,  // …belongs to another user
  };
  enum class Now : std::uint8_t {
    same,      // its name leads to it, and it has its size
    cut,       // somebody has changed its size: the mapping must not be touched any more
    replaced,  // its name leads to another file
    unknown,   // its name leads nowhere (any more), or not from here: a changed root directory
  };

  constexpr SharedFile() = default;
  // Opens, or makes, and maps the file. `root`: the only place to try, instead of the three; for tests. Does not unmap
  // what this object had mapped before. Some ten system calls.
  Outcome open(SharedFileKind const& kind, char const* root = nullptr) noexcept;

  // Stands in the names of files that are being made, behind what they are to be called, and in no other.
  static constexpr char kDraftMark = '~';

  // Null before a fine open(). Stays mapped for ever: other threads may be using it.
  [[nodiscard]] void* mapping() const noexcept { return mapping_; }
  // One system call.
  [[nodiscard]] Now now() const noexcept;
  // Takes the name away, if it still leads to this file (but for a moment in between).
  void remove() const noexcept;

  // Where the file is; after a failure, what was wrong.
  [[nodiscard]] char const* path() const noexcept { return path_; }
  // An errno number, where the outcome was `failed` or `full`.
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  Outcome open_below(char const* root, SharedFileKind const& kind) noexcept;
  Outcome open_in(int directory, SharedFileKind const& kind) noexcept;
  Outcome map(int file, SharedFileKind const& kind) noexcept;
  Outcome fail(long result) noexcept;

  void* mapping_ = nullptr;
  std::uint64_t device_ = 0, inode_ = 0, bytes_ = 0;
  int error_ = 0;
  char path_[256] = {};
};

}  // namespace stealth::os
