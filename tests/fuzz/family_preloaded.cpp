// The target `family` as an ordinary program under LD_PRELOAD=libstealth.so: what it runs under, STEALTH_… says.
#include <cstdint>

#include "../preload/support/test.h"
#include "family.hpp"

namespace fuzz {

void start_family() { require_stealth(); }
bool begin_conditions(Conditions const&) { return false; }
void trim_family() { malloc_trim(0); }
void check_family() {}
void end_conditions(Conditions const&) {}

}  // namespace fuzz
