// The law's curves, printed as JSON by the functions that the library itself calls (src/capacity/backoff.hpp): no copy
// that could differ. No load; tools/bench law runs it and draws what it prints.
#include <cstdio>

#include "capacity/budget.hpp"

namespace {

using stealth::kMiB;

constexpr std::uint64_t kCapacity = 96 * kMiB;  // that of the bench's loads
constexpr stealth::CapacityLimits kDefaults;

double milliseconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e6; }

std::uint64_t part_of_capacity(double share) {
  return static_cast<std::uint64_t>(share * static_cast<double>(kCapacity));
}

// What a debt of a quantum costs, for as many of them as make a MiB.
double approach_ms(std::uint64_t used, std::uint64_t released_per_s, std::uint32_t fruitless) {
  const std::uint64_t quantum = stealth::debt_quantum(kCapacity);
  const stealth::Situation now = {.phase = stealth::Phase::approach,
                                  .capacity = kCapacity,
                                  .used = used,
                                  .bytes = quantum,
                                  .rate = stealth::admission_rate(kCapacity, used, released_per_s),
                                  .fruitless = fruitless};
  return milliseconds(stealth::delay_ns(kDefaults.backoff, now)) * static_cast<double>(kMiB) /
         static_cast<double>(quantum);
}

double overdraft_ms(std::uint64_t used) {
  const stealth::Situation now = {
      .phase = stealth::Phase::overdraft, .capacity = kCapacity, .used = used, .bytes = kMiB};
  return milliseconds(stealth::delay_ns(kDefaults.backoff, now));
}

// [[x, y], …] for x = from … to, both in thousandths of the capacity.
template <class Curve>
void print_points(unsigned from, unsigned to, Curve curve) {
  std::printf("\"points\": [");
  for (unsigned x = from; x <= to; ++x)
    std::printf("%s[%.1f, %.4f]", x == from ? "" : ", ", x / 10.0, curve(part_of_capacity(x / 1000.0)));
  std::printf("]}");
}

void print_approach() {
  constexpr std::uint64_t kReleased[] = {5, 20, 50, 200};  // MiB/s
  constexpr std::uint32_t kFaded = 4;
  bool first = true;
  for (const std::uint64_t released : kReleased) {
    for (const std::uint32_t fruitless : {0u, kFaded}) {
      if (fruitless != 0 && released != kReleased[0]) continue;  // one of them shows what fading is
      std::printf("%s\n  {\"released_mib_s\": %llu, \"fruitless\": %u, ", first ? "" : ",",
                  static_cast<unsigned long long>(released), fruitless);
      first = false;
      // From the soft point to the capacity: before, nobody sleeps; from there on, releases decide.
      print_points(kDefaults.soft, 1000,
                   [&](std::uint64_t used) { return approach_ms(used, released * kMiB, fruitless); });
    }
  }
}

void print_patience() {
  struct Caller {
    std::int32_t trust;
    bool alone;
  };
  bool first = true;
  for (const Caller& one :
       {Caller{stealth::kLeastTrust, false}, Caller{0, false}, Caller{stealth::kMostTrust, false}, Caller{0, true}}) {
    std::printf("%s\n  {\"trust\": %d, \"alone\": %s, ", first ? "" : ",", one.trust, one.alone ? "true" : "false");
    first = false;
    print_points(0, 100, [&](std::uint64_t excess) {
      return milliseconds(
          stealth::patience_ns(kDefaults.backoff, true, one.alone, one.trust, kCapacity, kCapacity + excess));
    });
  }
}

void print_grants() {
  for (unsigned in_vain = 0; in_vain <= 8; ++in_vain) {
    std::printf("%s%llu", in_vain == 0 ? "" : ", ",
                static_cast<unsigned long long>(stealth::grant_bytes(kCapacity, in_vain, 1) / stealth::kKiB));
  }
}

}  // namespace

int main() {
  std::printf("{\"capacity_mib\": %llu, \"soft_percent\": %.1f,\n", static_cast<unsigned long long>(kCapacity / kMiB),
              kDefaults.soft / 10.0);
  std::printf("\"approach_ms_per_mib\": [");  // over the fill in percent
  print_approach();
  std::printf("],\n\"patience_ms\": [");  // over the excess in percent of the capacity
  print_patience();
  std::printf("],\n\"overdraft_ms_per_mib\": {");  // over the fill in percent
  print_points(1000, 2000, overdraft_ms);
  std::printf(",\n\"grants_kib\": [");  // by waits in vain before it, for one that waits alone
  print_grants();
  std::printf("]}\n");
}
