// What the tests of BufferPools share.
#pragma once

#include <string>

#include "pools.hpp"

namespace buffers {

using namespace pools;
using namespace std::chrono_literals;
using stealth::Buffer;
using stealth::BufferPool;
using stealth::BufferPoolOptions;

constexpr std::size_t kKiB = 1 << 10, kMiB = 1 << 20, kGiB = 1 << 30;

inline std::vector<std::byte> pattern(std::size_t size, int seed = 0) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + static_cast<std::size_t>(seed));
  return bytes;
}

// So many bytes that nobody has to look at.
inline void fill(Buffer& buffer, std::size_t bytes) { static_cast<void>(buffer.extend_for_overwrite(bytes)); }

template <class Call>
std::error_code error_of(Call call) {
  std::error_code error;
  call(error);
  return error;
}

// The throwing form says the same as the other one.
template <class Call>
std::error_code thrown_by(Call call) {
  try {
    call();
  } catch (std::system_error const& caught) {
    return caught.code();
  }
  return {};
}

}  // namespace buffers
