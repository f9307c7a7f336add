/* Explicit pools of libstealth's C API: blocks of one size, cut from an address range of their own. C99 and later; C++
 * programs may prefer pool.hpp. docs/api.md tells the same with examples.
 *
 * Every function may be called from any thread at any time, but not from a signal handler. They return STEALTH_OK or
 * another enum stealth_error, and where they fail nothing has changed. STEALTH_INVALID_ARGUMENT for a pointer that must
 * not be NULL, and STEALTH_INVALID_HANDLE for a pool that has been destroyed (noticed unless its handle was used anew
 * meanwhile, which takes some thousand pools), are not said again below. Bytes and nanoseconds throughout.
 *
 * The memory of a pool counts towards the capacity (STEALTH_CAPACITY): where a call maps a block that was not there
 * before it may be held up as malloc is, and then fails with STEALTH_NOT_ENOUGH_MEMORY, if STEALTH_ON_EXHAUSTED says
 * so. */
#ifndef STEALTH_POOL_H
#define STEALTH_POOL_H

/* NOLINTBEGIN(modernize-deprecated-headers,modernize-use-using): a header for C. */
#include <stddef.h>
#include <stdint.h>
#include <stealth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct stealth_pool stealth_pool;

/* Of what is called most: the call goes to the function, not by way of the linkage table. */
#ifdef __has_attribute
#if __has_attribute(noplt)
#define STEALTH_DIRECT __attribute__((noplt))
#endif
#endif
#ifndef STEALTH_DIRECT
#define STEALTH_DIRECT
#endif

/* --- making and ending ---------------------------------------------------------------------------- */

enum stealth_pool_flags {
  STEALTH_POOL_EXCLUDE_FROM_CORE_DUMP = 1, /* its memory is left out of core dumps */
  STEALTH_POOL_LOCK_IN_MEMORY = 2,         /* never swapped out; counts towards RLIMIT_MEMLOCK */
  STEALTH_POOL_HUGE_PAGES = 4,             /* huge pages are asked for; the range grows by them */
  STEALTH_POOL_WIPE_ON_PUT = 8             /* a block is overwritten with zeros when it comes back */
};

#define STEALTH_POOL_DEFAULT_BLOCK_SIZE 4096

/* Begins with its own size, and later versions only add to its end. What is 0 takes its default. */
struct stealth_pool_options {
  uint64_t size;        /* sizeof(struct stealth_pool_options) */
  uint64_t block_size;  /* bytes, any number; 0: STEALTH_POOL_DEFAULT_BLOCK_SIZE */
  uint64_t preallocate; /* blocks that are mapped and touched at once; at most max_blocks */
  uint64_t alignment;   /* of each block: a power of two, or 0. Blocks of a page or more are aligned to the page anyway,
                           smaller ones to the largest power of two that divides their size */
  uint32_t flags;       /* enum stealth_pool_flags */
  uint32_t trace_every; /* one get in so many is traced: where it was called is told in the report of blocks that are
                           still out when the pool ends. Gets and puts then go by a lock. 0: none */
};

/* Makes a pool of at most `max_blocks` blocks. Addresses for all of them are reserved now, memory comes with each
 * block. `options` may be NULL: all defaults. *pool is NULL where it fails. STEALTH_INVALID_OPTIONS: no blocks, or
 * more than 2^30 - 2; more bytes together than 2^46; an alignment that is not a power of two; unknown flags; a
 * structure of a later version with something in it that this one does not know. STEALTH_PREALLOC_OUT_OF_BOUNDS.
 * STEALTH_NOT_ENOUGH_MEMORY: addresses, memory, RLIMIT_MEMLOCK or the capacity do not suffice; what was preallocated by
 * then has gone back. STEALTH_NOT_SUPPORTED: the system cannot keep memory out of core dumps. STEALTH_TOO_MANY:
 * STEALTH_MOST_POOLS are there. */
int stealth_pool_create(uint64_t max_blocks, struct stealth_pool_options const* options, stealth_pool** pool);

#define STEALTH_MOST_POOLS 16384

/* Gives all of the pool's memory back to the kernel at once. Blocks that are still out are gone, too: touching them
 * ends the program (SIGSEGV), also later, since their addresses are not used again soon; their number is reported in
 * one line on stderr (unless STEALTH_VERBOSE=0). Calls that are under way end first, those that wait with
 * STEALTH_POOL_CLOSED. Afterwards all but close, destroy and stats return that, and its counts are 0. Twice is
 * harmless. */
int stealth_pool_close(stealth_pool* pool);

/* Closes the pool, and ends its handle. Nobody else may be in a call with it but to wait, as with any object that ends.
 */
int stealth_pool_destroy(stealth_pool* pool);

/* --- blocks ---------------------------------------------------------------------------- */

/* A free block, the most recently used one of this thread first; else a new one. Its contents are whatever was in it
 * before. *block is NULL where it fails.
 * STEALTH_POOL_FULL: max_blocks are out, and none is free anywhere. STEALTH_POOL_CLOSED, STEALTH_NOT_ENOUGH_MEMORY. */
STEALTH_DIRECT int stealth_pool_get(stealth_pool* pool, void** block);

/* As stealth_pool_get(), but where the pool is full, or there is no memory or no capacity for a new block, it waits for
 * one to come back: at least for `timeout_ns`, also where no other thread is there to put one.
 * STEALTH_TIMED_OUT, STEALTH_POOL_CLOSED. */
int stealth_pool_get_for(stealth_pool* pool, uint64_t timeout_ns, void** block);

/* The same, until a moment of CLOCK_MONOTONIC. One that has passed: it does not wait. */
int stealth_pool_get_until(stealth_pool* pool, uint64_t monotonic_ns, void** block);

/* Gives a block back: exactly what a get gave, `size` its block size, and once.
 * STEALTH_INVALID_BLOCK: it is none of this pool's, a part of one, of another size, or back already; nothing changes.
 * STEALTH_POOL_CLOSED. */
STEALTH_DIRECT int stealth_pool_put(stealth_pool* pool, void* block, size_t size);

/* `count` blocks, or none at all. As stealth_pool_get(). The pointers lie `stride` bytes apart, so that they may be
 * members of structures: sizeof(void*) for a plain array. STEALTH_INVALID_ARGUMENT for a smaller stride.
 * What the array held is overwritten, and not put back: with NULL where it fails. STEALTH_POOL_FULL: there are fewer.
 */
int stealth_pool_get_bulk(stealth_pool* pool, void** blocks, size_t count, size_t stride);

/* Gives `count` blocks back, or, where one of them may not be put, none. NULL is passed over. As stealth_pool_put(). */
int stealth_pool_put_bulk(stealth_pool* pool, void* const* blocks, size_t count, size_t stride);

/* Gives the memory of free blocks back to the kernel: they are not free any more, but not there (see `allocated`). Puts
 * the bytes into `given_back`, which may be NULL. Of blocks smaller than a page, a page goes back when no block in it
 * is in use. STEALTH_POOL_CLOSED. */
int stealth_pool_trim(stealth_pool* pool, uint64_t* given_back);

/* Puts into *owns whether the address lies in a block of this pool that is in use: 1 or 0. STEALTH_POOL_CLOSED. */
int stealth_pool_owns(stealth_pool* pool, void const* address, int* owns);

/* --- figures ---------------------------------------------------------------------------- */

/* Begins with its own size, and later versions only add to its end. Exact when no call is in flight; in the midst of
 * others each figure is one that a moment of them had. All but the first four are 0 once the pool is closed: this
 * function works then, too. STEALTH_INVALID_ARGUMENT: a size that has no room for a figure. */
struct stealth_pool_statistics {
  uint64_t size;       /* set it to sizeof(struct stealth_pool_statistics) before; after: the bytes filled in */
  uint64_t block_size; /* as asked for */
  uint64_t alignment;  /* of each block */
  uint64_t max_blocks;
  uint64_t allocated;  /* blocks that are mapped, free ones included */
  uint64_t free;       /* of those, the ones that a get can have */
  uint64_t in_use;     /* of those, the ones that are out */
  uint64_t high_water; /* the most that were out at once */
  uint64_t held;       /* bytes of memory that it is charged for */
  uint32_t waiting;    /* threads that wait for a block */
  uint32_t closed;     /* 1: it is closed */
};
int stealth_pool_stats(stealth_pool* pool, struct stealth_pool_statistics* stats);

#ifdef __cplusplus
}
#endif
/* NOLINTEND(modernize-deprecated-headers,modernize-use-using) */

#endif
