// Three tiers of assertion (meson option `checks`): cheap ones cost a few instructions off the hot path; full ones walk
// whole structures (the is_valid() functions) and are for CI.
#pragma once

#include "base/report.hpp"

#define STEALTH_TEXT_OF(x) #x
#define STEALTH_LINE_OF(x) STEALTH_TEXT_OF(x)

#if STEALTH_CHECKS >= 1
#define STEALTH_CHECK(condition)                                                                     \
  (__builtin_expect(!!(condition), 1) ? static_cast<void>(0)                                         \
                                      : ::stealth::die("internal error: " #condition " at " __FILE__ \
                                                       ":" STEALTH_LINE_OF(__LINE__) "; please report it"))
#else
#define STEALTH_CHECK(condition) static_cast<void>(0)
#endif

#if STEALTH_CHECKS >= 2
#define STEALTH_CHECK_FULL(condition) STEALTH_CHECK(condition)
#else
#define STEALTH_CHECK_FULL(condition) static_cast<void>(0)
#endif
