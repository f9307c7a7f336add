// Memory is used from the first instruction on: by the preinit array, which runs before any library's constructor and
// so before ours, by constructors of every priority, and by static objects. All of it is freed in main.
#include <string>
#include <vector>

#include "../support/stamp.h"

namespace {

constexpr std::size_t kSizes[] = {1, 100, 5000, 300000};
void* early[4][4];

void take(int stage) {
  for (int i = 0; i < 4; ++i) {
    early[stage][i] = i % 2 == 0 ? malloc(kSizes[i]) : calloc(1, kSizes[i]);
    CHECK(early[stage][i] != nullptr && aligned_to(early[stage][i], 16));
    CHECK(i % 2 == 0 || all_zero(early[stage][i], kSizes[i]));
    stamp(early[stage][i], kSizes[i], static_cast<unsigned>(stage));
    free(malloc(kSizes[i]));
  }
}

void in_preinit() { take(0); }
__attribute__((section(".preinit_array"), used)) void (*preinit)() = in_preinit;
__attribute__((constructor(101))) void very_early() { take(1); }
__attribute__((constructor)) void ordinarily() { take(2); }

struct Static {
  std::vector<std::string> texts;
  Static() : texts(1000, std::string(200, 's')) { take(3); }
};
Static object;

}  // namespace

int main() {
  require_stealth();
  for (int stage = 0; stage < 4; ++stage) {
    for (int i = 0; i < 4; ++i) {
      CHECK(early[stage][i] != nullptr);
      CHECK(malloc_usable_size(early[stage][i]) >= kSizes[i]);
      CHECK(stamp_kept(early[stage][i], kSizes[i], kSizes[i], static_cast<unsigned>(stage)));
      if (i % 2 == 0) {
        early[stage][i] = realloc(early[stage][i], kSizes[i] * 3);
        CHECK(stamp_kept(early[stage][i], kSizes[i], kSizes[i], static_cast<unsigned>(stage)));
      }
      free(early[stage][i]);
    }
  }
  CHECK(object.texts.at(999) == std::string(200, 's'));
  return 0;
}
