// stealth top: one process from near.
#include <algorithm>

#include "amounts.hpp"
#include "command.hpp"
#include "top_views.hpp"

namespace stealth::command {
namespace {

using observe::Figures;

constexpr int kPairWidth = 20;     // a name and its figure
constexpr int kClassesWidth = 48;  // the table of classes
constexpr int kWaitingWidth = 27;  // that of the threads
constexpr int kLabelWidth = 7;     // before the bar and the lines below it
constexpr int kFigureWidth = 22;   // behind them

std::string count(std::uint64_t number) { return show_count(static_cast<double>(number)); }

struct Pair {
  char const* name;
  std::string value;
};

std::vector<Pair> pairs_of(View const& view) {
  Figures const& figures = view.figures();
  return {{"held", show_bytes(figures.held)},
          {"peak", show_bytes(figures.peak)},
          {"live", show_bytes(figures.live)},
          {"idle", show_bytes(figures.idle)},
          {"used", show_bytes(figures.used)},
          {"over", show_bytes(figures.over)},
          {"resident", show_bytes(view.process.resident)},
          {"purged", show_bytes(figures.purged)},
          {"waits", count(figures.waits)},
          {"waited", show_time(figures.waited_ns)},
          {"longest", show_time(figures.longest_call_ns)},
          {"observed", show_time(figures.observed_ns)},
          {"grants", count(figures.grants)},
          {"refused", count(figures.refusals)},
          {"waiting", count(figures.waiting_now)},
          {"pools", show_bytes(figures.pools)},
          {"mode", mode_name(figures.mode)},
          {"in vain", policy_name(figures.policy)},
          {"profile", figures.profile_interval == 0 ? "off" : show_bytes(figures.profile_interval)},
          {"group", figures.group_members == 0 ? "none" : count(figures.group_members)}};
}

}  // namespace

DetailView::DetailView(int pid) : view_(view_of(pid)) {}

void DetailView::refresh(Histories& histories) {
  if (!trouble_.empty()) return;  // what was seen last stays
  try {
    View view = view_of(view_.process.pid);
    if (view.head.mark != view_.head.mark) {
      trouble_ = std::to_string(view_.process.pid) + ": the process has become another program";
      return;
    }
    view_ = std::move(view);
    histories[view_.head.mark].note(view_);
  } catch (Failure const& failure) {
    auto const process = look_at(view_.process.pid);
    bool const ended = !process || process->ended() || process->start != view_.process.start;
    trouble_ = ended ? std::to_string(view_.process.pid) + ": the process has ended; these are its last figures"
                     : failure.what();
  }
}

void DetailView::draw_head(Screen& screen, History const& history) const {
  Figures const& figures = view_.figures();
  std::string title = " " + std::to_string(view_.process.pid) + " " + view_.program() + ", libstealth " +
                      text_of(view_.head.library) + "; figures " + show_time(view_.age()) + " old";
  if (view_.process.stopped()) title += "; STOPPED";
  screen.put(0, 0, left(title, screen.columns()), Ink::title);
  int const width = std::max(10, screen.columns() - kLabelWidth - kFigureWidth);
  int const figure = kLabelWidth + width + 1;
  screen.put(1, 1, "fill", Ink::bold);
  if (figures.capacity == 0) {
    screen.put(1, kLabelWidth, "no capacity: nothing is delayed (c sets one)");
  } else {
    double const soft = static_cast<double>(figures.soft_point) / static_cast<double>(figures.capacity);
    screen.bar(1, kLabelWidth, width, fill_of(figures), soft, ink_of(figures));
    screen.put(1, figure, show_share(fill_of(figures)) + " of " + show_bytes(figures.capacity));
  }
  std::vector<double> const held = history.held(width), waits = history.waits(width);
  double const most_held = std::max(*std::max_element(held.begin(), held.end()), static_cast<double>(figures.capacity));
  screen.put(2, 1, "held", Ink::bold);
  screen.heights(2, kLabelWidth, held, most_held, ink_of(figures));
  screen.put(2, figure, show_bytes(figures.held));
  screen.put(3, 1, "waits", Ink::bold);
  screen.heights(3, kLabelWidth, waits, *std::max_element(waits.begin(), waits.end()), Ink::warning);
  screen.put(3, figure, show_count(history.waits_per_second()) + "/s");
}

int DetailView::draw_figures(Screen& screen, int row, History const&) const {
  std::vector<Pair> const pairs = pairs_of(view_);
  int const across = std::max(1, screen.columns() / kPairWidth);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    int const line = row + static_cast<int>(i) / across, column = static_cast<int>(i) % across * kPairWidth;
    screen.put(line, column + 1, left(pairs[i].name, 9), Ink::dim);
    screen.put(line, column + 10, right(pairs[i].value, 9));
  }
  return row + (static_cast<int>(pairs.size()) + across - 1) / across;
}

void DetailView::draw_classes(Screen& screen, int row, int width, int last) const {
  std::vector<ClassLine> lines = class_lines(view_.snapshot);
  std::stable_sort(lines.begin(), lines.end(), [&](ClassLine const& a, ClassLine const& b) {
    if (order_ == Order::size) return a.size < b.size;
    return order_ == Order::waits ? a.waits > b.waits : a.bytes > b.bytes;
  });
  auto const title = [&](char const* name, Order order) { return (order_ == order ? "*" : "") + std::string(name); };
  screen.put(row, 0,
             right(title("CLASS", Order::size), 9) + right(title("BYTES", Order::bytes), 9) + right("IN USE", 7) +
                 right("FREE", 9) + right("MAX", 7) + right(title("WAITS", Order::waits), 7),
             Ink::bold, width);
  int const room = last - row;
  int const hidden = std::max(0, static_cast<int>(lines.size()) - room);
  auto const from = static_cast<std::size_t>(std::clamp(scrolled_, 0, hidden));
  for (std::size_t i = from; i < lines.size() && row < last; ++i) {
    ClassLine const& one = lines[i];
    screen.put(++row, 0,
               right(one.name, 9) + right(show_bytes(one.bytes), 9) + right(count(one.in_use), 7) +
                   right(show_bytes(one.free), 9) + right(one.max == 0 ? "-" : count(one.max), 7) +
                   right(one.is_large() ? "-" : count(one.waits), 7),
               Ink::plain, width);
  }
}

void DetailView::draw_waiting(Screen& screen, int row, int column, int last) const {
  auto const& rows = view_.snapshot.waiting_rows;
  screen.put(row, column, right("THREAD", 8) + right("WAITS FOR", 10) + "  WANTS", Ink::bold);
  for (std::uint32_t i = 0; i < view_.snapshot.waiting && row < last; ++i) {
    std::string const wants = rows[i].bytes == 0 ? "max " + show_bytes(rows[i].size) : show_bytes(rows[i].bytes);
    screen.put(++row, column,
               right(std::to_string(rows[i].thread), 8) + right(show_time(view_.waited(rows[i])), 10) + "  " + wants,
               Ink::warning);
  }
  if (view_.snapshot.waiting == 0) screen.put(row + 1, column + 2, "no thread waits", Ink::dim);
}

void DetailView::scroll(int rows) {
  scrolled_ = std::clamp(scrolled_ + rows, 0, static_cast<int>(observe::kClassRows));
}

void DetailView::draw(Screen& screen, Histories const& histories) {
  auto const found = histories.find(view_.head.mark);
  History const none;
  History const& history = found == histories.end() ? none : found->second;
  draw_head(screen, history);
  int const row = draw_figures(screen, 5, history) + 1;
  int const last = screen.rows() - 3;  // a message and the keys stand below
  if (screen.columns() >= kClassesWidth + kWaitingWidth) {
    draw_classes(screen, row, kClassesWidth, last);
    draw_waiting(screen, row, screen.columns() >= 100 ? 64 : kClassesWidth + 2, last);
  } else {
    draw_classes(screen, row, screen.columns(), last);
  }
}

}  // namespace stealth::command
