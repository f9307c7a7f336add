// The C library's questions about the heap: mallinfo and its kin, and malloc_trim.
#include <malloc.h>
#include <pthread.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <new>

#include "engine/outside.hpp"
#include "statistics.hpp"

#define STEALTH_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

struct mallinfo2 gather() {
  stealth::Statistics const s = stealth::gather_statistics(nullptr, nullptr);
  struct mallinfo2 info {};
  // As glibc: what is in use is uordblks + hblkhd, large blocks stand in the latter alone.
  std::uint64_t const large = s.engine.large_bytes;
  std::uint64_t const small = s.engine.live - large;
  std::uint64_t const others = large + stealth::g_budget.held_outside();
  info.arena = static_cast<std::size_t>(s.stalls.held > others ? s.stalls.held - others : 0);
  info.hblks = static_cast<std::size_t>(s.engine.large_blocks);
  info.hblkhd = static_cast<std::size_t>(large);
  info.usmblks = s.stalls.peak_held;
  info.uordblks = static_cast<std::size_t>(small);
  info.fordblks = info.arena > info.uordblks ? info.arena - info.uordblks : 0;
  info.keepcost = s.free_dirty;
  return info;
}

// 0, or -1 with errno. The stream may be anybody's: it may wait, and ask for figures itself. So the text is in memory
// of its own, and no lock is held while it is written.
int write_info(FILE* stream) {
  void* const memory = stealth::os::map(sizeof(stealth::StatisticsBuffer));
  if (memory == nullptr) {
    errno = ENOMEM;
    return -1;
  }
  auto* const text = new (memory) stealth::StatisticsBuffer;
  stealth::write_xml(*text);
  std::size_t const length = text->view().size();
  bool const whole = std::fwrite(text->view().data(), 1, length, stream) == length;
  stealth::os::unmap(memory, sizeof(stealth::StatisticsBuffer));
  return whole ? 0 : -1;
}

int cut(std::size_t n) { return n > INT_MAX ? INT_MAX : static_cast<int>(n); }

}  // namespace

STEALTH_EXPORT int malloc_trim(std::size_t) noexcept { return stealth::trim() ? 1 : 0; }

STEALTH_EXPORT struct mallinfo2 mallinfo2() noexcept { return gather(); }

STEALTH_EXPORT struct mallinfo mallinfo() noexcept {
  struct mallinfo2 const info = gather();
  return {cut(info.arena),   cut(info.ordblks), cut(info.smblks),   cut(info.hblks),    cut(info.hblkhd),
          cut(info.usmblks), cut(info.fsmblks), cut(info.uordblks), cut(info.fordblks), cut(info.keepcost)};
}

// There is nothing here that glibc's parameters could tune; programs that set them are told that they did.
STEALTH_EXPORT int mallopt(int parameter, int) noexcept {
  switch (parameter) {
    case M_MXFAST:
    case M_NLBLKS:
    case M_GRAIN:
    case M_KEEP:
    case M_TRIM_THRESHOLD:
    case M_TOP_PAD:
    case M_MMAP_THRESHOLD:
    case M_MMAP_MAX:
    case M_CHECK_ACTION:
    case M_PERTURB:
    case M_ARENA_TEST:
    case M_ARENA_MAX:
      return 1;
    default:
      return 0;
  }
}

STEALTH_EXPORT int malloc_info(int options, FILE* stream) noexcept {
  if (options != 0 || stream == nullptr) {
    errno = EINVAL;
    return -1;
  }
  int state = 0;  // a thread that is cancelled is so in a write
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
  int const result = write_info(stream);
  pthread_setcancelstate(state, nullptr);
  return result;
}

STEALTH_EXPORT void malloc_stats() noexcept {
  stealth::StatisticsBuffer& text = stealth::statistics_buffer();
  stealth::write_text(text);
  stealth::os::write_all(2, text.view().data(), text.view().size());
  stealth::release_statistics_buffer();
}
