#!/usr/bin/python3
"""redis-server under floods of pipelined SETs, maxmemory unset. Meanwhile another client asks for a PING all the time.

What redis frees in a thread of its own (FLUSHALL ASYNC, UNLINK, and what the lazyfree options say) can be waited for:
then a flood is slowed to that thread's pace. All else is the thread that takes the flood: when it waits, nobody frees
anything. So a flood that only adds is slowed within the budget, and then goes over the capacity; with enomem, redis ends
by itself as soon as malloc gives it NULL."""
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

LIMIT = '240m'


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
        """SETs of keys that differ, in pipelines of 32 from 4 clients. How long it took; None: the server went away."""
        start = time.monotonic()
        with self.pings:
            done = subprocess.run([bench_path, '-p', str(self.port), '-q', '-P', '32', '-c', '4', '-n', str(number),
                                   '-r', '1000000000', 'SET', 'key:__rand_int__', 'v' * size, *more],
                                  env=self.side.env(preload=False), capture_output=True, timeout=60)
        seconds, good = time.monotonic() - start, done.returncode == 0 and b'rror' not in done.stderr
        print(f'{self.side.name}: flood {"took" if good else "broken off after"} {seconds:.2f} s, '
              f'peak {mib(self.watch.peak)}; {self.pings}')
        return seconds if good else None

    def expect_keys(self, number):
        found = int(self.cli('DBSIZE'))
        if self.pings.lost or found < number - 5:  # keys are random: some may be the same
            self.server.fail(f'it has {found} keys, not {number}, or a client was lost: {self.pings.lost}')

    def said(self, text):
        return text in self.server.log.read_text(errors='backslashreplace')

    def stop(self):
        self.server.stop(lambda: self.cli('SHUTDOWN', 'NOSAVE'))


def replace_all(side):
    """The data set is thrown away, in redis' own thread, and the new one comes in at once. True: it survived."""
    old, new, size = 1_400_000, 12_000, 16_000  # 190 MiB in many small blocks, 188 MiB in larger ones
    with Redis(side) as redis:
        redis.cli('DEBUG', 'POPULATE', str(old), 'old', '60')
        redis.cli('FLUSHALL', 'ASYNC')
        seconds = redis.flood(new, size)
        if seconds is None:
            redis.server.stop(None, status=-signal.SIGKILL)
            return False
        redis.expect_keys(new)
        redis.stop()
    return True


def only_adds(side, number, size):
    """Everything stays. How long the flood took; None: the server ended before. Expect with ended_by how it did."""
    with Redis(side, '--crash-log-enabled', 'no') as redis:
        seconds = redis.flood(number, size)
        if seconds is not None:
            redis.expect_keys(number)
            redis.stop()
    return seconds, redis


def ended_by(end, seconds_and_redis, *said):
    seconds, redis = seconds_and_redis
    if seconds is not None:
        fail(f'{redis.side.name}: it survived')
    redis.server.stop(None, status=-end)
    for text in said:
        if not redis.said(text):
            redis.server.fail(f'it did not say: {text}')


with Pressure() as trial:
    for name, settings in ('plain', {}), ('only counted', {'mode': 'off'}):  # it is the waiting that makes the difference
        with trial.scene(f'replace, {name}', limit=LIMIT, **settings) as side:
            if replace_all(side):
                fail(f'{name}: both data sets fit into the limit')
    settings = {} if trial.kernel_limits() else {'capacity': '220m'}  # what `auto` makes of the limit
    with trial.scene('replace', limit=LIMIT, preloaded=True, **settings) as side:
        if not replace_all(side):
            fail('with a capacity: the server did not survive')
    server = trial.figures('replace', 'redis-server')[0]
    print(f'  {waits_of(server)}')
    check({'it waited for what was freed': server['waits']['count'] > 10 and server['waits']['total_us'] > 100_000,
           'nearly all that it waited for came': server['waits']['grants'] <= server['waits']['count'] / 4,
           'no wait was longer than the default allows': server['waits']['longest_us'] < 16_000_000}, server['waits'])

    growth = 8_000, 12_000  # 92 MiB
    with trial.scene('adds, plain', limit='64m') as side:
        ended_by(signal.SIGKILL, only_adds(side, *growth))
    settings = {} if trial.kernel_limits() else {'capacity': '56m'}
    with trial.scene('adds', limit='64m', preloaded=True, **settings) as side:
        ended_by(signal.SIGKILL, only_adds(side, *growth), 'stealth: capacity exhausted', 'going over it')
    with trial.scene('adds, enomem', limit='64m', on_exhausted='enomem', **settings) as side:
        ended_by(signal.SIGABRT, only_adds(side, *growth), 'stealth: capacity exhausted', 'Out Of Memory allocating')

    growth = 4_000, 12_000  # 46 MiB
    with trial.scene('adds, capacity', capacity='32m') as side:
        seconds, _ = only_adds(side, *growth)
    server = trial.figures('adds, capacity', 'redis-server')[0]
    print(f'  {waits_of(server)}')
    check({'it went over': server['peak_held'] > 1.3 * server['capacity'] and server['waits']['grants'] > 10,
           'about half of the time was lost at most': server['waits']['total_us'] < 1e6 * (2 + max(10, seconds) / 2)},
          (seconds, server['waits']))
