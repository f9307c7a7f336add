// One writer for each format; each gives the whole output as a string, the same for the same profile.
#pragma once

#include <cstddef>
#include <string>

#include "profile.hpp"

namespace stealth::command::profile {

// A table of functions, the `top` ones that hold most by themselves; 0: all.
std::string write_text(Profile const& profile, std::size_t top);
// A line for each stack, "root;child;leaf NUMBER", for flamegraph.pl, inferno and speedscope.
std::string write_folded(Profile const& profile);
// JSON of speedscope's own file format.
std::string write_speedscope(Profile const& profile);
// A flame graph as a picture.
std::string write_svg(Profile const& profile);
// profile.proto, compressed with gzip.
std::string write_pprof(Profile const& profile);

}  // namespace stealth::command::profile
