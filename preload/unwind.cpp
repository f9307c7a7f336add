// libstealth-unwind.so: libunwind behind one name. An object of its own, so that only programs that are profiled load
// libunwind (preload/unwinder.cpp opens it).
//
// A stack is walked by what is known of its frames, where that suffices: for all threads, at a few nanoseconds a frame.
// libunwind's own walk of this kind (unw_backtrace) learns anew in each thread, at some hundred microseconds: too much
// for threads that live shortly.
#define UNW_LOCAL_ONLY
#include <libunwind.h>

#include <algorithm>

#include "known_frames.hpp"

namespace {

using stealth::KnownFrames;
using Address = KnownFrames::Address;

constinit KnownFrames g_known;

// Of a stack: no variable of anybody's that a sanitizer would know.
__attribute__((no_sanitize("address", "thread"))) Address word_at(Address place) noexcept {
  return *reinterpret_cast<Address const*>(place);
}
void* pointer_to(Address code) noexcept { return reinterpret_cast<void*>(code); }

// The stack from the return address that stands at `place` on; how many. `end` says why there are no more: that the
// stack ends there or `most` are told, that the last one's frame has another size each time, or that nothing is known
// of it yet. `places`, unless it is null, is where the addresses stand.
enum class End : std::uint8_t { whole, varies, unknown };
int walk(Address place, void** into, void const** places, int most, End& end) noexcept {
  for (int depth = 0;;) {
    Address const pc = word_at(place);
    if (places != nullptr) places[depth] = pointer_to(place);
    into[depth++] = pointer_to(pc);
    KnownFrames::Frame const frame = g_known.find(pc);
    end = frame.kind == KnownFrames::Kind::varies ? End::varies : End::unknown;
    if (depth == most || frame.kind == KnownFrames::Kind::outermost) end = End::whole;
    if (end == End::whole || frame.kind != KnownFrames::Kind::fixed) return depth;
    Address const next = place + frame.distance;
    bool const same_page = next / KnownFrames::kPageBytes == place / KnownFrames::kPageBytes;
    if (!same_page && !g_known.is_readable(next)) return depth;
    if (!g_known.is_called_by(pc, word_at(next))) return depth;
    place = next;
  }
}

// The same by libunwind, a step a frame, and remembers what it sees. 0: the frame at `place` does not turn up.
int learn(Address place, void** into, int most) noexcept {
  unw_context_t context;
  unw_cursor_t cursor, last;
  if (unw_getcontext(&context) != 0 || unw_init_local(&cursor, &context) != 0) return 0;
  int depth = 0, more = 1;
  Address last_pc = 0, last_place = 0;
  while (depth < most && (last = cursor, more = unw_step(&cursor)) > 0) {
    unw_word_t pc = 0;
    unw_save_loc_t saved;
    unw_get_reg(&cursor, UNW_REG_IP, &pc);
    if (pc == 0) {  // whoever made this stack has put it there for its end
      more = 0;
      break;
    }
    bool const in_memory = unw_get_save_loc(&cursor, UNW_REG_IP, &saved) == 0 && saved.type == UNW_SLT_MEMORY;
    Address const at = in_memory && word_at(saved.u.addr) == pc ? saved.u.addr : 0;
    if (depth == 0 && at != place) continue;  // a frame of ours
    if (at != 0) g_known.learn_readable(at);
    if (depth != 0 && at > last_place && last_place != 0) {
      g_known.learn(last_pc, at - last_place, pc);
    } else if (depth != 0) {
      g_known.learn_varying(last_pc);
    }
    into[depth++] = pointer_to(pc);
    last_pc = pc;
    last_place = at;
  }
  if (depth != 0 && more <= 0) {
    // Without a description of the frame, its end is a guess, from what its registers held this time.
    unw_proc_info_t description;
    if (more == 0 && unw_get_proc_info(&last, &description) == 0) {
      g_known.learn_outermost(last_pc);
    } else {
      g_known.learn_varying(last_pc);
    }
  }
  return depth;
}

// By libunwind's own walk, less the frames of ours that it begins with.
int backtrace(Address first, void** into, int most) noexcept {
  int const depth = unw_backtrace(into, most);
  void** const end = into + (depth < 0 ? 0 : depth);
  void** const begin = std::find(into, end, pointer_to(first));
  std::copy(begin, end, into);
  return static_cast<int>(end - begin);
}

// Its first call makes what threads share.
__attribute__((constructor)) void prepare_backtrace() noexcept {
  void* frames[4];
  unw_backtrace(frames, 4);
}

}  // namespace

// Return addresses of the caller, innermost first; how many. Any thread.
extern "C" __attribute__((visibility("default"), noinline)) int stealth_unwind(void** into, int most) noexcept {
  auto const first = reinterpret_cast<Address>(__builtin_return_address(0));
  Address const place = reinterpret_cast<Address>(__builtin_frame_address(0)) + sizeof(void*);
  if (word_at(place) != first) return backtrace(first, into, most);  // not where the two machines known here have it
  End end = End::unknown;
  int depth = walk(place, into, nullptr, most, end);
  if (end == End::unknown) depth = learn(place, into, most);
  return end != End::varies && depth != 0 ? depth : backtrace(first, into, most);
}

// The same from a place on where a return address stands, and where each one does, up to a frame of which more than
// once would not help; negative: so many, and then one of which nothing is known yet. Waits for nobody.
extern "C" __attribute__((visibility("default"))) int stealth_unwind_known(void const* place, void** into,
                                                                           void const** places, int most) noexcept {
  End end = End::unknown;
  int const depth = walk(reinterpret_cast<Address>(place), into, places, most, end);
  return end != End::unknown ? depth : -depth;
}
