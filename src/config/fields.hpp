// How each row of the table reaches its field of Config: a `parse` that writes the field or says why not, and a
// `print` that gives the field back as text which `parse` takes. Most are one template, chosen by the field.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "config/classes.hpp"
#include "config/config.hpp"
#include "config/fault.hpp"
#include "config/line.hpp"
#include "config/parse.hpp"

namespace stealth::config {

// Words in the order of the enumerators (for a bool: false, true).
inline constexpr std::array<std::string_view, 3> mode_words{"enforce", "observe", "off"};
inline constexpr std::array<std::string_view, 3> on_exhausted_words{"grant", "enomem", "abort"};
inline constexpr std::array<std::string_view, 3> huge_pages_words{"never", "auto", "always"};
inline constexpr std::array<std::string_view, 3> guard_words{"off", "sample", "full"};
inline constexpr std::array<std::string_view, 3> control_words{"auto", "on", "off"};
inline constexpr std::array<std::string_view, 2> format_words{"text", "json"};
inline constexpr std::array<std::string_view, 2> off_on{"off", "on"};

template <auto Member, auto const& Words>
struct WordField {
  static Fault parse(std::string_view text, Config& config) noexcept {
    std::size_t index = 0;
    Fault const fault = parse_word(text, Words, index);
    if (fault.fine()) {
      using Value = std::remove_reference_t<decltype(config.*Member)>;
      config.*Member = static_cast<Value>(index);
    }
    return fault;
  }
  static void print(Config const& config, Line& line) noexcept {
    line.add(Words[static_cast<std::size_t>(config.*Member)]);
  }
};

// A number between Low and High, in the form that Parse and Print know.
template <auto Member, auto Parse, auto Print, std::uint64_t Low, std::uint64_t High>
struct NumberField {
  static Fault parse(std::string_view text, Config& config) noexcept {
    std::remove_reference_t<decltype(config.*Member)> value{};
    Fault const fault = Parse(text, value);
    if (!fault.fine()) {
      return fault;
    }
    if (value < Low || value > High) {
      return {Why::out_of_range};
    }
    config.*Member = value;
    return {};
  }
  static void print(Config const& config, Line& line) noexcept { Print(config.*Member, line); }
};

template <auto Member, std::uint64_t Low, std::uint64_t High>
using TimeField = NumberField<Member, parse_time, print_time, Low, High>;

template <auto Member, std::uint64_t Low, std::uint64_t High>
using ShareField = NumberField<Member, parse_share, print_share, Low, High>;

template <auto Member>
using FractionField = NumberField<Member, parse_fraction, print_fraction, 0, whole>;

struct CapacityField {
  static Fault parse(std::string_view text, Config& config) noexcept;
  static void print(Config const& config, Line& line) noexcept;
};

struct ClassesField {
  static Fault parse(std::string_view text, Config& config) noexcept { return parse_classes(text, config.classes); }
  static void print(Config const& config, Line& line) noexcept { print_classes(config.classes, line); }
};

struct StatsField {
  static Fault parse(std::string_view text, Config& config) noexcept;
  static void print(Config const& config, Line& line) noexcept;
};

struct ProfileField {
  static Fault parse(std::string_view text, Config& config) noexcept;
  static void print(Config const& config, Line& line) noexcept;
};

struct GroupField {
  static Fault parse(std::string_view text, Config& config) noexcept;
  static void print(Config const& config, Line& line) noexcept;
};

struct OnlyField {
  static Fault parse(std::string_view text, Config& config) noexcept;
  static void print(Config const& config, Line& line) noexcept;
};

struct VerboseField {
  static Fault parse(std::string_view text, Config& config) noexcept;
  static void print(Config const& config, Line& line) noexcept { line.add(std::uint64_t{config.verbose}); }
};

}  // namespace stealth::config
