// See page_file.hpp.
#include "page_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "os/process_mark.hpp"

namespace stealth::command {
namespace {

using observe::Page;
using observe::Snapshot;
using Why = Unreadable::Why;

constexpr int kTries = 40;  // each is lost only to a snapshot that was finished meanwhile, or to a damaged page
constexpr std::chrono::milliseconds kBetweenTries{1};

[[noreturn]] void damaged(char const* what) { throw Unreadable(Why::damaged, std::string("is damaged: ") + what); }

template <std::size_t Size>
void check_text(char const (&text)[Size], char const* what) {
  if (std::memchr(text, '\0', Size) == nullptr) damaged(what);
}

void check(observe::Head const& head) {
  if (std::memcmp(head.magic, observe::kMagic, sizeof head.magic) != 0) damaged("it does not begin like a page");
  if (head.version != observe::kVersion) {
    throw Unreadable(Why::version, "is of layout " + std::to_string(head.version) + ", this command reads layout " +
                                       std::to_string(observe::kVersion));
  }
  if (head.bytes != sizeof(Page)) damaged("its head tells another size");
  check_text(head.program, "the program's name does not end");
  check_text(head.library, "the library's version does not end");
  if (os::ProcessMark(head.mark).number() != static_cast<int>(head.process)) damaged("it names two processes");
}

void check(Snapshot const& snapshot) {
  if (snapshot.classes > observe::kClassRows) damaged("it counts more classes than it has room for");
  if (snapshot.waiting > observe::kWaitingRows) damaged("it counts more waiting threads than it has room for");
  check_text(snapshot.settings, "the settings do not end");
}

// The length of a character of UTF-8 that can be shown as it is; 0: none. Control characters, and those that turn the
// direction of what follows, are none.
std::size_t printable(std::string_view text) {
  auto const byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  unsigned const first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7F ? 1 : 0;
  std::size_t const length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
  if (length == 0 || first > 0xF4) return 0;
  unsigned code = first & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3FU);
  }
  unsigned const least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  bool const bent = (code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
                    (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF;
  return code < least || code < 0xA0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) || bent ? 0 : length;
}

}  // namespace

PageFile::PageFile(int directory, std::string const& name, std::uint32_t owner, For purpose)
    : file_(openat(directory, name.c_str(),
                   (purpose == For::writing ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {
  if (!file_.open()) {
    if (errno == ENOENT) throw Unreadable(Why::gone, "is not there");
    if (errno == ELOOP || errno == EISDIR || errno == ENXIO) throw Unreadable(Why::distrusted, "is no plain file");
    throw Unreadable(Why::refused, std::string("cannot be opened: ") + std::strerror(errno));
  }
  struct stat facts {};
  if (fstat(file_.number(), &facts) != 0) throw Unreadable(Why::refused, std::strerror(errno));
  if (!S_ISREG(facts.st_mode)) throw Unreadable(Why::distrusted, "is no plain file");
  if (facts.st_uid != owner) throw Unreadable(Why::distrusted, "belongs to another user than its directory");
  if ((facts.st_mode & 077) != 0) throw Unreadable(Why::distrusted, "is open to other users");
  inode_ = facts.st_ino;
  copy(&head_, sizeof head_, 0);
  check(head_);
  if (static_cast<std::size_t>(facts.st_size) < sizeof(Page)) damaged("it is cut short");
}

void PageFile::copy(void* into, std::size_t bytes, std::size_t offset) const {
  std::size_t done = 0;
  while (done < bytes) {
    ssize_t const length =
        pread(file_.number(), static_cast<char*>(into) + done, bytes - done, static_cast<off_t>(offset + done));
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) throw Unreadable(Why::refused, std::string("cannot be read: ") + std::strerror(errno));
    if (length == 0) damaged("it is cut short");
    done += static_cast<std::size_t>(length);
  }
}

Snapshot PageFile::snapshot() const {
  for (int tries = 0; tries < kTries; ++tries) {
    if (tries > 0) std::this_thread::sleep_for(kBetweenTries);
    std::uint64_t newest = 0, still = 0;
    copy(&newest, sizeof newest, offsetof(Page, newest));
    if (newest == 0) throw Unreadable(Why::empty, "has no figures yet");
    Snapshot snapshot;
    copy(&snapshot, sizeof snapshot, offsetof(Page, snapshots) + newest % 2 * sizeof snapshot);
    copy(&still, sizeof still, offsetof(Page, newest));
    if (still == newest && snapshot.begun == newest && snapshot.ended == newest) {
      check(snapshot);
      return snapshot;
    }
  }
  damaged("no snapshot in it is whole");
}

std::string escaped(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string result;
  while (!text.empty()) {
    std::size_t const length = printable(text);
    if (length > 0) {
      result += text.substr(0, length);
    } else {
      auto const byte = static_cast<unsigned char>(text[0]);
      result += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
    text.remove_prefix(length > 0 ? length : 1);
  }
  return result;
}

}  // namespace stealth::command
