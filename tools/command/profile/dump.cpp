// Reads a dump's samples, and hands on to the reader of its mappings.
#include "dump.hpp"

#include <algorithm>

#include "../command.hpp"
#include "lines.hpp"
#include "mappings.hpp"

namespace stealth::command::profile {
namespace {

constexpr std::string_view kMappings = "MAPPED_LIBRARIES:";
// Larger ones are nobody's bytes or nanoseconds, and would overflow sums.
constexpr std::uint64_t kLargest = std::uint64_t{1} << 52;
// No unwinder goes so deep; and a tree of stacks is walked by functions that call themselves.
constexpr std::size_t kDeepest = 1024;

std::uint64_t count(Lines const& lines, Pieces& pieces, char const* what) {
  pieces.blanks();
  auto const value = pieces.decimal();
  if (!value) lines.fail(std::string("no number where the ") + what + " should be");
  if (*value > kLargest) lines.fail(std::string("the ") + what + " cannot be so many");
  return *value;
}

void expect(Lines const& lines, Pieces& pieces, std::string_view text) {
  pieces.blanks();
  if (!pieces.literal(text)) lines.fail("'" + std::string(text) + "' is missing");
}

// "OBJECTS: BYTES [OBJECTS: BYTES] @", in the first line as in those of the stacks.
Stack heap_counts(Lines const& lines, Pieces& pieces) {
  Stack stack;
  stack.count = count(lines, pieces, "live objects");
  expect(lines, pieces, ":");
  stack.amount = count(lines, pieces, "live bytes");
  expect(lines, pieces, "[");
  stack.all_count = count(lines, pieces, "objects ever");
  expect(lines, pieces, ":");
  stack.all_amount = count(lines, pieces, "bytes ever");
  expect(lines, pieces, "]");
  expect(lines, pieces, "@");
  return stack;
}

void check_heap(Lines const& lines, Stack const& stack) {
  if (stack.count == 0 && stack.amount != 0) lines.fail("it has bytes in no objects");
  if (stack.all_count == 0 && stack.all_amount != 0) lines.fail("it has bytes in no objects");
  // Writers that do not know what ever was write zeros.
  bool const known = stack.all_count != 0;
  if (known && (stack.all_count < stack.count || stack.all_amount < stack.amount))
    lines.fail("more is live than ever was");
}

void read_addresses(Lines const& lines, Pieces& pieces, Stack& stack) {
  for (;;) {
    pieces.blanks();
    if (pieces.done()) break;
    if (!pieces.literal("0x")) lines.fail("an address does not begin with 0x");
    auto const address = pieces.hex();
    if (!address || (!pieces.done() && pieces.rest().front() != ' ' && pieces.rest().front() != '\t'))
      lines.fail("an address is no hexadecimal number of at most 64 bits");
    if (stack.addresses.size() == kDeepest)
      lines.fail("a stack of more than " + std::to_string(kDeepest) + " addresses");
    stack.addresses.push_back(*address);
  }
  // Some unwinders end a stack with it.
  while (!stack.addresses.empty() && stack.addresses.back() == 0) stack.addresses.pop_back();
  if (stack.addresses.empty()) lines.fail("a stack without addresses");
}

// What comes after '@' in the first line.
std::uint64_t read_interval(Lines const& lines, Pieces& pieces) {
  pieces.blanks();
  if (!pieces.literal("heap_v2/"))
    lines.fail("a heap profile of the kind '" + std::string(pieces.rest()) + "'; heap_v2 alone is read");
  auto const interval = pieces.decimal();
  if (!interval || *interval == 0 || *interval > kLargest) lines.fail("no sampling interval after heap_v2/");
  pieces.blanks();
  if (!pieces.done()) lines.fail("'" + std::string(pieces.rest()) + "' after the sampling interval");
  return *interval;
}

// The line, unless the mappings begin with it. Empty lines are passed over.
std::optional<std::string_view> next_sample(Lines& lines) {
  for (;;) {
    auto const line = lines.next();
    if (!line) lines.cut_short(std::string(kMappings));
    if (line->starts_with(kMappings)) return std::nullopt;
    if (!line->empty()) return line;
  }
}

// A table of counts that changes while it is written out can disagree with its own head by a few samples. That is no
// reason to show nothing.
void compare_totals(Dump& dump, Stack const& said) {
  Stack sum;
  for (auto const& stack : dump.stacks) {
    sum.count += stack.count;
    sum.amount += stack.amount;
  }
  if (sum.count == said.count && sum.amount == said.amount) return;
  dump.notes.push_back("line 1 says " + std::to_string(said.count) + " objects of " + std::to_string(said.amount) +
                       " bytes, its stacks add up to " + std::to_string(sum.count) + " of " +
                       std::to_string(sum.amount) + "; what the stacks say is shown");
}

void read_heap(Lines& lines, Pieces first, Dump& dump) {
  auto const total = heap_counts(lines, first);
  dump.interval = read_interval(lines, first);
  while (auto const line = next_sample(lines)) {
    if (line->starts_with("  t") || line->starts_with("t*"))
      lines.fail("a profile of jemalloc, which has another form: read it with jeprof");
    Pieces pieces(*line);
    auto stack = heap_counts(lines, pieces);
    check_heap(lines, stack);
    read_addresses(lines, pieces, stack);
    dump.stacks.push_back(std::move(stack));
  }
  compare_totals(dump, total);
}

// "NAME = NUMBER". Unknown names are passed over, as google-pprof does.
void read_variable(Lines const& lines, std::string_view line, Dump& dump) {
  auto const equals = line.find('=');
  auto const name = line.substr(0, line.find_last_not_of(" \t", equals == 0 ? 0 : equals - 1) + 1);
  std::uint64_t* const place = name == "cycles/second"     ? &dump.cycles_per_second
                               : name == "sampling period" ? &dump.sampling_period
                                                           : nullptr;
  if (place == nullptr) return;
  Pieces pieces(line.substr(equals + 1));
  *place = count(lines, pieces, place == &dump.cycles_per_second ? "cycles per second" : "sampling period");
  pieces.blanks();
  if (*place == 0 || !pieces.done()) lines.fail("no number above zero after " + std::string(name));
}

void read_stalls(Lines& lines, Dump& dump) {
  while (auto const line = next_sample(lines)) {
    Pieces pieces(*line);
    pieces.blanks();
    if (!pieces.done() && (pieces.rest().front() < '0' || pieces.rest().front() > '9')) {
      if (line->find('=') == std::string_view::npos) lines.fail("neither a stack nor NAME = NUMBER");
      read_variable(lines, *line, dump);
      continue;
    }
    if (dump.cycles_per_second == 0) lines.fail("a stack before 'cycles/second = NUMBER'");
    Stack stack;
    stack.amount = count(lines, pieces, "time");
    stack.count = count(lines, pieces, "count");
    if (stack.count == 0 && stack.amount != 0) lines.fail("time, but no stall");
    expect(lines, pieces, "@");
    read_addresses(lines, pieces, stack);
    dump.stacks.push_back(std::move(stack));
  }
  if (dump.cycles_per_second == 0) lines.fail("'cycles/second = NUMBER' is missing before here");
}

}  // namespace

Mapping const* Dump::mapping_at(std::uint64_t address) const {
  auto const after = std::upper_bound(mappings.begin(), mappings.end(), address,
                                      [](std::uint64_t a, Mapping const& m) { return a < m.start; });
  if (after == mappings.begin()) return nullptr;
  auto const& mapping = *(after - 1);
  return address < mapping.end ? &mapping : nullptr;
}

Dump parse_dump(std::string_view text, std::string const& name) {
  if (text.empty())
    throw Failure("profile: " + name +
                  ", line 1: the file is empty; name a dump that a program under libstealth wrote");
  Dump dump;
  dump.name = name;
  Lines lines(text, name);
  auto const line = lines.next();
  Pieces first(*line);
  if (first.literal("heap profile:")) {
    dump.kind = Kind::heap;
    read_heap(lines, first, dump);
  } else if (first.literal("--- contention")) {
    dump.kind = Kind::stalls;
    read_stalls(lines, dump);
  } else if (line->starts_with("heap_v2/")) {
    lines.fail("a profile of jemalloc, which has another form: read it with jeprof");
  } else {
    lines.fail("neither 'heap profile:' nor '--- contention:': this is not a dump");
  }
  dump.mappings = read_mappings(lines);
  return dump;
}

}  // namespace stealth::command::profile
