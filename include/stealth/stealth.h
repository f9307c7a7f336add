/* libstealth's C API: what the process holds, and how it is held back; with it come the explicit pools (pool.h). C99
 * and later; C++ programs may prefer stealth.hpp. docs/api.md tells the same with examples.
 *
 * Every function may be called from any thread at any time, but not from a signal handler (stealth_stats() may). None
 * of those in this file is ever held up at the capacity. Bytes and nanoseconds throughout; texts are UTF-8 and end with
 * a NUL. */
#ifndef STEALTH_STEALTH_H
#define STEALTH_STEALTH_H

/* NOLINTBEGIN(modernize-deprecated-headers,modernize-use-using): a header for C. */
#include <stddef.h>
#include <stdint.h>
#include <stealth/buffer_pool.h>
#include <stealth/error.h>
#include <stealth/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The library's version, "MAJOR.MINOR.PATCH"; valid for the life of the process. */
char const* stealth_version(void);

/* --- figures ---------------------------------------------------------------------------- */

enum stealth_mode { STEALTH_MODE_ENFORCE = 0, STEALTH_MODE_OBSERVE = 1, STEALTH_MODE_OFF = 2 };
enum stealth_policy { STEALTH_POLICY_GRANT = 0, STEALTH_POLICY_ENOMEM = 1, STEALTH_POLICY_ABORT = 2 };

#define STEALTH_STALL_BUCKETS 26

/* Begins with its own size, and later versions only add to its end. All counts are those since the process began, or
 * was forked off by one that had counted already. */
struct stealth_statistics {
  uint64_t
      size; /* set it to sizeof(struct stealth_statistics) before the call; after it, the bytes that were filled in */

  uint64_t capacity;   /* as in force now: the group's, if there is a group; 0: none */
  uint64_t soft_point; /* where delays begin; 0: no capacity */
  uint64_t held;       /* what this process has from the kernel: in use, in free lists, free and kept for a while */
  uint64_t used;       /* what is compared with the capacity: `held`, or the part of it that is resident, or the sum of
                          the group or cgroup */
  uint64_t over;       /* how far `used` is above the capacity */
  uint64_t peak;       /* the most that `held` has been */
  uint64_t idle;       /* of `held`: whole free slabs and large blocks, kept for STEALTH_PURGE_DELAY */

  uint64_t waiting_now;      /* threads that are held up at this moment */
  uint64_t waits;            /* calls that were held up, and have ended */
  uint64_t waited_ns;        /* by all of them together */
  uint64_t longest_call_ns;  /* by one of them */
  uint64_t longest_sleep_ns; /* of the single sleeps that a call's wait is made of */
  uint64_t grants;           /* requests that went over the capacity, or past a class's max */
  uint64_t refusals;         /* requests that failed with ENOMEM at either */
  uint64_t observed_ns;      /* what would have been waited, while the mode is `observe` */
  /* `waits` by how long they took: [i] counts those of less than 2^i microseconds and not less than half of that, [0]
   * those of less than one; the last one all that took longer. */
  uint64_t histogram[STEALTH_STALL_BUCKETS];

  uint32_t group_members; /* processes that share the capacity, this one included; 0: no group */
  uint32_t mode;          /* enum stealth_mode, as in force now */
  uint32_t policy;        /* enum stealth_policy (STEALTH_ON_EXHAUSTED), as in force now */
  uint32_t reserved;      /* 0 */
  uint64_t pools;         /* of `held`: memory of explicit pools */
};

/* Fills in what the library knows of as many bytes as stats->size says. Takes no lock, so it answers though every
 * thread waits, in a signal handler, too; the figures are read one after the other, and may not add up to the last
 * byte. STEALTH_INVALID_ARGUMENT: NULL, or a size that holds no figure. */
int stealth_stats(struct stealth_statistics* stats);

/* --- settings ---------------------------------------------------------------------------- */

/* Changes one setting of the running process, as STEALTH_CAPACITY and the others set it at start: names in either case,
 * with or without STEALTH_, with - or _; values in the same spelling. In force when the call returns: threads that wait
 * go on, or wait on, by the new value. A capacity that is set in a group holds for all of its members.
 * STEALTH_UNKNOWN_SETTING, STEALTH_INVALID_VALUE, STEALTH_NOT_LIVE, STEALTH_NOT_SUPPORTED, STEALTH_INVALID_ARGUMENT. */
int stealth_set(char const* name, char const* value);

/* What stealth_set() would return, without doing it. Puts the reason into `why` (`size` bytes with the NUL, cut if need
 * be; both may be 0): one line with the name, the value, what is wrong and what is accepted; empty for STEALTH_OK. */
int stealth_check(char const* name, char const* value, char* why, size_t size);

/* --- giving memory back ---------------------------------------------------------------------------- */

/* Gives all that is free back to the kernel, whatever STEALTH_PURGE_DELAY says, other threads' lists aside: malloc's
 * memory where libstealth.so serves the process, and in any case the free blocks of all pools, preallocated ones too,
 * and the idle buffers of all buffer pools. Puts the bytes into `given_back`, which may be NULL; 0: there was nothing.
 * Some milliseconds for 100 MiB. */
int stealth_trim(uint64_t* given_back);

/* --- being told that memory is short ---------------------------------------------------------------------------- */

enum stealth_pressure {
  STEALTH_PRESSURE_SOFT = 0,     /* usage has passed the soft point; again only after it was well below in between */
  STEALTH_PRESSURE_CAPACITY = 1, /* a thread begins to wait at the capacity */
  STEALTH_PRESSURE_EXHAUSTED = 2 /* a thread has waited in vain, and the policy decides */
};

/* Runs on a thread of libstealth's own, never inside malloc, with all signals blocked, on a stack of 256 KiB. It may
 * allocate (it is never held up), free, use all of this API, and end subscriptions, its own too. One callback runs at a
 * time; each level comes at most every 100 ms, and no oftener than the callbacks return. It must not throw. */
typedef void stealth_pressure_callback(enum stealth_pressure level, void* context);

#define STEALTH_MOST_SUBSCRIPTIONS 64

/* Calls back from now on. The thread is made for the first subscription and ends with the last one. A forked child has
 * no subscriptions and no such thread: it subscribes anew, and the handles of its parent are invalid to it.
 * STEALTH_NO_THREAD, STEALTH_TOO_MANY, STEALTH_INVALID_ARGUMENT; *handle is then 0, which is no handle. */
int stealth_on_pressure(stealth_pressure_callback* callback, void* context, uint64_t* handle);

/* When it returns, the callback has returned and will not be called again; where the callback itself is the caller, it
 * is only not called again. Waits for a call of this callback that is under way: hold no lock that it may want.
 * STEALTH_INVALID_HANDLE. */
int stealth_pressure_end(uint64_t handle);

#ifdef __cplusplus
}
#endif
/* NOLINTEND(modernize-deprecated-headers,modernize-use-using) */

#endif
