// A profile's dump as text, written piece by piece without allocating: the format of gperftools' heap profiles
// ("heap_v2") and contention profiles, which google-pprof reads, with the process's mappings and, after those, a line
// `build-id: HEX PATH` for each mapped file, by which symbols can be found on another machine.
#pragma once

#include <cstdint>

#include "base/mappings.hpp"
#include "base/text.hpp"
#include "observe/stacks.hpp"

namespace stealth::observe {

class DumpFile {
 public:
  // Takes a descriptor, or -errno.
  explicit DumpFile(int file) noexcept : file_(file) {}
  ~DumpFile();
  DumpFile(DumpFile const&) = delete;
  DumpFile& operator=(DumpFile const&) = delete;

  [[nodiscard]] int error() const noexcept { return file_ < 0 ? -file_ : 0; }
  void begin_heap(Stack const& total, std::uint64_t interval) noexcept;
  void begin_stalls() noexcept;
  void add_heap(Stack const& stack, void* const* frames) noexcept;
  void add_stalls(Stack const& stack, void* const* frames) noexcept;
  void add_mappings() noexcept;
  [[nodiscard]] int finish() noexcept;  // 0, or the errno number of what went wrong on the way

 private:
  void add_frames(Stack const& stack, void* const* frames) noexcept;
  void add_build_id(Mapping const& mapping) noexcept;
  void flush(std::size_t room) noexcept;  // writes out, unless there is so much room

  struct Beginning {
    std::uint64_t start, end, path_hash;
  };
  Beginning begun_ = {};  // of the file that was mapped last
  int file_ = -1;
  bool failed_ = false;
  static constexpr std::size_t kBytes = 4096;
  FixedText<kBytes> text_;
};

}  // namespace stealth::observe
