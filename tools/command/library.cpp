// See library.hpp.
#include "library.hpp"

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

#include "command.hpp"
#include "installed.hpp"  // made by tools/meson.build: STEALTH_LIBDIR, STEALTH_BINDIR
#include "settings_view.hpp"

namespace stealth::command {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSeparators = " \t\n\v\f\r:";  // the loader's, and there is no way to quote them

bool is_regular(fs::path const& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

// In the order in which they are tried. The installed ones are found from the command, so that a tree that was moved
// as a whole works.
std::vector<fs::path> places() {
  std::error_code error;
  fs::path const own = fs::read_symlink("/proc/self/exe", error).parent_path();
  fs::path const libraries = STEALTH_LIBDIR;
  std::vector<fs::path> found;
  if (!own.empty()) {
    found.push_back(own / "../preload/libstealth.so");
    found.push_back(own / libraries.lexically_relative(STEALTH_BINDIR) / "libstealth.so.0");
    found.push_back(own / "../lib/libstealth.so.0");
  }
  found.push_back(libraries / "libstealth.so.0");
  for (fs::path& place : found) place = place.lexically_normal();
  return found;
}

Library checked(fs::path const& path, std::string const& from) {
  std::error_code error;
  fs::path const absolute = fs::absolute(path, error).lexically_normal();
  std::string const name = absolute.string();
  if (name.find_first_of(kSeparators) != std::string::npos) {
    throw Failure(name + ": LD_PRELOAD cannot carry a path with blanks or colons; put libstealth.so elsewhere");
  }
  if (!is_regular(absolute)) throw Failure(name + ": no such library; check " + from);
  std::optional<ElfFile> const file = read_elf(name);
  if (!file || !file->defined.contains("malloc") || !file->defined.contains("stealth_version")) {
    throw Failure(name + ": not libstealth.so; check " + from);
  }
  return {name, file->kind};
}

// The same file, or another build of libstealth: two of them cannot serve one process.
bool is_libstealth(std::string const& entry, Library const& library) {
  std::error_code ignored;
  std::string const base = fs::path(entry).filename().string();
  return base == "libstealth.so" || base.starts_with("libstealth.so.") || fs::equivalent(entry, library.path, ignored);
}

}  // namespace

Library find_library(std::string const& named) {
  if (!named.empty()) return checked(named, "--library");
  char const* const variable = std::getenv(kLibraryVariable.data());
  if (variable != nullptr && *variable != '\0') return checked(variable, std::string(kLibraryVariable));
  std::string tried;
  for (fs::path const& place : places()) {
    if (is_regular(place)) return checked(place, "the installation");
    tried += (tried.empty() ? "" : ", ") + place.string();
  }
  throw Failure("libstealth.so: not found as " + tried + "; name it by --library or STEALTH_LIBRARY");
}

std::string preload_with(Library const& library, std::string_view before) {
  std::string list = library.path;
  while (!before.empty()) {
    std::size_t const end = std::min(before.find_first_of(kSeparators), before.size());
    std::string const entry(before.substr(0, end));
    before.remove_prefix(std::min(end + 1, before.size()));
    if (!entry.empty() && !is_libstealth(entry, library)) list += ":" + entry;
  }
  return list;
}

}  // namespace stealth::command
