// See screen.hpp. The only file that knows of curses.
#define NCURSES_NOMACROS 1
#define NCURSES_WIDECHAR 1
#include "screen.hpp"

#include <curses.h>
#include <langinfo.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <clocale>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "command.hpp"
#include "page_file.hpp"

// Two functions of <term.h>, whose macros are words that others need.
extern "C" {
int setupterm(char const* name, int file, int* error);
char* tigetstr(char const* capability);
}

namespace stealth::command {
namespace {

volatile sig_atomic_t g_signal = 0;
constexpr std::array kEnding{SIGINT, SIGTERM, SIGHUP, SIGQUIT};

void note_signal(int signal) { g_signal = signal; }

void handle_signals() {
  struct sigaction action {};
  action.sa_handler = note_signal;  // without SA_RESTART: a wait for a key ends
  for (int const signal : kEnding) {
    struct sigaction before {};
    if (sigaction(signal, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);
  }
}

void make_colours() {
  start_color();
  use_default_colors();
  init_pair(1, COLOR_GREEN, -1);
  init_pair(2, COLOR_YELLOW, -1);
  init_pair(3, COLOR_RED, -1);
}

attr_t attributes(Ink ink, bool colours) {
  auto const pair = [&](int number, attr_t otherwise) {
    return colours ? static_cast<attr_t>(COLOR_PAIR(number)) : otherwise;
  };
  switch (ink) {
    case Ink::plain:
      return A_NORMAL;
    case Ink::bold:
      return A_BOLD;
    case Ink::dim:
      return A_DIM;
    case Ink::good:
      return pair(1, A_NORMAL);
    case Ink::warning:
      return pair(2, A_BOLD);
    case Ink::bad:
      return pair(3, A_BOLD) | A_BOLD;
    case Ink::chosen:
    case Ink::title:
      return A_REVERSE;
  }
  return A_NORMAL;
}

bool goes_on(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// The first `width` characters.
std::string_view first(std::string_view text, std::size_t width) {
  std::size_t at = 0;
  for (; at < text.size() && (width > 0 || goes_on(text[at])); ++at) {
    if (!goes_on(text[at])) --width;
  }
  return text.substr(0, at);
}

// For a terminal that knows no more.
std::string plain_ascii(std::string_view text) {
  std::string result;
  for (char const c : text) {
    if (!goes_on(c)) result += static_cast<unsigned char>(c) < 0x80 ? c : '?';
  }
  return result;
}

std::size_t step_of(double value, double greatest, std::size_t steps) {
  double const share = greatest > 0 ? std::clamp(value / greatest, 0.0, 1.0) : 0;
  return static_cast<std::size_t>(std::ceil(share * static_cast<double>(steps - 1)));
}

}  // namespace

Screen::Screen() {
  if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0) {
    throw Failure("top: no terminal to draw on; use: stealth stat");
  }
  char const* const kind = std::getenv("TERM");
  std::string const name = kind == nullptr ? "" : kind;
  int known = 0;
  bool const found = !name.empty() && setupterm(name.c_str(), STDOUT_FILENO, &known) == OK;
  char const* const move = found ? tigetstr("cup") : nullptr;  // to a row and column
  if (move == nullptr || reinterpret_cast<std::intptr_t>(move) == -1) {
    throw Failure("top: TERM='" + escaped(name) +
                  "': not a terminal that can be drawn on; set TERM, as in TERM=xterm, or use: stealth stat");
  }
  std::setlocale(LC_ALL, "");
  unicode_ = std::strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
  SCREEN* const terminal = newterm(name.c_str(), stdout, stdin);
  if (terminal == nullptr) throw Failure("top: the terminal cannot be drawn on; use: stealth stat");
  terminal_ = terminal;
  handle_signals();
  cbreak();
  noecho();
  nonl();
  keypad(stdscr, TRUE);
  set_escdelay(50);
  curs_set(0);
  colours_ = has_colors();
  if (colours_) make_colours();
}

Screen::~Screen() {
  endwin();
  delscreen(static_cast<SCREEN*>(terminal_));
}

int Screen::rows() const { return getmaxy(stdscr); }
int Screen::columns() const { return getmaxx(stdscr); }
void Screen::clear() { erase(); }
void Screen::repaint_all() { clearok(stdscr, TRUE); }
void Screen::show() { refresh(); }
int Screen::ended_by() { return g_signal; }

void Screen::put(int row, int column, std::string_view text, Ink ink, int width) {
  int const room = std::min(width, columns() - column);
  if (row < 0 || row >= rows() || column < 0 || room <= 0) return;
  std::string const seen = unicode_ ? std::string(text) : plain_ascii(text);
  std::string_view const part = first(seen, static_cast<std::size_t>(room));
  attrset(static_cast<int>(attributes(ink, colours_)));
  mvaddnstr(row, column, part.data(), static_cast<int>(part.size()));
  attrset(A_NORMAL);
}

void Screen::bar(int row, int column, int width, double fill, double mark, Ink ink) {
  auto const cells = [&](double share) {
    return static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * static_cast<double>(width)));
  };
  int const full = fill > 0 ? std::max(1, cells(fill)) : 0;
  int const marked = mark > 0 ? std::min(cells(mark), width - 1) : -1;
  for (int i = 0; i < width; ++i) {
    char const* const cell = i < full ? (unicode_ ? "█" : "#") : (unicode_ ? "░" : ".");
    bool const is_mark = i == marked;
    put(row, column + i, is_mark ? (unicode_ ? "┃" : "|") : cell, is_mark ? Ink::bold : ink);
  }
}

void Screen::heights(int row, int column, std::vector<double> const& values, double greatest, Ink ink) {
  static constexpr std::array<char const*, 9> kBlocks{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  static constexpr std::array<char const*, 9> kPlain{" ", "_", ".", "-", "=", "+", "*", "%", "#"};
  std::string line;
  for (double const value : values) {
    std::size_t const step = step_of(value, greatest, kBlocks.size());
    line += unicode_ ? kBlocks[step] : kPlain[step];
  }
  put(row, column, line, ink);
}

int Screen::key(int milliseconds) {
  wtimeout(stdscr, std::max(0, milliseconds));
  int const code = getch();
  switch (code) {
    case ERR:
      return kNoKey;
    case KEY_UP:
      return kUp;
    case KEY_DOWN:
      return kDown;
    case KEY_PPAGE:
      return kPageUp;
    case KEY_NPAGE:
      return kPageDown;
    case KEY_HOME:
      return kHome;
    case KEY_END:
      return kEnd;
    case KEY_ENTER:
    case '\r':
    case '\n':
      return kEnter;
    case KEY_BACKSPACE:
    case '\b':
    case 0x7F:
      return kBackspace;
    case KEY_RESIZE:
      return kResize;
    default:
      return code;
  }
}

std::size_t length_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !goes_on(c); }));
}

std::string left(std::string_view text, int width) {
  auto const room = static_cast<std::size_t>(std::max(0, width));
  std::string result(first(text, room));
  return result + std::string(room - length_of(result), ' ');
}

std::string right(std::string_view text, int width) {
  auto const room = static_cast<std::size_t>(std::max(0, width));
  std::string const part(first(text, room));
  return std::string(room - length_of(part), ' ') + part;
}

}  // namespace stealth::command
