/* Buffers of libstealth's C API: growing memory that never moves, from pools that hold all of it together at a target
 * by slowing down those who want more. C99 and later; C++ programs may prefer buffer_pool.hpp. docs/api.md tells the
 * same with examples.
 *
 * Every function may be called from any thread at any time, also several with the same buffer, but not from a signal
 * handler. No lock is held while a call waits, and no call on a buffer waits for another call's wait. They return
 * STEALTH_OK or another enum stealth_error, and where they fail nothing has changed. STEALTH_INVALID_ARGUMENT for a
 * pointer that must not be NULL, and STEALTH_INVALID_HANDLE for what has been destroyed or given back, are not said
 * again below. Bytes and nanoseconds throughout.
 *
 * The memory of buffers counts towards the process's capacity (STEALTH_CAPACITY), too: where a buffer grows into memory
 * that it did not have before, the call may be held up as malloc is, and then fails with STEALTH_NOT_ENOUGH_MEMORY, if
 * STEALTH_ON_EXHAUSTED says so. That comes on top of the waits that are told here. */
#ifndef STEALTH_BUFFER_POOL_H
#define STEALTH_BUFFER_POOL_H

/* NOLINTBEGIN(modernize-deprecated-headers,modernize-use-using): a header for C. */
#include <stddef.h>
#include <stdint.h>
#include <stealth/error.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct stealth_buffer_pool stealth_buffer_pool;
typedef struct stealth_buffer stealth_buffer;

/* --- making and ending ---------------------------------------------------------------------------- */

enum stealth_buffer_pool_flags {
  STEALTH_BUFFERS_WRITE_BACKOFF = 1,          /* writes wait, too, not only gets of new buffers */
  STEALTH_BUFFERS_EXCLUDE_FROM_CORE_DUMP = 2, /* their memory is left out of core dumps */
  STEALTH_BUFFERS_LOCK_IN_MEMORY = 4,         /* never swapped out; counts towards RLIMIT_MEMLOCK */
  STEALTH_BUFFERS_HUGE_PAGES = 8,             /* huge pages are asked for; buffers grow by them */
  STEALTH_BUFFERS_WIPE_ON_PUT = 16            /* a buffer is overwritten with zeros when it comes back */
};

/* Begins with its own size, and later versions only add to its end. What is 0 takes its default. */
struct stealth_buffer_pool_options {
  uint64_t size;                /* sizeof(struct stealth_buffer_pool_options) */
  uint64_t max_pool_size;       /* idle buffers that are kept; 27 */
  uint64_t initial_interval_ns; /* what is waited where the buffers are just at the target; 500 ms */
  uint64_t max_elapsed_ns;      /* the longest that one call waits; 15 s */
  double randomization_factor;  /* waits are drawn from plus or minus this share, above 0 and at most 1; 0.5 */
  uint64_t max_buffer_size;     /* bytes of one buffer, at most 2^46; 1 GiB. Each one takes as many addresses */
  uint32_t flags;               /* enum stealth_buffer_pool_flags */
  uint32_t trace_every;         /* one get in so many is traced: where it was called is told in the report of buffers
                                   that are still out when the pool is destroyed; 0: none */
};

/* Makes a pool whose buffers should together hold less than `target_size` bytes. `options` may be NULL: all defaults.
 * *pool is NULL where it fails. STEALTH_INVALID_OPTIONS: a target of 0 or above 2^62, a factor outside of 0 to 1,
 * a max_buffer_size above 2^46, unknown flags, a structure of a later version with something in it that this one does
 * not know. STEALTH_NOT_ENOUGH_MEMORY. STEALTH_TOO_MANY: STEALTH_MOST_BUFFER_POOLS are there. */
int stealth_buffer_pool_create(uint64_t target_size, struct stealth_buffer_pool_options const* options,
                               stealth_buffer_pool** pool);

#define STEALTH_MOST_BUFFER_POOLS 4096
#define STEALTH_MOST_BUFFERS      65536 /* of all pools, idle ones included */

/* Ends all waits at once, with STEALTH_POOL_CLOSED, as all later calls of the pool do (but close, destroy, stats and
 * discount), and gives idle buffers' memory back. Buffers that are out stay readable, and give their memory back when
 * they are put or released; they do not grow any more, and are not written to. Twice is harmless. */
int stealth_buffer_pool_close(stealth_buffer_pool* pool);

/* Closes the pool, and ends its handle. Nobody else may be in a call with it but to wait. Buffers that are out outlive
 * it, as told at close; their number is reported in one line on stderr (unless STEALTH_VERBOSE=0). */
int stealth_buffer_pool_destroy(stealth_buffer_pool* pool);

/* --- waiting ---------------------------------------------------------------------------------------
 * The fill ratio is the sum of the sizes of the pool's buffers (and of what was counted by stealth_buffer_pool_count)
 * over the target. Below 1 nothing waits. From 1 on a call waits for initial_interval * ratio * ratio, drawn from plus
 * or minus the randomization factor, and never longer than max_elapsed. How long depends on nothing but the ratio at
 * that time: not on how many wait, nor on how often. When something is released, those who wait look again: below the
 * target they go on at once, else they wait as long as the lower ratio says. */

/* Waits as a get of a new buffer would. `waited_ns` may be NULL. STEALTH_POOL_CLOSED. */
int stealth_buffer_pool_backoff(stealth_buffer_pool* pool, uint64_t* waited_ns);

/* Exact when no call is in flight; 0 once the pool is closed (STEALTH_POOL_CLOSED). */
int stealth_buffer_pool_fill_ratio(stealth_buffer_pool* pool, double* ratio);

/* Counts memory that the pool did not give as if it were a buffer's, after a wait like that of a get of a new one:
 * what a parser builds from a buffer, say. STEALTH_POOL_CLOSED. STEALTH_OUT_OF_RANGE: more than 2^62 in all. */
int stealth_buffer_pool_count(stealth_buffer_pool* pool, uint64_t bytes);
/* Takes it off again, also after close. STEALTH_OUT_OF_RANGE: so much has not been counted. */
int stealth_buffer_pool_discount(stealth_buffer_pool* pool, uint64_t bytes);

/* --- buffers come and go ---------------------------------------------------------------------------- */

/* An empty buffer: an idle one at once, the one that was used last first; else a new one, after a wait where the pool
 * is at its target or above. Never refuses for the target's sake. *buffer is NULL where it fails. STEALTH_POOL_CLOSED.
 * STEALTH_NOT_ENOUGH_MEMORY: no addresses, or no mappings (some 30,000 buffers with what Linux grants by default).
 * STEALTH_TOO_MANY. STEALTH_NOT_SUPPORTED: the system cannot keep memory out of core dumps. */
int stealth_buffer_pool_get(stealth_buffer_pool* pool, stealth_buffer** buffer);

/* The same, with initial content; it waits once at most, and with STEALTH_BUFFERS_WRITE_BACKOFF also where an idle one
 * is there, since the content is written. STEALTH_OUT_OF_RANGE: more than max_buffer_size. */
int stealth_buffer_pool_make(stealth_buffer_pool* pool, void const* content, size_t size, stealth_buffer** buffer);

/* Gives a buffer back; its handle ends, and its contents are gone. It is kept for the next get, with its memory, unless
 * it is larger than target / max_pool_size, or max_pool_size are kept already: then its memory goes back to the kernel,
 * and its addresses fault. STEALTH_INVALID_BLOCK: it is another pool's. STEALTH_POOL_CLOSED: it is dropped all the
 * same.
 *
 * Every 30 s one idle buffer is dropped, the one that was used longest ago. The pool has no thread for that: the first
 * put, backoff or question for a figure after that time does it. */
int stealth_buffer_pool_put(stealth_buffer_pool* pool, stealth_buffer* buffer);

/* As stealth_buffer_pool_put() to the pool that it came from, also when that is closed or destroyed: STEALTH_OK. */
int stealth_buffer_release(stealth_buffer* buffer);

/* Drops all idle buffers. Puts the bytes that went back to the kernel into `given_back`, which may be NULL.
 * STEALTH_POOL_CLOSED. */
int stealth_buffer_pool_trim(stealth_buffer_pool* pool, uint64_t* given_back);

/* --- a buffer's contents ----------------------------------------------------------------------------
 * Concurrent calls take effect one after the other; a write that waits has no effect yet. Where `size` or `count` is 0
 * nothing changes, and nothing waits. Those that make it larger, and stealth_buffer_write_at(), wait where the pool has
 * STEALTH_BUFFERS_WRITE_BACKOFF; all of these fail with STEALTH_POOL_CLOSED once it is closed, with
 * STEALTH_OUT_OF_RANGE beyond max_buffer_size, and with STEALTH_NOT_ENOUGH_MEMORY. */

/* Appends. */
int stealth_buffer_write(stealth_buffer* buffer, void const* bytes, size_t count);
/* Overwrites, and appends what goes beyond the end. STEALTH_OUT_OF_RANGE: it begins behind the end. */
int stealth_buffer_write_at(stealth_buffer* buffer, void const* bytes, size_t count, uint64_t offset);
/* Makes it larger by `count` zero bytes. Puts where they begin into `offset`, which may be NULL. */
int stealth_buffer_extend(stealth_buffer* buffer, size_t count, uint64_t* offset);
/* The same, but the bytes are whatever lies there: for those who fill them at once, with readv(2) say. */
int stealth_buffer_extend_for_overwrite(stealth_buffer* buffer, size_t count, uint64_t* offset);

/* Copies the first `count` bytes. STEALTH_OUT_OF_RANGE: there are fewer, and nothing is copied. */
int stealth_buffer_read(stealth_buffer* buffer, void* into, size_t count);
/* From `offset` on. STEALTH_OUT_OF_RANGE. */
int stealth_buffer_read_at(stealth_buffer* buffer, void* into, size_t count, uint64_t offset);

/* Makes it shorter; its memory stays with it. STEALTH_OUT_OF_RANGE: it is shorter already. Works after close, too. */
int stealth_buffer_truncate(stealth_buffer* buffer, uint64_t size);
/* Makes it empty. */
int stealth_buffer_reset(stealth_buffer* buffer);

/* Where its bytes are, and how many; either may be NULL. The address stays the same as long as the buffer is out,
 * however it grows; nothing keeps another thread from writing there meanwhile. */
int stealth_buffer_view(stealth_buffer* buffer, void** data, size_t* size);

/* The bytes [from, to) for readv(2) and writev(2): buffers are contiguous, so it is one. STEALTH_OUT_OF_RANGE. */
int stealth_buffer_iovec(stealth_buffer* buffer, uint64_t from, uint64_t to, struct iovec* view);

/* --- figures ---------------------------------------------------------------------------- */

/* Begins with its own size, and later versions only add to its end. Works after close, too. STEALTH_INVALID_ARGUMENT: a
 * size that has no room for a figure. */
struct stealth_buffer_pool_statistics {
  uint64_t size;      /* set it to sizeof(struct stealth_buffer_pool_statistics) before; after: the bytes filled in */
  uint64_t target;    /* bytes */
  uint64_t used;      /* the sum of the buffers' sizes, and what was counted; exact when no call is in flight */
  uint64_t held;      /* bytes of memory that the buffers have, idle ones included */
  uint64_t out;       /* buffers that are out */
  uint64_t idle;      /* buffers that are kept */
  uint64_t waits;     /* calls that have waited, or do */
  uint64_t waited_ns; /* by all of them together */
  uint64_t longest_wait_ns; /* by one of them */
  uint64_t dropped;         /* buffers whose memory went back instead of being kept, the drain's included */
  uint32_t waiting;         /* threads that wait now */
  uint32_t closed;          /* 1: it is closed */
};
int stealth_buffer_pool_stats(stealth_buffer_pool* pool, struct stealth_buffer_pool_statistics* stats);

#ifdef __cplusplus
}
#endif
/* NOLINTEND(modernize-deprecated-headers,modernize-use-using) */

#endif
