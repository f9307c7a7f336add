// Explicit memory and malloc's count towards one capacity: counted MIB_IN_POOL. The pool's library is linked in, shared
// or static; the interposer's figures are what is looked at.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stealth/stealth.hpp>
#include <vector>

#include "../support/test.h"

int main() {
  require_stealth();
  stealth::set("capacity", "32m");
  stealth::set("on-exhausted", "enomem");
  stealth::set("backoff-patience", "50ms");
  stealth::set("backoff-budget", "100%");
  std::uint64_t const before = stealth::stats().held;
  {
    stealth::Pool pool(100, {.block_size = MIB});
    std::vector<stealth::Block> blocks;
    for (int i = 0; i < 20; ++i) {
      blocks.push_back(pool.get());
      std::memset(blocks.back().data(), 1, MIB);
    }
    CHECK(stealth::stats().pools == 20 * MIB);
    CHECK(stealth::stats().held >= before + 20 * MIB);

    // What the pool holds is missing to malloc,
    std::vector<void*> mallocs;
    void* one = nullptr;
    while ((one = std::malloc(MIB)) != nullptr && mallocs.size() < 100) {
      std::memset(one, 1, MIB);
      mallocs.push_back(one);
    }
    CHECK(one == nullptr && mallocs.size() >= 8 && mallocs.size() <= 12);
    // and the other way about.
    std::error_code error;
    for (int i = 0; i < 100 && !error; ++i) {
      stealth::Block more = pool.get(error);
      if (more) std::memset(more.data(), 1, MIB);
      if (more) blocks.push_back(std::move(more));
    }
    CHECK(error == std::errc::not_enough_memory);
    CHECK(stealth::stats().refusals >= 2);
    for (void* const p : mallocs) std::free(p);
    static_cast<void>(stealth::trim());
    CHECK(pool.get());
    blocks.clear();
    CHECK(pool.trim() >= 20 * MIB);
    CHECK(stealth::stats().pools == 0);

    // What is free in the heap, in pools and in buffer pools goes back by one call.
    for (int i = 0; i < 4; ++i) std::memset(pool.get().data(), 1, MIB);
    stealth::BufferPool buffers(64 * MIB);
    static_cast<void>(buffers.make_buffer(std::vector<std::byte>(2 * MIB)));
    CHECK(buffers.stats().idle == 1 && pool.free_count() != 0 && stealth::stats().pools >= 3 * MIB);
    CHECK(stealth::trim() >= 3 * MIB);
    CHECK(stealth::stats().pools == 0 && pool.alloc_count() == 0 && buffers.stats().idle == 0);
  }
  CHECK(stealth::stats().held <= before + 2 * MIB);
  return 0;
}
