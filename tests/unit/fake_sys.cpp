// See fake_sys.hpp. Defines os::sys() in place of src/os/sys.cpp.
#include "fake_sys.hpp"

#include <linux/futex.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <map>
#include <mutex>

#include "os/os.hpp"

namespace stealth::fake {

namespace {

constexpr long kNumbers = 512;
constexpr long kFirstFile = 1'000'000;  // descriptors of served files

struct Plan {
  std::atomic<std::uint64_t> calls{0};
  std::atomic<std::uint64_t> fail_from{0}, fail_end{0};  // by `calls`
  std::atomic<int> error{0};
  std::atomic<bool> answers{false};
  std::atomic<long> result{0};
};
constinit Plan g_plans[kNumbers];

struct Files {
  std::map<std::string, std::string> texts;
  std::vector<std::string> opened;
  struct Open {
    std::string text;
    std::size_t at = 0;
    bool is_open = true;
  };
  std::vector<Open> open;
  std::vector<std::string> captured;
};
std::mutex g_mutex;
Files& files() {
  static auto* const the = new Files;  // calls come before constructors and after destructors, too
  return *the;
}
std::atomic<bool> g_nothing_else{false};
std::atomic<std::size_t> g_at_most{0};
constexpr int kNoFile = -1000;
std::atomic<int> g_captured_file{kNoFile};
std::atomic<Futexes const*> g_futexes{nullptr};
std::atomic<std::uint64_t> g_endless_from{0};
std::atomic<std::size_t> g_asleep{0};
std::atomic<Witness> g_witness{nullptr};
thread_local bool t_witnessing = false;

Plan& plan(long number) { return g_plans[number < 0 || number >= kNumbers ? 0 : number]; }

long pass_through(long number, long a, long b, long c, long d, long e, long f) {
  long const result = ::syscall(number, a, b, c, d, e, f);
  return result == -1 ? -errno : result;
}

std::size_t length_of(long wanted) {
  auto const bytes = static_cast<std::size_t>(wanted);
  std::size_t const most = g_at_most.load();
  return most == 0 ? bytes : std::min(bytes, most);
}

std::uint64_t ns_of(timespec const& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

long futex(Futexes const& rules, std::uint32_t const* word, long operation, long value, timespec const* timeout) {
  if (operation == FUTEX_WAIT_PRIVATE) return rules.wait(word, static_cast<std::uint32_t>(value), ns_of(*timeout));
  rules.wake(word);
  return 0;
}

bool is_endless(long operation, timespec const* timeout) {
  std::uint64_t const from = g_endless_from.load();
  return from != 0 && operation == FUTEX_WAIT_PRIVATE && ns_of(*timeout) >= from;
}

long sleep_endlessly(long word, long operation, long value) {
  timespec const three_minutes = {180, 0};
  g_asleep.fetch_add(1);
  long const result = pass_through(SYS_futex, word, operation, value, reinterpret_cast<long>(&three_minutes), 0, 0);
  g_asleep.fetch_sub(1);
  return result;
}

// True: `result` is the answer.
bool open_served(char const* path, long& result) {
  std::lock_guard const hold(g_mutex);
  Files& the = files();
  the.opened.emplace_back(path);
  auto const found = the.texts.find(path);
  if (found == the.texts.end()) {
    result = -ENOENT;
    return g_nothing_else.load();
  }
  the.open.push_back({found->second});
  result = kFirstFile + static_cast<long>(the.open.size()) - 1;
  return true;
}

long read_served(long file, void* into, std::size_t bytes) {
  std::lock_guard const hold(g_mutex);
  Files& the = files();
  auto const index = static_cast<std::size_t>(file - kFirstFile);
  if (index >= the.open.size() || !the.open[index].is_open) return -EBADF;
  Files::Open& open = the.open[index];
  std::size_t const n = std::min(bytes, open.text.size() - open.at);
  std::memcpy(into, open.text.data() + open.at, n);
  open.at += n;
  return static_cast<long>(n);
}

long close_served(long file) {
  std::lock_guard const hold(g_mutex);
  Files& the = files();
  auto const index = static_cast<std::size_t>(file - kFirstFile);
  if (index >= the.open.size() || !the.open[index].is_open) return -EBADF;
  the.open[index].is_open = false;
  return 0;
}

long perform(long number, long a, long b, long c, long d, long e, long f) {
  Plan& mine = plan(number);
  std::uint64_t const call = mine.calls.fetch_add(1) + 1;
  if (call >= mine.fail_from.load() && call < mine.fail_end.load()) return -mine.error.load();
  if (mine.answers.load()) return mine.result.load();
  switch (number) {
    case SYS_openat: {
      long result = 0;
      if (open_served(reinterpret_cast<char const*>(b), result)) return result;
      break;
    }
    case SYS_read:
      if (a >= kFirstFile) return read_served(a, reinterpret_cast<void*>(b), length_of(c));
      return pass_through(number, a, b, static_cast<long>(length_of(c)), d, e, f);
    case SYS_write:
      if (a == g_captured_file.load()) {
        std::lock_guard const hold(g_mutex);
        std::size_t const length = length_of(c);
        files().captured.emplace_back(reinterpret_cast<char const*>(b), length);
        return static_cast<long>(length);
      }
      return pass_through(number, a, b, static_cast<long>(length_of(c)), d, e, f);
    case SYS_close:
      if (a >= kFirstFile) return close_served(a);
      break;
    case SYS_futex:
      if (Futexes const* const rules = g_futexes.load(); rules != nullptr) {
        return futex(*rules, reinterpret_cast<std::uint32_t const*>(a), b, c, reinterpret_cast<timespec const*>(d));
      }
      if (is_endless(b, reinterpret_cast<timespec const*>(d))) return sleep_endlessly(a, b, c);
      break;
    default:
      break;
  }
  return pass_through(number, a, b, c, d, e, f);
}

void let_witness(long number, bool done) {
  Witness const witness = g_witness.load();
  if (witness == nullptr || t_witnessing) return;
  t_witnessing = true;
  witness(number, done);
  t_witnessing = false;
}

}  // namespace

void reset() {
  for (Plan& one : g_plans) {
    one.fail_end = 0;
    one.answers = false;
    one.calls = 0;
  }
  g_nothing_else = false;
  g_at_most = 0;
  g_captured_file = kNoFile;
  g_futexes = nullptr;
  g_endless_from = 0;
  g_witness = nullptr;
  std::lock_guard const hold(g_mutex);
  files() = Files{};
}

std::uint64_t count(long number) { return plan(number).calls.load(); }

void fail(long number, std::uint64_t nth, int error, std::uint64_t times) {
  Plan& mine = plan(number);
  mine.fail_end = 0;
  std::uint64_t const from = mine.calls.load() + nth;
  mine.error = error;
  mine.fail_from = from;
  mine.fail_end = times > kForEver - from ? kForEver : from + times;
}

void stop_failing(long number) { plan(number).fail_end = 0; }

void answer(long number, long result) {
  plan(number).result = result;
  plan(number).answers = true;
}

void serve(std::string const& path, std::string const& text) {
  std::lock_guard const hold(g_mutex);
  files().texts[path] = text;
}

void serve_nothing_else() { g_nothing_else = true; }

std::vector<std::string> opened() {
  std::lock_guard const hold(g_mutex);
  return files().opened;
}

std::size_t open_files() {
  std::lock_guard const hold(g_mutex);
  auto const& open = files().open;
  return static_cast<std::size_t>(std::count_if(open.begin(), open.end(), [](auto const& one) { return one.is_open; }));
}

void move_at_most(std::size_t bytes) { g_at_most = bytes; }

void futexes_by(Futexes const* rules) { g_futexes = rules; }

void only_wakes_end(std::uint64_t sleeps_of_ns) { g_endless_from = sleeps_of_ns; }

void tell(Witness witness) { g_witness = witness; }

std::size_t asleep() { return g_asleep.load(); }

void capture(int file) { g_captured_file = file; }

std::vector<std::string> captured() {
  std::lock_guard const hold(g_mutex);
  return files().captured;
}

}  // namespace stealth::fake

namespace stealth::os {

long sys(long number, long a, long b, long c, long d, long e, long f) noexcept {
  int const saved = errno;
  fake::let_witness(number, false);
  long const result = fake::perform(number, a, b, c, d, e, f);
  fake::let_witness(number, true);
  errno = saved;
  return result;
}

}  // namespace stealth::os
