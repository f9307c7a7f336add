// A View in each of the formats of `stealth stat`.
#pragma once

#include <ostream>
#include <vector>

#include "pages.hpp"

namespace stealth::command {

void write_table(std::ostream& out, std::vector<View> const& views);  // a line each
void write_text(std::ostream& out, View const& view);                 // all of one process
void write_json(std::ostream& out, View const& view);                 // an object
void write_json(std::ostream& out, std::vector<View> const& views);   // an array of them
void write_prometheus(std::ostream& out, std::vector<View> const& views);

}  // namespace stealth::command
