"""Every function of pool.h through ctypes, as other languages call it: every_call.py LIBRARY."""
import ctypes
import sys

library = ctypes.CDLL(sys.argv[1])
OK, POOL_FULL, PREALLOC, INVALID_BLOCK, CLOSED, TIMED_OUT, INVALID_HANDLE = 0, 10, 11, 12, 13, 15, 9


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint64), ("block_size", ctypes.c_uint64), ("preallocate", ctypes.c_uint64),
                ("alignment", ctypes.c_uint64), ("flags", ctypes.c_uint32), ("trace_every", ctypes.c_uint32)]


class Statistics(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in
                ("size", "block_size", "alignment", "max_blocks", "allocated", "free", "in_use", "high_water", "held")
                ] + [("waiting", ctypes.c_uint32), ("closed", ctypes.c_uint32)]


def declare(name, *arguments):
    function = getattr(library, "stealth_pool_" + name)
    function.restype, function.argtypes = ctypes.c_int, arguments
    return function


HANDLE, POINTER, SIZE, U64 = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64
create = declare("create", U64, ctypes.POINTER(Options), ctypes.POINTER(HANDLE))
destroy, close = declare("destroy", HANDLE), declare("close", HANDLE)
get = declare("get", HANDLE, ctypes.POINTER(POINTER))
get_for = declare("get_for", HANDLE, U64, ctypes.POINTER(POINTER))
get_until = declare("get_until", HANDLE, U64, ctypes.POINTER(POINTER))
put = declare("put", HANDLE, POINTER, SIZE)
get_bulk = declare("get_bulk", HANDLE, ctypes.POINTER(POINTER), SIZE, SIZE)
put_bulk = declare("put_bulk", HANDLE, ctypes.POINTER(POINTER), SIZE, SIZE)
trim = declare("trim", HANDLE, ctypes.POINTER(U64))
owns = declare("owns", HANDLE, POINTER, ctypes.POINTER(ctypes.c_int))
statistics = declare("stats", HANDLE, ctypes.POINTER(Statistics))
library.stealth_error_message.restype = ctypes.c_char_p


def check(condition):
    if not condition:
        frame = sys._getframe(1)
        sys.exit(f"line {frame.f_lineno}: not so")


def figures(pool):
    now = Statistics(size=ctypes.sizeof(Statistics))
    check(statistics(pool, now) == OK and now.size == ctypes.sizeof(Statistics))
    return now


pool, block = HANDLE(), POINTER()
check(create(10, Options(size=ctypes.sizeof(Options), preallocate=11), pool) == PREALLOC)
check(create(10, Options(size=ctypes.sizeof(Options), block_size=1000, preallocate=5, flags=8), pool) == OK)
now = figures(pool)
check((now.block_size, now.max_blocks, now.allocated, now.free, now.in_use) == (1000, 10, 5, 5, 0))

blocks = (POINTER * 10)()
check(get_bulk(pool, blocks, 10, ctypes.sizeof(POINTER)) == OK and len(set(blocks)) == 10)
check(get(pool, block) == POOL_FULL and not block)
check(get_for(pool, 1_000_000, block) == TIMED_OUT and get_until(pool, 1, block) == TIMED_OUT)
ctypes.memset(blocks[3], 0x41, 1000)
check(ctypes.string_at(blocks[3], 1000) == b"A" * 1000)
result = ctypes.c_int()
check(owns(pool, blocks[3] + 999, result) == OK and result.value == 1)
check(put(pool, blocks[3], 999) == INVALID_BLOCK and put(pool, blocks[3], 1000) == OK)
check(put(pool, blocks[3], 1000) == INVALID_BLOCK)
check(get(pool, block) == OK and block.value == blocks[3])
check(ctypes.string_at(block, 1000) == bytes(1000))  # flags=8: wiped
check(put_bulk(pool, blocks, 10, ctypes.sizeof(POINTER)) == OK)
check(figures(pool).free == 10 and figures(pool).high_water == 10)
bytes_back = U64()
check(trim(pool, bytes_back) == OK and bytes_back.value == 3 * 4096 and figures(pool).held == 0)
check(close(pool) == OK and close(pool) == OK and get(pool, block) == CLOSED and figures(pool).closed == 1)
check(destroy(pool) == OK and destroy(pool) == INVALID_HANDLE and get(pool, block) == INVALID_HANDLE)
check(b"pool full" in library.stealth_error_message(POOL_FULL))
