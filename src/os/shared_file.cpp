// See shared_file.hpp.
#include "os/shared_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

#include "os/internal.hpp"
#include "os/os.hpp"
#include "os/write_signals.hpp"

namespace stealth::os {
namespace {

using Name = Path<256>;
using Outcome = SharedFile::Outcome;

constexpr int kTries = 100;  // each is lost only to another process that makes, replaces or removes the file meanwhile

bool facts_of(int file, struct stat& facts) { return sys(SYS_fstat, file, address(&facts)) == 0; }

// Whether it is the user's alone, and of this type.
Outcome judge(struct stat const& facts, mode_t type) {
  if ((facts.st_mode & S_IFMT) != type) return Outcome::odd;
  if (facts.st_uid != user_id()) return Outcome::foreign;
  return (facts.st_mode & 077) != 0 ? Outcome::exposed : Outcome::fine;
}

// A call that a signal may end before it has done anything.
template <class... Arguments>
long despite_signals(long call, Arguments... arguments) {
  long result = 0;
  do {
    result = sys(call, arguments...);
  } while (result == -EINTR);
  return result;
}

// Gives the file its size and all its blocks: 0 or -errno.
long allocate(int file, std::size_t bytes) {
  WithoutWriteSignals signals;  // for the writes after it as well: who is refused here does not come to them
  long const result = signals.answered(despite_signals(SYS_fallocate, file, 0, 0, number(bytes)));
  if (result != -EOPNOTSUPP && result != -ENOSYS) return result;
  struct stat facts;
  if (!facts_of(file, facts)) return -EIO;
  static constexpr char kZeros[4096] = {};
  for (std::size_t at = static_cast<std::size_t>(facts.st_size); at < bytes;) {
    std::size_t const rest = bytes - at < sizeof kZeros ? bytes - at : sizeof kZeros;
    long const wrote = signals.answered(despite_signals(SYS_pwrite64, file, address(kZeros), number(rest), number(at)));
    if (wrote <= 0) return wrote == 0 ? -ENOSPC : wrote;
    at += static_cast<std::size_t>(wrote);
  }
  return 0;
}

// Makes a whole new file and gives it the name: of nothing, or of the file with the inode `instead_of`. That the name
// has got another meaning meanwhile is no failure, nor that the draft was swept away. 0 or -errno.
long put(int directory, SharedFileKind const& kind, std::uint64_t instead_of) {
  // Whatever has this name was left by a process of the same number that was killed right here.
  Name draft;
  draft << kind.name << std::string_view(&SharedFile::kDraftMark, 1) << static_cast<std::uint64_t>(process_id());
  sys(SYS_unlinkat, directory, address(draft.c_str()), 0);
  long const file =
      sys(SYS_openat, directory, address(draft.c_str()), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return file;
  long result = sys(SYS_fchmod, file, 0600);  // whatever the umask took away
  if (result == 0) result = allocate(static_cast<int>(file), kind.bytes);
  if (result == 0) {
    result = despite_signals(SYS_pwrite64, file, address(kind.head), number(kind.head_bytes), 0);
    if (result >= 0) result = static_cast<std::size_t>(result) == kind.head_bytes ? 0 : -ENOSPC;
  }
  close_file(static_cast<int>(file));
  if (result == 0 && instead_of == 0) {
    result = sys(SYS_linkat, directory, address(draft.c_str()), directory, address(kind.name), 0);
    if (result == -EEXIST || result == -ENOENT) result = 0;
  } else if (result == 0) {
    struct stat now;
    bool const stands = sys(SYS_newfstatat, directory, address(kind.name), address(&now), AT_SYMLINK_NOFOLLOW) == 0 &&
                        now.st_ino == instead_of;
    if (stands) result = sys(SYS_renameat2, directory, address(draft.c_str()), directory, address(kind.name), 0);
    if (result == -ENOENT) result = 0;
  }
  sys(SYS_unlinkat, directory, address(draft.c_str()), 0);
  return result;
}

}  // namespace

Outcome SharedFile::fail(long result) noexcept {
  error_ = static_cast<int>(-result);
  return result == -ENOSPC || result == -EDQUOT ? Outcome::full : Outcome::failed;
}

// The blocks are asked for again: whoever made the file may have been unable to, or somebody punched a hole.
Outcome SharedFile::map(int file, SharedFileKind const& kind) noexcept {
  long result = allocate(file, kind.bytes);
  if (result != 0) return fail(result);
  result = sys(SYS_mmap, 0, number(kind.bytes), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (result < 0 && result > -4096) return fail(result);
  mapping_ = reinterpret_cast<void*>(static_cast<std::uintptr_t>(result));
  return Outcome::fine;
}

Outcome SharedFile::open_in(int directory, SharedFileKind const& kind) noexcept {
  for (int tries = 0; tries < kTries; ++tries) {
    long const file =
        sys(SYS_openat, directory, address(kind.name), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file == -ELOOP || file == -EISDIR || file == -ENXIO) return Outcome::odd;
    if (file < 0 && file != -ENOENT) return fail(file);
    std::uint64_t unusable = 0;
    if (file >= 0) {
      struct stat facts;
      Outcome outcome = facts_of(static_cast<int>(file), facts) ? judge(facts, S_IFREG) : fail(-EIO);
      bool const sized = outcome == Outcome::fine && static_cast<std::size_t>(facts.st_size) == kind.bytes;
      if (sized) outcome = map(static_cast<int>(file), kind);
      close_file(static_cast<int>(file));
      if (outcome != Outcome::fine) return outcome;
      if (sized && kind.usable(mapping_, kind.context)) {
        device_ = facts.st_dev;
        inode_ = facts.st_ino;
        bytes_ = kind.bytes;
        return Outcome::fine;
      }
      if (sized) unmap(mapping_, kind.bytes);
      mapping_ = nullptr;
      unusable = facts.st_ino;
    }
    if (long const result = put(directory, kind, unusable); result != 0) return fail(result);
  }
  return fail(-EAGAIN);
}

Outcome SharedFile::open_below(char const* root, SharedFileKind const& kind) noexcept {
  Name name;
  name << "stealth-" << std::uint64_t{user_id()};
  Name path;
  path << root << "/" << name.view();
  std::memcpy(path_, path.c_str(), path.view().size() + 1);
  long const top = sys(SYS_openat, AT_FDCWD, address(root), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (top < 0) return fail(top);
  if (sys(SYS_mkdirat, top, address(name.c_str()), 0700) == 0) {
    sys(SYS_fchmodat, top, address(name.c_str()), 0700);  // whatever the umask took away
  }
  long const directory = sys(SYS_openat, top, address(name.c_str()), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  close_file(static_cast<int>(top));
  if (directory == -ENOTDIR || directory == -ELOOP) return Outcome::odd;
  if (directory < 0) return fail(directory);
  struct stat facts;
  Outcome outcome = facts_of(static_cast<int>(directory), facts) ? judge(facts, S_IFDIR) : fail(-EIO);
  if (outcome == Outcome::fine) {
    path << "/" << kind.name;
    std::memcpy(path_, path.c_str(), path.view().size() + 1);
    outcome = path.cut() ? fail(-ENAMETOOLONG) : open_in(static_cast<int>(directory), kind);
  }
  close_file(static_cast<int>(directory));
  return outcome;
}

Outcome SharedFile::open(SharedFileKind const& kind, char const* root) noexcept {
  Name own;
  own << "/run/user/" << std::uint64_t{user_id()};
  char const* const usual[] = {"/dev/shm", own.c_str(), "/tmp"};
  SharedFile worst;
  Outcome telling = Outcome::fine;
  for (char const* const place : usual) {
    SharedFile attempt;
    Outcome const outcome = attempt.open_below(root != nullptr ? root : place, kind);
    if (outcome == Outcome::fine) {
      *this = attempt;
      return outcome;
    }
    if (outcome > telling) {
      telling = outcome;
      worst = attempt;
    }
    if (root != nullptr) break;
  }
  *this = worst;
  return telling;
}

SharedFile::Now SharedFile::now() const noexcept {
  struct stat facts;
  if (sys(SYS_newfstatat, AT_FDCWD, address(path_), address(&facts), AT_SYMLINK_NOFOLLOW) != 0) return Now::unknown;
  if (facts.st_dev != device_ || facts.st_ino != inode_) return Now::replaced;
  return static_cast<std::uint64_t>(facts.st_size) == bytes_ ? Now::same : Now::cut;
}

void SharedFile::remove() const noexcept {
  Now const is = now();
  if (is == Now::same || is == Now::cut) sys(SYS_unlinkat, AT_FDCWD, address(path_), 0);
}

}  // namespace stealth::os
