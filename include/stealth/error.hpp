// libstealth's errors as std::error_code. What can fail comes in two forms, as in std::filesystem: one that throws
// std::system_error, and a noexcept one that takes a std::error_code&.
#ifndef STEALTH_ERROR_HPP
#define STEALTH_ERROR_HPP

#if __cplusplus <= 201703L
#error "libstealth's C++ headers need C++20; the C headers do not"
#endif

#include <stealth/error.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>
#include <system_error>
#include <type_traits>

namespace stealth {
inline namespace v0 {  // the library itself has names in namespace stealth, too

enum class errc {
  invalid_argument = STEALTH_INVALID_ARGUMENT,
  unknown_setting = STEALTH_UNKNOWN_SETTING,      // no setting has this name
  invalid_value = STEALTH_INVALID_VALUE,          // the setting does not take this value
  not_live = STEALTH_NOT_LIVE,                    // the setting is read at start only
  not_supported = STEALTH_NOT_SUPPORTED,          // this version or system does not act on the value
  not_enough_memory = STEALTH_NOT_ENOUGH_MEMORY,  // == std::errc::not_enough_memory
  no_thread = STEALTH_NO_THREAD,                  // == std::errc::resource_unavailable_try_again
  too_many = STEALTH_TOO_MANY,                    // so many subscriptions, pools or buffers
  invalid_handle = STEALTH_INVALID_HANDLE,
  pool_full = STEALTH_POOL_FULL,                            // no block is free, and the pool has as many as it may have
  prealloc_out_of_bounds = STEALTH_PREALLOC_OUT_OF_BOUNDS,  // more blocks to preallocate than the pool may have
  invalid_block = STEALTH_INVALID_BLOCK,                    // not what the pool has given out, or given back before
  pool_closed = STEALTH_POOL_CLOSED,
  out_of_range = STEALTH_OUT_OF_RANGE,        // beyond the end, or larger than may be
  timed_out = STEALTH_TIMED_OUT,              // == std::errc::timed_out
  invalid_options = STEALTH_INVALID_OPTIONS,  // options that cannot be met
};

// Its name is "stealth"; its messages say what, why, and what to do. For any thread at any time.
[[nodiscard]] __attribute__((visibility("default"))) std::error_category const& category() noexcept;
[[nodiscard]] inline std::error_code make_error_code(errc error) noexcept {
  return {static_cast<int>(error), category()};
}

namespace detail {

// Of what a C function returned.
[[nodiscard]] inline std::error_code error_from(int code) noexcept {
  return code == STEALTH_OK ? std::error_code() : make_error_code(static_cast<errc>(code));
}

[[noreturn]] inline void fail(std::error_code error, [[maybe_unused]] char const* what) {
#ifdef __cpp_exceptions
  throw std::system_error(error, what);
#else
  static_cast<void>(error);
  std::abort();
#endif
}

class Category final : public std::error_category {
 public:
  [[nodiscard]] char const* name() const noexcept override { return "stealth"; }
  [[nodiscard]] std::string message(int error) const override { return stealth_error_message(error); }
  [[nodiscard]] std::error_condition default_error_condition(int error) const noexcept override {
    switch (static_cast<errc>(error)) {
      case errc::invalid_argument:
      case errc::unknown_setting:
      case errc::invalid_value:
      case errc::invalid_handle:
      case errc::prealloc_out_of_bounds:
      case errc::invalid_block:
      case errc::invalid_options:
        return std::errc::invalid_argument;
      case errc::not_live:
        return std::errc::operation_not_permitted;
      case errc::not_supported:
        return std::errc::not_supported;
      case errc::not_enough_memory:
        return std::errc::not_enough_memory;
      case errc::no_thread:
      case errc::too_many:
      case errc::pool_full:
        return std::errc::resource_unavailable_try_again;
      case errc::pool_closed:
        return std::errc::bad_file_descriptor;  // what the system says of a file that has been closed
      case errc::out_of_range:
        return std::errc::result_out_of_range;
      case errc::timed_out:
        return std::errc::timed_out;
    }
    return {error, *this};
  }
};

}  // namespace detail

[[nodiscard]] inline std::error_category const& category() noexcept {
  // Never destroyed: what ends last at exit, a global pool or a thread that runs on, may still ask for an error's
  // message.
  alignas(detail::Category) static std::byte storage[sizeof(detail::Category)];
  static detail::Category const& instance = *::new (static_cast<void*>(storage)) detail::Category;
  return instance;
}

}  // namespace v0
}  // namespace stealth

template <>
struct std::is_error_code_enum<stealth::errc> : std::true_type {};

#endif
