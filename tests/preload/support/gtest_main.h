// For the gtest programs of this suite, which run under LD_PRELOAD as a whole: the first test is that libstealth is
// there, since all others would pass without it.
#ifndef TESTS_PRELOAD_SUPPORT_GTEST_MAIN_H
#define TESTS_PRELOAD_SUPPORT_GTEST_MAIN_H

#include <gtest/gtest.h>

#include "test.h"

TEST(Presence, LibstealthServesThisProgram) {
  if (!standing_in()) {
    EXPECT_NE(dlsym(RTLD_DEFAULT, "stealth_version"), nullptr);
    Dl_info found;
    ASSERT_NE(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &found), 0);
    EXPECT_NE(strstr(found.dli_fname, "libstealth"), nullptr) << found.dli_fname;
  }
}

#endif
