// libstealth's C++20 API: thin over the C API in stealth.h, so that the binary interface is C. Thread-safe. What can
// fail comes in two forms, as in std::filesystem: one that throws std::system_error, and a noexcept one that takes a
// std::error_code&. docs/api.md tells the same with examples.
#ifndef STEALTH_STEALTH_HPP
#define STEALTH_STEALTH_HPP

#include <stealth/stealth.h>

#include <array>
#include <cstdint>
#include <memory>
#include <new>
#include <stealth/buffer_pmr.hpp>
#include <stealth/buffer_pool.hpp>
#include <stealth/error.hpp>
#include <stealth/pmr.hpp>
#include <stealth/pool.hpp>
#include <stealth/stream.hpp>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace stealth {
inline namespace v0 {  // the library itself has names in namespace stealth, too

// The library's version, "MAJOR.MINOR.PATCH"; valid for the life of the process.
[[nodiscard]] inline std::string_view version() noexcept { return stealth_version(); }

// --- figures ---

// See stealth.h for the fields.
using Statistics = ::stealth_statistics;

// What the process holds, and what was waited. Takes no lock: answers though every thread waits.
[[nodiscard]] inline Statistics stats() noexcept {
  Statistics figures{};
  figures.size = sizeof figures;
  static_cast<void>(stealth_stats(&figures));
  return figures;
}

// --- settings ---

// Changes one setting of the running process: set("capacity", "1g"). Names and values as those of the environment
// variables, in any spelling. In force when it returns, for threads that wait, too. Allocates nothing.
// unknown_setting, invalid_value, not_live, not_supported.
void set(std::string_view name, std::string_view value, std::error_code& error) noexcept;
// what() says which value is wrong and what is accepted.
void set(std::string_view name, std::string_view value);

// --- giving memory back ---

// Gives back to the kernel what is free, in all Pools and BufferPools, too; the bytes.
inline std::uint64_t trim() noexcept {
  std::uint64_t given_back = 0;
  static_cast<void>(stealth_trim(&given_back));
  return given_back;
}

// --- being told that memory is short ---

enum class pressure {
  soft = STEALTH_PRESSURE_SOFT,            // usage has passed the soft point
  capacity = STEALTH_PRESSURE_CAPACITY,    // a thread begins to wait at the capacity
  exhausted = STEALTH_PRESSURE_EXHAUSTED,  // a thread has waited in vain, and the policy decides
};

// The callback is called as long as this lives. Movable; empty once it has been moved from or ended.
class [[nodiscard]] PressureSubscription {
 public:
  PressureSubscription() noexcept = default;
  PressureSubscription(PressureSubscription&& other) noexcept
      : handle_(std::exchange(other.handle_, 0)), callback_(std::move(other.callback_)) {}
  PressureSubscription& operator=(PressureSubscription&& other) noexcept {
    if (this != &other) {
      end();
      handle_ = std::exchange(other.handle_, 0);
      callback_ = std::move(other.callback_);
    }
    return *this;
  }
  PressureSubscription(PressureSubscription const&) = delete;
  PressureSubscription& operator=(PressureSubscription const&) = delete;
  ~PressureSubscription() { end(); }

  // When it returns, the callback has returned and is not called any more. It waits for a call that is under way: hold
  // no lock that the callback may want. From within the callback itself it returns at once, and that call is the last.
  void end() noexcept {
    if (handle_ != 0) static_cast<void>(stealth_pressure_end(std::exchange(handle_, 0)));
    callback_.reset();
  }
  [[nodiscard]] explicit operator bool() const noexcept { return handle_ != 0; }

 private:
  template <class Callback>
  friend PressureSubscription on_pressure(Callback&& callback);
  template <class Callback>
  friend PressureSubscription on_pressure(Callback&& callback, std::error_code& error) noexcept;

  template <class Subscriber>
  void begin(std::shared_ptr<Subscriber> subscriber, std::error_code& error) noexcept {
    int const code = stealth_on_pressure(Subscriber::call, subscriber.get(), &handle_);
    error = detail::error_from(code);
    if (!error) callback_ = std::move(subscriber);
  }

  std::uint64_t handle_ = 0;
  std::shared_ptr<void> callback_;
};

namespace detail {

// A text that ends with a NUL, on the stack: nothing is allocated. What is too long to be right, or has a NUL in it,
// becomes a text that no setting takes.
template <std::size_t Size>
class Terminated {
 public:
  explicit Terminated(std::string_view text) noexcept {
    bool const fits = text.size() < Size && text.find('\0') == std::string_view::npos;
    std::string_view const taken = fits ? text : "(too long, or with a NUL in it)";
    taken.copy(text_.data(), taken.size());
  }
  [[nodiscard]] char const* c_str() const noexcept { return text_.data(); }

 private:
  std::array<char, Size> text_{};
};
using Name = Terminated<128>;
using Value = Terminated<2048>;

// Keeps itself alive while it runs, so that its subscription can end meanwhile.
template <class Callback>
struct Subscriber : std::enable_shared_from_this<Subscriber<Callback>> {
  explicit Subscriber(Callback&& from) : callback(std::move(from)) {}
  explicit Subscriber(Callback const& from) : callback(from) {}
  static void call(enum stealth_pressure level, void* context) noexcept {
    auto const self = static_cast<Subscriber*>(context)->shared_from_this();
    self->callback(static_cast<pressure>(level));
  }
  Callback callback;
};

}  // namespace detail

inline void set(std::string_view name, std::string_view value, std::error_code& error) noexcept {
  int const code = stealth_set(detail::Name(name).c_str(), detail::Value(value).c_str());
  error = detail::error_from(code);
}

inline void set(std::string_view name, std::string_view value) {
  std::error_code error;
  set(name, value, error);
  if (!error) return;
  std::array<char, 1024> why{};
  static_cast<void>(stealth_check(detail::Name(name).c_str(), detail::Value(value).c_str(), why.data(), why.size()));
  detail::fail(error, why.data());
}

// Calls callback(stealth::pressure) when memory gets short, on a thread of libstealth's own, never inside malloc; see
// stealth_pressure_callback in stealth.h for what it may do. An exception out of it ends the program.
// no_thread, too_many, not_enough_memory; the subscription is then empty.
template <class Callback>
[[nodiscard]] PressureSubscription on_pressure(Callback&& callback) {
  std::error_code error;
  PressureSubscription made;
  made.begin(std::make_shared<detail::Subscriber<std::decay_t<Callback>>>(std::forward<Callback>(callback)), error);
  if (error) detail::fail(error, "stealth::on_pressure");
  return made;
}

// As above; of what copying the callback may throw, only std::bad_alloc becomes an error.
template <class Callback>
[[nodiscard]] PressureSubscription on_pressure(Callback&& callback, std::error_code& error) noexcept {
  PressureSubscription made;
#ifdef __cpp_exceptions
  try {
#endif
    made.begin(std::make_shared<detail::Subscriber<std::decay_t<Callback>>>(std::forward<Callback>(callback)), error);
#ifdef __cpp_exceptions
  } catch (std::bad_alloc const&) {
    error = make_error_code(errc::not_enough_memory);
  }
#endif
  return made;
}

}  // namespace v0
}  // namespace stealth

#endif
