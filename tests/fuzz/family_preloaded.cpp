// The target `family` as an ordinary program under LD_PRELOAD=libstealth.so: what it runs under, STEALTH_… says.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "../preload/support/test.h"
#include "family.hpp"

namespace fuzz {

void start_family() { require_stealth(); }
bool is_guarded() {
  static char const* const wanted = std::getenv("STEALTH_GUARD");
  return wanted != nullptr && std::strcmp(wanted, "full") == 0;
}
bool reads_as_zero_once_freed(void const*) { return false; }  // who could tell which memory it is of?
bool begin_conditions(Conditions const&) { return false; }
void trim_family() { malloc_trim(0); }
void check_family() {}
void end_conditions(Conditions const&) {}

}  // namespace fuzz
