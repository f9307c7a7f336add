// What this machine, and this place in it (container, limits, sandbox), offers to a program under libstealth.
#pragma once

#include "finding.hpp"
#include "library.hpp"

namespace stealth::command {

Findings machine_findings(Library const& library);

}  // namespace stealth::command
