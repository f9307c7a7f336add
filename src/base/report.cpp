// See report.hpp.
#include "base/report.hpp"

#include <cstdlib>

#include "os/os.hpp"

namespace stealth {

void write_line(std::string_view text) noexcept {
  FixedText<512> line;
  line << "stealth: " << text << '\n';
  os::write_all(2, line.view().data(), line.view().size());
}

void write_line_and_abort(std::string_view text) noexcept {
  write_line(text);
  std::abort();
}

}  // namespace stealth
