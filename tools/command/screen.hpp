// The terminal as `stealth top` draws on it. It is as it was before on every way out: return, exception, and the
// signals that end a program.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stealth::command {

enum class Ink { plain, bold, dim, good, warning, bad, chosen, title };

// Keys that are no characters.
enum Key : int {
  kNoKey = -1,
  kEscape = 27,
  kUp = 0x1000,
  kDown,
  kPageUp,
  kPageDown,
  kHome,
  kEnd,
  kEnter,
  kBackspace,
  kResize
};

class Screen {
 public:
  // Failure where there is no terminal, or one of an unknown kind.
  Screen();
  ~Screen();
  Screen(Screen const&) = delete;
  Screen& operator=(Screen const&) = delete;

  [[nodiscard]] int rows() const;
  [[nodiscard]] int columns() const;

  void clear();
  // From (row, column) on, at most `width` characters; what would be outside of the screen is left out.
  void put(int row, int column, std::string_view text, Ink ink = Ink::plain, int width = 1 << 16);
  // A bar whose first `fill` of `width` characters are full, with a mark at `mark` (both shares of the width).
  void bar(int row, int column, int width, double fill, double mark, Ink ink);
  // A character for each value, by its height between 0 and the greatest.
  void heights(int row, int column, std::vector<double> const& values, double greatest, Ink ink);
  void repaint_all();
  void show();

  // The next key, or kNoKey when there was none for so long.
  int key(int milliseconds);
  // A signal that ends the program has come; 0: none.
  static int ended_by();

 private:
  void* terminal_ = nullptr;
  bool unicode_ = false;
  bool colours_ = false;
};

// Characters of UTF-8, each of which is taken to be one wide.
std::size_t length_of(std::string_view text);
// `text` in exactly so many characters.
std::string left(std::string_view text, int width);
std::string right(std::string_view text, int width);

}  // namespace stealth::command
