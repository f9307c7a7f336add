// The C functions of include/stealth/stealth.h. What they do is behind control().
#include "pool/control.hpp"

#define STEALTH_API extern "C" __attribute__((visibility("default")))

using stealth::control;

STEALTH_API char const* stealth_version(void) { return STEALTH_VERSION; }

STEALTH_API char const* stealth_error_message(int error) {
  switch (error) {
    case STEALTH_OK:
      return "no error";
    case STEALTH_INVALID_ARGUMENT:
      return "invalid argument: a null pointer or a wrong size; see stealth.h for what the call takes";
    case STEALTH_UNKNOWN_SETTING:
      return "unknown setting: no STEALTH_... variable has this name; stealth_check() names the nearest one";
    case STEALTH_INVALID_VALUE:
      return "invalid value: the setting does not take it; stealth_check() says what it takes";
    case STEALTH_NOT_LIVE:
      return "not live: the setting is read at start only; set it in the environment of the program";
    case STEALTH_NOT_SUPPORTED:
      return "not supported: this version or system does not act on the value; leave the setting or option at its "
             "default";
    case STEALTH_NOT_ENOUGH_MEMORY:
      return "not enough memory: the system gives none, or the capacity is reached; free some, or raise the limit";
    case STEALTH_NO_THREAD:
      return "no thread: the system gives none for the callbacks; look at RLIMIT_NPROC and the cgroup's pids.max";
    case STEALTH_TOO_MANY:
      return "too many: all 64 subscriptions, 16384 pools, 4096 buffer pools or 65536 buffers are in use; end one";
    case STEALTH_INVALID_HANDLE:
      return "invalid handle: no subscription, pool or buffer has it, or it has ended (in a forked child all subscriptions "
             "have); make a new one";
    case STEALTH_POOL_FULL:
      return "pool full: no block is free and the pool has as many as it may have; put some back, wait with "
             "get_for, or make it larger";
    case STEALTH_PREALLOC_OUT_OF_BOUNDS:
      return "preallocation out of bounds: more blocks than the pool may have; preallocate at most max_blocks";
    case STEALTH_INVALID_BLOCK:
      return "invalid block: not exactly what the pool gave out, or put back before; put what get gave, whole and once";
    case STEALTH_POOL_CLOSED:
      return "pool closed: it gives and takes nothing any more; make a new one";
    case STEALTH_OUT_OF_RANGE:
      return "out of range: beyond the end of what is there, or larger than may be; look at the size first";
    case STEALTH_TIMED_OUT:
      return "timed out: nothing came back in the time given; wait longer, or put more back";
    case STEALTH_INVALID_OPTIONS:
      return "invalid options: a value that cannot be met, or a product too large to address; see the options' comments";
    default:
      return "unknown error: not one of libstealth's, or of a later version; see stealth_version()";
  }
}

STEALTH_API int stealth_stats(struct stealth_statistics* stats) { return control().stats(stats); }

STEALTH_API int stealth_set(char const* name, char const* value) { return control().set(name, value); }

STEALTH_API int stealth_check(char const* name, char const* value, char* why, size_t size) {
  return control().check(name, value, why, size);
}

// Pools are those of the library that made them, which need not be the one that keeps the budget.
STEALTH_API int stealth_trim(uint64_t* given_back) {
  bool const is_own = &control() == &stealth::g_own_control;
  std::size_t const from_pools = is_own ? 0 : stealth::trim_explicit_pools();
  int const error = control().trim(given_back);
  if (given_back != nullptr) *given_back += from_pools;
  return error;
}

STEALTH_API int stealth_on_pressure(stealth_pressure_callback* callback, void* context, uint64_t* handle) {
  return control().on_pressure(callback, context, handle);
}

STEALTH_API int stealth_pressure_end(uint64_t handle) { return control().pressure_end(handle); }
