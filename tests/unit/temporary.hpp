// What tests with files share: a directory of a test's own, gone at its end, and the count of open descriptors.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace stealth::test {

class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(testing::TempDir() + "stealth-test-XXXXXX") {
    EXPECT_NE(mkdtemp(path_.data()), nullptr) << path_;
  }
  ~TemporaryDirectory() { EXPECT_EQ(std::system(("rm -rf '" + path_ + "'").c_str()), 0); }
  TemporaryDirectory(TemporaryDirectory const&) = delete;
  TemporaryDirectory& operator=(TemporaryDirectory const&) = delete;

  [[nodiscard]] std::string const& path() const { return path_; }
  [[nodiscard]] std::string operator/(std::string const& name) const { return path_ + "/" + name; }
  // Makes the directories on the way, too.
  void put(std::string const& name, std::string const& text, mode_t mode = 0600) const {
    for (std::size_t at = name.find('/'); at != std::string::npos; at = name.find('/', at + 1)) {
      mkdir((path_ + "/" + name.substr(0, at)).c_str(), 0700);
    }
    int const file = open((path_ + "/" + name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    ASSERT_GE(file, 0) << name;
    EXPECT_EQ(::write(file, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    close(file);
  }
  void remove(std::string const& name) const { EXPECT_EQ(unlink((path_ + "/" + name).c_str()), 0) << name; }

 private:
  std::string path_;
};

// Those below 256: enough to see one that was left open.
inline int open_descriptors() {
  int count = 0;
  for (int i = 0; i < 256; ++i) count += fcntl(i, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

}  // namespace stealth::test
