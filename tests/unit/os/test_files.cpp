// Reading, writing and creating files.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "fake_sys.hpp"
#include "os/os.hpp"

namespace {

namespace os = stealth::os;
namespace fake = stealth::fake;

class Files : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "stealth-files-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override {
    EXPECT_EQ(std::system(("rm -rf '" + directory_ + "'").c_str()), 0);
    EXPECT_EQ(fake::open_files(), 0u);
  }
  [[nodiscard]] std::string path(char const* name) const { return directory_ + "/" + name; }
  void put(char const* name, std::string const& text) const {
    int const file = open(path(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ASSERT_GE(file, 0);
    ASSERT_EQ(write(file, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    close(file);
  }
  [[nodiscard]] std::string get(char const* name) const {
    char text[4096];
    long const length = os::read_file(path(name).c_str(), text, sizeof text);
    return length < 0 ? "(cannot be read)" : std::string(text, static_cast<std::size_t>(length));
  }

  fake::Fresh fresh_;
  std::string directory_;
};

TEST_F(Files, ReadsAtMostTheCapacity) {
  put("f", "0123456789");
  char text[16];
  EXPECT_EQ(os::read_file(path("f").c_str(), text, 16), 10);
  EXPECT_EQ(os::read_file(path("f").c_str(), text, 10), 10);
  text[4] = '!';
  EXPECT_EQ(os::read_file(path("f").c_str(), text, 4), 4);
  EXPECT_EQ(std::string(text, 5), "0123!");
  EXPECT_EQ(os::read_file(path("f").c_str(), text, 0), 0);
}

TEST_F(Files, ReadsInPiecesAndThroughSignals) {
  put("f", "0123456789");
  fake::move_at_most(3);
  fake::fail(SYS_read, 2, EINTR, 2);
  char text[16];
  ASSERT_EQ(os::read_file(path("f").c_str(), text, sizeof text), 10);
  EXPECT_EQ(std::string(text, 10), "0123456789");
}

TEST_F(Files, FailedReadsAreClosed) {
  put("f", "x");
  char text[16];
  EXPECT_EQ(os::read_file(path("missing").c_str(), text, sizeof text), -1);
  std::uint64_t const closed = fake::count(SYS_close);
  fake::fail(SYS_read, 1, EIO);
  EXPECT_EQ(os::read_file(path("f").c_str(), text, sizeof text), -1);
  EXPECT_EQ(fake::count(SYS_close), closed + 1);
  EXPECT_EQ(os::read_file(path("f").c_str(), text, sizeof text), 1);
  EXPECT_EQ(fake::count(SYS_close), closed + 2);
}

TEST_F(Files, WritesAllOrSaysSo) {
  int const file = os::create_file(path("f").c_str());
  ASSERT_GE(file, 0);
  fake::move_at_most(3);
  fake::fail(SYS_write, 2, EINTR, 2);
  EXPECT_TRUE(os::write_all(file, "0123456789", 10));
  EXPECT_TRUE(os::write_all(file, "", 0));
  fake::fail(SYS_write, 2, ENOSPC);
  EXPECT_FALSE(os::write_all(file, "abcdef", 6));
  fake::answer(SYS_write, 0);
  EXPECT_FALSE(os::write_all(file, "abcdef", 6)) << "a write of nothing would be tried for ever";
  os::close_file(file);
  EXPECT_EQ(get("f"), "0123456789abc");
}

// A pipe that nobody reads.
int dead_end() {
  int ends[2] = {-1, -1};
  EXPECT_EQ(pipe(ends), 0);
  close(ends[0]);
  return ends[1];
}

bool waits_for(int signal) {
  sigset_t pending;
  sigemptyset(&pending);
  return sigpending(&pending) == 0 && sigismember(&pending, signal) == 1;
}

bool is_blocked(int signal) {
  sigset_t blocked;
  sigemptyset(&blocked);
  return sigprocmask(SIG_BLOCK, nullptr, &blocked) == 0 && sigismember(&blocked, signal) == 1;
}

TEST_F(Files, NobodyReads) {  // without care, the test ends here, by SIGPIPE
  int const file = dead_end();
  EXPECT_FALSE(os::write_all(file, "x", 1));
  EXPECT_FALSE(waits_for(SIGPIPE));
  EXPECT_FALSE(is_blocked(SIGPIPE));
  EXPECT_FALSE(is_blocked(SIGXFSZ));
  close(file);
}

TEST_F(Files, WhatWaitsForTheProgramStaysItsOwn) {
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, SIGPIPE);
  ASSERT_EQ(sigprocmask(SIG_BLOCK, &one, nullptr), 0);
  int const file = dead_end();
  EXPECT_FALSE(os::write_all(file, "x", 1));
  EXPECT_FALSE(waits_for(SIGPIPE)) << "of our making";
  ASSERT_EQ(raise(SIGPIPE), 0);
  EXPECT_FALSE(os::write_all(file, "x", 1));
  EXPECT_TRUE(waits_for(SIGPIPE)) << "the program's";
  EXPECT_TRUE(is_blocked(SIGPIPE));
  timespec const at_once = {0, 0};
  EXPECT_EQ(sigtimedwait(&one, nullptr, &at_once), SIGPIPE);
  ASSERT_EQ(sigprocmask(SIG_UNBLOCK, &one, nullptr), 0);
  close(file);
}

TEST_F(Files, BeyondTheLimitOfAFilesSize) {  // or the test ends by SIGXFSZ
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit const small = {5, before.rlim_max};
  int const file = os::create_file(path("f").c_str());
  ASSERT_GE(file, 0);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  bool const written = os::write_all(file, "0123456789", 10);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(written);
  EXPECT_FALSE(waits_for(SIGXFSZ));
  os::close_file(file);
  EXPECT_EQ(get("f"), "01234");
}

TEST_F(Files, CreatesForTheUserAlone) {
  mode_t const mask = umask(0);
  int const file = os::create_file(path("new").c_str());
  umask(mask);
  ASSERT_GE(file, 0);
  struct stat facts {};
  ASSERT_EQ(fstat(file, &facts), 0);
  EXPECT_TRUE(S_ISREG(facts.st_mode));
  EXPECT_EQ(facts.st_mode & 07777, 0600u);
  EXPECT_NE(fcntl(file, F_GETFD) & FD_CLOEXEC, 0);
  os::close_file(file);
}

TEST_F(Files, CutsWhatIsThere) {
  put("f", "old text");
  int const file = os::create_file(path("f").c_str());
  ASSERT_GE(file, 0);
  EXPECT_TRUE(os::write_all(file, "new", 3));
  os::close_file(file);
  EXPECT_EQ(get("f"), "new");
}

TEST_F(Files, RefusesLinks) {
  put("target", "precious");
  ASSERT_EQ(symlink(path("target").c_str(), path("link").c_str()), 0);
  EXPECT_EQ(os::create_file(path("link").c_str()), -ELOOP);
  EXPECT_EQ(get("target"), "precious");
  ASSERT_EQ(symlink(path("nowhere").c_str(), path("dangling").c_str()), 0);
  EXPECT_EQ(os::create_file(path("dangling").c_str()), -ELOOP);
  EXPECT_NE(access(path("nowhere").c_str(), F_OK), 0);
}

TEST_F(Files, RefusesWhatIsNoFile) {
  EXPECT_EQ(os::create_file(directory_.c_str()), -EISDIR);
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(os::create_file(path("pipe").c_str()), -ENXIO) << "or it would hang";
  EXPECT_EQ(os::create_file(path("missing/f").c_str()), -ENOENT);
}

TEST_F(Files, ErrnoStaysAsItWas) {
  errno = 4711;
  char text[4];
  EXPECT_EQ(os::read_file(path("missing").c_str(), text, sizeof text), -1);
  EXPECT_FALSE(os::write_all(-1, "x", 1));
  EXPECT_LT(os::create_file("/"), 0);
  EXPECT_EQ(errno, 4711);
}

}  // namespace
