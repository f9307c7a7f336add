// One mapped file and what is known of its addresses, through elfutils.
#include "module.hpp"

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "names.hpp"

namespace stealth::command::profile {
namespace {

constexpr std::uint64_t kPage = 4096;  // the smallest: offsets of segments are told apart by it

struct Opened {
  explicit Opened(std::string const& path) : descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  Opened(Opened const&) = delete;
  Opened& operator=(Opened const&) = delete;
  ~Opened() {
    if (descriptor >= 0) close(descriptor);
  }
  int descriptor;
};

// Lower-case hex; empty: none.
std::string build_id_of(int descriptor) {
  elf_version(EV_CURRENT);
  Elf* const elf = elf_begin(descriptor, ELF_C_READ_MMAP, nullptr);
  if (elf == nullptr) return {};
  void const* bits = nullptr;
  auto const bytes = dwelf_elf_gnu_build_id(elf, &bits);
  std::string id;
  for (ssize_t i = 0; i < bytes; ++i) {
    auto const byte = static_cast<unsigned char const*>(bits)[i];
    id += "0123456789abcdef"[byte >> 4];
    id += "0123456789abcdef"[byte & 15];
  }
  elf_end(elf);
  return id;
}

// Only a regular file is opened: a path of a dump may be a device here.
bool has_build_id(std::string const& path, std::string const& wanted) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  if (wanted.empty()) return true;
  Opened const file(path);
  return file.descriptor >= 0 && build_id_of(file.descriptor) == wanted;
}

std::vector<std::string> debug_dirs(SymbolOptions const& options) {
  auto dirs = options.debug_dirs;
  if (!options.root.empty()) dirs.push_back(options.root + "/usr/lib/debug");
  dirs.emplace_back("/usr/lib/debug");
  return dirs;
}

}  // namespace

Module::Module(Mapping const& mapping, std::optional<std::uint64_t> base, SymbolOptions const& options) : base_(base) {
  // Empty: beside the file, by its .gnu_debuglink. The others are searched by build-id, too.
  debug_path_ = ":.debug";
  for (auto const& dir : debug_dirs(options)) debug_path_ += ":" + dir;
  debug_path_text_ = debug_path_.data();
  callbacks_.find_elf = dwfl_build_id_find_elf;
  callbacks_.find_debuginfo = dwfl_standard_find_debuginfo;
  callbacks_.section_address = dwfl_offline_section_address;
  callbacks_.debuginfo_path = &debug_path_text_;
  if (open_by_path(mapping, options) || open_by_build_id(mapping.build_id, options)) return;
  trouble_ = mapping.build_id.empty() ? "the file is gone" : "no file of build-id " + mapping.build_id;
}

bool Module::open_by_path(Mapping const& mapping, SymbolOptions const& options) {
  // What lies at the path of a file that was deleted is another one, unless its build-id says that it is the same.
  if (mapping.deleted && mapping.build_id.empty()) return false;
  auto const path = options.root + mapping.path;
  if (has_build_id(path, mapping.build_id) && open(path, false)) return true;
  // A container's program may be one of the host's, but then it takes more than its path to say so.
  return !options.root.empty() && !mapping.build_id.empty() && has_build_id(mapping.path, mapping.build_id) &&
         open(mapping.path, false);
}

bool Module::open_by_build_id(std::string const& build_id, SymbolOptions const& options) {
  if (build_id.empty()) return false;
  for (auto const& dir : debug_dirs(options)) {
    auto const path = dir + "/.build-id/" + build_id.substr(0, 2) + "/" + build_id.substr(2);
    if (has_build_id(path, build_id) && open(path, false)) return true;
    if (has_build_id(path + ".debug", build_id) && open(path + ".debug", true)) return true;
  }
  return false;
}

bool Module::open(std::string const& path, bool debug_only) {
  dwfl_.reset(dwfl_begin(&callbacks_));
  if (!dwfl_) return false;
  dwfl_report_begin(dwfl_.get());
  module_ = dwfl_report_offline(dwfl_.get(), "", path.c_str(), -1);
  dwfl_report_end(dwfl_.get(), nullptr, nullptr);
  debug_only_ = debug_only;
  if (module_ == nullptr) dwfl_.reset();
  return module_ != nullptr;
}

// The address where libdwfl has put the module, which is neither the process's nor the file's.
std::optional<GElf_Addr> Module::in_module(Mapping const& mapping, std::uint64_t address) const {
  GElf_Addr bias = 0;
  Elf* const elf = dwfl_module_getelf(module_, &bias);
  std::size_t headers = 0;
  if (elf == nullptr || elf_getphdrnum(elf, &headers) != 0) return std::nullopt;
  auto const offset = address - mapping.start + mapping.offset;
  std::optional<GElf_Addr> found;
  for (std::size_t i = 0; i < headers; ++i) {
    GElf_Phdr header;
    if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr || header.p_type != PT_LOAD) continue;
    if (debug_only_) {
      // The first segment begins at the base, which is all that is needed.
      if (!base_) return std::nullopt;
      return address - *base_ + header.p_vaddr / kPage * kPage + bias;
    }
    if (offset < header.p_offset || offset - header.p_offset >= header.p_filesz) continue;
    // Two segments can share a page of the file.
    if (!found || ((header.p_flags & PF_X) != 0) == mapping.executable)
      found = offset - header.p_offset + header.p_vaddr;
  }
  if (found) *found += bias;
  return found;
}

std::optional<Frame> Module::symbol_at(GElf_Addr place) const {
  GElf_Off offset = 0;
  GElf_Sym symbol;
  char const* const name = dwfl_module_addrinfo(module_, place, &offset, &symbol, nullptr, nullptr, nullptr);
  if (name == nullptr || *name == '\0') return std::nullopt;
  if (symbol.st_size != 0 && offset >= symbol.st_size) return std::nullopt;  // another one's, which has no name
  Frame frame;
  frame.linkage_name = name;
  frame.name = demangled(name);
  return frame;
}

std::vector<Frame> Module::frames_at(Mapping const& mapping, std::uint64_t address) {
  if (module_ == nullptr) return {};
  auto const place = in_module(mapping, address);
  if (!place) return {};
  if (!debug_info_sought_) {
    debug_info_sought_ = true;
    GElf_Addr bias = 0;
    if (Dwarf* const dwarf = dwfl_module_getdwarf(module_, &bias))
      debug_info_ = std::make_unique<DebugInfo>(dwarf, bias);
  }
  auto frames = debug_info_ ? debug_info_->frames_at(*place) : std::vector<Frame>();
  if (!frames.empty() && !frames.back().linkage_name.empty()) return frames;
  auto const symbol = symbol_at(*place);
  if (frames.empty()) return symbol ? std::vector<Frame>{*symbol} : frames;
  // Debug information that is reduced to lines (-g1) leaves out namespaces and classes; the symbol has them.
  auto& outermost = frames.back();
  if (symbol && outermost.name.find("::") == std::string::npos &&
      without_parameters(symbol->name).ends_with("::" + outermost.name)) {
    outermost.name = symbol->name;
    outermost.linkage_name = symbol->linkage_name;
  }
  return frames;
}

}  // namespace stealth::command::profile
