// A C++ program that is linked with libstealthpool: linked served|alone. Under libstealth it speaks to the interposer,
// as its exit statistics prove; alone it has a budget of its own, in which nothing is held.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stealth/stealth.hpp>
#include <string_view>
#include <thread>
#include <vector>

#include "../support/test.h"

int main(int argc, char** argv) {
  CHECK(argc == 2);
  bool const served = std::string_view(argv[1]) == "served";
  CHECK(stealth::version() == stealth_version());

  stealth::set("capacity", "32m");
  stealth::set("on-exhausted", "enomem");
  stealth::set("backoff-patience", "30s");
  stealth::set("backoff-max-elapsed", "30s");
  stealth::set("backoff-budget", "100%");
  std::vector<std::unique_ptr<char[]>> blocks(20);
  std::vector<std::unique_ptr<char[]>> cache(20);
  auto const fill = [](auto& with) {
    for (auto& block : with) {
      block.reset(new char[MIB]);
      std::memset(block.get(), 1, MIB);
    }
  };
  fill(cache);
  stealth::Statistics now = stealth::stats();
  CHECK(now.capacity == 32 * MIB && now.policy == STEALTH_POLICY_ENOMEM);
  CHECK(served ? now.held >= 20 * MIB : now.held == 0);

  std::atomic<int> freed{0};
  auto sub = stealth::on_pressure([&](stealth::pressure level) {
    if (level != stealth::pressure::capacity || freed != 0) return;
    for (auto& block : cache) block.reset();
    ++freed;
  });
  fill(blocks);
  CHECK(freed == (served ? 1 : 0));
  sub.end();
  CHECK(!sub);
  now = stealth::stats();
  CHECK(served ? now.waits >= 1 && now.longest_call_ns < 15'000'000'000 : now.waits == 0);

  blocks.clear();
  cache.clear();
  CHECK((stealth::trim() > 0) == served);
  std::error_code error;
  stealth::set("classes", "none", error);
  CHECK(error == stealth::errc::not_live);
  return 0;
}
