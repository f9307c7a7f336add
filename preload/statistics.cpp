// See statistics.hpp. Counts nothing itself: everything is read from the structures when it is asked for.
#include "statistics.hpp"

#include <cerrno>

#include "arena/arena.hpp"
#include "base/report.hpp"
#include "engine/slow.hpp"
#include "guarding.hpp"
#include "observe/control_page.hpp"
#include "observe/profile.hpp"
#include "os/task.hpp"
#include "pool/live.hpp"
#include "start.hpp"

namespace stealth {

namespace {

constexpr char kVersion[] = STEALTH_VERSION;

constexpr std::uint32_t kTopHolders = 10;

constinit Mutex g_buffer_mutex;
constinit StatisticsBuffer* g_buffer = nullptr;
alignas(StatisticsBuffer) constinit char g_buffer_memory[sizeof(StatisticsBuffer)] = {};

std::uint64_t shown_capacity() {
  std::uint64_t const capacity = g_budget.capacity();
  return capacity == CapacityLimits::kNoCapacity ? 0 : capacity;
}

// As JSON wants it.
void quote(Text& out, char const* s) {
  out << '"';
  for (; *s != '\0'; ++s) {
    auto const c = static_cast<unsigned char>(*s);
    if (c == '"' || c == '\\') {
      out << '\\' << *s;
    } else if (c < 0x20 || c >= 0x7F) {  // bytes that may not be UTF-8 are taken for Latin-1
      out << "\\u00"
          << "0123456789abcdef"[c / 16] << "0123456789abcdef"[c % 16];
    } else {
      out << *s;
    }
  }
  out << '"';
}

struct Rows {
  Text& out;
  bool first = true;
};

void json_class(void* context, ClassFacts const& c) {
  auto& rows = *static_cast<Rows*>(context);
  if (!rows.first) rows.out << ',';
  rows.first = false;
  rows.out << "\n  {\"size\":" << c.size << ",\"slabs\":" << c.slabs << ",\"blocks\":" << c.blocks
           << ",\"in_use\":" << c.in_use << ",\"in_lists\":" << c.in_lists << ",\"in_slabs\":" << c.in_slabs
           << ",\"max\":" << c.max << ",\"waits\":" << c.stalls.waits << ",\"waited_us\":" << c.stalls.waited_ns / 1000
           << ",\"grants\":" << c.stalls.grants << '}';
}

void text_class(void* context, ClassFacts const& c) {
  static_cast<Rows*>(context)->out << "stealth:   " << c.size << " B: " << c.in_use << " blocks in use, " << c.in_lists
                                   << " in threads' lists, " << c.in_slabs << " free, in " << c.slabs << " slabs; "
                                   << c.blocks << " cut so far\n";
}

void xml_class(void* context, ClassFacts const& c) {
  static_cast<Rows*>(context)->out << "<size from=\"" << c.size << "\" to=\"" << c.size << "\" total=\""
                                   << c.in_use * c.size << "\" count=\"" << c.in_use << "\"/>\n";
}

// STEALTH_STATS' file name with %p replaced by the process's id. False: too long.
bool expand(std::string_view pattern, Text& path) {
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '%' && i + 1 < pattern.size() && pattern[i + 1] == 'p') {
      path << os::process_id();
      ++i;
    } else {
      path << pattern[i];
    }
  }
  path << '\0';
  return !path.cut();
}

// A file holds the last figures only.
void write_statistics(Gatherer by) {
  config::Stats const& wanted = settings().stats;
  StatisticsBuffer& text = statistics_buffer();
  if (wanted.format == config::Stats::Format::json) {
    write_json(text, by);
  } else {
    write_text(text, by);
  }
  FixedText<1100> path;
  int file = 2;
  if (!wanted.path.empty())
    file = expand(wanted.path.view(), path) ? os::create_file(path.view().data()) : -ENAMETOOLONG;
  bool const written = file >= 0 && os::write_all(file, text.view().data(), text.view().size());
  if (file > 2) os::close_file(file);
  release_statistics_buffer();
  if (!written) {
    report("STEALTH_STATS: cannot write ", wanted.path.view(), " (", file < 0 ? "error " : "", file < 0 ? -file : 0,
           "); the statistics are lost; name a file in a folder that this user may write");
  }
}

void write_exit_profile() {
  config::Profile const wanted = live::profile();
  // Wanted, and not to be had: that was said.
  if (wanted.interval == 0 || wanted.path.empty() || observe::profile::interval() == 0) return;
  if (t_thread.busy) {  // and perhaps within the profile
    report("STEALTH_PROFILE: the program was ended by a signal handler within malloc; the profile is lost");
    return;
  }
  Busy const busy;  // a handler that allocates must not come to the profile now
  FixedText<1100> path;
  int const error = expand(wanted.path.view(), path)
                        ? observe::profile::dump(observe::profile::What::heap, path.view().data())
                        : ENAMETOOLONG;
  if (error != 0)
    report("STEALTH_PROFILE: cannot write ", wanted.path.view(), " (error ", error,
           "); the profile is lost; name a file in a folder that this user may write");
}

// Runs after the program's own exit handlers.
__attribute__((destructor(101))) void at_the_end() {
  int const saved = errno;
  if (settings().stats.when != config::Stats::When::off) write_statistics(Gatherer::thread);
  write_exit_profile();
  check_at_the_end();
  errno = saved;
  if (os::process_id() != owning_process()) return;
  g_budget.group().leave();
  observe::end_control_page();
}

}  // namespace

StatisticsBuffer& statistics_buffer() noexcept {
  g_buffer_mutex.lock();
  g_buffer = new (g_buffer_memory) StatisticsBuffer;
  return *g_buffer;
}

void release_statistics_buffer() noexcept { g_buffer_mutex.unlock(); }

void reset_statistics_buffer() noexcept { g_buffer_mutex.reset(); }

Statistics gather_statistics(void (*each)(void*, ClassFacts const&), void* context, Gatherer by) noexcept {
  EngineFacts engine = {};
  if (by != Gatherer::keeper) {
    engine = (by == Gatherer::thread ? gather_facts : gather_facts_while_waiting)(each, context);
  } else {
    static_cast<void>(gather_facts_as_keeper(each, context, engine));
  }
  return {engine, g_budget.facts(), next::facts(), g_arena.free_dirty_bytes()};
}

void write_json(Text& out, Gatherer by) noexcept {
  Rows rows{out};
  out << "{\"version\":\"" << kVersion << "\",\"pid\":" << os::process_id() << ",\"program\":";
  quote(out, program_name());
  out << ",\"classes\":[";
  Statistics const s = gather_statistics(json_class, &rows, by);
  StallFacts const& w = s.stalls;
  out << "],\n\"capacity\":" << shown_capacity() << ",\"held\":" << w.held << ",\"peak_held\":" << w.peak_held
      << ",\"used\":" << w.used << ",\"over_bytes\":" << w.over_bytes << ",\"live\":" << s.engine.live
      << ",\"pools\":" << g_budget.held_outside() << ",\"heaps\":" << s.engine.heaps
      << ",\n\"passed_on\":{\"calls\":" << s.passed_on.calls << ",\"bytes\":" << s.passed_on.bytes
      << "},\n\"large\":{\"calls\":" << s.engine.large_calls << ",\"live_bytes\":" << s.engine.large_bytes
      << "},\n\"waits\":{\"count\":" << w.waits << ",\"total_us\":" << w.waited_ns / 1000
      << ",\"longest_us\":" << w.longest_ns / 1000 << ",\"longest_sleep_us\":" << w.longest_sleep_ns / 1000
      << ",\"now\":" << w.waiting_now << ",\"grants\":" << w.grants << ",\"refused\":" << w.refusals
      << ",\"observed_us\":" << w.observed_ns / 1000 << ",\"below_us\":[";
  for (std::uint32_t i = 0; i < kStallBuckets; ++i) {
    out << (i == 0 ? "[" : ",[") << (std::uint64_t{1} << i) << ',' << w.histogram[i] << ']';
  }
  out << "]}}\n";
}

// After what the classes hold, which stacks do, where that is known.
void say_who_holds() noexcept {
  StatisticsBuffer& text = statistics_buffer();
  write_text(text, Gatherer::waiting);
  if (observe::profile::interval() != 0) observe::profile::write_top(text, kTopHolders);
  os::write_all(2, text.view().data(), text.view().size());
  release_statistics_buffer();
}

void write_text(Text& out, Gatherer by) noexcept {
  Rows rows{out};
  out << "stealth: statistics of " << program_name() << ", process " << os::process_id() << '\n';
  Statistics const s = gather_statistics(text_class, &rows, by);
  StallFacts const& w = s.stalls;
  out << "stealth: held " << Bytes{w.held} << " (peak " << Bytes{w.peak_held} << "), live " << Bytes{s.engine.live}
      << ", large " << Bytes{s.engine.large_bytes} << ", explicit pools " << Bytes{g_budget.held_outside()}
      << "; passed on " << s.passed_on.calls << " requests, " << Bytes{s.passed_on.bytes} << '\n';
  out << "stealth: capacity ";
  if (shown_capacity() == 0) {
    out << "none";
  } else {
    out << Bytes{shown_capacity()};
  }
  out << "; " << w.waits << " waits, " << w.waited_ns / 1'000'000 << " ms in all, longest " << w.longest_ns / 1'000'000
      << " ms; " << w.grants << " times over, " << w.refusals << " refused, " << w.waiting_now << " waiting now";
  if (w.observed_ns != 0) out << "; " << w.observed_ns / 1'000'000 << " ms would have been waited";
  out << '\n';
}

void write_xml(Text& out) noexcept {
  Rows rows{out};
  out << "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n";
  Statistics const s = gather_statistics(xml_class, &rows);
  out << "</sizes>\n</heap>\n<total type=\"mmap\" count=\"" << s.engine.large_calls << "\" size=\""
      << s.engine.large_bytes << "\"/>\n<system type=\"current\" size=\"" << s.stalls.held
      << "\"/>\n<system type=\"max\" size=\"" << s.stalls.peak_held << "\"/>\n</malloc>\n";
}

std::uint64_t write_statistics_when_due(bool own_files) noexcept {
  config::Stats const& wanted = settings().stats;
  if (wanted.when != config::Stats::When::interval) return 0;
  static constinit std::uint64_t next_ns = 0;
  static constinit int process = 0;  // a forked child begins anew
  std::uint64_t const now = os::monotonic_ns();
  if (process != owning_process()) next_ns = now + wanted.interval;
  process = owning_process();
  if (now >= next_ns) {
    os::BorrowedStderr const for_its_lines(own_files);
    write_statistics(Gatherer::keeper);
    next_ns = now + wanted.interval;
  }
  return next_ns - now;
}

}  // namespace stealth
