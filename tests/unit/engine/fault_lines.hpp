// What a broken program's last words are compared with.
#pragma once

#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <string>

namespace stealth::test {

inline std::string text_of(void const* p) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%lx", reinterpret_cast<unsigned long>(p));
  return text;
}

// The exact line, and nothing else.
#define EXPECT_FAULT(statement, line)                                         \
  EXPECT_EXIT(static_cast<void>(statement), testing::KilledBySignal(SIGABRT), \
              testing::Matcher<std::string const&>("stealth: " + std::string(line) + "\n"))

}  // namespace stealth::test
