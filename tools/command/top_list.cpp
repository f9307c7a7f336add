// stealth top: the list of processes.
#include <algorithm>
#include <array>

#include "amounts.hpp"
#include "top_views.hpp"

namespace stealth::command {
namespace {

constexpr int kFirstRow = 2;
constexpr int kFixedColumns = 68;  // all but the program's name

double rate_of(View const& view, Histories const& histories) {
  auto const found = histories.find(view.head.mark);
  return found == histories.end() ? 0 : found->second.waits_per_second();
}

std::string row_of(View const& view, double rate, int name) {
  observe::Figures const& figures = view.figures();
  return right(std::to_string(view.process.pid), 7) + "  " + left(view.program(), name) +
         right(figures.capacity == 0 ? "none" : show_bytes(figures.capacity), 9) +
         right(figures.capacity == 0 ? "-" : show_share(fill_of(figures)), 7) + right(show_bytes(figures.held), 9) +
         right(show_bytes(figures.live), 9) + right(show_bytes(view.process.resident), 9) + right(show_count(rate), 8) +
         right(view.process.stopped() ? "stopped" : show_count(static_cast<double>(figures.waiting_now)), 8);
}

}  // namespace

Ink ink_of(observe::Figures const& figures) {
  if (figures.capacity == 0) return Ink::plain;
  return figures.used >= figures.capacity ? Ink::bad : figures.used >= figures.soft_point ? Ink::warning : Ink::good;
}

void ListView::refresh(Histories& histories) {
  listing_ = all_views();
  for (View const& view : listing_.views) histories[view.head.mark].note(view);
  sort(histories);
}

void ListView::sort(Histories const& histories) {
  auto const key = [&](View const& view) -> double {
    switch (order_) {
      case Order::held:
        return static_cast<double>(view.figures().held);
      case Order::fill:
        return fill_of(view.figures());
      case Order::waits:
        return rate_of(view, histories);
      case Order::pid:
        return -static_cast<double>(view.process.pid);
    }
    return 0;
  };
  std::stable_sort(listing_.views.begin(), listing_.views.end(),
                   [&](View const& a, View const& b) { return key(a) > key(b); });
}

std::size_t ListView::chosen_row() const {
  auto const& views = listing_.views;
  auto const found =
      std::find_if(views.begin(), views.end(), [&](View const& view) { return view.process.pid == chosen_; });
  return found == views.end() ? 0 : static_cast<std::size_t>(found - views.begin());
}

std::optional<int> ListView::chosen() const {
  if (listing_.views.empty()) return std::nullopt;
  return listing_.views[chosen_row()].process.pid;
}

void ListView::draw(Screen& screen, Histories const& histories) {
  static constexpr std::array kOrders{"held", "fill", "waits/s", "pid"};
  sort(histories);
  auto const& views = listing_.views;
  std::string title = " stealth top: " + std::to_string(views.size()) + (views.size() == 1 ? " process" : " processes");
  title += std::string(", by ") + kOrders[static_cast<std::size_t>(order_)];
  screen.put(0, 0, left(title, screen.columns()), Ink::title);
  int const name = std::max(4, screen.columns() - kFixedColumns);
  screen.put(1, 0,
             right("PID", 7) + "  " + left("PROGRAM", name) + right("CAPACITY", 9) + right("FILL", 7) +
                 right("HELD", 9) + right("LIVE", 9) + right("RSS", 9) + right("WAITS/S", 8) + right("WAITING", 8),
             Ink::bold);
  auto const room = static_cast<std::size_t>(std::max(1, screen.rows() - kFirstRow - 2));
  std::size_t const chosen = chosen_row();
  if (chosen < top_) top_ = chosen;
  if (chosen >= top_ + room) top_ = chosen - room + 1;
  for (std::size_t i = top_; i < std::min(views.size(), top_ + room); ++i) {
    Ink const ink = i == chosen ? Ink::chosen : ink_of(views[i].figures());
    screen.put(kFirstRow + static_cast<int>(i - top_), 0,
               left(row_of(views[i], rate_of(views[i], histories), name), screen.columns()), ink);
  }
  if (views.empty()) {
    screen.put(kFirstRow + 1, 2, "No process here shows itself. Start one by: stealth run -- PROGRAM");
    screen.put(kFirstRow + 2, 2, "One that holds less than 16 MiB does not yet, unless started so.", Ink::dim);
  }
  if (!listing_.troubles.empty()) screen.put(screen.rows() - 2, 1, listing_.troubles.front(), Ink::warning);
}

void ListView::key(int key, int rows) {
  if (key == 's') order_ = static_cast<Order>((static_cast<int>(order_) + 1) % 4);
  auto const& views = listing_.views;
  if (views.empty()) return;
  auto const page = static_cast<std::ptrdiff_t>(std::max(1, rows - kFirstRow - 2));
  auto at = static_cast<std::ptrdiff_t>(chosen_row());
  if (key == kUp || key == 'k') --at;
  if (key == kDown || key == 'j') ++at;
  if (key == kPageUp) at -= page;
  if (key == kPageDown) at += page;
  if (key == kHome) at = 0;
  if (key == kEnd) at = static_cast<std::ptrdiff_t>(views.size());
  at = std::clamp<std::ptrdiff_t>(at, 0, static_cast<std::ptrdiff_t>(views.size()) - 1);
  chosen_ = views[static_cast<std::size_t>(at)].process.pid;
}

}  // namespace stealth::command
