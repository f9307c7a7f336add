// Shared by the config tests: a sink that keeps its lines, an environment made of strings, printing into a string.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "config/load.hpp"

namespace stealth::config {

struct Lines {
  std::vector<std::string> all;

  Sink sink() noexcept {
    return {[](void* context, std::string_view line) noexcept { static_cast<Lines*>(context)->all.emplace_back(line); },
            this};
  }
};

class Environment {
 public:
  explicit Environment(std::vector<std::string> entries) : entries_(std::move(entries)) {
    for (std::string const& entry : entries_) {
      pointers_.push_back(entry.c_str());
    }
    pointers_.push_back(nullptr);
  }
  Environment(Environment const&) = delete;
  Environment& operator=(Environment const&) = delete;

  char const* const* get() const { return pointers_.data(); }

 private:
  std::vector<std::string> entries_;
  std::vector<char const*> pointers_;
};

struct Loaded {
  Config config{};
  bool served = false;
  std::vector<std::string> lines;
};

inline Loaded load_all(std::vector<std::string> entries, std::string_view program = {}, bool secure = false) {
  Environment const environment(std::move(entries));
  Lines lines;
  Loaded loaded;
  loaded.served = load(loaded.config, {environment.get(), program, secure}, lines.sink());
  loaded.lines = lines.all;
  return loaded;
}

template <class Print>
std::string printed(Print print) {
  std::array<char, 8192> room{};
  Line line{room};
  print(line);
  return std::string{line.view()};
}

inline std::string shown(Setting const& setting, Config const& config) {
  return printed([&](Line& line) { setting.print(config, line); });
}

// The message for one refused setting, or "fine".
inline std::string refusal(std::string_view name, std::string_view value) {
  Config config;
  Problem problem;
  if (set(config, name, value, problem)) {
    return "fine";
  }
  EXPECT_EQ(config, defaults) << "changed by a refused value: " << name << '=' << value;
  return printed([&](Line& line) { describe(problem, line); });
}

}  // namespace stealth::config
