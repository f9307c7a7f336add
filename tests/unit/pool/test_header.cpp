// The C++ header: the two forms of each call, error codes, subscriptions that move and end.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <stealth/stealth.hpp>
#include <string>

namespace {

// Ends after the error category would, if that ever ended: it is there before anything has asked for it.
struct AsksAtExit {
  ~AsksAtExit() {
    std::error_code const error = stealth::errc::pool_closed;
    if (error != std::errc::bad_file_descriptor || error.message() != stealth_error_message(STEALTH_POOL_CLOSED))
      std::_Exit(1);
  }
} asks_at_exit;

TEST(Header, Version) { EXPECT_EQ(stealth::version(), stealth_version()); }

TEST(Header, ErrorsAreErrorCodes) {
  std::error_code const code = stealth::errc::not_live;
  EXPECT_EQ(code.value(), STEALTH_NOT_LIVE);
  EXPECT_STREQ(code.category().name(), "stealth");
  EXPECT_EQ(&code.category(), &stealth::category());
  EXPECT_EQ(code.message(), stealth_error_message(STEALTH_NOT_LIVE));
  EXPECT_EQ(code, stealth::errc::not_live);
  EXPECT_NE(code, stealth::errc::invalid_value);
  EXPECT_EQ(code, std::errc::operation_not_permitted);
}

TEST(Header, ErrorsMeanWhatTheyMeanElsewhere) {
  using stealth::errc;
  for (errc const error : {errc::invalid_argument, errc::unknown_setting, errc::invalid_value, errc::invalid_handle,
                           errc::prealloc_out_of_bounds, errc::invalid_block, errc::invalid_options})
    EXPECT_EQ(make_error_code(error), std::errc::invalid_argument);
  EXPECT_EQ(make_error_code(errc::not_supported), std::errc::not_supported);
  EXPECT_EQ(make_error_code(errc::not_enough_memory), std::errc::not_enough_memory);
  EXPECT_EQ(make_error_code(errc::no_thread), std::errc::resource_unavailable_try_again);
  EXPECT_EQ(make_error_code(errc::too_many), std::errc::resource_unavailable_try_again);
  EXPECT_EQ(make_error_code(errc::pool_full), std::errc::resource_unavailable_try_again);
  EXPECT_EQ(make_error_code(errc::pool_closed), std::errc::bad_file_descriptor);
  EXPECT_EQ(make_error_code(errc::out_of_range), std::errc::result_out_of_range);
  EXPECT_EQ(make_error_code(errc::timed_out), std::errc::timed_out);
  EXPECT_EQ(make_error_code(errc::not_enough_memory), std::errc::not_enough_memory);
  EXPECT_EQ(stealth::category().default_error_condition(77).value(), 77);
}

TEST(Header, SetAndStats) {
  stealth::set("capacity", "64m");
  stealth::Statistics const now = stealth::stats();
  EXPECT_EQ(now.size, sizeof now);
  EXPECT_EQ(now.capacity, 64u << 20);
  std::error_code error = stealth::errc::not_live;
  stealth::set(std::string("STEALTH_CAPACITY"), std::string("none"), error);
  EXPECT_FALSE(error) << error.message();
  EXPECT_EQ(stealth::stats().capacity, 0u);
}

TEST(Header, SetFails) {
  std::error_code error;
  stealth::set("capacity", "lots", error);
  EXPECT_EQ(error, stealth::errc::invalid_value);
  stealth::set("capacty", "1g", error);
  EXPECT_EQ(error, stealth::errc::unknown_setting);
  stealth::set("classes", "all", error);
  EXPECT_EQ(error, stealth::errc::not_live);
  stealth::set("profile", "512k", error);
  EXPECT_EQ(error, stealth::errc::not_supported);
  try {
    stealth::set("capacity", "lots");
    ADD_FAILURE() << "nothing thrown";
  } catch (std::system_error const& caught) {
    EXPECT_EQ(caught.code(), stealth::errc::invalid_value);
    EXPECT_NE(std::string(caught.what()).find("STEALTH_CAPACITY='lots': not a size; accepted: "), std::string::npos)
        << caught.what();
  }
}

TEST(Header, SetTakesTheWholeTextOrNothing) {
  std::error_code error;
  stealth::set(std::string_view("capacity of more", 8), std::string_view("1gigabyte", 2), error);
  EXPECT_FALSE(error) << error.message();
  EXPECT_EQ(stealth::stats().capacity, 1u << 30);
  stealth::set("capacity", std::string_view("2g\0x", 4), error);
  EXPECT_EQ(error, stealth::errc::invalid_value);
  stealth::set(std::string_view("capacity\0x", 10), "2g", error);
  EXPECT_EQ(error, stealth::errc::unknown_setting);
  stealth::set("capacity", std::string(5000, '1'), error);
  EXPECT_EQ(error, stealth::errc::invalid_value);
  stealth::set(std::string(5000, 'c'), "1", error);
  EXPECT_EQ(error, stealth::errc::unknown_setting);
  EXPECT_EQ(stealth::stats().capacity, 1u << 30);
  stealth::set("capacity", "none");
}

TEST(Header, Trim) { EXPECT_EQ(stealth::trim(), 0u); }

TEST(Header, SubscriptionsMoveAndEnd) {
  auto const context = std::make_shared<int>(1);
  stealth::PressureSubscription none;
  EXPECT_FALSE(none);
  none.end();
  auto first = stealth::on_pressure([context](stealth::pressure) {});
  EXPECT_TRUE(first);
  EXPECT_EQ(context.use_count(), 2);
  auto second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): which is what is tested
  EXPECT_TRUE(second);
  EXPECT_EQ(context.use_count(), 2);
  auto& same = second;
  second = std::move(same);
  EXPECT_TRUE(second);
  second = {};
  EXPECT_FALSE(second);
  EXPECT_EQ(context.use_count(), 1) << "the callback goes with its subscription";
  {
    std::error_code error;
    auto const scoped = stealth::on_pressure([context](stealth::pressure) {}, error);
    EXPECT_FALSE(error);
    EXPECT_EQ(context.use_count(), 2);
  }
  EXPECT_EQ(context.use_count(), 1);
}

TEST(Header, CallbacksThatOnlyMove) {
  auto held = std::make_unique<int>(3);
  auto const sub = stealth::on_pressure([held = std::move(held)](stealth::pressure) mutable { ++*held; });
  EXPECT_TRUE(sub);
}

TEST(Header, TooManySubscriptions) {
  std::vector<stealth::PressureSubscription> all;
  for (int i = 0; i < STEALTH_MOST_SUBSCRIPTIONS; ++i) all.push_back(stealth::on_pressure([](stealth::pressure) {}));
  std::error_code error;
  auto const one_more = stealth::on_pressure([](stealth::pressure) {}, error);
  EXPECT_EQ(error, stealth::errc::too_many);
  EXPECT_FALSE(one_more);
  EXPECT_THROW(static_cast<void>(stealth::on_pressure([](stealth::pressure) {})), std::system_error);
}

struct ThrowsWhenCopied {
  ThrowsWhenCopied() = default;
  ThrowsWhenCopied(ThrowsWhenCopied const&) { throw std::bad_alloc(); }
  void operator()(stealth::pressure) const {}
};

TEST(Header, NoMemoryForTheCallback) {
  std::error_code error;
  ThrowsWhenCopied const callback;
  EXPECT_FALSE(stealth::on_pressure(callback, error));
  EXPECT_EQ(error, std::errc::not_enough_memory);
  EXPECT_THROW(static_cast<void>(stealth::on_pressure(callback)), std::bad_alloc);
}

}  // namespace
