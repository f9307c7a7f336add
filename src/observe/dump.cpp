// See dump.hpp.
#include "observe/dump.hpp"

#include <elf.h>
#include <link.h>

#include <cerrno>
#include <cstring>

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

bool parse_hex(std::string_view& text, std::uint64_t& number) noexcept {
  number = 0;
  std::size_t digits = 0;
  for (; digits < text.size(); ++digits) {
    char const c = text[digits];
    int const digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) break;
    number = number << 4 | static_cast<unsigned>(digit);
  }
  text.remove_prefix(digits);
  return digits != 0;
}

// The next word of the line, taken off it.
std::string_view take_word(std::string_view& line) noexcept {
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  std::size_t length = 0;
  while (length < line.size() && line[length] != ' ') ++length;
  std::string_view const word(line.data(), length);
  line.remove_prefix(length);
  return word;
}

template <class T>
bool copy_from(std::uintptr_t at, T& into) noexcept {
  return os::copy_carefully(&into, reinterpret_cast<void const*>(at), sizeof into) == os::Copied::all;
}

constexpr std::size_t kMostId = 32;

// Of the ELF file whose beginning is mapped there, into `id`; its length, 0: it has none.
std::size_t build_id_at(std::uintptr_t start, std::uintptr_t end, unsigned char (&id)[kMostId]) noexcept {
  ElfW(Ehdr) header;
  if (!copy_from(start, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return 0;
  for (unsigned i = 0; i < min(unsigned{header.e_phnum}, 64u); ++i) {
    ElfW(Phdr) segment;
    if (!copy_from(start + header.e_phoff + i * sizeof segment, segment)) return 0;
    if (segment.p_type != PT_NOTE || segment.p_offset + segment.p_filesz > end - start) continue;
    for (std::uintptr_t at = start + segment.p_offset, last = at + segment.p_filesz; at + sizeof(ElfW(Nhdr)) <= last;) {
      ElfW(Nhdr) note;
      if (!copy_from(at, note)) return 0;
      std::uintptr_t const name = at + sizeof note;
      std::uintptr_t const value = name + align_up(std::size_t{note.n_namesz}, 4);
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

int DumpFile::create(char const* path) noexcept {
  file_ = os::create_file(path);
  return file_ < 0 ? -file_ : 0;
}

void DumpFile::flush(std::size_t room) noexcept {
  if (text_.view().size() + room <= 4096) return;
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

// START-END perms OFFSET dev inode   PATH
void DumpFile::add_build_id(std::string_view line) noexcept {
  std::uint64_t start = 0, end = 0, offset = 0;
  std::string_view range = take_word(line);
  if (!parse_hex(range, start) || range.empty()) return;
  range.remove_prefix(1);
  std::string_view const permissions = take_word(line);
  std::string_view offset_text = take_word(line);
  if (!parse_hex(range, end) || !parse_hex(offset_text, offset)) return;
  if (offset != 0 || permissions.empty() || permissions[0] != 'r') return;
  take_word(line);
  take_word(line);
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  if (line.empty() || line.front() != '/') return;
  unsigned char id[kMostId];
  std::size_t const length = build_id_at(start, end, id);
  if (length == 0) return;
  flush(128 + line.size());
  text_ << "build-id: ";
  for (std::size_t i = 0; i < length; ++i) static_cast<Text&>(text_) << HexByte{id[i]};
  text_ << ' ' << line << '\n';
}

// /proc/self/maps, copied through; then once more, a line at a time.
void DumpFile::add_mappings() noexcept {
  flush(256);
  text_ << "\nMAPPED_LIBRARIES:\n";
  flush(4096);
  char piece[2048];
  int maps = os::open_to_read("/proc/self/maps");
  for (long got = 0; maps >= 0 && (got = os::read_some(maps, piece, sizeof piece)) > 0;)
    if (!os::write_all(file_, piece, static_cast<std::size_t>(got))) failed_ = true;
  if (maps >= 0) os::close_file(maps);
  maps = os::open_to_read("/proc/self/maps");
  if (maps < 0) return;
  std::size_t filled = 0;
  for (long got = 0; (got = os::read_some(maps, piece + filled, sizeof piece - filled)) > 0;) {
    filled += static_cast<std::size_t>(got);
    std::size_t begin = 0;
    for (std::size_t at = 0; at < filled; ++at) {
      if (piece[at] != '\n') continue;
      add_build_id({piece + begin, at - begin});
      begin = at + 1;
    }
    if (begin == 0 && filled == sizeof piece) begin = filled;  // longer than any path that can be told
    std::memmove(piece, piece + begin, filled - begin);
    filled -= begin;
  }
  os::close_file(maps);
}

int DumpFile::finish() noexcept {
  flush(4096);
  return failed_ ? EIO : 0;
}

}  // namespace stealth::observe
