// See wishes.hpp. The order of the writes is what the process relies on: all of the text but its first byte, that byte,
// the number, the bell. As long as the first byte is a NUL the wish is an empty one, which a process refuses; so it is
// withdrawn by that one byte.
#include "wishes.hpp"

#include <linux/futex.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "command.hpp"
#include "observe/page.hpp"
#include "pages.hpp"

namespace stealth::command {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using observe::Page;

constexpr auto kBetweenLooks = 2ms;
constexpr auto kAfterWithdrawal = 50ms;  // for an answer that was on its way
constexpr std::size_t kText = offsetof(Page, wish) + offsetof(observe::Wish, text);

// The page of the file that the bell lies in. It is only ever touched by the kernel, for us: in a file that was cut
// short that is an error, where our own touch would be a SIGBUS.
class Bell {
 public:
  explicit Bell(int file) : bytes_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
    static_assert(offsetof(Page, bell) + sizeof(Page::bell) <= 4096);
    mapping_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  Bell(Bell const&) = delete;
  Bell& operator=(Bell const&) = delete;
  ~Bell() {
    if (mapping_ != MAP_FAILED) munmap(mapping_, bytes_);
  }
  // Adds one and wakes all, in one call. Without it the process looks after a while all the same.
  void ring() const {
    if (mapping_ == MAP_FAILED) return;
    char* const word = static_cast<char*>(mapping_) + offsetof(Page, bell);
    constexpr auto kNobodyMore = static_cast<unsigned>(FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_LT, 0));
    syscall(SYS_futex, word, FUTEX_WAKE_OP, INT_MAX, 0L, word, kNobodyMore);
  }

 private:
  std::size_t bytes_;
  void* mapping_;
};

void put(PageFile const& page, void const* from, std::size_t bytes, std::size_t offset) {
  ssize_t const written = pwrite(page.number(), from, bytes, static_cast<off_t>(offset));
  if (written < 0 || static_cast<std::size_t>(written) != bytes) {
    throw Unreadable(Unreadable::Why::refused, "cannot be written");
  }
}

template <class T>
T get(PageFile const& page, std::size_t offset) {
  T value{};
  page.copy(&value, sizeof value, offset);
  return value;
}

std::uint32_t answered(PageFile const& page) {
  return get<std::uint32_t>(page, offsetof(Page, answer) + offsetof(observe::Answer, number));
}
std::uint32_t wished(PageFile const& page) {
  return get<std::uint32_t>(page, offsetof(Page, wish) + offsetof(observe::Wish, number));
}

bool wait_for(PageFile const& page, std::uint32_t number, std::chrono::milliseconds patience) {
  auto const end = Clock::now() + patience;
  while (answered(page) != number) {
    if (Clock::now() >= end) return false;
    std::this_thread::sleep_for(kBetweenLooks);
  }
  return true;
}

void lock(PageFile const& page, std::string const& name, std::chrono::milliseconds patience) {
  auto const end = Clock::now() + patience;
  while (flock(page.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) throw Failure(name + ": the control page cannot be locked; try again");
    if (Clock::now() >= end) {
      throw Failure(name + ": another command has been telling it something for too long; end that one, or try again");
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

Failure no_answer(int pid) {
  std::string const name = std::to_string(pid) + ": ";
  auto const process = look_at(pid);
  if (!process || process->ended()) return Failure(name + "the process has ended meanwhile; see: stealth stat");
  if (process->stopped()) {
    return Failure(name + "the process is stopped and does not answer, nothing was changed; let it go on (kill -CONT " +
                   std::to_string(pid) + ") and try again");
  }
  return Failure(name +
                 "the process does not answer, nothing was changed; it may be without the thread that reads its "
                 "control page (a limit of threads, seccomp): start it anew with the setting");
}

// The answer, or nothing where it was withdrawn. The text must be in place before the number is.
bool tell(PageFile const& page, Bell const& bell, std::string const& text, std::uint32_t number,
          std::chrono::milliseconds patience) {
  char const nothing = '\0';
  put(page, &nothing, 1, kText);
  put(page, text.c_str() + 1, text.size(), kText + 1);  // with the NUL
  put(page, text.c_str(), 1, kText);
  put(page, &number, sizeof number, offsetof(Page, wish) + offsetof(observe::Wish, number));
  bell.ring();
  if (wait_for(page, number, patience)) return true;
  put(page, &nothing, 1, kText);
  return wait_for(page, number, kAfterWithdrawal);
}

}  // namespace

Reply wish(Process const& process, std::string const& text, std::chrono::milliseconds patience) {
  std::string const name = std::to_string(process.pid);
  if (text.empty() || text.size() >= observe::kWishBytes) throw Failure(name + ": too long; give a shorter value");
  PageFile const page = open_page(process, PageFile::For::writing);
  try {
    lock(page, name, patience);  // until the file is closed
    Bell const bell(page.number());
    // A wish that somebody withdrew may be answered just while ours takes its place, with the same number. Then ours is
    // told again.
    bool left_over = wished(page) != answered(page);
    for (;;) {
      std::uint32_t number = answered(page) + 1;
      if (number == 0) number = 1;  // none is a wish
      if (!tell(page, bell, text, number, patience)) throw no_answer(process.pid);
      auto const answer = get<observe::Answer>(page, offsetof(Page, answer));
      if (answer.error == 0 || !left_over) return {answer.error, text_of(answer.text)};
      left_over = false;
    }
  } catch (Unreadable const& why) {
    throw Failure(name + ": the control page " + why.what() + "; see: stealth stat " + name);
  }
}

}  // namespace stealth::command
