// A dump's text from a file, which may be compressed with gzip.
#include "input.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "../command.hpp"

namespace stealth::command::profile {
namespace {

// A dump with a hundred thousand stacks has some 50 MB; a small file of zeros unpacks to far more.
constexpr std::size_t kLargest = std::size_t{1} << 30;

struct Close {
  void operator()(gzFile_s* file) const { gzclose_r(file); }
};

[[noreturn]] void fail(std::string const& path, std::string const& why) {
  throw Failure("profile: " + path + ": " + why);
}

int open_regular(std::string const& path) {
  int const file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail(path, std::string(std::strerror(errno)) + "; name a dump or a process id");
  struct stat about {};
  if (fstat(file, &about) == 0 && S_ISDIR(about.st_mode)) {
    close(file);
    fail(path, "it is a directory; name a dump or a process id");
  }
  return file;
}

}  // namespace

std::string read_input(std::string const& path) {
  int const descriptor = open_regular(path);
  std::unique_ptr<gzFile_s, Close> const file(gzdopen(descriptor, "rb"));
  if (!file) {
    close(descriptor);
    fail(path, "no memory to read it; free some");
  }
  std::string text;
  std::vector<char> piece(1 << 18);
  for (;;) {
    int const got = gzread(file.get(), piece.data(), static_cast<unsigned>(piece.size()));
    if (got > 0) text.append(piece.data(), static_cast<std::size_t>(got));
    if (text.size() > kLargest) fail(path, "larger than 1 GiB: this is not a dump; name another file");
    if (got > 0) continue;
    int error = Z_OK;
    gzerror(file.get(), &error);
    if (error == Z_OK || error == Z_STREAM_END) return text;
    if (error == Z_ERRNO) fail(path, std::string(std::strerror(errno)) + "; see whether it can be read");
    // The lines so far are counted, so that it is told where the trouble is.
    auto const lines = std::count(text.begin(), text.end(), '\n') + 1;
    fail(path + ", line " + std::to_string(lines),
         (error == Z_BUF_ERROR ? "the compressed file was cut short" : "the compressed data is damaged") +
             std::string("; make the dump anew"));
  }
}

}  // namespace stealth::command::profile
