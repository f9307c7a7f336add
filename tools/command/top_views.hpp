// The two pictures of `stealth top`: the list of processes, and one of them from near. They draw and take keys; what
// goes on between them is top.cpp's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "history.hpp"
#include "pages.hpp"
#include "screen.hpp"

namespace stealth::command {

class ListView {
 public:
  void refresh(Histories& histories);
  void draw(Screen& screen, Histories const& histories);
  void key(int key, int rows);
  [[nodiscard]] std::optional<int> chosen() const;  // a PID

 private:
  enum class Order { held, fill, waits, pid };
  void sort(Histories const& histories);
  [[nodiscard]] std::size_t chosen_row() const;

  Listing listing_;
  Order order_ = Order::held;
  int chosen_ = 0;  // a PID; 0: the first of all
  std::size_t top_ = 0;
};

class DetailView {
 public:
  explicit DetailView(int pid);  // Failure says why it cannot be seen
  void refresh(Histories& histories);
  void draw(Screen& screen, Histories const& histories);
  void next_order() { order_ = static_cast<Order>((static_cast<int>(order_) + 1) % 3); }
  void scroll(int rows);
  [[nodiscard]] View const& view() const { return view_; }
  [[nodiscard]] std::string const& trouble() const { return trouble_; }  // why it is seen no more

 private:
  enum class Order { bytes, size, waits };
  void draw_head(Screen& screen, History const& history) const;
  int draw_figures(Screen& screen, int row, History const& history) const;
  void draw_classes(Screen& screen, int row, int width, int last) const;
  void draw_waiting(Screen& screen, int row, int column, int last) const;

  View view_;
  std::string trouble_;
  Order order_ = Order::bytes;
  int scrolled_ = 0;
};

// The colour of a process's fill.
Ink ink_of(observe::Figures const& figures);
void draw_help(Screen& screen);

}  // namespace stealth::command
