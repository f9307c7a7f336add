// Fuzz target: the keeper at its control page, beside somebody who wishes for anything, and writes anything into the
// page or cuts it short. Each wish gets one answer, settings change or do not as the answer says, names of dumps lead
// nowhere else, and the page is whole again after whatever was done to it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "arena/arena.hpp"
#include "base/report.hpp"
#include "capacity/budget.hpp"
#include "config/load.hpp"
#include "engine/backtrace.hpp"
#include "engine/outside.hpp"
#include "input.hpp"
#include "observe/control_page.hpp"
#include "observe/page.hpp"
#include "observe/profile.hpp"
#include "os/process_mark.hpp"
#include "pool/live.hpp"
#include "starting.hpp"

namespace {

using namespace fuzz;
using namespace stealth;
using observe::Page;

// As the interposer has it (preload/steering.cpp).
int set(std::string_view name, std::string_view value, config::Line& why) noexcept {
  stealth_error error = live::check(name, value, why);
  if (error == STEALTH_OK) error = live::set(name, value);
  return error;
}
void nothing_passed_on(std::uint64_t& calls, std::uint64_t& bytes) noexcept { calls = bytes = 0; }
constinit observe::Surroundings const g_surroundings = {
    .program = "fuzzed",
    .library = "1",
    .print_settings = live::print,
    .set = set,
    .profile_wanted = []() noexcept { return live::profile().interval; },
    .passed_on = nothing_passed_on};

std::uintptr_t g_frame = 0x1000;
int unwind(void** into, int) noexcept {
  into[0] = reinterpret_cast<void*>(g_frame);
  return 1;
}

std::string find_page() {
  std::string const user = std::to_string(geteuid());
  std::string const name = "/page-" + std::to_string(getpid()) + "-" + std::to_string(os::ProcessMark::own().start());
  for (std::string const& place : {std::string("/dev/shm"), "/run/user/" + user, std::string("/tmp")}) {
    std::string path = place + "/stealth-" + user + name;
    if (access(path.c_str(), F_OK) == 0) return path;
  }
  return {};
}

// The command's side; there is one page at a time.
std::string g_path;
Page* g_page = nullptr;

void forget_page() {
  if (g_page != nullptr) munmap(g_page, sizeof(Page));
  g_page = nullptr;
}

// A page that was lost is made anew after a while; as a child this process has not lost one yet, and makes it at once.
void open_page() {
  forget_page();
  observe::control_page_fork_in_child();
  if (!g_path.empty()) unlink(g_path.c_str());
  REQUIRE(observe::tend_control_page(true) > 0);
  g_path = find_page();
  int const file = open(g_path.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(file >= 0);
  void* const at = mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  REQUIRE(at != MAP_FAILED);
  close(file);
  g_page = static_cast<Page*>(at);
}

std::string settings_now() {
  static char room[observe::kSettingsBytes];
  config::Line line{room};
  live::print(line);
  REQUIRE(!line.cut());
  return std::string(line.view());
}

void start() {
  g_verbosity = Verbosity::silent;
  REQUIRE(test::start_engine({}));
  live::begin(config::defaults);
  live::put_in_force();
  observe::begin_control_page(g_surroundings, 0);
  std::atexit([] { observe::end_control_page(); });
  static void* some[50];
  tell_stacks_by(unwind, {nullptr, nullptr});
  REQUIRE(observe::profile::begin(1));
  for (void*& one : some) one = allocate(1000);  // so that figures and dumps have something to tell
  open_page();
}

bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

bool is_dump_name(std::string const& name) {
  return name.find_first_not_of("-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string::npos;
}

// Tells the wish as it stands in the page, and looks at the answer.
void be_answered(bool is_new) {
  char wished[observe::kWishBytes + 1] = {};
  std::memcpy(wished, g_page->wish.text, observe::kWishBytes);
  wished[observe::kWishBytes - 1] = '\0';
  std::string_view const text(wished);
  std::uint32_t const number = g_page->wish.number;
  std::string const before = settings_now();
  REQUIRE(observe::tend_control_page(true) > 0);
  if (!is_new || number == 0) return;  // one that was answered already, or none
  observe::Answer const& answer = g_page->answer;
  REQUIRE(answer.number == number);
  REQUIRE(answer.error >= STEALTH_OK && answer.error <= STEALTH_INVALID_OPTIONS);
  std::size_t const length = strnlen(answer.text, sizeof answer.text);
  REQUIRE(length < sizeof answer.text && is_plain({answer.text, length}));
  REQUIRE((length == 0) == (answer.error == 0));
  REQUIRE(std::all_of(answer.text + length, answer.text + sizeof answer.text, [](char c) { return c == 0; }));
  if (answer.error != 0) REQUIRE(settings_now() == before);
  bool const dumps = answer.error == 0 && text.starts_with("profile ");
  REQUIRE(answer.error != 0 || dumps || text.starts_with("set "));
  if (dumps) {
    std::string const name(text.substr(text.rfind(' ') + 1));
    REQUIRE(name.starts_with("dump-") && is_dump_name(name));
    std::string const path = g_path.substr(0, g_path.rfind('/') + 1) + name;
    struct stat facts {};
    REQUIRE(lstat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode) && (facts.st_mode & 077) == 0);
    REQUIRE(unlink(path.c_str()) == 0);
  }
  // What has changed is shown at once, and read by the settings' own parser.
  observe::Snapshot const& shown = g_page->snapshots[g_page->newest % 2];
  REQUIRE(shown.begun == shown.ended && shown.begun == g_page->newest);
  REQUIRE(shown.classes <= observe::kClassRows && shown.waiting <= observe::kWaitingRows);
  REQUIRE(settings_now() == std::string_view(shown.settings, strnlen(shown.settings, sizeof shown.settings)));
}

void expect_settings_that_parse() {
  std::string const all = settings_now();
  config::Config read;
  for (std::size_t at = 0; at < all.size();) {
    std::size_t const end = all.find('\n', at), equals = all.find('=', at);
    REQUIRE(end != std::string::npos && equals < end);
    config::Problem problem;
    REQUIRE(config::set(read, std::string_view(all).substr(at, equals - at),
                        std::string_view(all).substr(equals + 1, end - equals - 1), problem));
    at = end + 1;
  }
}

void put_wish(std::string_view text) {
  std::memset(g_page->wish.text, 0, sizeof g_page->wish.text);
  std::memcpy(g_page->wish.text, text.data(), std::min(text.size(), sizeof g_page->wish.text));
}

void play(Input& input, std::uint32_t& answered) {
  std::uint8_t const kind = input.byte();
  switch (kind % 16) {
    case 12: {  // anything anywhere
      std::size_t const at = input.number(2) % sizeof(Page);
      std::string_view const bytes = input.text(kind / 8U);
      std::size_t const fits = std::min(bytes.size(), sizeof(Page) - at);
      std::memcpy(reinterpret_cast<char*>(g_page) + at, bytes.data(), fits);
      break;
    }
    case 13:  // …and everywhere
      std::memset(static_cast<void*>(g_page), kind, sizeof(Page));
      break;
    case 14:
      forget_page();
      REQUIRE(truncate(g_path.c_str(), static_cast<off_t>(input.number(2))) == 0);
      static_cast<void>(observe::tend_control_page(true));
      observe::ring_control_page();
      open_page();
      answered = 0;
      return;
    case 15:
      unlink(g_path.c_str());
      static_cast<void>(observe::tend_control_page(true));
      open_page();
      answered = 0;
      return;
    default: {
      std::string const prefix = kind < 128 ? "set " : kind < 160 ? "profile heap dump-" : kind < 176 ? "profile " : "";
      std::size_t const length = input.byte();
      put_wish(prefix + std::string(input.text(length < 250 ? length : ~std::size_t{0})));
      g_page->wish.number = kind % 16 == 11 ? static_cast<std::uint32_t>(input.number(4)) : answered + 1;
    }
  }
  bool const is_new = g_page->wish.number != answered;
  be_answered(is_new);
  if (g_page->wish.number != 0) answered = g_page->wish.number;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static bool const started = (start(), true);
  static_cast<void>(started);
  Input input(data, size);
  std::uint32_t answered = 0;
  live::begin(config::defaults);
  live::put_in_force();
  open_page();
  for (int i = 0; i < 40 && !input.empty(); ++i) play(input, answered);
  expect_settings_that_parse();
  return 0;
}
