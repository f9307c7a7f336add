// A program that brings its own malloc, which then is nobody else's business: its blocks never reach libstealth, while
// operator new, which it does not bring, is still ours. Nothing may abort over that.
#include <map>
#include <string>

#include "../support/test.h"

namespace {
alignas(16) char room[64 * 1024 * 1024];
std::size_t used = 0;
long calls = 0;

bool mine(const void* block) { return address_of(block) - address_of(room) < sizeof room; }
}  // namespace

extern "C" {
// The size stands in front of each block; nothing is ever used again.
void* malloc(std::size_t size) {
  const std::size_t whole = 16 + (size + 15) / 16 * 16;
  char* block = room + __atomic_fetch_add(&used, whole, __ATOMIC_RELAXED);
  __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
  memcpy(block, &size, sizeof size);
  return block + 16;
}
void* calloc(std::size_t count, std::size_t size) { return malloc(count * size); }
void* realloc(void* block, std::size_t size) {
  void* larger = malloc(size);
  if (block != nullptr) {
    std::size_t old = 0;
    memcpy(&old, static_cast<char*>(block) - 16, sizeof old);
    memcpy(larger, block, old < size ? old : size);
  }
  return larger;
}
void free(void* block) { CHECK(block == nullptr || mine(block)); }
}

int main() {
  require_stealth();
  std::map<int, std::string> table;
  for (int i = 0; i < 1000; ++i) {
    table[i] = std::string(static_cast<std::size_t>(i), 'x');
    char* copy = strdup("the C library asks this malloc as well");
    CHECK(mine(copy));
    free(copy);
  }
  CHECK(table.at(999).size() == 999);
  CHECK(calls >= 1000);
  int* number = new int(7);
  CHECK(!mine(number) || standing_in());
  delete number;
  return 0;
}
