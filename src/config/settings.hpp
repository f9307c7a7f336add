// The one table of settings: each is declared here and nowhere else. From it come the parser, its messages, and the
// lists of the `stealth` command and the manual.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/config.hpp"
#include "config/fault.hpp"
#include "config/fields.hpp"

namespace stealth::config {

inline constexpr std::string_view prefix = "STEALTH_";

enum class Kind : std::uint8_t { capacity, share, fraction, time, word, classes, stats, profile, name, globs, level };

struct Setting {
  std::string_view variable{};  // with the prefix
  Kind kind{};
  std::string_view default_value{};  // as a user would write it; parses to the field's value in `defaults`
  std::string_view accepted{};       // for messages and the manual
  bool live = false;                 // can be changed while the program runs
  Fault (*parse)(std::string_view, Config&) noexcept = nullptr;
  void (*print)(Config const&, Line&) noexcept = nullptr;
  std::string_view help{};  // one line

  // CAPACITY for STEALTH_CAPACITY.
  constexpr std::string_view name() const noexcept {
    return {variable.data() + prefix.size(), variable.size() - prefix.size()};
  }
};

namespace detail {

// Gives a row its field's two functions.
template <class Field>
constexpr Setting row(Setting setting) noexcept {
  setting.parse = Field::parse;
  setting.print = Field::print;
  return setting;
}

inline constexpr bool is_live = true;
inline constexpr bool at_start = false;
inline constexpr std::uint64_t hour = 60 * minute;

}  // namespace detail

inline constexpr std::array settings{
    detail::row<CapacityField>({.variable = "STEALTH_CAPACITY",
                                .kind = Kind::capacity,
                                .default_value = "auto",
                                .accepted = "bytes with k, m, g or t, N%, auto, none",
                                .live = detail::is_live,
                                .help = "bytes that the process may hold before backoff bites"}),
    detail::row<ClassesField>(
        {.variable = "STEALTH_CLASSES",
         .kind = Kind::classes,
         .default_value = "all",
         .accepted = "all, none, or a list of SIZE or LO-HI, 1 to 1g, each with :max=N and :prealloc=N",
         .live = detail::at_start,
         .help = "which sizes are pooled; all others go to the next allocator"}),
    detail::row<WordField<&Config::mode, mode_words>>(
        {.variable = "STEALTH_MODE",
         .kind = Kind::word,
         .default_value = "enforce",
         .accepted = "enforce, observe, off",
         .live = detail::is_live,
         .help = "whether delays are imposed, only computed and reported, or neither"}),
    detail::row<ShareField<&Config::soft, 1, whole>>({.variable = "STEALTH_SOFT",
                                                      .kind = Kind::share,
                                                      .default_value = "90%",
                                                      .accepted = "0.1% to 100%",
                                                      .live = detail::is_live,
                                                      .help = "where, as a share of the capacity, delays begin"}),
    detail::row<TimeField<&Config::backoff_max_wait, microsecond, detail::hour>>(
        {.variable = "STEALTH_BACKOFF_MAX_WAIT",
         .kind = Kind::time,
         .default_value = "100ms",
         .accepted = "a time with us, ms, s or m, 1us to 60m",
         .live = detail::is_live,
         .help = "the longest single wait, jitter included"}),
    detail::row<TimeField<&Config::backoff_patience, 0, detail::hour>>(
        {.variable = "STEALTH_BACKOFF_PATIENCE",
         .kind = Kind::time,
         .default_value = "1s",
         .accepted = "a time with us, ms, s or m, 0 to 60m",
         .live = detail::is_live,
         .help = "the longest that one call waits while nobody releases anything"}),
    detail::row<TimeField<&Config::backoff_max_elapsed, 0, 24 * detail::hour>>(
        {.variable = "STEALTH_BACKOFF_MAX_ELAPSED",
         .kind = Kind::time,
         .default_value = "15s",
         .accepted = "a time with us, ms, s or m, 0 to 1440m",
         .live = detail::is_live,
         .help = "the longest that one call waits in all"}),
    detail::row<ShareField<&Config::backoff_budget, 0, whole>>(
        {.variable = "STEALTH_BACKOFF_BUDGET",
         .kind = Kind::share,
         .default_value = "50%",
         .accepted = "0% to 100%",
         .live = detail::is_live,
         .help = "the largest share of wall time that a thread spends in waits during which nobody released anything"}),
    detail::row<FractionField<&Config::backoff_jitter>>({.variable = "STEALTH_BACKOFF_JITTER",
                                                         .kind = Kind::fraction,
                                                         .default_value = "0.5",
                                                         .accepted = "0 to 1",
                                                         .live = detail::is_live,
                                                         .help = "waits are drawn from plus or minus this share"}),
    detail::row<WordField<&Config::on_exhausted, on_exhausted_words>>(
        {.variable = "STEALTH_ON_EXHAUSTED",
         .kind = Kind::word,
         .default_value = "grant",
         .accepted = "grant, enomem, abort",
         .live = detail::is_live,
         .help = "what follows when patience, elapsed time or budget are used up"}),
    detail::row<TimeField<&Config::purge_delay, 0, detail::hour>>(
        {.variable = "STEALTH_PURGE_DELAY",
         .kind = Kind::time,
         .default_value = "500ms",
         .accepted = "a time with us, ms, s or m, 0 to 60m",
         .live = detail::is_live,
         .help = "how long free memory is kept before it goes back to the kernel; 0: at once"}),
    detail::row<WordField<&Config::huge_pages, huge_pages_words>>(
        {.variable = "STEALTH_HUGE_PAGES",
         .kind = Kind::word,
         .default_value = "auto",
         .accepted = "never, auto, always",
         .live = detail::at_start,
         .help = "whether the kernel is asked for huge pages"}),
    detail::row<WordField<&Config::guard, guard_words>>(
        {.variable = "STEALTH_GUARD",
         .kind = Kind::word,
         .default_value = "off",
         .accepted = "off, sample, full",
         .live = detail::at_start,
         .help = "sample: a few allocations get guard pages; full: every fault that can be caught is caught"}),
    detail::row<WordField<&Config::dumpable, off_on>>({.variable = "STEALTH_DUMPABLE",
                                                       .kind = Kind::word,
                                                       .default_value = "on",
                                                       .accepted = "on, off",
                                                       .live = detail::at_start,
                                                       .help = "off: pool memory is left out of core dumps"}),
    detail::row<StatsField>(
        {.variable = "STEALTH_STATS",
         .kind = Kind::stats,
         .default_value = "off",
         .accepted = "off, or exit or an interval of 100ms to 1440m, with :text or :json and :FILE",
         .live = detail::at_start,
         .help = "statistics at exit or at intervals, to stderr or a file; %p in its name is the process id"}),
    detail::row<WordField<&Config::control, control_words>>(
        {.variable = "STEALTH_CONTROL",
         .kind = Kind::word,
         .default_value = "auto",
         .accepted = "auto, on, off",
         .live = detail::at_start,
         .help = "the page that lets stealth top, stat and set see and steer the process"}),
    detail::row<ProfileField>(
        {.variable = "STEALTH_PROFILE",
         .kind = Kind::profile,
         .default_value = "off",
         .accepted = "off, or bytes with k, m, g or t, 1 to 1t, with :FILE",
         .live = detail::is_live,
         .help = "mean bytes between samples of the heap profile; %p in the file's name is the process id"}),
    detail::row<GroupField>(
        {.variable = "STEALTH_GROUP",
         .kind = Kind::name,
         .default_value = "none",
         .accepted = "none, or up to 63 letters, digits, dots, dashes and underscores, no dot first",
         .live = detail::at_start,
         .help = "all processes of this user that bear the same name share one capacity"}),
    detail::row<OnlyField>(
        {.variable = "STEALTH_ONLY",
         .kind = Kind::globs,
         .default_value = "all",
         .accepted = "all, or a comma list of globs over the program's base name, !glob excludes, up to 1023 bytes",
         .live = detail::at_start,
         .help = "in other programs libstealth passes everything through"}),
    detail::row<VerboseField>({.variable = "STEALTH_VERBOSE",
                               .kind = Kind::level,
                               .default_value = "1",
                               .accepted = "0, 1, 2",
                               .live = detail::at_start,
                               .help = "0: silent; 1: problems and the first delay; 2: what was chosen at start"}),
};

// By name, in either case, with or without the prefix, '-' for '_' (so that flags and `stealth set` find it too). Null
// when there is no such setting.
Setting const* find_setting(std::string_view name) noexcept;

// The setting whose name is at the least distance in proportion to the letters of both names; the first of the table
// where several are, or where none shares a letter.
Setting const& nearest_setting(std::string_view name) noexcept;

// Letters to put in or take out to turn `a` into `b`; only the first 64 letters of each count. '-' and '_', and the
// two cases of a letter, are the same.
std::size_t edit_distance(std::string_view a, std::string_view b) noexcept;

}  // namespace stealth::config
