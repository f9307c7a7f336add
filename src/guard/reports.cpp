// See reports.hpp.
#include "guard/reports.hpp"

#include <cstdlib>

#include "base/text.hpp"
#include "os/os.hpp"

namespace stealth::guard {

namespace {

using Report = FixedText<6000>;

struct Size {
  Record const& record;
};
Text& operator<<(Text& into, Size it) {
  into << std::uint64_t{it.record.size} << " bytes";
  return it.record.block != 0 ? into << " (size class " << it.record.block << ')' : into;
}

std::uint64_t distance(void const* from, void const* to) {
  return static_cast<std::uint64_t>(static_cast<char const*>(to) - static_cast<char const*>(from));
}

void write_history(Text& into, Record const& record) {
  write_trace(into, "allocated by", record.allocated_by);
  if (record.state.load(std::memory_order_acquire) != State::live) write_trace(into, "freed by", record.freed_by);
}

void say(Text const& text) { os::write_all(2, text.view().data(), text.view().size()); }

template <class... Parts>
[[noreturn]] void die(Record const* record, Parts const&... parts) {
  Report text;
  ((text << "stealth: ") << ... << parts) << '\n';
  if (record != nullptr) write_history(text, *record);
  write_trace(text, "found by", trace_here(nullptr));
  say(text);
  std::abort();
}

char const* name_of_new(Door door) {
  return door == Door::new_object ? "new" : door == Door::new_array ? "new[]" : "malloc";
}
char const* name_of_delete(Door door) {
  return door == Door::new_object ? "delete" : door == Door::new_array ? "delete[]" : "free";
}

}  // namespace

void report_double_free(void const* p, Record const& record) noexcept {
  die(&record, "double free: ", hex(p), " of ", Size{record}, " is free already");
}

void report_inside(void const* p, char const* start, Record const& record) noexcept {
  char const* const what = record.state.load(std::memory_order_relaxed) == State::live ? "" : "freed ";
  bool const is_before = static_cast<char const*>(p) < start;
  die(&record, "invalid free: ", hex(p), " is ", is_before ? distance(p, start) : distance(start, p),
      is_before ? " bytes before the " : " bytes inside the ", what, "block at ", hex(start), " of ", Size{record});
}

void report_never_given(void const* p, std::uint32_t block) noexcept {
  die(nullptr, "invalid free: ", hex(p), " was never handed out (size class ", block, ")");
}

void report_use(void const* p, Record const& record) noexcept {
  die(&record, "use after free: ", hex(p), " of ", Size{record}, " is free");
}

void report_write_after_free(char const* start, char const* damage, Record const& record) noexcept {
  if (record.state.load(std::memory_order_relaxed) == State::unused)
    die(nullptr, "wild write: byte ", distance(start, damage), " of the block at ", hex(start), " (size class ",
        record.block, "), which was never handed out, was changed");
  die(&record, "write after free: byte ", distance(start, damage), " of the freed block at ", hex(start), " of ",
      Size{record}, " was changed");
}

void report_overflow(char const* start, char const* damage, Record const& record) noexcept {
  die(&record, "overflow: ", distance(start + record.size, damage) + 1, " bytes beyond the end of the block at ",
      hex(start), " of ", Size{record}, " were written");
}

void report_underflow(char const* start, char const* damage, Record const& record, char const* start_before,
                      Record const* before) noexcept {
  if (before != nullptr && before->state.load(std::memory_order_relaxed) == State::live) {
    Report text;
    text << "stealth: underflow: " << distance(damage, start) << " bytes before the block at " << hex(start) << " of "
         << Size{record} << " were written, or beyond the end of that at " << hex(start_before) << " of "
         << Size{*before} << '\n';
    write_history(text, record);
    write_trace(text, "the other allocated by", before->allocated_by);
    write_trace(text, "found by", trace_here(nullptr));
    say(text);
    std::abort();
  }
  die(&record, "underflow: ", distance(damage, start), " bytes before the block at ", hex(start), " of ", Size{record},
      " were written");
}

void report_wrong_door(void const* p, Door by, Record const& record) noexcept {
  die(&record, "mismatched free: ", hex(p), " of ", Size{record}, " came by ", name_of_new(record.door),
      " and is freed by ", name_of_delete(by));
}

void report_wrong_size(void const* p, std::size_t said, Record const& record) noexcept {
  die(&record, "mismatched free: ", hex(p), " of ", Size{record}, " is freed as ", std::uint64_t{said}, " bytes");
}

void report_wrong_alignment(void const* p, std::size_t said, Record const& record) noexcept {
  die(&record, "mismatched free: ", hex(p), " of ", Size{record}, " is freed as aligned to ", std::uint64_t{said},
      ", which it is not");
}

void report_foreign(void const* p, char const* where) noexcept {
  die(nullptr, "invalid free: ", hex(p), " is no allocation: ", where);
}

void say_access(void const* address, char const* start, Record const& record, Trace touched_by) noexcept {
  Report text;
  State const state = record.state.load(std::memory_order_relaxed);
  auto const* const at = static_cast<char const*>(address);
  text << "stealth: ";
  if (at < start) {
    text << "underflow: access to " << hex(at) << ", " << distance(at, start) << " bytes before the "
         << (state == State::live ? "" : "freed ") << "block at ";
  } else if (at >= start + record.size) {
    text << "overflow: access to " << hex(at) << ", " << distance(start + record.size, at) + 1
         << " bytes beyond the end of the " << (state == State::live ? "" : "freed ") << "block at ";
  } else {
    text << "use after free: access to " << hex(at) << ", " << distance(start, at)
         << " bytes inside the freed block at ";
  }
  text << hex(start) << " of " << Size{record} << '\n';
  write_history(text, record);
  write_trace(text, "touched by", touched_by);
  say(text);
}

}  // namespace stealth::guard
