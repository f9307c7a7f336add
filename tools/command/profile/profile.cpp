// A dump made readable: scaled, without libstealth's own frames, looked up, and put in order.
#include "profile.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "progress.hpp"
#include "symbols.hpp"

namespace stealth::command::profile {
namespace {

constexpr auto kLargest = std::numeric_limits<std::int64_t>::max();

std::int64_t rounded(long double value) {
  return value < static_cast<long double>(kLargest) ? static_cast<std::int64_t>(std::llroundl(value)) : kLargest;
}

// Samples are a Poisson process over bytes: of objects of s bytes one is seen with probability 1 - exp(-s/interval).
long double scale(std::uint64_t objects, std::uint64_t bytes, std::uint64_t interval) {
  if (objects == 0) return 1;
  auto const mean = std::max(1.0L, static_cast<long double>(bytes) / static_cast<long double>(objects));
  return -1.0L / std::expm1(-mean / static_cast<long double>(interval));
}

bool knows_what_ever_was(Dump const& dump) {
  // Writers that only know what is live write zeros, or the same figures twice.
  return std::any_of(dump.stacks.begin(), dump.stacks.end(), [](Stack const& s) {
    return s.all_count != 0 && (s.all_count != s.count || s.all_amount != s.amount);
  });
}

std::vector<std::int64_t> values_of(Dump const& dump, Stack const& stack, bool all) {
  if (dump.kind == Kind::stalls) {
    auto const period = static_cast<long double>(dump.sampling_period);
    auto const seconds = static_cast<long double>(stack.amount) / static_cast<long double>(dump.cycles_per_second);
    return {rounded(static_cast<long double>(stack.count) * period), rounded(seconds * 1e9L * period)};
  }
  std::vector<std::int64_t> values;
  auto const push = [&](std::uint64_t objects, std::uint64_t bytes) {
    auto const factor = scale(objects, bytes, dump.interval);
    values.push_back(rounded(static_cast<long double>(objects) * factor));
    values.push_back(rounded(static_cast<long double>(bytes) * factor));
  };
  if (all) push(stack.all_count, stack.all_amount);
  push(stack.count, stack.amount);
  return values;
}

// How many frames at the leaf are libstealth's: the allocating function itself, and what it called. A stack of nothing
// else is one of its own threads, and stays.
std::size_t own_frames(Dump const& dump, Stack const& stack) {
  std::size_t own = 0;
  for (auto const address : stack.addresses) {
    auto const* const mapping = dump.mapping_at(address - 1);
    if (mapping == nullptr || !mapping->of_a_file()) break;
    auto const name = mapping->base_name();
    if (!name.starts_with("libstealth.so") && !name.starts_with("libstealthpool.so")) break;
    ++own;
  }
  return own == stack.addresses.size() ? 0 : own;
}

}  // namespace

std::int64_t add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? kLargest : sum;
}

std::int64_t Profile::total(std::size_t value) const {
  std::int64_t sum = 0;
  for (auto const& sample : samples) sum = add(sum, sample.values[value]);
  return sum;
}

Profile make_profile(Dump const& dump, SymbolOptions const& options) {
  Profile profile;
  profile.name = dump.name;
  profile.kind = dump.kind;
  profile.notes = dump.notes;
  bool const all = dump.kind == Kind::heap && knows_what_ever_was(dump);
  if (dump.kind == Kind::stalls) {
    profile.interval = dump.sampling_period;
    profile.values = {{"contentions", "count"}, {"delay", "nanoseconds"}};
  } else {
    profile.interval = dump.interval;
    if (all) profile.values = {{"alloc_objects", "count"}, {"alloc_space", "bytes"}};
    profile.values.push_back({"inuse_objects", "count"});
    profile.values.push_back({"inuse_space", "bytes"});
  }

  // By address: two lines can become one stack, and the numbers of places must not depend on the order of lines.
  std::map<std::vector<std::uint64_t>, std::vector<std::int64_t>> stacks;
  for (auto const& stack : dump.stacks) {
    auto const values = values_of(dump, stack, all);
    profile.sampled += stack.count;
    auto const own = options.all_frames ? 0 : own_frames(dump, stack);
    auto& sums = stacks[{stack.addresses.begin() + static_cast<std::ptrdiff_t>(own), stack.addresses.end()}];
    sums.resize(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) sums[i] = add(sums[i], values[i]);
  }

  Symbols symbols(dump, options, profile);
  Progress progress("looking up functions, stack", stacks.size());
  for (auto const& [addresses, values] : stacks) {
    progress.step();
    if (std::all_of(values.begin(), values.end(), [](std::int64_t value) { return value == 0; })) continue;
    Sample sample;
    sample.values = values;
    for (auto const address : addresses) sample.locations.push_back(symbols.location_of(address));
    profile.samples.push_back(std::move(sample));
  }
  auto const amount = profile.amount();
  std::stable_sort(profile.samples.begin(), profile.samples.end(),
                   [amount](Sample const& a, Sample const& b) { return a.values[amount] > b.values[amount]; });
  for (auto const& note : symbols.notes()) profile.notes.push_back(note);
  return profile;
}

}  // namespace stealth::command::profile
