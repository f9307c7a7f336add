// Fuzz target: a control page that anybody may have written to, as `stealth stat` and `stealth top` read it. What is
// shown of it is text that harms no terminal, JSON that parses, and figures that Prometheus takes; or one line says why
// it cannot be read.
//
// An input is a list of changes to a good page, so that it is short, and small changes to it stay small.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "blocks.hpp"
#include "figures.hpp"
#include "folder.hpp"
#include "history.hpp"
#include "input.hpp"
#include "os/process_mark.hpp"

// The reader sleeps between two looks at a page that is not whole.
extern "C" int __wrap_nanosleep(timespec const*, timespec*);
extern "C" int __wrap_nanosleep(timespec const*, timespec*) { return 0; }

namespace {

using namespace fuzz;
using namespace stealth::command;
using stealth::observe::Page;

constexpr char kName[] = "page-1-1";

void put_text(char* into, char const* text) { std::memcpy(into, text, std::strlen(text) + 1); }

Page good_page() {
  Page page;
  std::memset(static_cast<void*>(&page), 0, sizeof page);
  std::memcpy(page.head.magic, stealth::observe::kMagic, sizeof page.head.magic);
  page.head.version = stealth::observe::kVersion;
  page.head.bytes = sizeof page;
  page.head.mark = stealth::os::ProcessMark(1, 1, 1).word();
  page.head.process = 1;
  page.head.user = geteuid();
  put_text(page.head.program, "program");
  put_text(page.head.library, "0.1.0");
  page.newest = 3;
  stealth::observe::Snapshot& snapshot = page.snapshots[1];
  snapshot.begun = snapshot.ended = 3;
  snapshot.figures.at_ns = 1'000'000'000;
  snapshot.figures.capacity = 1 << 30;
  snapshot.figures.used = snapshot.figures.held = 500 << 20;
  snapshot.figures.histogram[4] = 7;
  snapshot.figures.profile_interval = 512 << 10;
  snapshot.classes = 2;
  snapshot.class_rows[0] = {64, 0, 3, 100, 50, 20, 30, 0, 0, 0};
  snapshot.class_rows[1] = {4096, 10, 3, 10, 10, 0, 0, 5, 1000, 1};
  snapshot.waiting = 1;
  snapshot.waiting_rows[0] = {1, 900'000'000, 4096, 4096};
  put_text(snapshot.settings, "STEALTH_CAPACITY=1g\nSTEALTH_MODE=enforce\n");
  return page;
}

constexpr std::size_t kSnapshot = offsetof(Page, snapshots) + sizeof(stealth::observe::Snapshot);
constexpr std::size_t kFigures = kSnapshot + offsetof(stealth::observe::Snapshot, figures);
constexpr std::size_t kPlaces[] = {
    offsetof(Page, head) + offsetof(stealth::observe::Head, version),
    offsetof(Page, head) + offsetof(stealth::observe::Head, bytes),
    offsetof(Page, head) + offsetof(stealth::observe::Head, mark),
    offsetof(Page, head) + offsetof(stealth::observe::Head, program),
    offsetof(Page, head) + offsetof(stealth::observe::Head, program) + 56,
    offsetof(Page, head) + offsetof(stealth::observe::Head, library),
    offsetof(Page, newest),
    kSnapshot + offsetof(stealth::observe::Snapshot, begun),
    kSnapshot + offsetof(stealth::observe::Snapshot, classes),
    kSnapshot + offsetof(stealth::observe::Snapshot, waiting),
    kSnapshot + offsetof(stealth::observe::Snapshot, class_rows),
    kSnapshot + offsetof(stealth::observe::Snapshot, waiting_rows),
    kSnapshot + offsetof(stealth::observe::Snapshot, settings),
    kSnapshot + offsetof(stealth::observe::Snapshot, settings) + stealth::observe::kSettingsBytes - 8,
    kSnapshot + offsetof(stealth::observe::Snapshot, ended),
    offsetof(Page, snapshots),
};

// [place, how much, bytes]…; a first byte says how long the file is.
std::string page_from(Input input) {
  Page const page = good_page();
  std::string text(reinterpret_cast<char const*>(&page), sizeof page);
  std::uint8_t const ending = input.byte();
  while (!input.empty()) {
    std::uint8_t const choice = input.byte();
    std::size_t const at = choice < 32    ? kPlaces[choice % 16U]
                           : choice < 160 ? kFigures + 8 * (choice - 32U)
                                          : input.number(2) % sizeof page;
    std::uint8_t const how_much = input.byte();
    std::string what(input.text(how_much % 40U));
    if (how_much >= 200 && !what.empty()) {  // the same again and again
      std::string const once = what;
      for (int i = 0; i < 8; ++i) what += what.size() < 4096 ? what : once;
    }
    std::size_t const fits = std::min(what.size(), sizeof page - at);
    text.replace(at, fits, what, 0, fits);
  }
  if (ending >= 240) text.resize(text.size() * (ending - 240U) / 8);
  return text;
}

// No control characters but the newline: nothing that a terminal would obey.
FUZZ_PLAIN void expect_harmless(std::string const& text) {
  char const* const end = text.data() + text.size();
  for (char const* at = text.data(); at != end; ++at) {
    REQUIRE(*at == '\n' || (static_cast<unsigned char>(*at) >= 0x20 && *at != 0x7F));
  }
}

// "# …", or NAME NUMBER, or NAME{LABELS} NUMBER, whose quotes are even once the escaped ones are passed over.
FUZZ_PLAIN void expect_prometheus(std::string const& text) {
  char const* at = text.data();
  char const* const end = at + text.size();
  while (at != end) {
    bool const remark = *at == '#';
    bool quoted = false;
    char const* blank = nullptr;
    for (; at != end && *at != '\n'; ++at) {
      if (remark) continue;
      if (quoted && *at == '\\') {
        ++at;
        REQUIRE(*at == '\\' || *at == '"' || *at == 'n');
      } else if (*at == '"') {
        quoted = !quoted;
      } else if (*at == ' ' && !quoted) {
        REQUIRE(blank == nullptr);
        blank = at;
      } else if (blank != nullptr) {
        REQUIRE((*at >= '0' && *at <= '9') || *at == '.' || *at == 'e' || *at == '+' || *at == '-');
      }
    }
    REQUIRE(at != end && (remark || (!quoted && blank != nullptr && blank + 1 != at)));
    ++at;
  }
}

template <class Write>
std::string written(Write write) {
  std::ostringstream out;
  write(out);
  return out.str();
}

void show(PageFile const& page) {
  Process process;
  process.pid = process.inner = 1;
  process.state = 'S';
  View view{process, page.head(), page.snapshot(), 2'000'000'000};
  REQUIRE(view.snapshot.classes <= stealth::observe::kClassRows);
  REQUIRE(view.snapshot.waiting <= stealth::observe::kWaitingRows);
  static_cast<void>(view.longest_waiting());
  expect_harmless(written([&](std::ostream& out) { write_table(out, {view}); }));
  expect_harmless(written([&](std::ostream& out) { write_text(out, view); }));
  std::string const json = written([&](std::ostream& out) { write_json(out, view); });
  expect_harmless(json);
  REQUIRE(nlohmann::json::accept(json) && json[0] == '{');
  std::string const prometheus = written([&](std::ostream& out) { write_prometheus(out, {view}); });
  expect_harmless(prometheus);
  expect_prometheus(prometheus);
  History history;
  for (int i = 0; i < 3; ++i) {
    history.note(view);
    view.now += 1'000'000'000;
    view.snapshot.figures.at_ns += view.snapshot.figures.interval_ns;
    view.snapshot.figures.waits += 1;
  }
  REQUIRE(history.waits_per_second() >= 0 && history.held(10).size() == 10);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static Folder const folder;
  static int const directory = open(folder.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  static int const file = openat(directory, kName, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(file >= 0);
  std::string const content = page_from(Input(data, size));
  REQUIRE(ftruncate(file, static_cast<off_t>(content.size())) == 0);
  REQUIRE(pwrite(file, content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()));
  try {
    show(PageFile(directory, kName, geteuid()));
  } catch (Unreadable const& why) {
    REQUIRE(std::strlen(why.what()) > 0);
    expect_harmless(why.what());
    REQUIRE(std::strchr(why.what(), '\n') == nullptr);
  }
  return 0;
}
