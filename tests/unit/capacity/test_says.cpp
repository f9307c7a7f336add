// What is said, and how often.
#include "base/report.hpp"
#include "dreaming.hpp"

namespace {

using namespace stealth;
using test::Caller;
using test::charge;
using test::full_at;
using test::kMs;
using test::kSecond;

using Says = test::Dreaming;

TEST_F(Says, WhenItBeginsOnce) {
  fill(full_at(100 * kKiB, 5));
  Caller caller;
  static_cast<void>(take(caller, 10 * kKiB, Verdict::refused));
  EXPECT_EQ(times_said("allocation slows down"), 1u);
  EXPECT_NE(said().find("stealth: capacity 100.0 KiB: 100.0 KiB used, "), std::string::npos) << said();
  EXPECT_NE(said().find("over the soft point: allocation slows down; 1 waiting, for "), std::string::npos) << said();
  EXPECT_NE(said().find(" at most 10000 us at a time\n"), std::string::npos) << said();
  for (int i = 0; i < 5; ++i) {
    dream_.pass(60 * kSecond);
    static_cast<void>(take(caller, 10 * kKiB, Verdict::refused));
  }
  EXPECT_EQ(times_said("allocation slows down"), 1u);
}

TEST_F(Says, ThatAClassIsFullOnce) {
  budget_.configure(full_at(1000, 5));
  Caller caller;
  Charge charge{.level = Level::within, .account = &caller.account};
  Wait wait(budget_, charge, {}, test::always);
  while (wait.step(false) == Verdict::again) {
  }
  EXPECT_EQ(wait.decide(), Verdict::refused);
  EXPECT_EQ(times_said("stealth: a class has reached its max: allocation slows down\n"), 1u);
  EXPECT_EQ(times_said("stealth: a class's max exhausted: nothing was released in time; "), 1u);
}

// Once for each time that it is so; not for each request.
TEST_F(Says, WhenItIsExhaustedOnceForEachEpisode) {
  for (OnExhausted const policy : {OnExhausted::enomem, OnExhausted::grant}) {
    fake::reset();
    fake::capture(2);
    test::Dream dream;
    Budget budget;
    budget.configure(full_at(64 * kMiB, 0, policy));
    ASSERT_TRUE(charge(budget, 64 * kMiB));
    Caller caller;
    std::size_t episodes = 0;
    for (int i = 0; i < 4; ++i) {
      for (int j = 0; j < 50; ++j) {
        static_cast<void>(caller.take(budget, 5 * kMiB));
        dream.pass(kSecond / 2);
      }
      EXPECT_EQ(times_said("stealth: capacity exhausted: nothing was released in time; "), ++episodes);
      dream.pass(60 * kSecond);
    }
    EXPECT_EQ(times_said(policy == OnExhausted::grant ? "going over it (STEALTH_ON_EXHAUSTED=grant)\n"
                                                      : "allocations fail with ENOMEM until something is freed\n"),
              episodes);
    EXPECT_EQ(policy == OnExhausted::grant ? budget.facts().grants : budget.facts().refusals, 200u);
  }
}

TEST_F(Says, NothingWhenSilent) {
  g_verbosity = Verbosity::silent;
  fill(full_at(100, 5));
  Caller caller;
  static_cast<void>(take(caller, 1, Verdict::refused));
  g_verbosity = Verbosity::problems;
  EXPECT_EQ(said(), "");
}

TEST(SaysDeathTest, WhyItAborts) {
  fake::reset();
  Budget budget;
  budget.configure(full_at(4096, 10, OnExhausted::abort));
  ASSERT_TRUE(charge(budget, 4096));
  budget.report_holders_by([]() noexcept { write_line("the holders"); });
  Caller caller;
  EXPECT_EXIT(static_cast<void>(caller.take(budget, 1)), testing::KilledBySignal(SIGABRT),
              "stealth: the holders\n"
              "stealth: capacity exhausted: nothing was released in time; holding 4.0 KiB; "
              "STEALTH_ON_EXHAUSTED=abort ends the process\n");
}

}  // namespace
