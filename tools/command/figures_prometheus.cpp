// stealth stat --format prometheus: the text format, in bytes and seconds. One table names every metric with its help;
// docs/operations.md and docs/grafana-dashboard.json are written to these names.
#include <array>
#include <cstdio>
#include <set>

#include "amounts.hpp"
#include "figures.hpp"

namespace stealth::command {
namespace {

using observe::ClassRow;
using observe::Figures;

std::string label_text(std::string const& text) {
  std::string result;
  for (char const c : text) {  // no line ends in it: those are escaped already
    if (c == '\\' || c == '"') result += '\\';
    result += c;
  }
  return result;
}

std::string labels_of(View const& view) {
  return "pid=\"" + std::to_string(view.process.pid) + "\",program=\"" + label_text(view.program()) + "\"";
}

std::string seconds(std::uint64_t nanoseconds) {
  char text[48];
  std::snprintf(text, sizeof text, "%llu.%09llu", static_cast<unsigned long long>(nanoseconds / 1'000'000'000),
                static_cast<unsigned long long>(nanoseconds % 1'000'000'000));
  return text;
}

enum class Unit : bool { plain, nanoseconds };

struct Metric {
  char const* name;
  char const* type;
  char const* help;
  Unit unit;
  std::uint64_t (*of)(View const&);
};

constexpr Unit kPlain = Unit::plain, kTime = Unit::nanoseconds;
template <std::uint64_t Figures::*field>
std::uint64_t figure(View const& view) {
  return view.figures().*field;
}

constexpr std::array kMetrics{
    Metric{"stealth_capacity_bytes", "gauge", "Bytes that the process may hold before backoff bites; 0: no capacity.",
           kPlain, figure<&Figures::capacity>},
    Metric{"stealth_soft_point_bytes", "gauge", "Where delays begin; 0: no capacity.", kPlain,
           figure<&Figures::soft_point>},
    Metric{"stealth_used_bytes", "gauge",
           "What is compared with the capacity: resident of what is held, or the sum of the group or cgroup.", kPlain,
           figure<&Figures::used>},
    Metric{"stealth_over_bytes", "gauge", "How far used is above the capacity.", kPlain, figure<&Figures::over>},
    Metric{"stealth_held_bytes", "gauge", "Memory that the process has from the kernel through libstealth.", kPlain,
           figure<&Figures::held>},
    Metric{"stealth_held_peak_bytes", "gauge", "The most that held has been.", kPlain, figure<&Figures::peak>},
    Metric{"stealth_live_bytes", "gauge", "Of held: with the program, in blocks rounded up to their class.", kPlain,
           figure<&Figures::live>},
    Metric{"stealth_idle_bytes", "gauge", "Of held: free, and can go back to the kernel at once.", kPlain,
           figure<&Figures::idle>},
    Metric{"stealth_pools_bytes", "gauge", "Of held: memory of explicit pools.", kPlain, figure<&Figures::pools>},
    Metric{"stealth_purged_bytes_total", "counter", "Memory given back to the kernel.", kPlain,
           figure<&Figures::purged>},
    Metric{"stealth_large_blocks", "gauge", "Blocks above 32 KiB with the program.", kPlain,
           figure<&Figures::large_blocks>},
    Metric{"stealth_large_bytes", "gauge", "Bytes of the blocks above 32 KiB with the program.", kPlain,
           figure<&Figures::large_bytes>},
    Metric{"stealth_passed_calls_total", "counter", "Requests that went to the next allocator.", kPlain,
           figure<&Figures::passed_calls>},
    Metric{"stealth_passed_bytes_total", "counter", "Bytes of the requests that went to the next allocator.", kPlain,
           figure<&Figures::passed_bytes>},
    Metric{"stealth_heaps", "gauge", "Threads that have a heap, or had.", kPlain, figure<&Figures::heaps>},
    Metric{"stealth_resident_bytes", "gauge", "Resident memory of the whole process, as /proc tells it.", kPlain,
           [](View const& view) { return view.process.resident; }},
    Metric{"stealth_waiting_threads", "gauge", "Threads that are held up at this moment.", kPlain,
           figure<&Figures::waiting_now>},
    Metric{"stealth_longest_waiting_seconds", "gauge", "How long the one of them that waits longest has waited so far.",
           kTime, [](View const& view) { return view.longest_waiting(); }},
    Metric{"stealth_longest_wait_seconds", "gauge", "The longest that one call has waited in all.", kTime,
           figure<&Figures::longest_call_ns>},
    Metric{"stealth_longest_sleep_seconds", "gauge", "The longest of the single sleeps that waits are made of.", kTime,
           figure<&Figures::longest_sleep_ns>},
    Metric{"stealth_grants_total", "counter", "Requests that went over the capacity, or past a class's max.", kPlain,
           figure<&Figures::grants>},
    Metric{"stealth_refusals_total", "counter", "Requests that failed with ENOMEM at the capacity or a class's max.",
           kPlain, figure<&Figures::refusals>},
    Metric{"stealth_observed_seconds_total", "counter", "What would have been waited while the mode was observe.",
           kTime, figure<&Figures::observed_ns>},
    Metric{"stealth_group_members", "gauge", "Processes that share the capacity, this one included; 0: no group.",
           kPlain, figure<&Figures::group_members>},
    Metric{"stealth_profile_interval_bytes", "gauge", "Mean bytes between samples of the heap profile; 0: off.", kPlain,
           figure<&Figures::profile_interval>},
    Metric{"stealth_profile_samples", "gauge", "Live samples of the heap profile.", kPlain,
           figure<&Figures::profile_samples>},
    Metric{"stealth_snapshot_age_seconds", "gauge", "How old the figures are.", kTime,
           [](View const& view) { return view.age(); }},
};

struct ClassMetric {
  char const* name;
  char const* type;
  char const* help;
  Unit unit;
  std::uint64_t (*of)(ClassRow const&);
};

template <std::uint64_t ClassRow::*field>
std::uint64_t cell(ClassRow const& row) {
  return row.*field;
}

constexpr std::array kClassMetrics{
    ClassMetric{"stealth_class_in_use_bytes", "gauge", "Bytes of the class's blocks with the program.", kPlain,
                bytes_in_use},
    ClassMetric{"stealth_class_free_bytes", "gauge",
                "Bytes of the class's free blocks, in lists of threads and in slabs.", kPlain, bytes_free},
    ClassMetric{"stealth_class_in_use_blocks", "gauge", "Blocks with the program.", kPlain, cell<&ClassRow::in_use>},
    ClassMetric{"stealth_class_in_lists_blocks", "gauge", "Free blocks in lists of threads.", kPlain,
                cell<&ClassRow::in_lists>},
    ClassMetric{"stealth_class_in_slabs_blocks", "gauge", "Free blocks in slabs.", kPlain, cell<&ClassRow::in_slabs>},
    ClassMetric{"stealth_class_max_blocks", "gauge", "Blocks that may be in use at most; 0: no limit.", kPlain,
                cell<&ClassRow::max>},
    ClassMetric{"stealth_class_slabs", "gauge", "Slabs of the class.", kPlain, cell<&ClassRow::slabs>},
    ClassMetric{"stealth_class_waits_total", "counter", "Calls for this size that were held up.", kPlain,
                cell<&ClassRow::waits>},
    ClassMetric{"stealth_class_waited_seconds_total", "counter", "Time that calls for this size were held up.", kTime,
                cell<&ClassRow::waited_ns>},
    ClassMetric{"stealth_class_grants_total", "counter",
                "Requests for this size that went over the capacity or the max.", kPlain, cell<&ClassRow::grants>},
};

void head(std::ostream& out, char const* name, char const* type, char const* help) {
  out << "# HELP " << name << ' ' << help << "\n# TYPE " << name << ' ' << type << '\n';
}

void sample(std::ostream& out, char const* name, std::string const& labels, Unit unit, std::uint64_t value) {
  out << name << '{' << labels << "} " << (unit == kTime ? seconds(value) : std::to_string(value)) << '\n';
}

void write_info(std::ostream& out, std::vector<View> const& views) {
  head(out, "stealth_info", "gauge", "Always 1; what the process runs under, by its labels.");
  for (View const& view : views) {
    out << "stealth_info{" << labels_of(view) << ",version=\"" << label_text(text_of(view.head.library)) << "\",mode=\""
        << mode_name(view.figures().mode) << "\",on_exhausted=\"" << policy_name(view.figures().policy) << "\"} 1\n";
  }
}

void write_histogram(std::ostream& out, std::vector<View> const& views) {
  head(out, "stealth_wait_seconds", "histogram", "How long calls were held up.");
  for (View const& view : views) {
    Figures const& figures = view.figures();
    std::string const labels = labels_of(view);
    std::uint64_t sum = 0, micro = 1;
    for (std::size_t i = 0; i + 1 < observe::kBuckets; ++i, micro *= 2) {
      if (__builtin_add_overflow(sum, figures.histogram[i], &sum)) sum = UINT64_MAX;
      out << "stealth_wait_seconds_bucket{" << labels << ",le=\"" << micro / 1'000'000 << '.';
      char digits[8];
      std::snprintf(digits, sizeof digits, "%06u", static_cast<unsigned>(micro % 1'000'000));
      out << digits << "\"} " << sum << '\n';
    }
    std::uint64_t const all = waits_in(figures);
    out << "stealth_wait_seconds_bucket{" << labels << ",le=\"+Inf\"} " << all << '\n';
    sample(out, "stealth_wait_seconds_sum", labels, kTime, figures.waited_ns);
    sample(out, "stealth_wait_seconds_count", labels, kPlain, all);
  }
}

void write_class_metric(std::ostream& out, ClassMetric const& metric, std::vector<View> const& views) {
  head(out, metric.name, metric.type, metric.help);
  for (View const& view : views) {
    std::set<std::uint64_t> seen;  // a size that came twice would make the whole file invalid
    for (std::uint32_t i = 0; i < view.snapshot.classes; ++i) {
      ClassRow const& row = view.snapshot.class_rows[i];
      if (!seen.insert(row.size).second) continue;
      sample(out, metric.name, labels_of(view) + ",size=\"" + std::to_string(row.size) + "\"", metric.unit,
             metric.of(row));
    }
  }
}

}  // namespace

void write_prometheus(std::ostream& out, std::vector<View> const& views) {
  head(out, "stealth_processes", "gauge", "Processes under libstealth that show themselves.");
  out << "stealth_processes " << views.size() << '\n';
  if (views.empty()) return;
  write_info(out, views);
  for (Metric const& metric : kMetrics) {
    head(out, metric.name, metric.type, metric.help);
    for (View const& view : views) sample(out, metric.name, labels_of(view), metric.unit, metric.of(view));
  }
  write_histogram(out, views);
  for (ClassMetric const& metric : kClassMetrics) write_class_metric(out, metric, views);
}

}  // namespace stealth::command
