// See needed.hpp. The order of search is that of ld.so(8): DT_RPATH of the object and of those that brought it in
// (where there is no DT_RUNPATH), LD_LIBRARY_PATH, DT_RUNPATH, the cache of ldconfig, the system's own directories.
// Left out: subdirectories for processor features, and libraries named by LD_PRELOAD.
#include "needed.hpp"

#include <elf.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>

namespace stealth::command {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostLibraries = 2000;

// /etc/ld.so.cache in the form that glibc writes since 2.32, and before in the second half of the file.
class Cache {
 public:
  Cache() {
    std::ifstream file("/etc/ld.so.cache", std::ios::binary);
    text_.assign(std::istreambuf_iterator<char>(file), {});
    base_ = text_.find("glibc-ld.so.cache1.1");
  }
  // All entries of this name; which of them fits, the files tell.
  [[nodiscard]] std::vector<std::string> find(std::string const& name) const {
    std::vector<std::string> found;
    if (base_ == std::string::npos) return found;
    std::uint32_t const count = number(base_ + 20);
    for (std::uint32_t i = 0; i < count && base_ + kHeader + (i + 1) * kEntry <= text_.size(); ++i) {
      std::size_t const entry = base_ + kHeader + i * kEntry;
      if (string(number(entry + 4)) == name) found.emplace_back(string(number(entry + 8)));
    }
    return found;
  }

 private:
  static constexpr std::size_t kHeader = 48, kEntry = 24;

  [[nodiscard]] std::uint32_t number(std::size_t at) const {
    std::uint32_t value = 0;
    if (at + sizeof value <= text_.size()) std::memcpy(&value, text_.data() + at, sizeof value);
    return value;
  }
  [[nodiscard]] std::string_view string(std::uint32_t offset) const {
    return base_ + offset < text_.size() ? std::string_view(text_.c_str() + base_ + offset) : std::string_view{};
  }

  std::string text_;
  std::size_t base_ = std::string::npos;
};

Cache const& cache() {
  static Cache const read;
  return read;
}

std::string multiarch(ElfKind const& kind) {
  switch (kind.machine) {
    case EM_X86_64:
      return "x86_64-linux-gnu";
    case EM_AARCH64:
      return "aarch64-linux-gnu";
    case EM_386:
      return "i386-linux-gnu";
    default:
      return "unknown";
  }
}

void replace_all(std::string& text, std::string const& from, std::string const& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

// The directories of a colon list; $ORIGIN is where the object lies that has the list.
std::vector<std::string> directories(std::string_view list, ElfFile const& object) {
  std::vector<std::string> found;
  std::error_code ignored;
  std::string const origin = fs::weakly_canonical(object.path, ignored).parent_path().string();
  while (!list.empty()) {
    std::size_t const end = std::min(list.find(':'), list.size());
    std::string directory(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
    for (char const* const name : {"$ORIGIN", "${ORIGIN}"}) replace_all(directory, name, origin);
    for (char const* const name : {"$LIB", "${LIB}"}) replace_all(directory, name, "lib/" + multiarch(object.kind));
    if (!directory.empty()) found.push_back(std::move(directory));
  }
  return found;
}

std::optional<ElfFile> read_fitting(std::string const& path, ElfKind const& kind) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return std::nullopt;
  std::optional<ElfFile> file = read_elf(path);
  if (file && !(file->kind == kind)) file.reset();
  return file;
}

std::vector<std::string> system_directories(ElfKind const& kind) {
  std::string const name = multiarch(kind);
  return {"/lib/" + name, "/usr/lib/" + name, "/lib64", "/usr/lib64", "/lib", "/usr/lib"};
}

struct Object {
  ElfFile const* file;
  std::vector<std::string> rpaths;  // directories by DT_RPATH, its own and those of what brought it in
};

std::optional<ElfFile> find_needed(std::string const& name, Object const& by) {
  ElfKind const& kind = by.file->kind;
  if (name.find('/') != std::string::npos) return read_fitting(name, kind);
  std::vector<std::string> places;
  auto const add = [&](std::vector<std::string> const& more) { places.insert(places.end(), more.begin(), more.end()); };
  if (by.file->runpath.empty()) add(by.rpaths);
  char const* const variable = std::getenv("LD_LIBRARY_PATH");
  if (variable != nullptr) add(directories(variable, *by.file));
  add(directories(by.file->runpath, *by.file));
  for (std::string const& place : places) {
    if (auto found = read_fitting(place + "/" + name, kind)) return found;
  }
  for (std::string const& path : cache().find(name)) {
    if (auto found = read_fitting(path, kind)) return found;
  }
  for (std::string const& place : system_directories(kind)) {
    if (auto found = read_fitting(place + "/" + name, kind)) return found;
  }
  return std::nullopt;
}

}  // namespace

Linked linked_libraries(ElfFile const& program) {
  Linked linked;
  linked.libraries.reserve(kMostLibraries);  // what is pushed back must not move: objects point to it
  std::vector<Object> queue = {{&program, directories(program.rpath, program)}};
  std::set<std::string> seen;
  for (std::size_t at = 0; at < queue.size(); ++at) {
    for (std::string const& name : queue[at].file->needed) {
      if (!seen.insert(name).second || linked.libraries.size() == kMostLibraries) continue;
      std::optional<ElfFile> found = find_needed(name, queue[at]);
      if (!found) {
        linked.missing.push_back(name);
        continue;
      }
      linked.libraries.push_back(std::move(*found));
      Object next = {&linked.libraries.back(), directories(linked.libraries.back().rpath, linked.libraries.back())};
      next.rpaths.insert(next.rpaths.end(), queue[at].rpaths.begin(), queue[at].rpaths.end());
      queue.push_back(std::move(next));
    }
  }
  return linked;
}

}  // namespace stealth::command
