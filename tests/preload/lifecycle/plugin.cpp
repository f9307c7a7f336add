// A plugin that allocates when it is loaded, has thread_local objects with destructors, and frees when it is unloaded.
#include <map>
#include <string>
#include <vector>

#include "../support/test.h"

namespace {
std::map<int, std::string> table = [] {
  std::map<int, std::string> filled;
  for (int i = 0; i < 200; ++i) {
    filled[i] = std::string(static_cast<std::size_t>(i) * 10, 'p');
  }
  return filled;
}();
thread_local std::vector<std::string> perThread;
}  // namespace

extern "C" void* plugin_work() {
  perThread.assign(50, std::string(300, 't'));
  CHECK(table.at(7).size() == 70);
  void* block = malloc(150);
  CHECK(block != nullptr);
  memset(block, 7, 150);
  return block;
}
