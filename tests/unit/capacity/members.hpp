// Processes that are members of a group, told what to do by the test; and the group's file as somebody sees it who
// writes there what he likes.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "capacity/group.hpp"
#include "fake_sys.hpp"
#include "support.hpp"
#include "temporary.hpp"

namespace stealth::test {

// What a test and its children share.
template <class T>
class Common {
 public:
  Common() : memory_(mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    EXPECT_NE(memory_, MAP_FAILED);
  }
  ~Common() { munmap(memory_, sizeof(T)); }
  Common(Common const&) = delete;
  Common& operator=(Common const&) = delete;
  T* operator->() const { return static_cast<T*>(memory_); }

 private:
  void* memory_;
};

// A child that runs `body`, then waits to be killed; unless `body` ends it.
class Child {
 public:
  template <class Body>
  explicit Child(Body body) : id_(fork()) {
    if (id_ != 0) return;
    alarm(200);  // whatever becomes of the test
    body();
    ready_->store(true);
    while (true) pause();
  }
  ~Child() { end(); }
  Child(Child const&) = delete;
  Child& operator=(Child const&) = delete;

  [[nodiscard]] int id() const { return id_; }
  [[nodiscard]] bool is_ready() const {
    return soon([&] { return ready_->load(); });
  }
  void kill() const { ::kill(id_, SIGKILL); }
  // Its exit status; -1 when it was killed.
  int wait() {
    int status = 0;
    if (id_ > 0) waitpid(id_, &status, 0);
    id_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void end() {
    if (id_ <= 0) return;
    kill();
    wait();
  }

 private:
  Common<std::atomic<bool>> ready_;
  pid_t id_;
};

// The group's file, mapped by a stranger.
class Page {
 public:
  explicit Page(Group const& group) : Page(std::string(group.path())) {}
  explicit Page(std::string const& path) {
    int const file = open(path.c_str(), O_RDWR | O_CLOEXEC);
    EXPECT_GE(file, 0) << path;
    memory_ = mmap(nullptr, sizeof(GroupPage), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    EXPECT_NE(memory_, MAP_FAILED);
    close(file);
  }
  ~Page() { munmap(memory_, sizeof(GroupPage)); }
  Page(Page const&) = delete;
  Page& operator=(Page const&) = delete;
  GroupPage* operator->() const { return static_cast<GroupPage*>(memory_); }
  [[nodiscard]] std::uint64_t* words() const { return static_cast<std::uint64_t*>(memory_); }

 private:
  void* memory_ = nullptr;
};

inline std::uint64_t constexpr kMib = 1 << 20;
// A share as it stands in a page.
constexpr std::uint64_t word_of(std::uint64_t share) { return GroupPage::next_word(0, share); }

class Groups : public testing::Test {
 protected:
  void SetUp() override { fake::capture(2); }
  void TearDown() override { EXPECT_EQ(open_descriptors(), descriptors_) << "left open"; }

  [[nodiscard]] char const* root() const { return directory_.path().c_str(); }
  static std::string said() {
    std::string all;
    for (std::string const& line : fake::captured()) all += line;
    return all;
  }
  [[nodiscard]] bool is_there(Group const& group) const { return access(std::string(group.path()).c_str(), F_OK) == 0; }
  static void expect_join(Group& group, std::uint64_t capacity = 100 * kMib, char const* name = "web") {
    EXPECT_EQ(group.join(name, capacity), Group::Joined::fine) << group.problem();
  }
  // Lets the time pass after which a member looks after the group again.
  static void let_it_be_due(std::uint32_t ms = Group::kNearMs + 20) { usleep(ms * 1000); }

  fake::Fresh fresh_;
  int descriptors_ = open_descriptors();
  TemporaryDirectory directory_;
};

}  // namespace stealth::test
