// The version, for programs that ask what they run with.
#include "stealth/stealth.h"

extern "C" __attribute__((visibility("default"))) char const* stealth_version(void) { return STEALTH_VERSION; }
