// libstealth's C++20 API: thin over the C API in stealth.h, so that the binary interface is C. Thread-safe.
#ifndef STEALTH_STEALTH_HPP
#define STEALTH_STEALTH_HPP

#include <stealth/stealth.h>

#include <string_view>

namespace stealth {

// The library's version, "MAJOR.MINOR.PATCH"; valid for the life of the process.
[[nodiscard]] inline std::string_view version() noexcept { return stealth_version(); }

}  // namespace stealth

#endif
