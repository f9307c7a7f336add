// What the keeper does for the control page, at each of its rounds: makes it, shows figures, and answers wishes.
// Each test is a process of its own; its page is found as the command finds it.
#include <sys/mman.h>
#include <sys/prctl.h>

#include <functional>

#include "engine.hpp"
#include "engine/backtrace.hpp"
#include "engine/keeper.hpp"
#include "observe/control_page.hpp"
#include "observe/page.hpp"
#include "observe/profile.hpp"
#include "os/process_mark.hpp"
#include "stealth/error.h"
#include "temporary.hpp"

namespace {

using namespace stealth;
using observe::Page;

struct Asked {
  std::string name, value;
};
std::vector<Asked> g_asked;

int set(std::string_view name, std::string_view value, config::Line& why) noexcept {
  g_asked.push_back({std::string(name), std::string(value)});
  if (name == "good") return 0;
  for (int i = 0; i < 100; ++i) why.add("too bad; ");
  return STEALTH_INVALID_VALUE;
}
constinit observe::Surroundings const g_surroundings = {
    .program = "wishes",
    .library = "1",
    .print_settings = [](config::Line& into) noexcept { into.add("STEALTH_MODE=enforce\n"); },
    .set = set,
    .profile_wanted = []() noexcept { return std::uint64_t{0}; },
    .passed_on =
        [](std::uint64_t& calls, std::uint64_t& bytes) noexcept {
          calls = 11;
          bytes = 1100;
        }};

std::string page_path() {
  std::string const user = std::to_string(geteuid());
  std::string const name = "/page-" + std::to_string(getpid()) + "-" + std::to_string(os::ProcessMark::own().start());
  for (std::string const& place : {std::string("/dev/shm"), "/run/user/" + user, std::string("/tmp")}) {
    std::string path = place + "/stealth-" + user + name;
    if (access(path.c_str(), F_OK) == 0) return path;
  }
  return {};
}

// The command's side.
class Reader {
 public:
  Reader() {
    int const file = open(page_path().c_str(), O_RDWR | O_CLOEXEC);
    EXPECT_GE(file, 0);
    void* const at = mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    EXPECT_NE(at, MAP_FAILED);
    page_ = static_cast<Page*>(at);
    close(file);
  }
  ~Reader() { munmap(page_, sizeof(Page)); }
  Reader(Reader const&) = delete;
  Reader& operator=(Reader const&) = delete;
  Page* operator->() const { return page_; }
  [[nodiscard]] observe::Snapshot const& newest() const { return page_->snapshots[page_->newest % 2]; }
  void wish(std::string const& text, std::uint32_t number = 0) {
    std::memset(page_->wish.text, 0, sizeof page_->wish.text);
    std::memcpy(page_->wish.text, text.data(), std::min(text.size(), sizeof page_->wish.text));
    page_->wish.number = number != 0 ? number : page_->answer.number + 1;
    static_cast<void>(observe::tend_control_page(true));
    EXPECT_EQ(page_->answer.number, page_->wish.number);
  }

 private:
  Page* page_;
};

void with_page(std::function<void()> const& body, std::uint64_t from = 0) {
  test::in_a_child([&] {
    ASSERT_TRUE(test::start_engine({}));
    observe::begin_control_page(g_surroundings, from);
    static_cast<void>(observe::tend_control_page(true));
    body();
    observe::end_control_page();
    EXPECT_EQ(page_path(), "");
    EXPECT_EQ(observe::tend_control_page(true), 0u) << "the process is at its end";
    EXPECT_EQ(page_path(), "");
  });
}

TEST(ControlPage, ShowsFigures) {
  with_page([] {
    std::vector<test::Block> blocks = test::make_blocks(100, 1000, 1);
    Reader const page;
    EXPECT_STREQ(page->head.program, "wishes");
    EXPECT_EQ(page->newest, 1u);
    EXPECT_GT(page.newest().figures.interval_ns, 0u);
    EXPECT_TRUE(test::soon([&] {
      static_cast<void>(observe::tend_control_page(true));
      return page.newest().figures.live >= 100'000;
    })) << "they are kept fresh";
    observe::Snapshot const& now = page.newest();
    EXPECT_EQ(now.begun, now.ended);
    EXPECT_EQ(now.figures.passed_calls, 11u);
    EXPECT_EQ(now.figures.passed_bytes, 1100u);
    EXPECT_STREQ(now.settings, "STEALTH_MODE=enforce\n");
    EXPECT_EQ(now.waiting, 0u);
    bool found = false;
    for (std::uint32_t i = 0; i < now.classes; ++i)
      found |= now.class_rows[i].size == 1024 && now.class_rows[i].in_use == 100;
    EXPECT_TRUE(found);
    test::free_blocks(blocks);
  });
}

TEST(ControlPage, NotBeforeEnoughIsHeld) {
  with_page(
      [] {
        EXPECT_EQ(page_path(), "");
        std::vector<test::Block> few = test::make_blocks(7, kMiB, 1);
        EXPECT_EQ(observe::tend_control_page(true), 0u) << "though a keeper was there for something else";
        EXPECT_EQ(page_path(), "");
        std::vector<test::Block> more = test::make_blocks(2, kMiB, 1);
        EXPECT_GT(observe::tend_control_page(true), 0u);
        EXPECT_NE(page_path(), "");
        test::free_blocks(few);
        test::free_blocks(more);
        trim();
        EXPECT_GT(observe::tend_control_page(true), 0u);
        EXPECT_NE(page_path(), "") << "it stays";
      },
      8 * kMiB);
}

TEST(ControlPage, Sets) {
  with_page([] {
    Reader page;
    page.wish("set good=1 2=3");
    EXPECT_EQ(page->answer.error, 0);
    EXPECT_STREQ(page->answer.text, "");
    page.wish("set bad=x");
    EXPECT_EQ(page->answer.error, STEALTH_INVALID_VALUE);
    EXPECT_EQ(std::string(page->answer.text, 17), "too bad; too bad;");
    EXPECT_EQ(std::strlen(page->answer.text), sizeof page->answer.text - 1) << "cut, and ended";
    page.wish("set good=");
    EXPECT_EQ(page->answer.error, 0);
    EXPECT_STREQ(page->answer.text, "") << "nothing is left of the last one";
    page.wish("set =");
    ASSERT_EQ(g_asked.size(), 4u);
    EXPECT_EQ(g_asked[0].name, "good");
    EXPECT_EQ(g_asked[0].value, "1 2=3");
    EXPECT_EQ(g_asked[2].value, "");
    EXPECT_EQ(g_asked[3].name, "");
    static_cast<void>(observe::tend_control_page(true));
    EXPECT_EQ(g_asked.size(), 4u) << "each once";
  });
}

TEST(ControlPage, UnknownWishes) {
  with_page([] {
    Reader page;
    for (std::string const& text : {std::string(), std::string("set"), std::string("set "), std::string("set capacity"),
                                    std::string("setcapacity=1"), std::string("get x=1"), std::string("profile"),
                                    std::string("profile heap"), std::string("\x01\xff\n=")}) {
      page.wish(text);
      EXPECT_EQ(page->answer.error, STEALTH_INVALID_ARGUMENT) << text;
      EXPECT_NE(std::strstr(page->answer.text, "not a wish that this version knows"), nullptr) << page->answer.text;
      EXPECT_EQ(std::strchr(page->answer.text, '\n'), nullptr);
    }
    EXPECT_TRUE(g_asked.empty());
  });
}

TEST(ControlPage, TooLongOrNotTerminated) {
  with_page([] {
    Reader page;
    page.wish(std::string(observe::kWishBytes, 'x'));
    EXPECT_EQ(page->answer.error, STEALTH_INVALID_ARGUMENT);
    page.wish("set good=" + std::string(observe::kWishBytes, 'y'));
    EXPECT_EQ(page->answer.error, 0);
    ASSERT_EQ(g_asked.size(), 1u);
    EXPECT_EQ(g_asked[0].value, std::string(observe::kWishBytes - 1 - std::strlen("set good="), 'y'));
    page.wish("set " + std::string(observe::kWishBytes, 'n'));
    EXPECT_EQ(page->answer.error, STEALTH_INVALID_ARGUMENT);
    EXPECT_EQ(g_asked.size(), 1u);
  });
}

// Numbers are only told apart; 0 is no wish's.
TEST(ControlPage, NumbersWrap) {
  with_page([] {
    Reader page;
    std::size_t asked = 0;
    for (std::uint32_t const number : {1u, 0x7fff'ffffu, 0x8000'0000u, ~0u, 1u, 7u}) {
      page.wish("set good=1", number);
      EXPECT_EQ(g_asked.size(), ++asked) << number;
    }
    page->wish.number = 0;
    static_cast<void>(observe::tend_control_page(true));
    EXPECT_EQ(page->answer.number, 7u);
    EXPECT_EQ(g_asked.size(), asked);
  });
}

std::uintptr_t g_frame = 0x1000;
int unwind(void** into, int) noexcept {
  into[0] = reinterpret_cast<void*>(g_frame);
  return 1;
}

TEST(ControlPage, Profiles) {
  with_page([] {
    Reader page;
    std::string const folder = page_path().substr(0, page_path().rfind('/') + 1);
    std::string const name = "dump-" + std::to_string(getpid());
    auto const made = [&](std::string const& file) { return unlink((folder + file).c_str()) == 0; };
    page.wish("profile heap " + name);
    EXPECT_EQ(page->answer.error, STEALTH_NOT_SUPPORTED) << "it is off";
    tell_stacks_by(unwind, {nullptr, nullptr});
    ASSERT_TRUE(observe::profile::begin(1));
    std::vector<test::Block> blocks = test::make_blocks(10, 100, 1);
    page.wish("profile heap " + name);
    EXPECT_EQ(page->answer.error, 0) << page->answer.text;
    EXPECT_EQ(page.newest().figures.profile_interval, 1u);
    EXPECT_EQ(page.newest().figures.profile_samples, 10u);
    page.wish("profile heap " + name);
    EXPECT_EQ(page->answer.error, STEALTH_INVALID_ARGUMENT) << "it is there";
    EXPECT_NE(std::strstr(page->answer.text, "cannot be written (error 17)"), nullptr) << page->answer.text;
    EXPECT_TRUE(made(name));
    page.wish("profile stalls " + name + "-s");
    EXPECT_EQ(page->answer.error, 0) << page->answer.text;
    EXPECT_TRUE(made(name + "-s"));
    // A name, and nothing that leads anywhere else.
    for (std::string const& wrong :
         {std::string("/tmp/") + name, std::string("dump-/../x"), std::string("dump-"), name + "=",
          std::string("other"), "dump-" + std::string(100, 'a'), std::string(" ")}) {
      page.wish("profile heap " + wrong);
      EXPECT_EQ(page->answer.error, STEALTH_INVALID_ARGUMENT) << wrong;
    }
    ASSERT_EQ(prctl(PR_SET_DUMPABLE, 0), 0);
    page.wish("profile heap " + name);
    EXPECT_EQ(page->answer.error, STEALTH_NOT_SUPPORTED);
    EXPECT_NE(std::strstr(page->answer.text, "takes no wishes"), nullptr) << page->answer.text;
    page.wish("set good=1");
    EXPECT_EQ(page->answer.error, STEALTH_NOT_SUPPORTED);
    ASSERT_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
    EXPECT_FALSE(made(name));
    observe::profile::end();
    test::free_blocks(blocks);
  });
}

// Whoever has the user's rights may do that at any time.
TEST(ControlPage, IsLostAndMadeAgain) {
  with_page([] {
    std::string const path = page_path();
    ASSERT_EQ(truncate(path.c_str(), 0), 0);
    static_cast<void>(observe::tend_control_page(true));
    EXPECT_EQ(page_path(), "") << "nobody is to see it as it is";
    EXPECT_FALSE(observe::rest_at_control_page(1000, []() noexcept { return true; }));
    observe::ring_control_page();
    EXPECT_GT(observe::tend_control_page(true), 0u) << "it will try again";
  });
}

}  // namespace
