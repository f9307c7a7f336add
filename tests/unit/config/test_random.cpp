// Random and damaged inputs through the fuzzers' entry, the same ones each time: nothing crashes, what is accepted
// prints and parses back, what is refused changes nothing (fuzz_config.cpp aborts otherwise).
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "config/settings.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);

namespace stealth::config {
namespace {

using Random = std::mt19937;

std::size_t below(Random& random, std::size_t n) {
  return std::uniform_int_distribution<std::size_t>{0, n - 1}(random);
}

void run(std::size_t choice, std::string const& text) {
  std::vector<std::uint8_t> input{static_cast<std::uint8_t>(choice)};
  input.insert(input.end(), text.begin(), text.end());
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

TEST(Random, BytesNeverCrash) {
  Random random{1};
  for (int round = 0; round < 50000; ++round) {
    std::string text(below(random, 40), '\0');
    for (char& c : text) {
      c = static_cast<char>(below(random, 256));
    }
    run(below(random, settings.size() + 2), text);
  }
}

TEST(Random, PiecesOfTheGrammarNeverCrash) {
  std::vector<std::string> const pieces{"0",
                                        "1",
                                        "16",
                                        "64",
                                        "1024",
                                        "4k",
                                        "1.5g",
                                        "1m",
                                        "99999999999999999999",
                                        ".5",
                                        "%",
                                        "k",
                                        "t",
                                        "us",
                                        "ms",
                                        "s",
                                        ",",
                                        "-",
                                        ":",
                                        "=",
                                        "max=",
                                        "prealloc=",
                                        "all",
                                        "none",
                                        "auto",
                                        "off",
                                        "on",
                                        "exit",
                                        "text",
                                        "json",
                                        "/tmp/x.%p",
                                        "!",
                                        "*",
                                        "?",
                                        "\n",
                                        "'",
                                        "\\",
                                        "\x1b",
                                        " ",
                                        "STEALTH_",
                                        "STEALTH_CAPACITY=",
                                        "STEALTH_CLASSES=",
                                        "STEALTH_ONLY=",
                                        "enforce",
                                        "grant",
                                        "100",
                                        "50%",
                                        "1s",
                                        "STEALTH_VERBOSE=0",
                                        "\xff"};
  Random random{2};
  for (int round = 0; round < 100000; ++round) {
    std::string text;
    for (std::size_t i = below(random, 9); i > 0; --i) {
      text += pieces[below(random, pieces.size())];
    }
    run(below(random, settings.size() + 2), text);
  }
}

TEST(Random, VeryLongValuesNeverCrash) {
  for (std::size_t choice = 0; choice < settings.size() + 2; ++choice) {
    for (char const* piece : {"1", "16,", "1-", ":", "a", "*", "*a", "\x01", "STEALTH_X=\n"}) {
      std::string text;
      while (text.size() < 5000) {
        text += piece;
      }
      run(choice, text);
    }
  }
}

}  // namespace
}  // namespace stealth::config
