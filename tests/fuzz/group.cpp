// Fuzz target: a member of a group beside somebody who writes anything into the group's file, removes it, cuts it short
// or puts another in its place, while calls of the system fail. Nothing crashes, the member always knows its own share,
// and once the other one is quiet and the page is clean, the sum is right again.
//
// Its own door to the kernel: it lets calls fail, and knows what was mapped, because a group never unmaps a file and a
// process may only have so many mappings.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <iterator>
#include <string>
#include <system_error>

#include "base/report.hpp"
#include "capacity/group.hpp"
#include "folder.hpp"
#include "input.hpp"

namespace {

using namespace fuzz;
using stealth::Group;
using stealth::GroupPage;

// --- the system around it ---

struct Mapped {
  long at;
  std::size_t bytes;
};
Mapped g_mapped[256];
std::size_t g_mapped_count = 0;
std::uint64_t g_skipped_ms = 0;  // how far the coarse clock is ahead
unsigned g_fails_in = 0;         // the how manyth call fails from now on; 0: none
int g_error = 0;

}  // namespace

// The coarse clock alone, which nobody else in this program reads.
extern "C" {
int __real_clock_gettime(clockid_t clock, timespec* into);
int __wrap_clock_gettime(clockid_t clock, timespec* into);
int __wrap_clock_gettime(clockid_t clock, timespec* into) {
  int const result = __real_clock_gettime(clock, into);
  if (clock == CLOCK_MONOTONIC_COARSE) {
    into->tv_sec += static_cast<time_t>(g_skipped_ms / 1000);
    into->tv_nsec += static_cast<long>(g_skipped_ms % 1000 * 1'000'000);
    if (into->tv_nsec >= 1'000'000'000) {
      ++into->tv_sec;
      into->tv_nsec -= 1'000'000'000;
    }
  }
  return result;
}
}

namespace stealth::os {

long sys(long number, long a, long b, long c, long d, long e, long f) noexcept {
  bool const may_fail = number == SYS_openat || number == SYS_mmap || number == SYS_fallocate ||
                        number == SYS_mkdirat || number == SYS_linkat || number == SYS_renameat2 ||
                        number == SYS_fchmod || number == SYS_read;
  if (may_fail && g_fails_in != 0 && --g_fails_in == 0) return -g_error;
  int const saved = errno;
  long result = ::syscall(number, a, b, c, d, e, f);
  if (result == -1) result = -errno;
  errno = saved;
  if (number == SYS_mmap && result > 0) {
    REQUIRE(g_mapped_count < std::size(g_mapped));
    g_mapped[g_mapped_count++] = {result, static_cast<std::size_t>(b)};
  }
  for (std::size_t i = 0; number == SYS_munmap && i < g_mapped_count; ++i) {
    if (g_mapped[i].at == a) g_mapped[i] = g_mapped[--g_mapped_count];
  }
  return result;
}

}  // namespace stealth::os

namespace {

void let_it_be_due() { g_skipped_ms += 1000; }

std::string g_root;

// The file as somebody else sees it who has the user's rights.
class Vandal {
 public:
  explicit Vandal(Group const& group) : path_(group.path()) { look(); }
  ~Vandal() { forget(); }
  Vandal(Vandal const&) = delete;
  Vandal& operator=(Vandal const&) = delete;

  // The file that the name leads to now; it may be anything.
  void look() {
    forget();
    int const file = open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct stat facts {};
    if (file < 0) return;
    if (fstat(file, &facts) == 0 && facts.st_size == static_cast<off_t>(sizeof(GroupPage))) {
      void* const at = mmap(nullptr, sizeof(GroupPage), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
      page_ = at == MAP_FAILED ? nullptr : static_cast<GroupPage*>(at);
    }
    close(file);
  }
  [[nodiscard]] GroupPage* page() const { return page_; }
  void write(std::size_t at, std::uint64_t value, unsigned bytes) const {
    if (page_ == nullptr || at + bytes > sizeof(GroupPage)) return;
    std::memcpy(reinterpret_cast<char*>(page_) + at, &value, bytes);
  }
  void remove() const { unlink(path_.c_str()); }
  void cut(std::uint64_t size) {
    forget();
    std::error_code unread;  // there may be none
    std::filesystem::resize_file(path_, size, unread);
  }
  void put(std::string_view content) const {
    std::string const fresh = g_root + "/new";
    int const file = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE(file >= 0);
    REQUIRE(::write(file, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
    close(file);
    REQUIRE(rename(fresh.c_str(), path_.c_str()) == 0);
  }

 private:
  void forget() {
    if (page_ != nullptr) munmap(page_, sizeof(GroupPage));
    page_ = nullptr;
  }
  std::string path_;
  GroupPage* page_ = nullptr;
};

// Where a wrong number does most: in a place of the head, or in one of the first cells.
std::size_t place_of(std::uint8_t choice, std::uint16_t raw) {
  constexpr std::size_t kPlaces[] = {0,
                                     offsetof(stealth::GroupIdentity, layout),
                                     offsetof(stealth::GroupIdentity, world),
                                     offsetof(GroupPage, capacity),
                                     offsetof(GroupPage, wake_word),
                                     offsetof(GroupPage, used_cells),
                                     offsetof(GroupPage, cursor),
                                     offsetof(GroupPage, swept_ms)};
  if (choice < 8) return kPlaces[choice];
  if (choice < 96) return offsetof(GroupPage, owners) + 8 * (raw % 16U);
  if (choice < 192) return offsetof(GroupPage, shares) + 8 * (raw % 16U);
  return raw;
}

class Member {
 public:
  Member() : group_(g_root.c_str()) {}

  bool join(std::uint64_t capacity) { return group_.join("fuzzed", capacity) != Group::Joined::failed; }

  // A move to another file may fail, and then the member goes on alone: for good, with no share.
  void expect_own_share() {
    if (!group_.joined()) share_ = 0;
    REQUIRE(group_.share() == share_);
    if (group_.joined()) {
      REQUIRE(group_.capacity() != 0);
      REQUIRE(group_.members() <= GroupPage::kCells);
    } else {
      REQUIRE(group_.capacity() == 0 && group_.used() == 0 && group_.members() == 0);
      REQUIRE(group_.begin_wait() == 0 && group_.word() == nullptr && !group_.has_waiters());
    }
    static_cast<void>(group_.used());
  }

  void play(Input& input, Vandal& vandal) {
    std::uint8_t const kind = input.byte();
    switch (kind % 16) {
      case 0:
      case 1:
      case 2: {
        std::uint64_t const bytes = input.number(kind < 128 ? 2 : 5);
        group_.charge(bytes);
        share_ += bytes;
        break;
      }
      case 3:
      case 4: {
        std::uint64_t const bytes = input.number(kind < 128 ? 2 : 5);
        bool const joined = group_.joined();
        std::uint64_t const kept = group_.release(bytes);
        std::uint64_t const taken = std::min(bytes, share_);
        REQUIRE(kept == (joined ? bytes - taken : 0));
        share_ -= taken;
        break;
      }
      case 5:
        let_it_be_due();
        static_cast<void>(group_.sweep());
        break;
      case 6: {
        std::uint64_t const capacity = 1 + input.number(4);
        group_.set_capacity(capacity);
        if (group_.joined()) REQUIRE(group_.capacity() == capacity);
        break;
      }
      case 7: {
        std::uint32_t const word = group_.begin_wait();
        if (group_.joined()) {
          REQUIRE((word & 1) == 1 && group_.has_waiters() && *group_.word() == word);
          group_.announce();
          REQUIRE(!group_.has_waiters() && *group_.word() != word);
        }
        break;
      }
      case 8:
      case 9:
      case 10: {
        std::uint8_t const choice = input.byte();
        std::size_t const at = place_of(choice, static_cast<std::uint16_t>(input.number(2)));
        unsigned const bytes = kind < 128 ? 8 : 1;
        vandal.write(at, input.number(bytes), bytes);
        break;
      }
      case 11:
        vandal.remove();
        vandal.look();
        break;
      case 12:  // whoever cuts the file may meet a touch before he is noticed: only just before one looks
        let_it_be_due();
        vandal.cut(input.number(3));
        static_cast<void>(group_.sweep());
        vandal.look();
        break;
      case 13:
        vandal.put(kind < 128 ? std::string(input.text(64)) : std::string(sizeof(GroupPage), '\xFF'));
        vandal.look();
        break;
      case 14:
        g_error = kind < 128 ? EMFILE : ENOSPC;
        g_fails_in = 1 + input.byte() % 32U;
        break;
      default:
        group_.after_fork_in_child();  // it has no share yet
        share_ = 0;
        vandal.look();
    }
    expect_own_share();
  }

  // Nobody disturbs any more.
  void settle(Vandal& vandal) {
    g_fails_in = 0;
    if (!group_.joined()) return;
    for (int tries = 0; tries < 8; ++tries) {
      look_after(vandal);
      GroupPage* const page = vandal.page();
      if (!group_.joined() || page == nullptr) return;  // damaged too often; or nobody else can find it any more
      for (std::uint32_t cell = 0; cell < GroupPage::kCells; ++cell) {
        page->owners[cell] = 0;
        page->shares[cell] = 0;
      }
      look_after(vandal);
      if (group_.joined() && group_.used() == share_ && group_.members() == 1) return;
    }
    expect_own_share();
    fail("the sum becomes right again", __FILE__, __LINE__);
  }

  void leave() { group_.leave(); }
  [[nodiscard]] Group const& group() const { return group_; }

 private:
  void look_after(Vandal& vandal) {
    let_it_be_due();
    static_cast<void>(group_.sweep());
    vandal.look();
    expect_own_share();
  }

  Group group_;
  std::uint64_t share_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static Folder const folder;
  stealth::g_verbosity = stealth::Verbosity::silent;
  g_root = folder.path();
  g_mapped_count = 0;
  g_fails_in = 0;
  Input input(data, size);
  {
    Member member;
    std::uint64_t const capacity = input.number(2);
    REQUIRE(member.join(capacity));
    Vandal vandal(member.group());
    for (int i = 0; i < 150 && !input.empty(); ++i) member.play(input, vandal);
    member.settle(vandal);
    member.leave();
    vandal.remove();
  }
  while (g_mapped_count > 0) {
    --g_mapped_count;
    munmap(reinterpret_cast<void*>(g_mapped[g_mapped_count].at), g_mapped[g_mapped_count].bytes);
  }
  return 0;
}
