// The wording of a refusal, once in full for each row: users and scripts meet these lines.
#include <gtest/gtest.h>

#include "helpers.hpp"

namespace stealth::config {
namespace {

TEST(Messages, OneInFullForEachRow) {
  for (auto const& [name, value, message] : std::to_array<std::array<std::string_view, 3>>({
           {"CAPACITY", "12x", "STEALTH_CAPACITY='12x': not a size; accepted: bytes with k, m, g or t, N%, auto, none"},
           {"CLASSES", "16,64-32",
            "STEALTH_CLASSES='16,64-32': 64-32: the first size is above the second; accepted: all, none, or a list of "
            "SIZE or LO-HI, 1 to 1g, each with :max=N and :prealloc=N"},
           {"MODE", "on", "STEALTH_MODE='on': not a known word; accepted: enforce, observe, off"},
           {"SOFT", "90", "STEALTH_SOFT='90': not a share; accepted: 0.1% to 100%"},
           {"BACKOFF_MAX_WAIT", "0",
            "STEALTH_BACKOFF_MAX_WAIT='0': out of range; accepted: a time with us, ms, s or m, 1us to 60m"},
           {"BACKOFF_PATIENCE", "5",
            "STEALTH_BACKOFF_PATIENCE='5': a time without its unit; accepted: a time with us, ms, s or m, 0 to 60m"},
           {"BACKOFF_MAX_ELAPSED", "x",
            "STEALTH_BACKOFF_MAX_ELAPSED='x': not a time; accepted: a time with us, ms, s or m, 0 to 1440m"},
           {"BACKOFF_BUDGET", "200%", "STEALTH_BACKOFF_BUDGET='200%': out of range; accepted: 0% to 100%"},
           {"BACKOFF_JITTER", "x", "STEALTH_BACKOFF_JITTER='x': not a number; accepted: 0 to 1"},
           {"ON_EXHAUSTED", "x", "STEALTH_ON_EXHAUSTED='x': not a known word; accepted: grant, enomem, abort"},
           {"PURGE_DELAY", "x", "STEALTH_PURGE_DELAY='x': not a time; accepted: a time with us, ms, s or m, 0 to 60m"},
           {"HUGE_PAGES", "x", "STEALTH_HUGE_PAGES='x': not a known word; accepted: never, auto, always"},
           {"GUARD", "x", "STEALTH_GUARD='x': not a known word; accepted: off, sample, full"},
           {"DUMPABLE", "x", "STEALTH_DUMPABLE='x': not a known word; accepted: on, off"},
           {"STATS", "exit:xml",
            "STEALTH_STATS='exit:xml': xml: neither text nor json; accepted: off, or exit or an interval of 100ms to "
            "1440m, with :text or :json and :FILE"},
           {"CONTROL", "x", "STEALTH_CONTROL='x': not a known word; accepted: auto, on, off"},
           {"PROFILE", "x",
            "STEALTH_PROFILE='x': not a size; accepted: off, or bytes with k, m, g or t, 1 to 1t, with :FILE"},
           {"GROUP", "a/b",
            "STEALTH_GROUP='a/b': not a plain name; accepted: none, or up to 63 letters, digits, dots, dashes and "
            "underscores, no dot first"},
           {"ONLY", "\x01",
            "STEALTH_ONLY='\\x01': has a control character; accepted: all, or a comma list of globs over the program's "
            "base name, !glob excludes, up to 1023 bytes"},
           {"VERBOSE", "x", "STEALTH_VERBOSE='x': not a number; accepted: 0, 1, 2"},
       })) {
    EXPECT_EQ(refusal(name, value), message);
  }
}

}  // namespace
}  // namespace stealth::config
