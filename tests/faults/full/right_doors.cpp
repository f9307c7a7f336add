// All doors as they should be used: nothing is said.
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "../fault.h"

extern "C" __attribute__((weak)) void free_sized(void*, size_t);
extern "C" __attribute__((weak)) void free_aligned_sized(void*, size_t, size_t);

struct alignas(128) Wide {
  char bytes[128];
};

int main() {
  require_stealth();
  for (int const bytes : {0, 1, 24, 1000, 32768, 32769, 1000000}) {
    auto const size = TEST_NUMBER(std::size_t, bytes);
    ::operator delete(::operator new(size), size);
    ::operator delete[](::operator new[](size), size);
    ::operator delete (::operator new (size, std::align_val_t{64}), size, std::align_val_t{64});
    free_sized(malloc(size), size);
    free_sized(calloc(1, size), size);
    free_aligned_sized(aligned_alloc(64, size), 64, size);
    char* grown = TEST_NUMBER(char*, realloc(malloc(size), size + 10));
    CHECK(malloc_usable_size(grown) >= size + 10);
    free(grown);
  }
  std::vector<std::unique_ptr<Wide[]>> many;
  for (std::size_t i = 1; i < 300; ++i) {
    many.push_back(std::make_unique<Wide[]>(i));
    CHECK(aligned_to(many.back().get(), 128));
  }
  std::string text;
  for (int i = 0; i < 100000; ++i) {
    text += TEST_NUMBER(char, 'a' + i % 26);
  }
  return 0;
}
