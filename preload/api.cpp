// The public C API as the interposer serves it.
#include "engine/outside.hpp"
#include "statistics.hpp"
#include "stealth/stealth.h"

#define STEALTH_EXPORT extern "C" __attribute__((visibility("default")))

STEALTH_EXPORT char const* stealth_version(void) { return STEALTH_VERSION; }
