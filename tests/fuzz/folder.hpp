// A directory of a target's own, in memory where that can be had, and gone at the process's end.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "input.hpp"

namespace fuzz {

class Folder {
 public:
  Folder() : path_(std::string(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + "/stealth-fuzz-XXXXXX") {
    REQUIRE(mkdtemp(path_.data()) != nullptr);
  }
  ~Folder() {
    std::error_code unread;
    std::filesystem::remove_all(path_, unread);
  }
  Folder(Folder const&) = delete;
  Folder& operator=(Folder const&) = delete;
  [[nodiscard]] std::string const& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace fuzz
