// The control page's file: whatever others do to it, the process that made it goes on, and no page but its own and
// those of ended processes is touched.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "fake_sys.hpp"
#include "observe/page_file.hpp"
#include "os/os.hpp"
#include "support.hpp"
#include "temporary.hpp"

namespace {

namespace fake = stealth::fake;
namespace os = stealth::os;
using namespace stealth::observe;
using Made = PageFile::Made;

bool may() noexcept { return true; }
bool may_not() noexcept { return false; }

class Page : public testing::Test {
 protected:
  void SetUp() override {
    os::ProcessMark const own = os::ProcessMark::own();
    name_ = "page-" + std::to_string(getpid()) + "-" + std::to_string(own.start());
  }
  void TearDown() override { EXPECT_EQ(stealth::test::open_descriptors(), descriptors_) << "left open"; }

  Made make() { return page_.make("program", "1.2.3", directory_.path().c_str()); }
  [[nodiscard]] std::string folder() const { return "stealth-" + std::to_string(geteuid()); }
  [[nodiscard]] std::string path() const { return directory_ / folder() + "/" + name_; }
  [[nodiscard]] bool exists(std::string const& name) const {
    return access((directory_ / folder() + "/" + name).c_str(), F_OK) == 0;
  }
  // As the command sees it.
  [[nodiscard]] std::unique_ptr<stealth::observe::Page> read_page() const {
    auto page = std::make_unique<stealth::observe::Page>();
    EXPECT_EQ(os::read_file(path().c_str(), reinterpret_cast<char*>(page.get()), sizeof *page),
              static_cast<long>(sizeof *page));
    return page;
  }
  void write_at(std::size_t at, void const* from, std::size_t bytes) const {
    int const file = open(path().c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(file, 0);
    EXPECT_EQ(pwrite(file, from, bytes, static_cast<off_t>(at)), static_cast<ssize_t>(bytes));
    close(file);
  }
  bool put(std::uint64_t number) {
    auto const snapshot = std::make_unique<Snapshot>();
    snapshot->begun = snapshot->ended = number;
    snapshot->figures.held = number * 1000;
    std::strcpy(snapshot->settings, "STEALTH_MODE=enforce\n");
    return page_.put_snapshot(*snapshot);
  }
  // Nothing that can be done with a page works, and nothing comes of it.
  void expect_lost() {
    EXPECT_FALSE(put(5));
    EXPECT_FALSE(page_.put_answer({}));
    std::uint32_t number = 0;
    EXPECT_FALSE(page_.read_wish_number(number));
    auto const wish = std::make_unique<Wish>();
    EXPECT_FALSE(page_.read_wish(*wish));
    page_.rest_at_bell(1000, may);  // the bell itself may still be there
    page_.ring();
    EXPECT_FALSE(page_.is_in_place());
  }

  fake::Fresh fresh_;
  stealth::test::TemporaryDirectory directory_;
  int descriptors_ = stealth::test::open_descriptors();
  std::string name_;
  PageFile page_;
};

TEST_F(Page, IsMade) {
  EXPECT_FALSE(page_.is_good());
  page_.ring();
  page_.remove();
  ASSERT_EQ(make(), Made::fine);
  EXPECT_TRUE(page_.is_good());
  EXPECT_TRUE(page_.is_in_place());
  struct stat facts {};
  ASSERT_EQ(stat(path().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0600u);
  EXPECT_EQ(facts.st_size, static_cast<off_t>(sizeof(stealth::observe::Page)));
  auto const page = read_page();
  EXPECT_EQ(std::memcmp(page->head.magic, kMagic, sizeof kMagic), 0);
  EXPECT_EQ(page->head.version, kVersion);
  EXPECT_EQ(page->head.bytes, sizeof *page);
  EXPECT_EQ(page->head.process, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(page->head.user, geteuid());
  EXPECT_EQ(page->head.mark, os::ProcessMark::own().word());
  EXPECT_STREQ(page->head.program, "program");
  EXPECT_STREQ(page->head.library, "1.2.3");
  EXPECT_EQ(page->newest, 0u);
  page_.remove();
  EXPECT_FALSE(exists(name_));
}

TEST_F(Page, LongNamesAreCut) {
  ASSERT_EQ(page_.make(std::string(200, 'p').c_str(), std::string(200, 'v').c_str(), directory_.path().c_str()),
            Made::fine);
  auto const page = read_page();
  EXPECT_EQ(page->head.program, std::string(63, 'p'));
  EXPECT_EQ(page->head.library, std::string(31, 'v'));
}

TEST_F(Page, SnapshotsInTurn) {
  ASSERT_EQ(make(), Made::fine);
  for (std::uint64_t number = 1; number < 6; ++number) {
    ASSERT_TRUE(put(number));
    auto const page = read_page();
    EXPECT_EQ(page->newest, number);
    Snapshot const& newest = page->snapshots[number % 2];
    EXPECT_EQ(newest.begun, number);
    EXPECT_EQ(newest.ended, number);
    EXPECT_EQ(newest.figures.held, number * 1000);
    EXPECT_STREQ(newest.settings, "STEALTH_MODE=enforce\n");
    EXPECT_EQ(page->snapshots[1 - number % 2].begun, number - 1) << "the other one stays whole";
  }
}

TEST_F(Page, WishesAndAnswers) {
  ASSERT_EQ(make(), Made::fine);
  std::uint32_t number = 1;
  ASSERT_TRUE(page_.read_wish_number(number));
  EXPECT_EQ(number, 0u);
  auto const wish = std::make_unique<Wish>();
  wish->number = 7;
  std::strcpy(wish->text, "set capacity=1g");
  write_at(offsetof(stealth::observe::Page, wish), wish.get(), sizeof *wish);
  ASSERT_TRUE(page_.read_wish_number(number));
  EXPECT_EQ(number, 7u);
  auto const read = std::make_unique<Wish>();
  ASSERT_TRUE(page_.read_wish(*read));
  EXPECT_STREQ(read->text, "set capacity=1g");
  Answer answer = {.number = 7, .error = 3, .text = "why not"};
  ASSERT_TRUE(page_.put_answer(answer));
  EXPECT_EQ(std::memcmp(&read_page()->answer, &answer, sizeof answer), 0);
}

// Left by a process of the same number, or by this one before an exec, or anything.
TEST_F(Page, WhatHasItsNameIsReplaced) {
  for (std::string const& left :
       {std::string(), std::string("short"), std::string(sizeof(stealth::observe::Page), 'x')}) {
    directory_.put(folder() + "/" + name_, left);
    PageFile page;
    ASSERT_EQ(page.make("program", "1", directory_.path().c_str()), Made::fine) << left.size();
    EXPECT_EQ(read_page()->newest, 0u);
    page.remove();
  }
  ASSERT_EQ(make(), Made::fine);
  ASSERT_TRUE(put(3));
  PageFile again;
  ASSERT_EQ(again.make("another", "1", directory_.path().c_str()), Made::fine);
  EXPECT_EQ(read_page()->newest, 0u);
  EXPECT_STREQ(read_page()->head.program, "another");
  EXPECT_FALSE(page_.is_in_place());
}

TEST_F(Page, CutShort) {
  for (off_t const bytes : {off_t{0}, off_t{100}, off_t{4096}}) {
    ASSERT_EQ(make(), Made::fine);
    ASSERT_TRUE(put(1));
    ASSERT_EQ(truncate(path().c_str(), bytes), 0);
    expect_lost();
    EXPECT_EQ(page_.rest_at_bell(1000, may), bytes != 0);
    page_.give_up();
    EXPECT_FALSE(page_.is_good());
    EXPECT_FALSE(exists(name_));
  }
}

// Where the kernel has no such copies, or forbids them, plain ones do; a file that was cut short is seen before.
TEST_F(Page, WithoutCarefulCopies) {
  for (int const error : {ENOSYS, EPERM, EACCES}) {
    ASSERT_EQ(make(), Made::fine);
    fake::fail(SYS_process_vm_readv, 1, error, fake::kForEver / 2);
    ASSERT_TRUE(put(4));
    EXPECT_EQ(read_page()->snapshots[0].figures.held, 4000u);
    std::uint32_t number = 1;
    EXPECT_TRUE(page_.read_wish_number(number));
    EXPECT_EQ(number, 0u);
    EXPECT_TRUE(page_.rest_at_bell(1000, may));
    ASSERT_EQ(truncate(path().c_str(), 0), 0);
    expect_lost();
    page_.give_up();
    fake::stop_failing(SYS_process_vm_readv);
  }
}

TEST_F(Page, RemovedOrReplaced) {
  ASSERT_EQ(make(), Made::fine);
  ASSERT_EQ(unlink(path().c_str()), 0);
  EXPECT_FALSE(page_.is_in_place());
  EXPECT_TRUE(put(1)) << "nobody sees it, and nothing is wrong";
  page_.give_up();
  ASSERT_EQ(make(), Made::fine);
  ASSERT_EQ(unlink(path().c_str()), 0);
  directory_.put(folder() + "/" + name_, "another's");
  EXPECT_FALSE(page_.is_in_place());
  page_.give_up();
  EXPECT_TRUE(exists(name_)) << "it is not ours";
}

TEST_F(Page, AnotherUser) {
  ASSERT_EQ(make(), Made::fine);
  EXPECT_TRUE(page_.is_present_users());
  fake::answer(SYS_geteuid, 12345);
  EXPECT_FALSE(page_.is_present_users());
  page_.give_up();
  EXPECT_TRUE(exists(name_)) << "its directory is that user's, who may have put anything there";
}

TEST_F(Page, ANewOneAfterALoss) {
  ASSERT_EQ(make(), Made::fine);
  ASSERT_TRUE(put(9));
  page_.give_up();
  EXPECT_FALSE(page_.is_good());
  page_.ring();
  ASSERT_EQ(make(), Made::fine);
  EXPECT_TRUE(page_.is_in_place());
  EXPECT_EQ(read_page()->newest, 0u);
}

TEST_F(Page, AChildHasNone) {
  ASSERT_EQ(make(), Made::fine);
  ASSERT_TRUE(put(1));
  pid_t const child = fork();
  if (child == 0) {
    page_.forget_in_child();
    if (page_.is_good()) _exit(1);
    page_.ring();
    page_.remove();
    page_.forget_in_child();
    if (make() != Made::fine || !put(2)) _exit(2);  // of its own name
    page_.remove();
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(page_.is_in_place());
  EXPECT_EQ(read_page()->newest, 1u);
}

TEST_F(Page, TheBell) {
  ASSERT_EQ(make(), Made::fine);
  constexpr std::uint64_t kLong = 100'000'000'000;
  EXPECT_TRUE(page_.rest_at_bell(kLong, may_not));
  std::atomic<bool> over{false};
  std::thread rings([&] {
    while (!over) {
      page_.ring();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  EXPECT_TRUE(page_.rest_at_bell(kLong, may));
  over = true;
  rings.join();
  EXPECT_GT(read_page()->bell, 0u);
}

TEST_F(Page, NoRoomOrNoPlace) {
  fake::capture(2);
  fake::fail(SYS_fallocate, 1, ENOSPC);
  EXPECT_EQ(make(), Made::full);
  page_.tell_failure(Made::full, true);
  EXPECT_FALSE(page_.is_good());
  EXPECT_FALSE(exists(name_));
  ASSERT_EQ(fake::captured().size(), 1u);
  EXPECT_EQ(fake::captured()[0], "stealth: STEALTH_CONTROL: no control page at " + path() +
                                     ": no room is left there; stealth top, stat and set will not see this process\n");
  fake::fail(SYS_mmap, 1, ENOMEM);
  EXPECT_EQ(make(), Made::failed);
  EXPECT_FALSE(page_.is_good());
  ASSERT_EQ(chmod((directory_ / folder()).c_str(), 0755), 0);
  EXPECT_EQ(make(), Made::exposed);
  ASSERT_EQ(chmod((directory_ / folder()).c_str(), 0700), 0);
  EXPECT_EQ(make(), Made::fine);
}

// Whoever was killed while he made a file, a page or a group's, leaves one that says nothing yet.
TEST_F(Page, DraftsThatNobodyFinishesAreSwept) {
  directory_.put(folder() + "/page-1-2~3", "");
  directory_.put(folder() + "/group.1-2-3-4~5", std::string(5000, '\0'));
  directory_.put(folder() + "/page-1-2~4", "");
  directory_.put(folder() + "/group.1-2-3-4", "");
  for (char const* const old : {"page-1-2~3", "group.1-2-3-4~5", "group.1-2-3-4"}) {
    timespec const times[2] = {{0, UTIME_NOW}, {time(nullptr) - 120, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, (directory_ / folder() + "/" + old).c_str(), times, 0), 0);
  }
  ASSERT_EQ(make(), Made::fine);
  EXPECT_FALSE(exists("page-1-2~3"));
  EXPECT_FALSE(exists("group.1-2-3-4~5"));
  EXPECT_TRUE(exists("page-1-2~4")) << "somebody may be at it right now";
  EXPECT_TRUE(exists("group.1-2-3-4")) << "a group's file is its members'";
  page_.remove();
}

TEST_F(Page, PagesOfEndedProcessesAreSwept) {
  pid_t const child = fork();
  if (child == 0) _exit(0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  os::ProcessMark const own = os::ProcessMark::own();
  if (own.start() == 0) GTEST_SKIP() << "/proc does not tell when a process has started";
  auto const put_page = [&](char const* name, auto change, std::size_t bytes = sizeof(stealth::observe::Page)) {
    Head head = {};
    std::memcpy(head.magic, kMagic, sizeof kMagic);
    head.version = kVersion;
    head.bytes = sizeof(stealth::observe::Page);
    head.mark = os::ProcessMark(child, own.start(), own.image()).word();
    os::ProcessWorld const world = os::ProcessWorld::own();
    head.boot = world.boot;
    head.pid_namespace = world.pid_namespace;
    head.time_namespace = world.time_namespace;
    change(head);
    std::string text(bytes, '\0');
    std::memcpy(text.data(), &head, std::min(bytes, sizeof head));
    directory_.put(folder() + "/" + name, text);
  };
  put_page("page-1-ended", [](Head&) {});
  put_page("page-1-ended~7", [](Head&) {});
  put_page("page-2-other-boot", [&](Head& head) {
    head.boot ^= 1;
    head.mark = own.word();
  });
  put_page("page-3-runs", [&](Head& head) { head.mark = own.word(); });
  put_page("page-4-other-pids", [](Head& head) { head.pid_namespace ^= 1; });
  put_page("page-5-other-time", [](Head& head) { head.time_namespace ^= 1; });
  put_page("page-6-other-version", [](Head& head) { head.version = kVersion + 1; });
  put_page("page-7-no-page", [](Head& head) { head.magic[0] = 'X'; });
  put_page(
      "page-8-short", [](Head&) {}, sizeof(Head) - 1);
  put_page("group-9", [](Head&) {});
  ASSERT_EQ(mkfifo((directory_ / folder() + "/page-10-pipe").c_str(), 0600), 0);
  ASSERT_EQ(mkdir((directory_ / folder() + "/page-11-folder").c_str(), 0700), 0);
  ASSERT_EQ(make(), Made::fine);
  EXPECT_FALSE(exists("page-1-ended"));
  EXPECT_FALSE(exists("page-1-ended~7")) << "of one that was killed while it made its page";
  EXPECT_FALSE(exists("page-2-other-boot"));
  for (char const* const name : {"page-3-runs", "page-4-other-pids", "page-5-other-time", "page-6-other-version",
                                 "page-7-no-page", "page-8-short", "group-9", "page-10-pipe", "page-11-folder"})
    EXPECT_TRUE(exists(name)) << name;
  EXPECT_TRUE(exists(name_));
}

// A process that cannot read /proc (no descriptor is left, a filter, another root) knows nothing of others' boots.
TEST_F(Page, WhoDoesNotKnowItsBootSweepsNobody) {
  os::ProcessWorld const world = os::ProcessWorld::own();
  ASSERT_NE(world.boot, 0u);
  for (bool const ours : {true, false}) {
    fake::reset();
    Head head = {};
    std::memcpy(head.magic, kMagic, sizeof kMagic);
    head.version = kVersion;
    head.mark = os::ProcessMark::own().word();
    head.boot = ours ? world.boot : 0;
    head.pid_namespace = world.pid_namespace;
    head.time_namespace = world.time_namespace;
    std::string text(sizeof(stealth::observe::Page), '\0');
    std::memcpy(text.data(), &head, sizeof head);
    directory_.put(folder() + "/page-1-runs", text);
    if (ours) fake::serve("/proc/sys/kernel/random/boot_id", "");
    PageFile page;
    ASSERT_EQ(page.make("program", "1.2.3", directory_.path().c_str()), Made::fine);
    EXPECT_TRUE(exists("page-1-runs")) << ours;
    page.remove();
  }
}

// A folder full of strange names is looked through within bounds; one that cannot be read is none.
TEST_F(Page, ManyNames) {
  for (int i = 0; i < 500; ++i) directory_.put(folder() + "/page-" + std::to_string(i) + std::string(200, 'n'), "");
  ASSERT_EQ(make(), Made::fine);
  int count = 0;
  EXPECT_TRUE(os::for_each_name((directory_ / folder()).c_str(), &count,
                                [](void* into, std::string_view) noexcept { ++*static_cast<int*>(into); }));
  EXPECT_EQ(count, 503) << "with . and ..";
  EXPECT_FALSE(os::for_each_name((directory_ / "nothing").c_str(), nullptr, [](void*, std::string_view) noexcept {}));
  fake::fail(SYS_getdents64, 1, EIO);
  EXPECT_FALSE(os::for_each_name(directory_.path().c_str(), nullptr, [](void*, std::string_view) noexcept {}));
}

}  // namespace
