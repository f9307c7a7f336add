// See control_page.hpp.
#include "observe/control_page.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/report.hpp"
#include "capacity/budget.hpp"
#include "engine/keeper.hpp"
#include "engine/outside.hpp"
#include "observe/page.hpp"
#include "observe/page_file.hpp"
#include "observe/profile.hpp"
#include "observe/snapshot.hpp"
#include "os/os.hpp"
#include "os/task.hpp"
#include "stealth/error.h"

namespace stealth::observe {

namespace {

constexpr std::uint64_t kIntervalNs = 250'000'000;         // between two snapshots
constexpr std::uint64_t kQuietIntervalNs = 1'000'000'000;  // while nothing changes
constexpr std::uint64_t kLongestIntervalNs = 10'000'000'000;
constexpr std::uint64_t kPatienceNs = 20'000'000;   // with the keeper at the end: a page that stays is swept by others
constexpr std::uint64_t kRetryNs = 10'000'000'000;  // to make a page where none could be had
constexpr std::uint64_t kCostShare = 200;           // making snapshots takes at most this part of the time
constexpr std::uint32_t kMostFailures = 6;
constexpr std::uint32_t kQuiet = 12;  // snapshots without a change

constinit Surroundings const* g_surroundings = nullptr;
constinit std::uint64_t g_from = 0;  // bytes held
constinit std::atomic<bool> g_ended{false};

// The keeper's alone, and that of the one thread of a forked child.
struct State {
  std::uint64_t next_ns = 0;  // when the next snapshot is due
  std::uint64_t interval_ns = kIntervalNs;
  std::uint64_t number = 0;         // of the newest snapshot
  std::uint64_t not_before_ns = 0;  // to make a page
  std::uint32_t answered = 0;       // the last wish
  std::uint32_t quiet = 0;
  std::uint32_t failures = 0;  // in a row, to make a page
  bool failure_told = false;
};
constinit PageFile g_file;
constinit State g_state;
constinit Snapshot g_snapshot = {};
constinit Figures g_last = {};
constinit Wish g_wish = {};
constinit Answer g_answer = {};

bool see_to_page(std::uint64_t now, bool own_files) noexcept {
  if (g_file.is_good()) return true;
  if (now < g_state.not_before_ns) return false;
  g_state.not_before_ns = now + kRetryNs;
  PageFile::Made const made = g_file.make(g_surroundings->program, g_surroundings->library);
  if (made != PageFile::Made::fine) {
    ++g_state.failures;
    os::BorrowedStderr const for_its_line(own_files);
    if (!g_state.failure_told) g_file.tell_failure(made, g_from == 0);
    g_state.failure_told = true;
    return false;
  }
  g_state.failures = 0;
  g_state.number = 0;
  g_state.answered = 0;
  g_state.next_ns = 0;
  return true;
}

// Whether anything has happened since the last snapshot but time.
bool has_changed() noexcept {
  Figures now = g_snapshot.figures;
  now.at_ns = g_last.at_ns;
  now.interval_ns = g_last.interval_ns;
  bool const same = std::memcmp(&now, &g_last, sizeof now) == 0;
  g_last = g_snapshot.figures;
  return !same;
}

bool write_snapshot(std::uint64_t now) noexcept {
  g_snapshot.figures.at_ns = now;
  g_snapshot.figures.interval_ns = g_state.interval_ns;
  take_snapshot(g_snapshot, *g_surroundings);
  g_snapshot.begun = g_snapshot.ended = ++g_state.number;
  if (!g_file.put_snapshot(g_snapshot)) return false;
  std::uint64_t const cost = os::monotonic_ns() - now;
  g_state.quiet = has_changed() ? 0 : g_state.quiet + 1;
  std::uint64_t const wanted = g_state.quiet >= kQuiet ? kQuietIntervalNs : kIntervalNs;
  g_state.interval_ns = min(max(wanted, cost * kCostShare), kLongestIntervalNs);
  g_state.next_ns = now + g_state.interval_ns;
  return true;
}

// Takes `word` and a blank off the beginning, if that is what stands there.
bool take(std::string_view& text, std::string_view word) noexcept {
  bool const is_there = text.size() > word.size() && std::memcmp(text.data(), word.data(), word.size()) == 0;
  if (!is_there || text[word.size()] != ' ') return false;
  text.remove_prefix(word.size() + 1);
  return true;
}

bool is_dump_name(std::string_view name) noexcept {
  constexpr std::string_view kBeginning = "dump-";
  if (name.size() <= kBeginning.size() || name.size() > 64) return false;
  if (std::memcmp(name.data(), kBeginning.data(), kBeginning.size()) != 0) return false;
  for (char const c : name) {
    bool const is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    if (!is_plain) return false;
  }
  return true;
}

int write_profile(profile::What what, std::string_view name, config::Line& why) noexcept {
  if (profile::interval() == 0) {
    if (g_surroundings->profile_wanted() != 0) {
      why.add("the profile begins when the program next allocates; try again then");
    } else {
      why.add("no profile is running; begin one: stealth set ")
          .add(static_cast<std::uint64_t>(os::process_id()))
          .add(" profile=512k");
    }
    return STEALTH_NOT_SUPPORTED;
  }
  FixedText<320> path;
  int const error =
      is_dump_name(name) && g_file.path_beside(name, path) ? profile::dump_into_new(what, path.view().data()) : EINVAL;
  if (error == 0) return STEALTH_OK;
  why.add_escaped(name, 64).add(": cannot be written (error ").add(static_cast<std::uint64_t>(error)).add(")");
  return STEALTH_INVALID_ARGUMENT;
}

void apply(std::string_view wish) noexcept {
  char text[kAnswerBytes];
  config::Line why{std::span(text, sizeof text - 1)};
  std::string_view rest = wish;
  std::size_t const equals = wish.find('=');
  if (!os::is_open_to_its_user()) {
    g_answer.error = STEALTH_NOT_SUPPORTED;
    why.add("the process has changed its user, or keeps its user from looking into it (PR_SET_DUMPABLE): it shows its ")
        .add("figures, and takes no wishes");
  } else if (take(rest, "set") && equals != std::string_view::npos) {
    std::string_view const name(rest.data(), static_cast<std::size_t>(wish.data() + equals - rest.data()));
    char const* const value = wish.data() + equals + 1;
    g_answer.error =
        g_surroundings->set(name, {value, static_cast<std::size_t>(wish.data() + wish.size() - value)}, why);
  } else if (rest = wish; take(rest, "profile heap")) {
    g_answer.error = write_profile(profile::What::heap, rest, why);
  } else if (take(rest, "profile stalls")) {
    g_answer.error = write_profile(profile::What::stalls, rest, why);
  } else {
    g_answer.error = STEALTH_INVALID_ARGUMENT;
    why.add("'").add_escaped(wish, 64).add("': not a wish that this version knows");
  }
  std::memset(g_answer.text, 0, sizeof g_answer.text);
  if (g_answer.error != 0) std::memcpy(g_answer.text, why.view().data(), why.view().size());
}

// False: the page is lost.
bool answer_wish() noexcept {
  std::uint32_t number = 0;
  if (!g_file.read_wish_number(number)) return false;
  if (number == 0 || number == g_state.answered) return true;
  if (!g_file.read_wish(g_wish)) return false;
  // Whoever wishes writes the text first; another wish may have come in between: then that one is answered.
  g_wish.text[sizeof g_wish.text - 1] = '\0';
  std::size_t const length = std::strlen(g_wish.text);
  apply({g_wish.text, length});
  g_state.answered = g_answer.number = g_wish.number;
  g_state.next_ns = 0;  // what has changed is shown at once
  return g_file.put_answer(g_answer);
}

// For this there is to be no keeper any more.
std::uint64_t give_up_for_good() noexcept {
  g_ended.store(true, std::memory_order_relaxed);
  g_errand_from.store(kNeverWanted, std::memory_order_relaxed);
  return 0;
}

}  // namespace

std::uint64_t tend_control_page(bool own_files) noexcept {
  if (g_surroundings == nullptr || g_ended.load(std::memory_order_relaxed)) return 0;
  if (!g_file.is_good() && g_budget.held() < g_from) return 0;
  // Unless the user insists, the program shall not come to see a descriptor of ours.
  if (!own_files && g_from != 0) return give_up_for_good();
  if (g_file.is_good() && !g_file.is_present_users()) g_file.give_up();
  std::uint64_t now = os::monotonic_ns();
  if (!see_to_page(now, own_files)) return g_state.failures < kMostFailures ? kRetryNs : give_up_for_good();
  g_errand_from.store(0, std::memory_order_relaxed);  // from now on, however little is held
  bool good = answer_wish();
  now = os::monotonic_ns();
  if (good && now >= g_state.next_ns) good = g_file.is_in_place() && write_snapshot(now);
  if (!good) {
    g_file.give_up();
    return kIntervalNs;
  }
  return g_state.next_ns > now ? g_state.next_ns - now : 1;
}

bool rest_at_control_page(std::uint64_t ns, bool (*may)() noexcept) noexcept {
  return g_file.is_good() && g_file.rest_at_bell(ns, may);
}

void ring_control_page() noexcept { g_file.ring(); }

void begin_control_page(Surroundings const& surroundings, std::uint64_t held) noexcept {
  g_surroundings = &surroundings;
  g_from = held;
}

void end_control_page() noexcept {
  if (g_surroundings == nullptr) return;
  g_ended.store(true, std::memory_order_relaxed);
  forbid_keeper(kPatienceNs);  // it may be making the file right now
  g_file.remove();
}

void control_page_fork_in_child() noexcept {
  if (g_surroundings == nullptr) return;
  g_file.forget_in_child();
  g_state = {};
}

}  // namespace stealth::observe
