/* The error numbers of libstealth's C API. C99 and later. */
#ifndef STEALTH_ERROR_H
#define STEALTH_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* What the C functions return. The numbers stay; there may be more of them in later versions. */
enum stealth_error {
  STEALTH_OK = 0,
  STEALTH_INVALID_ARGUMENT = 1,        /* a pointer that must not be NULL, or a structure's size that cannot be */
  STEALTH_UNKNOWN_SETTING = 2,         /* no setting has this name */
  STEALTH_INVALID_VALUE = 3,           /* the setting does not take this value: stealth_check() says what it takes */
  STEALTH_NOT_LIVE = 4,                /* the setting is read at start only */
  STEALTH_NOT_SUPPORTED = 5,           /* the value is right, and this version or system does not act on it */
  STEALTH_NOT_ENOUGH_MEMORY = 6,       /* the system gives no memory, or the capacity is reached and refuses */
  STEALTH_NO_THREAD = 7,               /* the system gives no thread */
  STEALTH_TOO_MANY = 8,                /* so many subscriptions, pools or buffers cannot be had */
  STEALTH_INVALID_HANDLE = 9,          /* not a handle of this kind, or what it stood for has ended before */
  STEALTH_POOL_FULL = 10,              /* no block is free, and the pool has as many as it may have */
  STEALTH_PREALLOC_OUT_OF_BOUNDS = 11, /* more blocks to preallocate than the pool may have */
  STEALTH_INVALID_BLOCK = 12,          /* not exactly what the pool has given out, or given back before */
  STEALTH_POOL_CLOSED = 13,            /* the pool has been closed */
  STEALTH_OUT_OF_RANGE = 14,           /* beyond the end, or larger than may be */
  STEALTH_TIMED_OUT = 15,              /* the time has passed and nothing came back */
  STEALTH_INVALID_OPTIONS = 16         /* options that cannot be met, each by itself or together */
};

/* What an error means, and what can be done about it: one line for any number, valid for the life of the process.
 * For any thread at any time, but not for signal handlers. */
char const* stealth_error_message(int error);

#ifdef __cplusplus
}
#endif

#endif
