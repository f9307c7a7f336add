// The interposer's own functions under other names (family.hpp): its source, with the names changed behind all headers.
#include <malloc.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "engine/hot.hpp"
#include "engine/outside.hpp"

#define malloc             fuzzed_malloc
#define calloc             fuzzed_calloc
#define realloc            fuzzed_realloc
#define reallocarray       fuzzed_reallocarray
#define memalign           fuzzed_memalign
#define aligned_alloc      fuzzed_aligned_alloc
#define posix_memalign     fuzzed_posix_memalign
#define valloc             fuzzed_valloc
#define pvalloc            fuzzed_pvalloc
#define malloc_usable_size fuzzed_malloc_usable_size
#define free               fuzzed_free
#define free_sized         fuzzed_free_sized
#define free_aligned_sized fuzzed_free_aligned_sized
#include "../../preload/malloc.cpp"
