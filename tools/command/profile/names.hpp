// Names of functions as people read them.
#pragma once

#include <string>

namespace stealth::command::profile {

// As the compiler knows it, with template arguments and parameters; what cannot be demangled comes back as it is.
std::string demangled(char const* name);

// Without parameters and return type, as debug information names functions: "shop::Store<int>::add".
std::string without_parameters(std::string const& name);
// Without template arguments, too: "shop::Store::add".
std::string short_name(std::string const& name);

}  // namespace stealth::command::profile
