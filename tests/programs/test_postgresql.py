#!/usr/bin/python3
"""postgresql: a cluster of our own made by initdb, pgbench with several clients, then deterministic queries. Every
server process, backend and parallel worker is a fork of the first that ends by exit. It refuses to run as root: then
all of it runs as the user that its package makes."""
from harness import Trial, fail, work
from postgres import USER, accepts, link, not_as_root, programs
from server import free_port, libc_heap

def backend_heap(psql):
    """Bytes in the libc heap of a backend that has just worked, which reads the kernel's list of its own mappings."""
    return libc_heap(psql('-At', '-c', "SELECT count(DISTINCT body) FROM item", '-c',
                          "SELECT pg_read_file('/proc/self/smaps')").decode())


def one_side(side):
    not_as_root(side)
    port = free_port()
    to_it = link(port)
    data = side.dir / 'data'

    side.run([pg['initdb'], '-D', data, '-U', USER, '-A', 'trust', '--locale', 'C.UTF-8', '--no-sync'])
    server = side.serve([pg['postgres'], '-D', data, '-p', port, '-h', '127.0.0.1', '-k', '',
                         '-c', 'fsync=off', '-c', 'autovacuum_naptime=1s', '-c', 'shared_buffers=64MB'],
                        lambda: accepts(data))
    side.run([pg['pgbench'], *to_it, '-i', '-q', '-s', '2', 'postgres'], record=False)
    side.run([pg['pgbench'], *to_it, '-n', '-c', '6', '-j', '2', '-t', '400', '--random-seed=42', '-M', 'prepared',
              'postgres'], record=False)
    # Connections that come and go, a backend for each.
    side.run([pg['pgbench'], *to_it, '-n', '-c', '4', '-j', '2', '-t', '15', '-S', '-C', '--random-seed=1', 'postgres'],
             record=False)
    side.run([pg['psql'], *to_it, '-X', '-f', work('postgresql.sql'), 'postgres'])
    heaps = server.libc_heap(), backend_heap(lambda *args: side.run([pg['psql'], *to_it, '-X', *args, 'postgres'],
                                                                    record=False))
    print(f'{side.name}: heap of libc in the first server process and a backend: {heaps}')
    if side.preloaded and max(heaps) > 1 << 18:
        fail(f'the heap of libc is used under libstealth: {heaps} bytes')
    if not side.preloaded and min(heaps) < 1 << 18:
        fail(f'plain: {heaps} bytes in the heap of libc: this cannot tell who serves')
    server.stop(lambda: side.run([pg['pg_ctl'], 'stop', '-D', data, '-m', 'fast', '-w'], record=False))


pg = programs('initdb', 'postgres', 'pg_ctl', 'psql', 'pgbench')
with Trial() as trial:
    for side in trial.sides():
        one_side(side)
    trial.same_output()
    # 6 + 4 * 15 backends of pgbench, psql's, its workers, and the server's own processes.
    trial.served('postgres', peak='16m', at_least=75)
    trial.served('initdb', peak='100k', exactly=1)
    trial.served('pgbench', peak='100k', exactly=3)
    trial.served('psql', peak='100k', exactly=2)
