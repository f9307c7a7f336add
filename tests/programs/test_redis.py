#!/usr/bin/python3
"""redis-server under redis-benchmark. Debian's redis is linked with libjemalloc.so, says mem_allocator:jemalloc
whatever serves it, and calls plain malloc and free: a preloaded library comes before libjemalloc in the search: it is
we who serve. That is asserted from three sides: our statistics, jemalloc's own counters (INFO memory), libc's heap."""
import re

from harness import Trial, fail, need
from server import answers, free_port

server_path, client_path, bench_path = map(need, ('/usr/bin/redis-server', '/usr/bin/redis-cli',
                                                  '/usr/bin/redis-benchmark'))
TESTS = 'set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange_100,mset'


def commands():
    """A flood of commands with every type and many sizes: growing strings, small and large collections, deletions."""
    for n in range(40000):
        yield f'SET key:{n} {"v" * (1 + n * 7919 % 1800)}'
        if n % 4 == 0:
            yield f'HSET hash:{n % 1000} field{n} {"h" * (1 + n % 90)}'
            yield f'RPUSH list:{n % 300} {"l" * (1 + n % 300)} {n}'
            yield f'ZADD scores:{n % 50} {n * 31 % 1009} member{n}'
            yield f'SADD set:{n % 200} {n} s{n}'
        if n % 10 == 0:
            yield f'APPEND grown {"g" * 400}'
            yield f'DEL key:{n // 3} key:{n // 2}'
        if n % 5000 == 0:
            yield f'SETRANGE big:{n} 3000000 end'
    yield 'EVAL "local t = {} for i = 1, 20000 do t[i] = string.rep(\'x\', i % 50) end ' \
          'redis.call(\'SET\', \'script\', table.concat(t)) return #t" 0'


def info(text, field):
    return re.search(rf'^{field}:(.*?)\r?$', text, re.M).group(1)


def who_serves(side, server, memory):
    """Jemalloc's counters say whether it was asked; the process keeps one heap only."""
    used, jemalloc = (int(info(memory, field)) for field in ('used_memory', 'allocator_allocated'))
    print(f'{side.name}: used_memory {used >> 10} KiB, allocated by jemalloc {jemalloc >> 10} KiB, '
          f'libc heap {server.libc_heap() >> 10} KiB, mem_allocator {info(memory, "mem_allocator")}')
    if used < 40 << 20:
        fail(f'{side.name}: the load should leave 40 MiB in use, not {used} bytes')
    if not side.preloaded and jemalloc < used:
        fail(f'plain: jemalloc counts {jemalloc} bytes, redis {used}: its counters cannot tell who serves')
    if side.preloaded:
        if jemalloc > 1 << 20:
            fail(f'jemalloc served {jemalloc} bytes although libstealth is preloaded')
        if (heap := server.libc_heap()) > 1 << 20:
            fail(f'{heap} bytes are in the heap of libc')
    return used


def one_side(side):
    port = free_port()

    def cli(*args, input=b'', **options):
        return side.run([client_path, '-p', port, *args], input=input, **options)

    def benchmark(*args):
        out = side.run([bench_path, '-p', port, '-q', '-c', '30', *args], record=False).decode()
        side.note(f'benchmark {args}', re.findall(r'([^\r\n]+): [0-9.]+ requests per second', out))

    def settled():
        return b'rdb_bgsave_in_progress:0' in cli('INFO', 'persistence', record=False)

    def start():
        return side.serve([server_path, '--port', port, '--bind', '127.0.0.1', '--save', '', '--dir', side.dir,
                           '--enable-debug-command', 'yes', '--maxmemory', '0', '--lazyfree-lazy-user-del', 'yes',
                           '--lazyfree-lazy-server-del', 'yes'],  # what a thread of its own frees
                          lambda: answers(port))

    server = start()
    cli('--pipe', input='\r\n'.join(commands()).encode() + b'\r\n')
    cli('BGSAVE')  # a forked child writes the file while the benchmark changes what it shares with its parent
    benchmark('-t', TESTS, '-n', '20000', '-d', '100', '-P', '4')
    benchmark('-t', 'set,get,lpush', '-n', '30000', '-d', '3000', '-P', '16', '--threads', '2')
    server.wait_until(settled)
    if b'rdb_last_bgsave_status:ok' not in cli('INFO', 'persistence', record=False):
        fail(f'{side.name}: the forked child did not save')
    cli('DBSIZE')
    digest = cli('DEBUG', 'DIGEST')
    used = who_serves(side, server, cli('INFO', 'memory', record=False).decode())
    cli('MEMORY', 'USAGE', 'hash:0', record=False)
    cli('MEMORY', 'PURGE')
    server.stop(lambda: cli('SHUTDOWN', 'SAVE', record=False))

    server = start()  # what it saved is what it had
    server.wait_until(lambda: cli('PING', record=False) == b'PONG\n')
    if cli('DEBUG', 'DIGEST') != digest:
        fail(f'{side.name}: after the restart the data differ')
    cli('FLUSHALL')
    server.stop(lambda: cli('SHUTDOWN', 'NOSAVE', record=False))
    return used


with Trial() as trial:
    for side in trial.sides():
        used = one_side(side)
    trial.same_output()
    # Both servers; the child that saved ends by _exit.
    servers = trial.served('redis-server', peak='40m', exactly=2)
    if max(p['peak_held'] for p in servers) < used:
        fail(f'libstealth held less than the {used} bytes that redis counts as used')
    trial.served('redis-benchmark', peak='100k', exactly=2)
    trial.served('redis-cli', peak='100k', at_least=8)
