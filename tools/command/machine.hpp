// What this machine, and this place in it (container, limits, sandbox), offers to a program under libstealth.
#pragma once

#include "elf_file.hpp"
#include "finding.hpp"

namespace stealth::command {

// `library`: of the kind of libstealth.so.
Findings machine_findings(ElfKind const& library);

}  // namespace stealth::command
