// Load: things that grow: buffers by realloc in small and in large steps, strings by append, vectors by push_back,
// several at a time, so that a neighbour is often in the way.
#include <string>
#include <vector>

#include "common.hpp"

namespace {

// A reader's buffer: each arrival makes it grow by what came.
struct Buffer {
  char* data = nullptr;
  std::size_t size = 0;

  void append(std::size_t bytes, std::uint64_t key) {
    data = static_cast<char*>(std::realloc(data, size + bytes));
    if (data == nullptr) loads::fail("no memory");
    std::memset(data + size, static_cast<int>(key & 0xff), bytes);
    size += bytes;
  }
  void drop(loads::Checksum& sum) {
    std::uint64_t seen = size;
    for (std::size_t at = 0; at < size; at += 509) seen = seen * 31 + static_cast<unsigned char>(data[at]);
    sum.add(seen);
    std::free(data);
    data = nullptr;
    size = 0;
  }
};

void buffers(loads::Random& random, loads::Checksum& sum, std::size_t appends, std::size_t step, std::size_t most) {
  Buffer growing[16];
  for (std::size_t i = 0; i < appends; ++i) {
    Buffer& one = growing[random.below(16)];
    one.append(1 + random.below(2 * step), random.next());
    if (one.size > most) one.drop(sum);
  }
  for (Buffer& one : growing) one.drop(sum);
}

void strings(loads::Random& random, loads::Checksum& sum, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    std::string text;
    const std::size_t length = random.doubling(5, 12);
    while (text.size() < length) text.append(1 + random.below(24), static_cast<char>('a' + random.below(26)));
    sum.add(text.size() * 257 + static_cast<unsigned char>(text[text.size() / 2]));
  }
}

void vectors(loads::Random& random, loads::Checksum& sum, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<std::uint64_t> numbers;
    std::vector<std::string> names;
    const std::size_t length = random.doubling(3, 14);
    for (std::size_t at = 0; at < length; ++at) numbers.push_back(at * i);
    for (std::size_t at = 0; at < length; at += 16) names.push_back(std::string(20, 'x'));
    sum.add(numbers.back() + names.size());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  loads::Random random(6);
  loads::Checksum sum;
  const std::size_t rounds = arguments.scaled(32);
  for (std::size_t i = 0; i < rounds; ++i) {
    buffers(random, sum, 30'000, 64, 16 * 1024);
    buffers(random, sum, 1'000, 16 * 1024, 8 * 1024 * 1024);
    strings(random, sum, 1'500);
    vectors(random, sum, 500);
  }
  sum.print("growing");
}
