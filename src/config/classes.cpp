// See classes.hpp.
#include "config/classes.hpp"

#include "config/line.hpp"
#include "config/parse.hpp"

namespace stealth::config {

namespace {

constexpr std::uint32_t block_step = 16;  // every block size is a multiple of it

// The smallest and the largest block size that a rule can mean. A single size is rounded up; a range has only the
// steps that lie within it.
constexpr std::uint32_t first_block(ClassRule const& rule) noexcept {
  return (rule.low + block_step - 1) / block_step * block_step;
}

constexpr std::uint32_t last_block(ClassRule const& rule) noexcept {
  return rule.ladder ? rule.high / block_step * block_step : first_block(rule);
}

Fault parse_class_size(std::string_view text, std::uint32_t& out) noexcept {
  std::uint64_t bytes = 0;
  if (Fault const fault = parse_size(text, bytes); !fault.fine()) {
    return {fault.why == Why::empty ? Why::not_a_size : fault.why, text};
  }
  if (bytes == 0 || bytes > largest_class) {
    return {Why::out_of_range, text};
  }
  out = static_cast<std::uint32_t>(bytes);
  return {};
}

// SIZE or LO-HI. Messages name `item`, the whole of it with its options, where a part alone would say too little.
Fault parse_sizes(std::string_view sizes, std::string_view item, ClassRule& rule) noexcept {
  std::string_view high = sizes;
  std::string_view low;
  rule.ladder = split(high, '-', low);
  if (low.empty() || (rule.ladder && high.empty())) {
    return {Why::not_a_size, item};
  }
  if (Fault const fault = parse_class_size(low, rule.low); !fault.fine()) {
    return fault;
  }
  rule.high = rule.low;
  if (!rule.ladder) {
    return {};
  }
  if (Fault const fault = parse_class_size(high, rule.high); !fault.fine()) {
    return fault;
  }
  if (rule.low > rule.high) {
    return {Why::class_reversed, sizes};
  }
  return {first_block(rule) > last_block(rule) ? Why::class_between_steps : Why::fine, sizes};
}

struct Given {
  bool max = false;
  bool prealloc = false;
};

// max=N or prealloc=N.
Fault parse_option(std::string_view option, ClassRule& rule, Given& given) noexcept {
  std::string_view number = option;
  std::string_view name;
  bool const has_value = split(number, '=', name);
  bool const is_max = has_value && same_word(name, "max");
  if (!is_max && !(has_value && same_word(name, "prealloc"))) {
    return {Why::class_option, option};
  }
  bool& twice = is_max ? given.max : given.prealloc;
  if (twice) {
    return {Why::class_option_twice, option};
  }
  twice = true;
  std::uint64_t blocks = 0;
  if (Fault const fault = parse_count(number, blocks); !fault.fine()) {
    return {fault.why == Why::empty ? Why::not_a_number : fault.why, option};
  }
  if (blocks > most_blocks || (is_max && blocks == 0)) {
    return {Why::out_of_range, option};
  }
  (is_max ? rule.max : rule.prealloc) = blocks;
  return {};
}

Fault parse_item(std::string_view item, ClassRule& rule) noexcept {
  std::string_view options = item;
  std::string_view part;
  bool more = split(options, ':', part);
  if (Fault const fault = parse_sizes(part, item, rule); !fault.fine()) {
    return fault;
  }
  Given given;
  while (more) {
    more = split(options, ':', part);
    if (part.empty()) {
      return {Why::class_option, item};
    }
    if (Fault const fault = parse_option(part, rule, given); !fault.fine()) {
      return fault;
    }
  }
  if (given.max && rule.prealloc > rule.max) {
    return {Why::class_prealloc_above_max, item};
  }
  return {};
}

// Puts `rule` where it belongs in the ascending list.
Why insert(ClassRule const& rule, Classes& list) noexcept {
  if (list.count == Classes::most_rules) {
    return Why::class_too_many;
  }
  std::size_t place = list.count;
  for (std::size_t i = 0; i < list.count; ++i) {
    ClassRule const& other = list.rules[i];
    if (first_block(rule) <= last_block(other) && first_block(other) <= last_block(rule)) {
      return Why::class_overlaps;
    }
    if (place == list.count && rule.low < other.low) {
      place = i;
    }
  }
  for (std::size_t i = list.count; i > place; --i) {
    list.rules[i] = list.rules[i - 1];
  }
  list.rules[place] = rule;
  ++list.count;
  return Why::fine;
}

}  // namespace

Fault parse_classes(std::string_view text, Classes& out) noexcept {
  if (text.empty()) {
    return {Why::empty};
  }
  if (same_word(text, "all") || same_word(text, "none")) {
    out = Classes{};
    out.kind = same_word(text, "all") ? Classes::Kind::all : Classes::Kind::none;
    return {};
  }
  Classes list;
  list.kind = Classes::Kind::list;
  std::string_view rest = text;
  for (bool more = true; more;) {
    std::string_view item;
    more = split(rest, ',', item);
    if (item.empty()) {
      return {Why::class_empty_item};
    }
    ClassRule rule;
    if (Fault const fault = parse_item(item, rule); !fault.fine()) {
      return fault;
    }
    if (Why const why = insert(rule, list); why != Why::fine) {
      return {why, item};
    }
  }
  out = list;
  return {};
}

void print_classes(Classes const& classes, Line& line) noexcept {
  if (classes.kind != Classes::Kind::list) {
    line.add(classes.kind == Classes::Kind::all ? "all" : "none");
    return;
  }
  for (std::size_t i = 0; i < classes.count; ++i) {
    ClassRule const& rule = classes.rules[i];
    line.add(i == 0 ? "" : ",");
    print_size(rule.low, line);
    if (rule.ladder) {
      line.add("-");
      print_size(rule.high, line);
    }
    if (rule.max != 0) {
      line.add(":max=").add(rule.max);
    }
    if (rule.prealloc != 0) {
      line.add(":prealloc=").add(rule.prealloc);
    }
  }
}

}  // namespace stealth::config
