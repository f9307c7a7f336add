// What the caller of `stealth profile` may choose about symbols.
#pragma once

#include <string>
#include <vector>

namespace stealth::command::profile {

struct SymbolOptions {
  std::string root;                     // where the profiled process has its "/"; empty: here
  std::vector<std::string> debug_dirs;  // absolute; before /usr/lib/debug
  bool all_frames = false;              // those of libstealth at the leaf too
};

}  // namespace stealth::command::profile
