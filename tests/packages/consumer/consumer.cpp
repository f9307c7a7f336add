// Uses an installed libstealth as a stranger would.
#include <stealth/stealth.hpp>

#include <cstdio>

int main() {
  stealth::Pool pool(4, {.block_size = 4096});
  stealth::Block block = pool.get();
  std::printf("in use %zu\n", static_cast<std::size_t>(pool.in_use()));
  return block.data() != nullptr && pool.in_use() == 1 ? 0 : 1;
}
