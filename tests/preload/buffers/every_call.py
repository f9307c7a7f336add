"""Functions of buffer_pool.h through ctypes, as other languages call them: every_call.py LIBRARY."""
import ctypes
import sys

library = ctypes.CDLL(sys.argv[1])
OK, INVALID_ARGUMENT, INVALID_HANDLE, INVALID_BLOCK, CLOSED, OUT_OF_RANGE, INVALID_OPTIONS = 0, 1, 9, 12, 13, 14, 16
WRITE_BACKOFF = 1


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint64), ("max_pool_size", ctypes.c_uint64),
                ("initial_interval_ns", ctypes.c_uint64), ("max_elapsed_ns", ctypes.c_uint64),
                ("randomization_factor", ctypes.c_double), ("max_buffer_size", ctypes.c_uint64),
                ("flags", ctypes.c_uint32), ("trace_every", ctypes.c_uint32)]


class Statistics(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in
                ("size", "target", "used", "held", "out", "idle", "waits", "waited_ns", "longest_wait_ns", "dropped")
                ] + [("waiting", ctypes.c_uint32), ("closed", ctypes.c_uint32)]


class IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def declare(name, *arguments):
    function = getattr(library, "stealth_buffer_" + name)
    function.restype, function.argtypes = ctypes.c_int, arguments
    return function


def options(**given):
    return Options(size=ctypes.sizeof(Options), **given)


HANDLE, BYTES, SIZE, U64, P = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64, ctypes.POINTER
create = declare("pool_create", U64, P(Options), P(HANDLE))
close, destroy = declare("pool_close", HANDLE), declare("pool_destroy", HANDLE)
get, make = declare("pool_get", HANDLE, P(HANDLE)), declare("pool_make", HANDLE, BYTES, SIZE, P(HANDLE))
put, release = declare("pool_put", HANDLE, HANDLE), declare("release", HANDLE)
backoff, fill_ratio = declare("pool_backoff", HANDLE, P(U64)), declare("pool_fill_ratio", HANDLE, P(ctypes.c_double))
count, discount = declare("pool_count", HANDLE, U64), declare("pool_discount", HANDLE, U64)
trim, statistics = declare("pool_trim", HANDLE, P(U64)), declare("pool_stats", HANDLE, P(Statistics))
write, write_at = declare("write", HANDLE, BYTES, SIZE), declare("write_at", HANDLE, BYTES, SIZE, U64)
extend = declare("extend", HANDLE, SIZE, P(U64))
extend_for_overwrite = declare("extend_for_overwrite", HANDLE, SIZE, P(U64))
read, read_at = declare("read", HANDLE, BYTES, SIZE), declare("read_at", HANDLE, BYTES, SIZE, U64)
truncate, reset = declare("truncate", HANDLE, U64), declare("reset", HANDLE)
view, iovec = declare("view", HANDLE, P(HANDLE), P(SIZE)), declare("iovec", HANDLE, U64, U64, P(IoVec))


def check(condition):
    if not condition:
        frame = sys._getframe(1)
        sys.exit(f"line {frame.f_lineno}: not so")


def figures(pool):
    now = Statistics(size=ctypes.sizeof(Statistics))
    check(statistics(pool, now) == OK and now.size == ctypes.sizeof(Statistics))
    return now


def text(buffer):
    data, size = HANDLE(), SIZE()
    check(view(buffer, data, size) == OK)
    return ctypes.string_at(data, size.value)


pool, buffer, other = HANDLE(), HANDLE(), HANDLE()
check(create(0, None, pool) == INVALID_OPTIONS and not pool)
check(create(10, options(randomization_factor=float("nan")), pool) == INVALID_OPTIONS)
check(create(10, options(max_pool_size=5, initial_interval_ns=2_000_000, max_elapsed_ns=2_000_000,
                         max_buffer_size=100, flags=WRITE_BACKOFF), pool) == OK)
check(make(pool, b"begin", 5, buffer) == OK and text(buffer) == b"begin")
check(write(buffer, b" more", 5) == OK and write_at(buffer, b"B", 1, 0) == OK and text(buffer) == b"Begin more")
check(figures(pool).waits == 1)  # at the target of 10
ratio, ns, offset, part = ctypes.c_double(), U64(), U64(), IoVec()
check(fill_ratio(pool, ratio) == OK and ratio.value == 1)
check(backoff(pool, ns) == OK and ns.value >= 1_000_000)
check(extend(buffer, 2, offset) == OK and offset.value == 10 and text(buffer) == b"Begin more\0\0")
check(extend(buffer, 89, offset) == OUT_OF_RANGE and write_at(buffer, b"x", 1, 13) == OUT_OF_RANGE)
check(truncate(buffer, 5) == OK and extend_for_overwrite(buffer, 3, None) == OK and truncate(buffer, 5) == OK)
room = ctypes.create_string_buffer(5)
check(read(buffer, room, 5) == OK and room.raw == b"Begin" and read(buffer, room, 6) == OUT_OF_RANGE)
check(read_at(buffer, room, 2, 3) == OK and room.raw[:2] == b"in")
check(iovec(buffer, 1, 3, part) == OK and ctypes.string_at(part.base, part.len) == b"eg")
check(count(pool, 4) == OK and figures(pool).used == 9 and discount(pool, 5) == OUT_OF_RANGE)
check(discount(pool, 4) == OK and reset(buffer) == OK and text(buffer) == b"")
check(put(pool, buffer) == OK and put(pool, buffer) == INVALID_HANDLE and figures(pool).idle == 1)
check(get(pool, buffer) == OK and get(pool, other) == OK and figures(pool).out == 2)
check(release(other) == OK and trim(pool, None) == OK and figures(pool).idle == 0)
check(write(buffer, b"last", 4) == OK and close(pool) == OK and close(pool) == OK)
check(get(pool, other) == CLOSED and write(buffer, b"x", 1) == CLOSED and text(buffer) == b"last")
check(destroy(pool) == OK and destroy(pool) == INVALID_HANDLE)
check(text(buffer) == b"last" and release(buffer) == OK and release(buffer) == INVALID_HANDLE)
