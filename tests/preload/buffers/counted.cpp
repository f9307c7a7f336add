// Memory of buffers and malloc's count towards one capacity; what is idle goes before anybody is refused. The library
// is linked in, shared or static; the interposer's figures are what is looked at.
#include <cstdlib>
#include <cstring>
#include <stealth/stealth.hpp>
#include <vector>

#include "../support/test.h"

int main() {
  require_stealth();
  stealth::set("capacity", "32m");
  stealth::set("on-exhausted", "enomem");
  stealth::set("backoff-patience", "50ms");
  stealth::set("backoff-budget", "100%");
  std::vector<std::byte> const piece(64 * KIB, std::byte{1});
  {
    stealth::BufferPool pool(27 * 16 * MIB);
    stealth::Buffer buffer = pool.get();
    while (buffer.size() < 16 * MIB) buffer.write(piece);
    CHECK(stealth::stats().pools >= 16 * MIB);
    CHECK(stealth::stats().held >= 16 * MIB);

    // What the buffer holds is missing to malloc,
    std::vector<void*> mallocs;
    void* one = nullptr;
    while ((one = std::malloc(MIB)) != nullptr && mallocs.size() < 100) {
      std::memset(one, 1, MIB);
      mallocs.push_back(one);
    }
    CHECK(one == nullptr && mallocs.size() >= 10 && mallocs.size() <= 16);
    // and the other way about.
    std::error_code error;
    while (!error && buffer.size() < 64 * MIB) buffer.write(piece, error);
    CHECK(error == std::errc::not_enough_memory);
    CHECK(buffer.size() < 24 * MIB);
    for (void* const p : mallocs) std::free(p);
    static_cast<void>(stealth::trim());
    buffer.truncate(16 * MIB);
    stealth::Buffer next = pool.get();
    pool.put(std::move(buffer));
    CHECK(pool.stats().idle == 1);
    while (next.size() < 20 * MIB) next.write(piece);
    CHECK(pool.stats().idle == 0);
    pool.close();
  }
  CHECK(stealth::stats().pools == 0);
  return 0;
}
