/* libstealth's C API. Every function may be called from any thread. */
#ifndef STEALTH_STEALTH_H
#define STEALTH_STEALTH_H

#ifdef __cplusplus
extern "C" {
#endif

/* The library's version, "MAJOR.MINOR.PATCH"; valid for the life of the process. */
char const* stealth_version(void);

#ifdef __cplusplus
}
#endif

#endif
