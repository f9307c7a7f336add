// A file mapped by several processes: made whole, never through links, never somebody else's, never with holes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "fake_sys.hpp"
#include "os/os.hpp"
#include "os/shared_file.hpp"
#include "support.hpp"
#include "temporary.hpp"

namespace {

namespace os = stealth::os;
namespace fake = stealth::fake;
using os::SharedFile;
using Outcome = SharedFile::Outcome;
using Now = SharedFile::Now;

constexpr std::size_t kBytes = 20'000;
constexpr char kHead[] = "the head";

bool begins_with_head(void const* mapping, void const*) { return std::memcmp(mapping, kHead, sizeof kHead) == 0; }

class Shared : public testing::Test {
 protected:
  void SetUp() override { place_ = "stealth-" + std::to_string(geteuid()); }
  void TearDown() override {
    EXPECT_EQ(stealth::test::open_descriptors(), descriptors_) << "left open";
    EXPECT_EQ(leftovers(), "");
  }
  Outcome open(SharedFile& file) const { return file.open(kind_, directory_.path().c_str()); }
  [[nodiscard]] std::string path() const { return directory_ / place_ + "/" + kind_.name; }
  [[nodiscard]] std::string folder() const { return directory_ / place_; }
  [[nodiscard]] char* text(SharedFile const& file) const { return static_cast<char*>(file.mapping()); }
  void put(std::string const& content, mode_t mode = 0600) const {
    directory_.put(place_ + "/" + kind_.name, content, mode);
  }
  // Drafts that were never given the name.
  [[nodiscard]] std::string leftovers() const {
    std::string const command = "ls -d '" + directory_.path() + "'/*/*~* 2>/dev/null";
    FILE* const output = popen(command.c_str(), "r");
    char buffer[512] = {};
    std::size_t const length = std::fread(buffer, 1, sizeof buffer - 1, output);
    pclose(output);
    return {buffer, length};
  }

  fake::Fresh fresh_;
  stealth::test::TemporaryDirectory directory_;
  int descriptors_ = stealth::test::open_descriptors();
  std::string place_;
  os::SharedFileKind kind_ = {"name", kBytes, kHead, sizeof kHead, begins_with_head, nullptr};
};

TEST_F(Shared, IsMadeWhole) {
  mode_t const mask = umask(0777);
  SharedFile file;
  Outcome const outcome = open(file);
  umask(mask);
  ASSERT_EQ(outcome, Outcome::fine) << file.path() << " " << file.error();
  EXPECT_EQ(file.path(), path());
  EXPECT_STREQ(text(file), kHead);
  for (std::size_t i = sizeof kHead; i < kBytes; ++i) ASSERT_EQ(text(file)[i], 0);
  struct stat facts {};
  ASSERT_EQ(stat(path().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0600u);
  EXPECT_EQ(facts.st_size, static_cast<off_t>(kBytes));
  EXPECT_GE(facts.st_blocks * 512, static_cast<off_t>(kBytes)) << "a hole is a SIGBUS on a full file system";
  EXPECT_EQ(facts.st_nlink, 1u);
  ASSERT_EQ(stat(folder().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0700u);
  EXPECT_EQ(file.now(), Now::same);
}

TEST_F(Shared, IsTheSameForAll) {
  SharedFile one, two;
  ASSERT_EQ(open(one), Outcome::fine);
  ASSERT_EQ(open(two), Outcome::fine);
  ASSERT_NE(one.mapping(), two.mapping());
  std::strcpy(text(one) + 1000, "hello");
  EXPECT_STREQ(text(two) + 1000, "hello");
  pid_t const child = fork();
  if (child == 0) {
    SharedFile three;
    bool const good = open(three) == Outcome::fine && std::strcmp(text(three) + 1000, "hello") == 0;
    std::strcpy(text(three) + 2000, "from the child");
    _exit(good ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_STREQ(text(one) + 2000, "from the child");
}

TEST_F(Shared, ManyAtOnceFindTheSame) {
  void* const memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* const counter = static_cast<std::uint32_t*>(memory);
  constexpr int kChildren = 16;
  for (int round = 0; round < 5; ++round) {
    *counter = 0;
    if (round % 2 == 1) put("junk");  // then all want to replace it
    pid_t children[kChildren];
    for (pid_t& child : children) {
      child = fork();
      if (child != 0) continue;
      __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
      while (__atomic_load_n(counter, __ATOMIC_SEQ_CST) < kChildren) sched_yield();
      SharedFile file;
      if (open(file) != Outcome::fine) _exit(1);
      // Replacing may overtake somebody who has it already: he asks now(), and opens it again.
      __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
      while (__atomic_load_n(counter, __ATOMIC_SEQ_CST) < 2 * kChildren) sched_yield();
      if (file.now() == Now::replaced && open(file) != Outcome::fine) _exit(2);
      __atomic_add_fetch(reinterpret_cast<std::uint32_t*>(text(file) + 64), 1, __ATOMIC_SEQ_CST);
      _exit(file.now() == Now::same ? 0 : 3);
    }
    for (pid_t const child : children) {
      int status = -1;
      waitpid(child, &status, 0);
      EXPECT_EQ(status, 0);
    }
    SharedFile file;
    ASSERT_EQ(open(file), Outcome::fine);
    std::uint32_t met = 0;
    std::memcpy(&met, text(file) + 64, sizeof met);
    EXPECT_EQ(met, static_cast<std::uint32_t>(kChildren)) << "round " << round;
    file.remove();
  }
  munmap(memory, 4096);
}

TEST_F(Shared, UnusableContentsAreReplaced) {
  for (std::string const& content :
       {std::string(), std::string("x"), std::string(kBytes, 'x'), std::string(kBytes, '\0'),
        kHead + std::string(kBytes - sizeof kHead, '\0'), kHead + std::string(2 * kBytes, '\0')}) {
    put(content);
    struct stat before {};
    ASSERT_EQ(stat(path().c_str(), &before), 0);
    SharedFile file;
    ASSERT_EQ(open(file), Outcome::fine);
    EXPECT_STREQ(text(file), kHead);
    EXPECT_EQ(file.now(), Now::same);
    struct stat after {};
    ASSERT_EQ(stat(path().c_str(), &after), 0);
    EXPECT_EQ(after.st_size, static_cast<off_t>(kBytes));
    EXPECT_NE(before.st_ino, after.st_ino) << "whoever maps the old one must not have it changed under his feet";
  }
}

TEST_F(Shared, HolesAreFilled) {
  put(kHead);
  ASSERT_EQ(truncate(path().c_str(), kBytes), 0);
  SharedFile file;
  ASSERT_EQ(open(file), Outcome::fine);
  EXPECT_STREQ(text(file), kHead);
  struct stat facts {};
  ASSERT_EQ(stat(path().c_str(), &facts), 0);
  EXPECT_GE(facts.st_blocks * 512, static_cast<off_t>(kBytes));
}

TEST_F(Shared, NoRoom) {
  SharedFile file;
  fake::fail(SYS_fallocate, 1, ENOSPC);
  EXPECT_EQ(open(file), Outcome::full);
  EXPECT_EQ(file.error(), ENOSPC);
  EXPECT_EQ(file.path(), path());
  EXPECT_EQ(file.mapping(), nullptr);
  EXPECT_NE(access(path().c_str(), F_OK), 0) << "there only when whole";
  fake::fail(SYS_pwrite64, 1, EDQUOT);
  EXPECT_EQ(open(file), Outcome::full);
  EXPECT_NE(access(path().c_str(), F_OK), 0);
  ASSERT_EQ(open(file), Outcome::fine);
  SharedFile other;
  fake::fail(SYS_fallocate, 1, ENOSPC);
  EXPECT_EQ(open(other), Outcome::full) << "a file with holes that cannot be filled";
}

// Without care, the test ends here, by SIGXFSZ.
TEST_F(Shared, BeyondTheLimitOfAFilesSize) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit const small = {kBytes - 1, before.rlim_max};
  for (bool const allocates : {true, false}) {
    if (!allocates) fake::fail(SYS_fallocate, 1, EOPNOTSUPP);
    SharedFile file;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    Outcome const outcome = open(file);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_EQ(outcome, Outcome::failed);
    EXPECT_EQ(file.error(), EFBIG);
    EXPECT_EQ(file.mapping(), nullptr);
  }
  SharedFile file;
  EXPECT_EQ(open(file), Outcome::fine);
}

TEST_F(Shared, FileSystemsThatCannotAllocate) {
  fake::fail(SYS_fallocate, 1, EOPNOTSUPP, fake::kForEver);
  SharedFile file;
  ASSERT_EQ(open(file), Outcome::fine);
  struct stat facts {};
  ASSERT_EQ(stat(path().c_str(), &facts), 0);
  EXPECT_GE(facts.st_blocks * 512, static_cast<off_t>(kBytes)) << "written, then";
  file.remove();
  fake::fail(SYS_pwrite64, 2, ENOSPC);
  EXPECT_EQ(open(file), Outcome::full);
  EXPECT_NE(access(path().c_str(), F_OK), 0);
}

// Every call of the way fails once: an error, and nothing is left behind.
TEST_F(Shared, EveryFailureIsSurvived) {
  for (long const call : {SYS_openat, SYS_fstat, SYS_fchmod, SYS_fallocate, SYS_pwrite64, SYS_linkat, SYS_mmap}) {
    for (std::uint64_t nth = 1; nth <= 6; ++nth) {
      SharedFile file;
      fake::fail(call, nth, EACCES);
      Outcome const outcome = open(file);
      fake::stop_failing(call);
      EXPECT_EQ(outcome == Outcome::fine, file.mapping() != nullptr);
      EXPECT_TRUE(outcome == Outcome::fine || outcome == Outcome::failed);
      EXPECT_EQ(stealth::test::open_descriptors(), descriptors_);
      EXPECT_EQ(leftovers(), "");
      ASSERT_EQ(open(file), Outcome::fine) << "the next time it goes well";
      file.remove();
    }
  }
}

TEST_F(Shared, Links) {
  directory_.put("precious", "precious");
  ASSERT_EQ(mkdir(folder().c_str(), 0700), 0);
  ASSERT_EQ(symlink((directory_ / "precious").c_str(), path().c_str()), 0);
  SharedFile file;
  EXPECT_EQ(open(file), Outcome::odd);
  EXPECT_EQ(file.path(), path());
  unlink(path().c_str());
  ASSERT_EQ(symlink("/nowhere/at/all", path().c_str()), 0);
  EXPECT_EQ(open(file), Outcome::odd);
  unlink(path().c_str());
  rmdir(folder().c_str());
  ASSERT_EQ(mkdir((directory_ / "other").c_str(), 0700), 0);
  ASSERT_EQ(symlink((directory_ / "other").c_str(), folder().c_str()), 0);
  EXPECT_EQ(open(file), Outcome::odd);
  EXPECT_EQ(file.path(), folder());
  char content[16] = {};
  EXPECT_EQ(os::read_file((directory_ / "precious").c_str(), content, sizeof content), 8);
}

TEST_F(Shared, OtherThings) {
  ASSERT_EQ(mkdir(folder().c_str(), 0700), 0);
  SharedFile file;
  ASSERT_EQ(mkdir(path().c_str(), 0700), 0);
  EXPECT_EQ(open(file), Outcome::odd);
  rmdir(path().c_str());
  ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
  EXPECT_EQ(open(file), Outcome::odd);
  unlink(path().c_str());
  int const socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  ASSERT_LT(path().size(), sizeof name.sun_path);
  std::strcpy(name.sun_path, path().c_str());
  ASSERT_EQ(bind(socket, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  EXPECT_EQ(open(file), Outcome::odd);
  close(socket);
  unlink(path().c_str());
  rmdir(folder().c_str());
  directory_.put(place_, "a file where the directory should be");
  EXPECT_EQ(open(file), Outcome::odd);
}

TEST_F(Shared, WhatOthersCanReach) {
  SharedFile file;
  for (mode_t const mode : {0710u, 0701u, 0770u, 0777u}) {
    ASSERT_EQ(mkdir(folder().c_str(), 0700), 0);
    ASSERT_EQ(chmod(folder().c_str(), mode), 0);
    EXPECT_EQ(open(file), Outcome::exposed) << mode;
    EXPECT_EQ(file.path(), folder());
    rmdir(folder().c_str());
  }
  for (mode_t const mode : {0604u, 0640u, 0602u, 0666u}) {
    put(kHead + std::string(kBytes - sizeof kHead, '\0'));
    ASSERT_EQ(chmod(path().c_str(), mode), 0);
    EXPECT_EQ(open(file), Outcome::exposed) << mode;
    EXPECT_EQ(file.path(), path());
    unlink(path().c_str());
  }
}

TEST_F(Shared, WhatBelongsToOthers) {
  SharedFile file;
  ASSERT_EQ(open(file), Outcome::fine);
  // As another user would see it.
  fake::answer(SYS_geteuid, static_cast<long>(geteuid()) + 1);
  ASSERT_EQ(rename(folder().c_str(), (directory_ / ("stealth-" + std::to_string(geteuid() + 1))).c_str()), 0);
  EXPECT_EQ(open(file), Outcome::foreign);
  fake::reset();
  if (geteuid() != 0) return;
  ASSERT_EQ(open(file), Outcome::fine);
  ASSERT_EQ(chown(path().c_str(), 12345, 12345), 0);
  EXPECT_EQ(open(file), Outcome::foreign);
  EXPECT_EQ(file.path(), path());
}

TEST_F(Shared, NoSuchPlace) {
  SharedFile file;
  EXPECT_EQ(file.open(kind_, (directory_ / "missing").c_str()), Outcome::failed);
  EXPECT_EQ(file.error(), ENOENT);
  EXPECT_EQ(file.open(kind_, ("/" + std::string(500, 'x')).c_str()), Outcome::failed);
  std::string const name(250, 'n');
  kind_.name = name.c_str();
  EXPECT_EQ(open(file), Outcome::failed);
}

// The usual places, in their order; what went wrong at the first ones is told only where none is left.
TEST_F(Shared, Places) {
  std::string const name = "stealth-test-" + std::to_string(getpid());
  kind_.name = name.c_str();
  SharedFile file;
  ASSERT_EQ(file.open(kind_), Outcome::fine);
  std::string const first = file.path();
  file.remove();
  EXPECT_NE(access(first.c_str(), F_OK), 0);
  if (first.rfind("/dev/shm/", 0) != 0) return;  // no such place here
  fake::fail(SYS_openat, 1, EACCES, 2);          // two places that cannot be entered
  ASSERT_EQ(file.open(kind_), Outcome::fine);
  EXPECT_EQ(std::string(file.path()).rfind("/tmp/stealth-", 0), 0u) << file.path();
  file.remove();
  fake::fail(SYS_mkdirat, 1, EEXIST, 3);
  fake::fail(SYS_openat, 1, EACCES, 6);
  EXPECT_EQ(file.open(kind_), Outcome::failed);
  EXPECT_EQ(std::string(file.path()).rfind("/dev/shm", 0), 0u) << file.path();
  EXPECT_EQ(file.error(), EACCES);
}

TEST_F(Shared, Now) {
  SharedFile file;
  ASSERT_EQ(open(file), Outcome::fine);
  ASSERT_EQ(truncate(path().c_str(), 100), 0);
  EXPECT_EQ(file.now(), Now::cut);
  ASSERT_EQ(truncate(path().c_str(), kBytes + 1), 0);
  EXPECT_EQ(file.now(), Now::cut);
  ASSERT_EQ(rename(path().c_str(), (path() + ".old").c_str()), 0);
  EXPECT_EQ(file.now(), Now::unknown);
  SharedFile next;
  ASSERT_EQ(open(next), Outcome::fine);
  EXPECT_EQ(file.now(), Now::replaced);
  EXPECT_EQ(next.now(), Now::same);
  file.remove();
  EXPECT_EQ(next.now(), Now::same) << "not his to remove";
  next.remove();
  EXPECT_EQ(next.now(), Now::unknown);
  EXPECT_STREQ(text(next), kHead) << "mapped as before";
}

// Whoever is killed at the worst moment leaves a draft; the next one of the same number takes it away.
TEST_F(Shared, DraftsOfTheDead) {
  ASSERT_EQ(mkdir(folder().c_str(), 0700), 0);
  directory_.put(place_ + "/name~" + std::to_string(getpid()), "half a file");
  SharedFile file;
  ASSERT_EQ(open(file), Outcome::fine);
}

}  // namespace
