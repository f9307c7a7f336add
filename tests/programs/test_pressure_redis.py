#!/usr/bin/python3
"""redis-server under floods of pipelined SETs, maxmemory unset. Meanwhile another client asks for a PING all the time.

What redis frees in a thread of its own (FLUSHALL ASYNC, UNLINK, and what the lazyfree options say) can be waited for:
then a flood is slowed to that thread's pace. Keys that expire are freed by the thread that takes the flood: there each
wait is in vain, but they bound what comes in before others have expired. When nobody frees anything, it only takes
longer; and redis ends by itself when malloc gives it NULL."""
import signal
import socket
import subprocess
import threading
import time

from harness import fail, need
from pressure import MIB, Pressure, check, mib, waits_of
from server import answers, free_port

server_path, client_path, bench_path = map(need, ('/usr/bin/redis-server', '/usr/bin/redis-cli',
                                                  '/usr/bin/redis-benchmark'))


class Pings(threading.Thread):
    """A client that has nothing to do with the flood: how long it waits for its answers."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.seconds, self.ended = port, [], threading.Event()
        self.lost = None

    def run(self):
        try:
            with socket.create_connection(('127.0.0.1', self.port), timeout=60) as link:
                while not self.ended.wait(0.005):
                    start = time.monotonic()
                    link.sendall(b'PING\r\n')
                    if link.recv(64) != b'+PONG\r\n':
                        raise ConnectionError('no PONG')
                    self.seconds.append(time.monotonic() - start)
        except OSError as error:
            self.lost = error

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()

    def __str__(self):
        order = sorted(self.seconds) or [0]
        return (f'{len(self.seconds)} PINGs, median {1e3 * order[len(order) // 2]:.1f} ms, '
                f'longest {1e3 * order[-1]:.0f} ms')


class Redis:
    """One server of a side, watched."""

    def __init__(self, side, *options):
        self.side, self.port = side, free_port()
        self.server = side.serve([server_path, '--port', self.port, '--bind', '127.0.0.1', '--save', '', '--dir', side.dir,
                                  '--enable-debug-command', 'yes', '--maxmemory', '0', *options],
                                 lambda: answers(self.port), enter=side.enter)
        self.watch, self.pings = side.watch(self.server.pid), Pings(self.port)

    def __enter__(self):
        self.watch.__enter__()
        return self

    def __exit__(self, *_):
        self.watch.__exit__()

    def cli(self, *args):
        return self.side.run([client_path, '-p', self.port, *args], record=False, preload=False).decode()

    def flood(self, number, size, *more):
        """SETs of keys that differ, in pipelines of 32 from 4 clients. None: the server went away."""
        start = time.monotonic()
        with self.pings:
            done = subprocess.run([bench_path, '-p', str(self.port), '-q', '-P', '32', '-c', '4', '-n', str(number),
                                   '-r', '1000000000', 'SET', 'key:__rand_int__', 'v' * size, *more],
                                  env=self.side.env(preload=False), capture_output=True, timeout=60)
        return time.monotonic() - start if done.returncode == 0 and b'rror' not in done.stderr else None

    def expect_keys(self, number):
        found = int(self.cli('DBSIZE'))
        if self.pings.lost or found < number - 5:  # keys are random: some may be the same
            self.server.fail(f'it has {found} keys, not {number}, or a client was lost: {self.pings.lost}')

    def said(self, text):
        return text in self.server.log.read_text(errors='backslashreplace')

    def stop(self):
        self.server.stop(lambda: self.cli('SHUTDOWN', 'NOSAVE'))

    def report(self, seconds):
        took = f'{seconds:.2f} s' if seconds else 'broken off'
        print(f'{self.side.name}: flood {took}, peak {mib(self.watch.peak)}; {self.pings}')


def replace_all(side):
    """The data set is thrown away, in redis' own thread, and the new one comes in at once. True: it survived."""
    old, new, size = 700_000, 9_000, 16_000  # 90 MiB in many small blocks, 145 MiB in large ones
    with Redis(side) as redis:
        redis.cli('DEBUG', 'POPULATE', str(old), 'old', '60')
        redis.cli('FLUSHALL', 'ASYNC')
        seconds = redis.flood(new, size)
        redis.report(seconds)
        if seconds is None:
            redis.server.stop(None, status=-signal.SIGKILL)
            return False
        redis.expect_keys(new)
        redis.stop()
    return True


def expiring(side):
    """Keys that live for half a second: what redis holds is what comes in during that time. Returns the peak."""
    with Redis(side, '--hz', '20') as redis:
        seconds = redis.flood(40_000, 8_000, 'PX', '500')
        redis.report(seconds)
        if seconds is None or redis.pings.lost:
            redis.server.fail(f'clients lost it: {redis.pings.lost}')
        redis.stop()
    return redis.watch.peak


def never_freed(side, number, size):
    """Everything stays: the live set grows beyond the capacity."""
    with Redis(side, '--crash-log-enabled', 'no') as redis:
        seconds = redis.flood(number, size)
        redis.report(seconds)
        if seconds is not None:
            redis.expect_keys(number)
            redis.stop()
            return
        if not redis.said('Out Of Memory allocating'):
            redis.server.fail('it did not say that it is out of memory')
        redis.server.stop(None, status=-signal.SIGABRT)


with Pressure() as trial:
    with trial.scene('replace, plain', limit='190m') as side:
        if replace_all(side):
            fail('plain: both data sets fit into the limit')
    settings = {'capacity': 'auto' if trial.kernel_limits() else '180m'}
    with trial.scene('replace', limit='190m', **settings) as side:
        if not replace_all(side):
            fail('with a capacity: the server did not survive')
    server = trial.figures('replace', 'redis-server')[0]
    print(f'  {waits_of(server)}')
    check({'it waited for what was freed': server['waits']['count'] > 10 and server['waits']['total_us'] > 100_000,
           'nearly all that it waited for came': server['waits']['grants'] <= server['waits']['count'] / 4,
           'no wait was longer than 2 s': server['waits']['longest_us'] < 2_000_000}, server['waits'])

    with trial.scene('expiring, plain') as side:
        plain = expiring(side)
    with trial.scene('expiring', capacity='64m') as side:
        held = expiring(side)
    server = trial.figures('expiring', 'redis-server')[0]
    print(f'  {waits_of(server)}')
    check({'less was held': held < 0.75 * plain, 'it waited': server['waits']['count'] > 10,
           'it was held near the capacity': server['peak_held'] < 1.6 * 64 * MIB}, (plain, held, server['waits']))

    growth = 3_500, 12_000  # 41 MiB
    with trial.scene('grant', capacity='32m') as side:
        never_freed(side, *growth)
    server = trial.figures('grant', 'redis-server')[0]
    print(f'  {waits_of(server)}')
    check({'it went over': server['peak_held'] > 1.3 * server['capacity'] and server['waits']['grants'] > 10,
           'no more than half of 10 s was lost': server['waits']['total_us'] < 6_000_000}, server['waits'])
    with trial.scene('enomem', capacity='32m', on_exhausted='enomem') as side:
        never_freed(side, *growth)
