// Fuzz target: the parser of settings, the lists of size classes among them. The first byte chooses a setting, the
// whole environment, or the names alone; the rest is the text. What is accepted must come back the same when printed
// and read again; what is refused must change nothing, and be told in one line.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "config/globs.hpp"
#include "config/load.hpp"
#include "input.hpp"

namespace {

using namespace stealth::config;

void check_line(std::string_view line) {
  REQUIRE(!line.empty());
  for (char const c : line) {
    REQUIRE(c >= ' ' && c <= '~');
  }
}

void one_setting(Setting const& setting, std::string_view text) {
  static std::array<char, 8192> room;
  Config config;
  Problem problem;
  if (!set(config, setting.name(), text, problem)) {
    REQUIRE(config == defaults && problem.why != Why::fine);
    Line line{room};
    describe(problem, line);
    check_line(line.view());
    return;
  }
  Line line{room};
  setting.print(config, line);
  REQUIRE(!line.cut());
  Config again;
  REQUIRE(set(again, setting.variable, line.view(), problem) && again == config);
}

void environment(std::string_view text) {
  // Lines of the text become entries.
  static std::array<char, 4096> bytes;
  std::array<char const*, 64> entries{};
  std::size_t const size = text.size() < bytes.size() - 1 ? text.size() : bytes.size() - 1;
  if (size != 0) {
    std::memcpy(bytes.data(), text.data(), size);
  }
  bytes[size] = '\0';
  std::size_t count = 0;
  bool at_start = true;
  for (std::size_t i = 0; i < size && count + 1 < entries.size(); ++i) {
    if (at_start) {
      entries[count++] = &bytes[i];
    }
    at_start = bytes[i] == '\n';
    if (at_start) {
      bytes[i] = '\0';
    }
  }
  Config config;
  load(config, {entries.data(), "/usr/bin/program", false},
       {[](void*, std::string_view line) noexcept { check_line(line); }, nullptr});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  std::string_view const text{reinterpret_cast<char const*>(data) + 1, size - 1};
  std::size_t const choice = data[0] % (settings.size() + 2);
  if (choice < settings.size()) {
    one_setting(settings[choice], text);
  } else if (choice == settings.size()) {
    environment(text);
  } else {
    matches_only(text, "program");
    REQUIRE(edit_distance(text, text) == 0);
    REQUIRE(!nearest_setting(text).variable.empty());
  }
  return 0;
}
