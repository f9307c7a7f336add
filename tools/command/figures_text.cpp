// stealth stat --format text: for people.
#include <algorithm>
#include <iomanip>
#include <numeric>
#include <sstream>

#include "amounts.hpp"
#include "figures.hpp"

namespace stealth::command {
namespace {

using observe::Figures;

// A cell of a table, by characters and not by bytes.
std::string cell(std::string const& text, int width, bool right = true) {
  auto const characters = std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
  std::string const blanks(static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, width - characters)), ' ');
  return right ? blanks + text : text + blanks;
}

void line(std::ostream& out, char const* name, std::string const& text) {
  out << cell(name, 12, false) << text << '\n';
}

std::string capacity_of(Figures const& figures) {
  return figures.capacity == 0 ? "none" : show_bytes(figures.capacity);
}
std::string fill_text(Figures const& figures) { return figures.capacity == 0 ? "-" : show_share(fill_of(figures)); }

void write_head(std::ostream& out, View const& view) {
  out << view.process.pid << ' ' << view.program() << ", libstealth " << text_of(view.head.library);
  if (view.process.stopped()) out << ", stopped";
  out << "; figures " << show_time(view.age()) << " old\n\n";
}

void write_memory(std::ostream& out, View const& view) {
  Figures const& figures = view.figures();
  std::string capacity = capacity_of(figures);
  if (figures.capacity != 0) capacity += ", delays from " + show_bytes(figures.soft_point);
  if (figures.group_members != 0) capacity += ", shared by " + std::to_string(figures.group_members) + " processes";
  line(out, "capacity", capacity);
  line(out, "mode", std::string(mode_name(figures.mode)) + ", on exhausted " + policy_name(figures.policy));
  std::string used = show_bytes(figures.used);
  if (figures.capacity != 0) used += ", " + fill_text(figures) + " of the capacity";
  if (figures.over != 0) used += ", " + show_bytes(figures.over) + " over it";
  line(out, "used", used);
  line(out, "held", show_bytes(figures.held) + ", at most " + show_bytes(figures.peak));
  line(out, "live",
       show_bytes(figures.live) + ", of it " + show_count(static_cast<double>(figures.large_blocks)) +
           " large blocks of " + show_bytes(figures.large_bytes));
  line(out, "idle", show_bytes(figures.idle));
  line(out, "pools", show_bytes(figures.pools));
  line(out, "purged", show_bytes(figures.purged) + " so far");
  line(out, "passed on",
       show_count(static_cast<double>(figures.passed_calls)) + " requests, " + show_bytes(figures.passed_bytes));
  line(out, "resident", show_bytes(view.process.resident));
  if (figures.profile_interval != 0) {
    line(out, "profile",
         "a sample in " + show_bytes(figures.profile_interval) + ", " +
             show_count(static_cast<double>(figures.profile_samples)) + " live");
  }
}

void write_waits(std::ostream& out, View const& view) {
  Figures const& figures = view.figures();
  std::string waits = show_count(static_cast<double>(figures.waits));
  if (figures.waits != 0) {
    waits += " calls, " + show_time(figures.waited_ns) + " together, the longest " +
             show_time(figures.longest_call_ns) + ", the longest single sleep " + show_time(figures.longest_sleep_ns);
  }
  line(out, "waits", waits);
  line(out, "in vain",
       show_count(static_cast<double>(figures.grants)) + " granted, " +
           show_count(static_cast<double>(figures.refusals)) + " refused");
  if (figures.observed_ns != 0) line(out, "observed", show_time(figures.observed_ns) + " would have been waited");
  line(out, "waiting now",
       show_count(static_cast<double>(figures.waiting_now)) + (figures.waiting_now == 1 ? " thread" : " threads"));
  if (view.snapshot.waiting == 0) return;
  out << '\n' << cell("THREAD", 10) << cell("WAITS FOR", 12) << "  WANTS\n";
  for (std::uint32_t i = 0; i < view.snapshot.waiting; ++i) {
    observe::WaitingRow const& row = view.snapshot.waiting_rows[i];
    std::string const wants =
        row.bytes == 0 ? "a block of " + show_bytes(row.size) + ", whose class is at its max" : show_bytes(row.bytes);
    out << cell(std::to_string(row.thread), 10) << cell(show_time(view.waited(row)), 12) << "  " << wants << '\n';
  }
}

void write_settings(std::ostream& out, View const& view) {
  auto const changed = settings_of(view.snapshot, true);
  if (changed.empty()) return;
  out << '\n';
  for (auto const& [name, value] : changed) out << name << '=' << value << '\n';
}

void write_classes(std::ostream& out, View const& view) {
  auto const count = [](std::uint64_t n) { return show_count(static_cast<double>(n)); };
  auto const lines = class_lines(view.snapshot);
  if (lines.empty()) return;
  out << '\n'
      << cell("CLASS", 10) << cell("BYTES", 11) << cell("IN USE", 9) << cell("FREE", 11) << cell("MAX", 9)
      << cell("SLABS", 8) << cell("WAITS", 8) << cell("WAITED", 11) << cell("GRANTS", 8) << '\n';
  for (ClassLine const& one : lines) {
    out << cell(one.name, 10) << cell(show_bytes(one.bytes), 11) << cell(count(one.in_use), 9)
        << cell(show_bytes(one.free), 11) << cell(one.max == 0 ? "-" : count(one.max), 9) << cell(count(one.slabs), 8)
        << cell(one.is_large() ? "-" : count(one.waits), 8) << cell(one.is_large() ? "-" : show_time(one.waited_ns), 11)
        << cell(one.is_large() ? "-" : count(one.grants), 8) << '\n';
  }
}

}  // namespace

void write_table(std::ostream& out, std::vector<View> const& views) {
  out << cell("PID", 8) << "  " << cell("PROGRAM", 16, false) << cell("CAPACITY", 10) << cell("FILL", 8)
      << cell("HELD", 10) << cell("LIVE", 10) << cell("RSS", 10) << cell("WAITS", 8) << cell("NOW", 5) << '\n';
  for (View const& view : views) {
    Figures const& figures = view.figures();
    out << cell(std::to_string(view.process.pid), 8) << "  " << cell(view.program(), 16, false)
        << cell(capacity_of(figures), 10) << cell(fill_text(figures), 8) << cell(show_bytes(figures.held), 10)
        << cell(show_bytes(figures.live), 10) << cell(show_bytes(view.process.resident), 10)
        << cell(show_count(static_cast<double>(figures.waits)), 8)
        << cell(show_count(static_cast<double>(figures.waiting_now)), 5) << (view.process.stopped() ? "  stopped" : "")
        << '\n';
  }
}

void write_text(std::ostream& out, View const& view) {
  write_head(out, view);
  write_memory(out, view);
  write_waits(out, view);
  write_settings(out, view);
  write_classes(out, view);
}

}  // namespace stealth::command
