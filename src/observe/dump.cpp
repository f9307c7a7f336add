// See dump.hpp.
#include "observe/dump.hpp"

#include <elf.h>
#include <link.h>

#include <cerrno>
#include <cstring>

#include "base/hash.hpp"
#include "base/units.hpp"
#include "os/os.hpp"

namespace stealth::observe {

namespace {

struct HexByte {
  unsigned char value;
};
Text& operator<<(Text& text, HexByte byte) {
  constexpr char kDigits[] = "0123456789abcdef";
  return text << kDigits[byte.value >> 4] << kDigits[byte.value & 15];
}

// False where it is not mapped any more: another thread may have closed the library meanwhile.
template <class T>
bool copy_from(std::uintptr_t at, T& into) noexcept {
  return os::copy_carefully(&into, reinterpret_cast<void const*>(at), sizeof into) == os::Copied::all;
}

std::uint64_t hash_of(std::string_view text) noexcept {
  return stealth::hash_of(text, [](char c) { return static_cast<unsigned char>(c); });
}

constexpr std::size_t kMostId = 32;

// Of the ELF file whose beginning is mapped there, into `id`; its length, 0: it has none, or it cannot be seen.
std::size_t build_id_at(std::uintptr_t start, std::uintptr_t end, unsigned char (&id)[kMostId]) noexcept {
  ElfW(Ehdr) header;
  if (os::may_be_filtered() || !copy_from(start, header)) return 0;
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return 0;
  for (unsigned i = 0; i < min(unsigned{header.e_phnum}, 64u); ++i) {
    ElfW(Phdr) segment;
    if (!copy_from(start + header.e_phoff + i * sizeof segment, segment)) return 0;
    bool const is_here = segment.p_offset < end - start && segment.p_filesz <= end - start - segment.p_offset;
    if (segment.p_type != PT_NOTE || !is_here) continue;
    for (std::uintptr_t at = start + segment.p_offset, last = at + segment.p_filesz; at + sizeof(ElfW(Nhdr)) <= last;) {
      ElfW(Nhdr) note;
      if (!copy_from(at, note)) return 0;
      std::uintptr_t const value = at + sizeof note + align_up(std::size_t{note.n_namesz}, 4);
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz <= kMostId) {
        auto const* const bytes = reinterpret_cast<void const*>(value);
        return os::copy_carefully(id, bytes, note.n_descsz) == os::Copied::all ? note.n_descsz : 0;
      }
      at = value + align_up(std::size_t{note.n_descsz}, 4);
    }
  }
  return 0;
}

}  // namespace

DumpFile::~DumpFile() {
  if (file_ >= 0) os::close_file(file_);
}

void DumpFile::flush(std::size_t room) noexcept {
  if (text_.view().size() + room <= kBytes) return;
  if (!os::write_all(file_, text_.view().data(), text_.view().size())) failed_ = true;
  text_.clear();
}

void DumpFile::add_frames(Stack const& stack, void* const* frames) noexcept {
  text_ << '@';
  for (std::uint32_t i = 0; i < stack.depth; ++i) text_ << ' ' << hex(frames[i]);
  text_ << '\n';
}

void DumpFile::begin_heap(Stack const& total, std::uint64_t interval) noexcept {
  text_ << "heap profile: " << total.live << ": " << total.live_bytes << " [" << total.all << ": " << total.all_bytes
        << "] @ heap_v2/" << interval << '\n';
}

void DumpFile::begin_stalls() noexcept {
  text_ << "--- contention:\ncycles/second = 1000000000\nsampling period = 1\n";
}

void DumpFile::add_heap(Stack const& stack, void* const* frames) noexcept {
  if (stack.all == 0) return;
  flush(2048);
  text_ << ' ' << stack.live << ": " << stack.live_bytes << " [" << stack.all << ": " << stack.all_bytes << "] ";
  add_frames(stack, frames);
}

void DumpFile::add_stalls(Stack const& stack, void* const* frames) noexcept {
  if (stack.stalls == 0) return;
  flush(2048);
  text_ << stack.stalled_ns << ' ' << stack.stalls << ' ';
  add_frames(stack, frames);
}

// Of a file that is mapped to be executed, at its first executable mapping; its beginning is mapped before that, or
// there. Other files are not looked into: they may have been cut short.
void DumpFile::add_build_id(Mapping const& mapping) noexcept {
  if (mapping.path.empty() || mapping.path.front() != '/') return;
  if (mapping.offset == 0 && mapping.readable) begun_ = {mapping.start, mapping.end, hash_of(mapping.path)};
  if (!mapping.executable || begun_.path_hash != hash_of(mapping.path)) return;
  unsigned char id[kMostId];
  std::size_t const length = build_id_at(begun_.start, begun_.end, id);
  begun_ = {};
  if (length == 0) return;
  flush(128 + mapping.path.size());
  text_ << "build-id: ";
  for (std::size_t i = 0; i < length; ++i) static_cast<Text&>(text_) << HexByte{id[i]};
  text_ << ' ' << mapping.path << '\n';
}

void DumpFile::add_mappings() noexcept {
  flush(256);
  text_ << "\nMAPPED_LIBRARIES:\n";
  flush(kBytes);
  int const maps = os::open_to_read("/proc/self/maps");
  char piece[2048];
  for (long got = 0; maps >= 0 && (got = os::read_some(maps, piece, sizeof piece)) > 0;)
    if (!os::write_all(file_, piece, static_cast<std::size_t>(got))) failed_ = true;
  if (maps >= 0) os::close_file(maps);
  for_each_mapping(this, [](void* file, Mapping const& mapping) noexcept {
    static_cast<DumpFile*>(file)->add_build_id(mapping);
    return true;
  });
}

int DumpFile::finish() noexcept {
  flush(kBytes);
  return failed_ ? EIO : 0;
}

}  // namespace stealth::observe
