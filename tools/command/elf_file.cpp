// See elf_file.hpp.
#include "elf_file.hpp"

#include <fcntl.h>
#include <gelf.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>

namespace stealth::command {

namespace {

struct Descriptor {
  explicit Descriptor(std::string const& path) : number(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  Descriptor(Descriptor const&) = delete;
  Descriptor& operator=(Descriptor const&) = delete;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
  int number;
};

struct EndElf {
  void operator()(Elf* elf) const { elf_end(elf); }
};
using Handle = std::unique_ptr<Elf, EndElf>;

// A text of the string table that lies at this section.
std::string text_at(Elf* elf, std::size_t section, std::size_t offset) {
  char const* const text = elf_strptr(elf, section, offset);
  return text == nullptr ? std::string{} : std::string(text);
}

void read_segments(Elf* elf, ElfFile& file) {
  std::size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) return;
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr) continue;
    if (header.p_type == PT_DYNAMIC) file.has_dynamic = true;
    if (header.p_type != PT_INTERP) continue;
    Elf_Data const* const data =
        elf_getdata_rawchunk(elf, static_cast<std::int64_t>(header.p_offset), header.p_filesz, ELF_T_BYTE);
    if (data == nullptr || data->d_buf == nullptr) continue;
    std::string_view const text(static_cast<char const*>(data->d_buf), data->d_size);
    file.interpreter = text.substr(0, text.find('\0'));
  }
}

void read_dynamic(Elf* elf, Elf_Scn* section, GElf_Shdr const& header, ElfFile& file) {
  Elf_Data* const data = elf_getdata(section, nullptr);
  if (data == nullptr || header.sh_entsize == 0) return;
  for (std::size_t i = 0; i < header.sh_size / header.sh_entsize; ++i) {
    GElf_Dyn entry;
    if (gelf_getdyn(data, static_cast<int>(i), &entry) == nullptr || entry.d_tag == DT_NULL) break;
    switch (entry.d_tag) {
      case DT_NEEDED:
        file.needed.push_back(text_at(elf, header.sh_link, entry.d_un.d_val));
        break;
      case DT_SONAME:
        file.soname = text_at(elf, header.sh_link, entry.d_un.d_val);
        break;
      case DT_RPATH:
        file.rpath = text_at(elf, header.sh_link, entry.d_un.d_val);
        break;
      case DT_RUNPATH:
        file.runpath = text_at(elf, header.sh_link, entry.d_un.d_val);
        break;
      case DT_SYMBOLIC:
        file.binds_itself = true;
        break;
      case DT_FLAGS:
        if ((entry.d_un.d_val & DF_SYMBOLIC) != 0) file.binds_itself = true;
        break;
      case DT_FLAGS_1:
        if ((entry.d_un.d_val & DF_1_PIE) != 0) file.is_program = true;
        break;
      default:
        break;
    }
  }
}

void read_symbols(Elf* elf, Elf_Scn* section, GElf_Shdr const& header, ElfFile& file) {
  Elf_Data* const data = elf_getdata(section, nullptr);
  if (data == nullptr || header.sh_entsize == 0) return;
  bool const dynamic = header.sh_type == SHT_DYNSYM;
  file.has_symbols = file.has_symbols || !dynamic;
  for (std::size_t i = 1; i < header.sh_size / header.sh_entsize; ++i) {
    GElf_Sym symbol;
    if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) break;
    auto const type = GELF_ST_TYPE(symbol.st_info);
    bool const is_there = symbol.st_shndx != SHN_UNDEF;
    if (type != STT_FUNC && type != STT_GNU_IFUNC && (is_there || type != STT_NOTYPE)) continue;
    if (!dynamic && !is_there) continue;
    std::string name = text_at(elf, header.sh_link, symbol.st_name);
    name.resize(std::min(name.find('@'), name.size()));
    (dynamic ? (is_there ? file.defined : file.imported) : file.hidden).insert(std::move(name));
  }
}

void read_sections(Elf* elf, ElfFile& file) {
  std::size_t names = 0;
  if (elf_getshdrstrndx(elf, &names) != 0) return;
  for (Elf_Scn* section = elf_nextscn(elf, nullptr); section != nullptr; section = elf_nextscn(elf, section)) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) continue;
    if (header.sh_type == SHT_DYNAMIC) read_dynamic(elf, section, header, file);
    if (header.sh_type == SHT_DYNSYM || header.sh_type == SHT_SYMTAB) read_symbols(elf, section, header, file);
    std::string const name = text_at(elf, names, header.sh_name);
    if (name == ".go.buildinfo" || name == ".note.go.buildid") file.is_go = true;
  }
}

}  // namespace

std::optional<ElfFile> read_elf(std::string const& path) {
  if (elf_version(EV_CURRENT) == EV_NONE) return std::nullopt;
  Descriptor const descriptor(path);
  if (descriptor.number < 0) return std::nullopt;
  Handle const elf(elf_begin(descriptor.number, ELF_C_READ_MMAP, nullptr));
  GElf_Ehdr header;
  if (!elf || elf_kind(elf.get()) != ELF_K_ELF || gelf_getehdr(elf.get(), &header) == nullptr) return std::nullopt;
  ElfFile file;
  file.path = path;
  file.kind = {header.e_ident[EI_CLASS], header.e_ident[EI_DATA], header.e_machine};
  file.type = header.e_type;
  file.is_program = file.type == ET_EXEC;
  read_segments(elf.get(), file);
  read_sections(elf.get(), file);
  for (std::string const& name : file.defined) file.hidden.erase(name);
  return file;
}

std::string describe(ElfKind const& kind) {
  static constexpr struct {
    std::uint16_t machine;
    char const* name;
  } kNames[] = {{EM_X86_64, "x86-64"}, {EM_386, "x86"},         {EM_AARCH64, "aarch64"}, {EM_ARM, "arm"},
                {EM_RISCV, "riscv"},   {EM_PPC64, "powerpc64"}, {EM_S390, "s390"}};
  std::string text = "machine " + std::to_string(kind.machine);
  for (auto const& known : kNames) {
    if (known.machine == kind.machine) text = known.name;
  }
  return text + (kind.bits == ELFCLASS64 ? ", 64 bit" : kind.bits == ELFCLASS32 ? ", 32 bit" : ", of no known class");
}

bool file_contains(std::string const& path, std::string_view text) {
  std::ifstream file(path, std::ios::binary);
  std::string window;
  std::string chunk(std::size_t{1} << 20U, '\0');
  while (file.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || file.gcount() > 0) {
    window.append(chunk, 0, static_cast<std::size_t>(file.gcount()));
    if (window.find(text) != std::string::npos) return true;
    window.erase(0, window.size() - std::min(window.size(), text.size()));
  }
  return false;
}

}  // namespace stealth::command
