// Whether libstealth, once it is loaded, would serve the program's memory: own allocators, sanitizers, plug-ins,
// run-times that map their heap themselves.
#pragma once

#include "finding.hpp"
#include "needed.hpp"
#include "program.hpp"

namespace stealth::command {

Findings allocator_findings(Program const& program, Linked const& linked);

}  // namespace stealth::command
