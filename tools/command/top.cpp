// stealth top: a live screen of all processes under libstealth, or of one, with keys to change its settings.
#include <signal.h>

#include <array>
#include <chrono>
#include <memory>

#include "amounts.hpp"
#include "changes.hpp"
#include "command.hpp"
#include "config/parse.hpp"
#include "top_views.hpp"

namespace stealth::command {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kAnswerPatience{700};  // the screen stands still meanwhile
constexpr int kLeastRows = 8, kLeastColumns = 40;
constexpr std::size_t kLongestCapacity = 24;
constexpr char kOfCapacity[] = "STEALTH_CAPACITY=";

class Top {
 public:
  Top(std::string const& pid, milliseconds interval) : interval_(interval) {
    if (!pid.empty()) detail_.emplace(parse_pid(pid));
    alone_ = detail_.has_value();
  }

  void run(Screen& screen) {
    while (!done_ && Screen::ended_by() == 0) {
      refresh();
      auto const next = Clock::now() + interval_;
      do {
        draw(screen);
        auto const left = std::chrono::duration_cast<milliseconds>(next - Clock::now());
        int const key = screen.key(static_cast<int>(left.count()));
        if (key == kNoKey) continue;
        take(screen, key);
      } while (!done_ && Screen::ended_by() == 0 && Clock::now() < next);
    }
  }

 private:
  void refresh() {
    if (detail_) {
      detail_->refresh(histories_);
    } else {
      list_.refresh(histories_);
    }
  }

  void draw(Screen& screen) {
    screen.clear();
    int const rows = screen.rows();
    if (rows < kLeastRows || screen.columns() < kLeastColumns) {
      screen.put(0, 0, "too small");
    } else if (help_) {
      draw_help(screen);
    } else {
      if (detail_) {
        detail_->draw(screen, histories_);
      } else {
        list_.draw(screen, histories_);
      }
      draw_foot(screen);
    }
    screen.show();
  }

  void draw_foot(Screen& screen) {
    int const row = screen.rows() - 2;
    if (prompting_) {
      screen.put(row - 1, 0, left(" " + message_, screen.columns()), message_ink_);
      screen.put(row, 0, " capacity: " + typed_ + "_", Ink::bold);
    } else if (detail_ && !detail_->trouble().empty()) {
      screen.put(row, 0, left(" " + detail_->trouble(), screen.columns()), Ink::bad);
    } else if (!message_.empty()) {
      screen.put(row, 1, message_, message_ink_);
    }
    char const* const keys = prompting_ ? " enter: set it   esc: leave it"
                             : detail_  ? " c: capacity  m: mode  p: profile  s: sort  esc: back  h: help  q: quit"
                                        : " up, down: choose  enter: look closer  s: sort  h: help  q: quit";
    screen.put(screen.rows() - 1, 0, left(keys, screen.columns()), Ink::title);
  }

  void say(std::string text, Ink ink = Ink::plain) {
    message_ = std::move(text);
    message_ink_ = ink;
  }

  void take(Screen& screen, int key) {
    if (key == kResize) return;
    if (prompting_) return take_in_prompt(key);
    if (help_) {
      help_ = false;
      return;
    }
    say("");
    if (key == 'q') done_ = true;
    if (key == 'h' || key == '?') help_ = true;
    if (key == 'r' || key == 'L' - '@') screen.repaint_all();
    if (detail_) {
      take_in_detail(key);
    } else if (key == kEnter) {
      open_chosen();
    } else {
      list_.key(key, screen.rows());
    }
  }

  void open_chosen() {
    try {
      if (auto const pid = list_.chosen()) detail_.emplace(*pid);
      refresh();
    } catch (Failure const& failure) {
      say(failure.what(), Ink::warning);
    }
  }

  void take_in_detail(int key) {
    if (key == kEscape || key == kEnter) {
      if (alone_ && key == kEnter) return;
      detail_.reset();
      alone_ = false;
      refresh();
      return;
    }
    if (key == 's') detail_->next_order();
    if (key == kUp) detail_->scroll(-1);
    if (key == kDown) detail_->scroll(1);
    if (key == kPageUp) detail_->scroll(-10);
    if (key == kPageDown) detail_->scroll(10);
    if (!detail_->trouble().empty()) return;
    observe::Figures const& figures = detail_->view().figures();
    if (key == 'm') change(std::string("mode=") + mode_name((figures.mode + 1) % 3));
    if (key == 'p') change(figures.profile_interval == 0 ? "profile=512k" : "profile=off");
    if (key == 'c') {
      prompting_ = true;
      typed_.clear();
      say("bytes with k, m, g or t, N%, auto, none", Ink::dim);
    }
  }

  void take_in_prompt(int key) {
    if (key == kEscape) {
      prompting_ = false;
      say("");
    } else if (key == kBackspace) {
      if (!typed_.empty()) typed_.pop_back();
      say("");
    } else if (key > ' ' && key < 0x7F && typed_.size() < kLongestCapacity) {
      typed_ += static_cast<char>(key);
      say("");
    } else if (key == kEnter && typed_.empty()) {
      prompting_ = false;
      say("");
    } else if (key == kEnter && change("capacity=" + typed_)) {
      prompting_ = false;
    } else if (key == kEnter && message_.rfind(kOfCapacity, 0) == 0) {
      message_.erase(0, sizeof kOfCapacity - 1);  // the prompt says so already
    }
  }

  bool change(std::string const& text) {
    try {
      Change const wanted = parse_change(text);
      apply(detail_->view().process, wanted, kAnswerPatience);
      refresh();
      say(wanted.variable + " is " + wanted.shown + " now", Ink::good);
      return true;
    } catch (Failure const& failure) {
      say(failure.what(), Ink::warning);
      return false;
    }
  }

  milliseconds interval_;
  Histories histories_;
  ListView list_;
  std::optional<DetailView> detail_;
  bool alone_ = false;  // begun with one process
  bool done_ = false, help_ = false, prompting_ = false;
  std::string typed_, message_;
  Ink message_ink_ = Ink::plain;
};

milliseconds parse_interval(std::string const& text) {
  std::uint64_t nanoseconds = 0;
  bool const good = config::parse_time(text, nanoseconds).fine() || config::parse_time(text + "s", nanoseconds).fine();
  auto const interval = std::chrono::duration_cast<milliseconds>(std::chrono::nanoseconds(nanoseconds));
  if (!good || interval < milliseconds(100) || interval > std::chrono::minutes(1)) {
    throw Failure("--interval " + escaped(text) + ": not a time that is accepted; give 100ms to 60s", Failure::kUsage);
  }
  return interval;
}

void run(std::string const& pid, std::string const& interval) {
  milliseconds const every = parse_interval(interval);
  {
    Top top(pid, every);
    Screen screen;
    top.run(screen);
  }
  if (int const signal_number = Screen::ended_by(); signal_number != 0) {
    signal(signal_number, SIG_DFL);  // whoever started it shall see what ended it
    raise(signal_number);
  }
}

}  // namespace

void draw_help(Screen& screen) {
  static constexpr std::array kLines{
      "up, down, page up, page down   choose a process; in one: move through its classes",
      "enter, esc                     look closer, and back",
      "c                              change the capacity: a size, N%, auto or none",
      "m                              next mode: enforce, observe, off",
      "p                              heap profile on (512k) and off",
      "s                              next order, by the column marked *",
      "r                              draw anew",
      "q                              quit",
      "",
      "held     from the kernel          used     compared with the capacity",
      "live     with the program         idle     free, can go back at once",
      "purged   given back so far        over     used above the capacity",
      "waits    calls that were delayed  grants   went over it after waiting in vain",
      "The mark in the bar is the soft point, where delays begin."};
  screen.put(0, 0, left(" stealth top: help", screen.columns()), Ink::title);
  for (std::size_t i = 0; i < kLines.size(); ++i) screen.put(static_cast<int>(i) + 2, 1, kLines[i]);
  screen.put(screen.rows() - 1, 0, left(" any key: back", screen.columns()), Ink::title);
}

void add_top(CLI::App& app, Status&) {
  struct Wanted {
    std::string pid, interval = "500ms";
  };
  auto const wanted = std::make_shared<Wanted>();
  CLI::App* const top = app.add_subcommand("top", "a live screen of all processes under libstealth, or of one");
  top->add_option("PID", wanted->pid, "the process");
  top->add_option("--interval", wanted->interval, "between two looks, 100ms to 60s (default: 500ms)");
  top->callback([wanted] { run(wanted->pid, wanted->interval); });
}

}  // namespace stealth::command
