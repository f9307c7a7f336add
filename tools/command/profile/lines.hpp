// A text line by line, and a line piece by piece; whatever is wrong is said with the number of the line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stealth::command::profile {

class Lines {
 public:
  // No line of a dump comes near to this: a stack of 128 addresses has 2.5 KB, a path 4 KiB.
  static constexpr std::size_t kLongest = 64 << 10;

  Lines(std::string_view text, std::string name) : rest_(text), name_(std::move(name)) {}

  // The next line, without its end; none at the end of the text.
  std::optional<std::string_view> next();
  [[nodiscard]] std::size_t number() const { return number_; }

  // Throws Failure, naming the file and the line read last (or the one given).
  [[noreturn]] void fail(std::string const& why) const { fail_at(number_, why); }
  [[noreturn]] void fail_at(std::size_t number, std::string const& why) const;
  // The text is at its end where it should not be.
  [[noreturn]] void cut_short(std::string const& missing) const;

 private:
  std::string_view rest_;
  std::string name_;
  std::size_t number_ = 0;
};

// What is left of a line. Each call takes something off its front, or leaves it as it is and says so.
class Pieces {
 public:
  explicit Pieces(std::string_view line) : rest_(line) {}

  void blanks();
  bool literal(std::string_view text);
  std::optional<std::uint64_t> decimal() { return number(10); }
  std::optional<std::uint64_t> hex() { return number(16); }
  // Up to the next blank.
  std::string_view word();
  [[nodiscard]] std::string_view rest() const { return rest_; }
  [[nodiscard]] bool done() const { return rest_.empty(); }

 private:
  std::optional<std::uint64_t> number(int base);
  std::string_view rest_;
};

}  // namespace stealth::command::profile
