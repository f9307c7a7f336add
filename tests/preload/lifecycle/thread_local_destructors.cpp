// thread_local objects and pthread keys free and allocate while their thread ends, and glibc itself frees after the
// last of them: a thread without a cache is a normal state.
#include <pthread.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "../support/test.h"

namespace {

struct Holder {
  std::vector<std::unique_ptr<std::string>> texts;
  ~Holder() {
    texts.push_back(std::make_unique<std::string>(500, 'z'));  // allocates while ending
    for (const auto& text : texts) {
      CHECK(text->size() >= 100 && text->back() == text->front());
    }
    std::map<int, std::string> more;
    for (int i = 0; i < 50; ++i) {
      more[i] = std::string(static_cast<std::size_t>(i) * 40, 'm');
    }
  }
};

thread_local Holder holder;
thread_local std::string name = "a name that does not fit into the small string";
pthread_key_t first, second;

// Sets the other key again, so that glibc comes round a second time, after destructors of others.
void end_first(void* block) {
  free(block);
  CHECK(pthread_setspecific(second, malloc(3000)) == 0);
}

void end_second(void* block) {
  free(block);
  free(malloc(100));
  free(malloc(100 * KIB));
}

void work() {
  for (std::size_t i = 1; i < 40; ++i) {
    holder.texts.push_back(std::make_unique<std::string>(i * 100, static_cast<char>('a' + i % 26)));
  }
  name += name;
  CHECK(pthread_setspecific(first, malloc(64)) == 0);
  CHECK(pthread_setspecific(second, malloc(64)) == 0);
}

}  // namespace

int main() {
  require_stealth();
  CHECK(pthread_key_create(&first, end_first) == 0);
  CHECK(pthread_key_create(&second, end_second) == 0);
  const std::size_t before = resident_bytes();
  for (int round = 0; round < 300; ++round) {
    std::thread one(work);
    std::thread two(work);
    one.join();
    two.join();
  }
  work();  // the main thread's go at exit
  CHECK(resident_bytes() < before + 48 * MIB);
  return 0;
}
