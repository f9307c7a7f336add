// Memory is used until the very end: by atexit handlers, on_exit, destructor functions, static objects, and stdio's own
// last flush. Everything that is freed here was taken in main.
#include <map>
#include <string>

#include "../support/stamp.h"

namespace {

void* blocks[4];

void use(int stage) {
  CHECK(stamp_kept(blocks[stage], 5000, 5000, static_cast<unsigned>(stage)));
  free(blocks[stage]);
  void* more = malloc(700);
  CHECK(more != nullptr);
  more = realloc(more, 300 * KIB);
  CHECK(more != nullptr);
  free(more);
  keep(malloc(33));
}

struct Static {
  std::map<int, std::string> texts;
  ~Static() {
    use(0);
    texts[-1] = std::string(3000, 'x');
  }
};
Static object;

void at_exit() { use(1); }
void on_exit_handler(int, void* argument) {
  use(2);
  free(argument);
}
__attribute__((destructor)) void at_the_end() { use(3); }

}  // namespace

int main() {
  require_stealth();
  CHECK(atexit(at_exit) == 0);
  CHECK(on_exit(on_exit_handler, malloc(10)) == 0);
  for (int i = 0; i < 4; ++i) {
    blocks[i] = malloc(5000);
    stamp(blocks[i], 5000, static_cast<unsigned>(i));
  }
  for (int i = 0; i < 1000; ++i) {
    object.texts[i] = std::string(100, 'a');
  }
  printf("flushed at the end\n");
  return 0;
}
