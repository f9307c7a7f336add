// What all fuzz targets share: the input as a row of numbers and texts, and a check that ends the process with its
// place. Nothing here allocates, so that a forked child can use it while other threads of its parent were in malloc.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#if defined(__SANITIZE_THREAD__)
#define FUZZ_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FUZZ_TSAN 1
#endif
#endif
#ifndef FUZZ_TSAN
#define FUZZ_TSAN 0
#endif

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);

namespace fuzz {

inline constexpr bool kTsan = FUZZ_TSAN != 0;

[[noreturn]] inline void fail(char const* what, char const* file, int line) {
  char text[512];
  int const length = std::snprintf(text, sizeof text, "%s:%d: not so: %s (errno %d, pid %d)\n", file, line, what, errno,
                                   static_cast<int>(getpid()));
  if (length > 0 && write(2, text, static_cast<std::size_t>(length)) < 0) std::abort();
  std::abort();
}

// What the bytes of an input say, one thing after the other. Behind the end everything is 0 or empty.
class Input {
 public:
  Input(std::uint8_t const* data, std::size_t size) : rest_(reinterpret_cast<char const*>(data), size) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::uint8_t byte() {
    std::string_view const one = text(1);
    return one.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(one[0]);
  }
  // Little-endian, of so many bytes.
  std::uint64_t number(unsigned bytes) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < bytes; ++i) value |= std::uint64_t{byte()} << (8 * i);
    return value;
  }
  // At most so many bytes.
  std::string_view text(std::size_t most) {
    std::string_view const taken = rest_.substr(0, most);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

}  // namespace fuzz

#define REQUIRE(condition) ((condition) ? static_cast<void>(0) : fuzz::fail(#condition, __FILE__, __LINE__))
