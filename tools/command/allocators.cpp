// See allocators.hpp.
#include "allocators.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

namespace stealth::command {

namespace {

std::string base(std::string const& path) { return std::filesystem::path(path).filename().string(); }

// Libraries that are an allocator, whatever else they are: by the beginning of the name.
constexpr std::array<std::string_view, 9> kAllocators = {"libjemalloc",  "libtcmalloc", "libmimalloc",
                                                         "libtbbmalloc", "libscudo",    "libhoard",
                                                         "librpmalloc",  "libsnmalloc", "libhardened_malloc"};
constexpr std::array<std::string_view, 5> kSanitizers = {"libasan.so", "libtsan.so", "liblsan.so", "libmsan.so",
                                                         "libclang_rt."};
// Functions of allocators under names of their own: memory from them is not libstealth's.
constexpr std::array<std::string_view, 9> kOwnNames = {"je_malloc",       "_rjem_malloc",   "mallocx",
                                                       "mi_malloc",       "mi_heap_malloc", "tc_malloc",
                                                       "scalable_malloc", "rpmalloc",       "sn_malloc"};

template <std::size_t Size>
bool begins_with_any(std::string const& name, std::array<std::string_view, Size> const& beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(), [&](std::string_view one) { return name.starts_with(one); });
}

bool is_libc(ElfFile const& file) {
  std::string const name = base(file.path);
  return name.starts_with("libc.so") || name.starts_with("libc-2") || name.starts_with("ld-linux");
}

void look_for_sanitizer(ElfFile const& elf, Linked const& linked, Findings& found) {
  std::string by;
  for (char const* const name : {"__asan_init", "__tsan_init", "__msan_init", "__hwasan_init", "__lsan_init"}) {
    if (elf.defines(name)) by = name;
  }
  for (ElfFile const& library : linked.libraries) {
    if (begins_with_any(base(library.path), kSanitizers)) by = base(library.path);
  }
  if (by.empty()) return;
  found.push_back({Level::bad, "sanitizer", by,
                   "a sanitizer brings a malloc that must come first, and only one can serve a process",
                   "use a build without sanitizers"});
}

void look_for_own_malloc(ElfFile const& elf, Linked const& linked, Findings& found) {
  if (elf.defines("malloc")) {
    found.push_back(
        {Level::bad, "malloc", "the program defines it",
         "what a program defines itself comes before all that is preloaded: libstealth would be loaded, and "
         "serve none of its memory",
         "use a build with the C library's malloc, such as one that links the allocator as a shared library"});
    return;
  }
  std::string libraries;
  bool bound = false;
  for (ElfFile const& library : linked.libraries) {
    bool const brings = library.defined.contains("malloc") && !is_libc(library);
    if (!brings && !begins_with_any(base(library.path), kAllocators)) continue;
    bound = bound || library.binds_itself;
    libraries += (libraries.empty() ? "" : ", ") + base(library.path);
  }
  if (!libraries.empty()) {
    found.push_back(
        {Level::warn, "malloc", "from " + libraries,
         std::string("libstealth comes before it and serves malloc; its own figures are then those of an idle "
                     "allocator, and it gets the sizes that no class of libstealth serves") +
             (bound ? "; calls inside of that library stay with it" : ""),
         "nothing, or use a build without it"});
  } else if (elf.has_symbols) {
    found.push_back({Level::ok, "malloc", "the C library's", "", ""});
  } else {
    found.push_back({Level::ok, "malloc", "the C library's, as far as can be told of a stripped program", "", ""});
  }
}

void look_for_own_names(ElfFile const& elf, Linked const& linked, Findings& found) {
  std::string names;
  auto const look = [&](ElfFile const& file, bool defined) {
    for (std::string_view const own : kOwnNames) {
      std::string const name(own);
      bool const is_there = file.imported.contains(name) || (defined && file.defines(name));
      if (is_there && names.find(name) == std::string::npos) names += (names.empty() ? "" : ", ") + name;
    }
  };
  look(elf, true);
  for (ElfFile const& library : linked.libraries) look(library, false);
  if (names.empty()) return;
  found.push_back({Level::warn, "other allocator", names,
                   "memory that is asked for under these names is not libstealth's, and not counted",
                   "use a build without that allocator, if much comes from it"});
}

void look_for_deepbind(Program const& program, Linked const& linked, Findings& found) {
  std::string importers;
  if (program.elf->imported.contains("dlopen")) importers = base(program.image);
  for (ElfFile const& library : linked.libraries) {
    bool const opens = library.imported.contains("dlopen") || library.imported.contains("dlmopen");
    if (opens && !is_libc(library)) importers += (importers.empty() ? "" : ", ") + base(library.path);
  }
  if (importers.empty()) {
    found.push_back({Level::ok, "plug-ins", "none: nothing that is linked calls dlopen", "", ""});
  } else if (file_contains(program.image, "DEEPBIND")) {
    found.push_back({Level::warn, "plug-ins", "opened by " + importers + "; the program knows of RTLD_DEEPBIND",
                     "a plug-in that is opened with RTLD_DEEPBIND keeps libc's malloc, which does not take back blocks "
                     "that libstealth gave",
                     "see whether the program can be told to open its plug-ins without it"});
  } else {
    found.push_back({Level::ok, "plug-ins",
                     "opened by " + importers + "; whether with RTLD_DEEPBIND cannot be told from the file", "", ""});
  }
}

struct Runtime {
  std::string_view name;
  std::array<std::string_view, 2> symbols;  // one of them is the program's or a library's
  std::string_view why, todo;
};
constexpr std::array<Runtime, 3> kRuntimes = {{
    {"Python",
     {"PyObject_Malloc", "Py_BytesMain"},
     "it keeps objects up to 512 bytes in pools of its own, which libstealth neither sees nor counts",
     "set PYTHONMALLOC=malloc"},
    {"Java",
     {"JLI_Launch", "JNI_CreateJavaVM"},
     "its heap is mapped, not allocated: libstealth serves the virtual machine alone",
     "limit the heap with -Xmx"},
    {"V8",
     {"_ZN2v87Isolate3NewERKNS0_12CreateParamsE", "_ZN2v82V810InitializeEi"},
     "the JavaScript heap is mapped, not allocated: libstealth serves what the program itself allocates",
     "limit that heap with --max-old-space-size"},
}};

void look_for_runtime(ElfFile const& elf, Linked const& linked, Findings& found) {
  for (Runtime const& runtime : kRuntimes) {
    auto const has = [&](ElfFile const& file) {
      return std::any_of(runtime.symbols.begin(), runtime.symbols.end(), [&](std::string_view name) {
        return file.defined.contains(std::string(name)) || file.imported.contains(std::string(name));
      });
    };
    if (!has(elf) && std::none_of(linked.libraries.begin(), linked.libraries.end(), has)) continue;
    found.push_back(
        {Level::warn, "run-time", std::string(runtime.name), std::string(runtime.why), std::string(runtime.todo)});
  }
  if (elf.is_go) {
    found.push_back({Level::warn, "run-time", "Go",
                     "its heap is mapped, not allocated: libstealth serves the C code in it alone", "set GOMEMLIMIT"});
  }
}

void look_for_missing(Linked const& linked, Findings& found) {
  std::string names;
  for (std::string const& name : linked.missing) names += (names.empty() ? "" : ", ") + name;
  std::string const count = std::to_string(linked.libraries.size());
  if (names.empty()) {
    found.push_back({Level::ok, "libraries", count + ", all found", "", ""});
  } else {
    found.push_back({Level::warn, "libraries", names + " not found",
                     "where the loader does not find them either, the program does not start at all",
                     "install them, or set LD_LIBRARY_PATH"});
  }
}

}  // namespace

Findings allocator_findings(Program const& program, Linked const& linked) {
  Findings found;
  look_for_missing(linked, found);
  look_for_sanitizer(*program.elf, linked, found);
  look_for_own_malloc(*program.elf, linked, found);
  look_for_own_names(*program.elf, linked, found);
  look_for_deepbind(program, linked, found);
  look_for_runtime(*program.elf, linked, found);
  return found;
}

}  // namespace stealth::command
