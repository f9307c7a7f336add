// Why a value was refused. One code and one wording per reason, which the tests match.
#pragma once

#include <cstdint>
#include <string_view>

namespace stealth::config {

enum class Why : std::uint8_t {
  fine,
  unknown_name,
  empty,
  not_a_size,
  not_a_time,
  time_without_unit,
  not_a_share,
  not_a_number,
  not_a_word,
  not_a_plain_name,
  not_a_format,
  path_missing,
  control_character,
  too_long,
  out_of_range,
  class_empty_item,
  class_reversed,
  class_between_steps,
  class_overlaps,
  class_option,
  class_option_twice,
  class_prealloc_above_max,
  class_too_many,
};

// What a parser found. `item` is the part of the value at fault (a view into the value), empty when it is all of it.
struct [[nodiscard]] Fault {
  Why why = Why::fine;
  std::string_view item{};

  constexpr bool fine() const noexcept { return why == Why::fine; }
};

constexpr std::string_view explain(Why why) noexcept {
  switch (why) {
    case Why::fine:
      return "fine";
    case Why::unknown_name:
      return "unknown setting";
    case Why::empty:
      return "empty";
    case Why::not_a_size:
      return "not a size";
    case Why::not_a_time:
      return "not a time";
    case Why::time_without_unit:
      return "a time without its unit";
    case Why::not_a_share:
      return "not a share";
    case Why::not_a_number:
      return "not a number";
    case Why::not_a_word:
      return "not a known word";
    case Why::not_a_plain_name:
      return "not a plain name";
    case Why::not_a_format:
      return "neither text nor json";
    case Why::path_missing:
      return "the file is missing after the colon";
    case Why::control_character:
      return "has a control character";
    case Why::too_long:
      return "too long";
    case Why::out_of_range:
      return "out of range";
    case Why::class_empty_item:
      return "has an empty item";
    case Why::class_reversed:
      return "the first size is above the second";
    case Why::class_between_steps:
      return "no block size lies between";
    case Why::class_overlaps:
      return "overlaps an earlier item";
    case Why::class_option:
      return "neither max=N nor prealloc=N";
    case Why::class_option_twice:
      return "given twice";
    case Why::class_prealloc_above_max:
      return "prealloc is above max";
    case Why::class_too_many:
      return "one item too many";
  }
  return "refused";
}

}  // namespace stealth::config
