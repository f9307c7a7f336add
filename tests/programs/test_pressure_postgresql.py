#!/usr/bin/python3
"""PostgreSQL: backends with large sorts, all in one STEALTH_GROUP with one capacity; work_mem allows each of them more
than the machine has. A backend is a process, and gives its memory back when its statement ends: what the others wait
for takes seconds.

Shown are statements that start while another one holds its memory: they wait for its end. And statements that all grow
at once, to more than there is: no order of waiting helps then, but enomem makes an error of some statements, where
plain the kernel kills a backend, and with it the sessions of all.

In groups of processes that fall silent, what is free should go back at once: STEALTH_PURGE_DELAY=0. And under `grant`
a request waits in vain only for a moment, so this needs enomem, and patience for as long as a statement takes."""
import contextlib
import glob
import os
import select
import signal
import subprocess
import time

from harness import fail
from postgres import USER, Session, accepts, not_as_root, programs, psql
from pressure import MIB, Pressure, anonymous, check, mib, waits_of
from server import free_port

ROWS = 60_000  # of 1 KiB each
# The whole table is sorted in memory; what comes out depends on each row's place.
SORT = ("SELECT count(*), sum(place * length(line)) FROM (SELECT line, row_number() OVER (ORDER BY line) AS place FROM "
        f"(SELECT md5(i::text) || repeat('x', 1000) AS line FROM generate_series(1, {ROWS}) i) rows) places")
RIGHT = f'{ROWS}|{1032 * ROWS * (ROWS + 1) // 2}'
OPTIONS = {'fsync': 'off', 'autovacuum': 'off', 'jit': 'off', 'shared_buffers': '16MB', 'work_mem': '1GB',
           'hash_mem_multiplier': '1', 'max_parallel_workers_per_gather': '0'}
NO_MEMORY, LOST = 'ERROR:  out of memory', 'server closed the connection unexpectedly'


class Cluster:
    """A running server of a side, watched, on a copy of the one cluster that all sides start from."""

    def __init__(self, side):
        self.side, self.port, self.data = side, free_port(), side.dir / 'data'
        not_as_root(side)
        subprocess.run(['cp', '-a', trial.base / 'cluster/made', self.data], check=True)
        options = [word for name, value in OPTIONS.items() for word in ('-c', f'{name}={value}')]
        # A process that runs as another user cannot enter our cgroup by itself. It is put there, then becomes the server.
        wait_then_exec = ['/bin/sh', '-c', 'until [ -e go ]; do sleep 0.02; done; exec "$@"', 'sh']
        self.server = side.serve([*wait_then_exec, pg['postgres'], '-D', self.data, '-p', self.port, '-h', '127.0.0.1',
                                  '-k', '', *options], lambda: True)
        if side.limit:
            side.limit.adopt(self.server.pid)
        (side.dir / 'go').touch()
        self.server.wait_until(lambda: accepts(self.data))
        self.watch = side.watch(self.server.pid)

    def __enter__(self):
        self.watch.__enter__()
        return self

    def __exit__(self, *error):
        self.watch.__exit__()
        if error == (None, None, None):
            self.server.stop(lambda: self.side.run([pg['pg_ctl'], 'stop', '-D', self.data, '-m', 'fast', '-w'],
                                                   record=False, preload=False))

    def works(self):
        return psql(self.side, pg['psql'], self.port).communicate('SELECT 1;\n', timeout=60)[0].strip() == '1'

    def said(self, text):
        return text in self.server.log.read_text(errors='backslashreplace')


class Watched(Session):
    def __init__(self, cluster):
        super().__init__(psql(cluster.side, pg['psql'], cluster.port))

    def answered(self):
        """There is something to read, an answer or the end."""
        return bool(select.select([self.psql.stdout], [], [], 0)[0])


HOLDS_S = 2  # how long the first holds on, while the second waits already


def one_after_the_other(side):
    """One client takes its time over its result, and so holds its sort; another one's sort comes meanwhile. Plain, the
    first lets go when the second is done; with a capacity, when the second has waited for a while. Returns the most that
    all held."""
    with Cluster(side) as cluster:
        first, second = Watched(cluster), Watched(cluster)
        before = anonymous(first.backend)
        first.ask('BEGIN;', f'DECLARE rows CURSOR FOR SELECT i FROM generate_series(1, {ROWS}) i '
                            "ORDER BY md5(i::text) || repeat('x', 1000);", 'FETCH FROM rows;')
        print(f'{side.name}: the first holds {mib(anonymous(first.backend) - before)} more for its cursor')
        start = time.monotonic()
        second.tell(SORT + ';')
        if side.preloaded:
            cluster.server.wait_until(lambda: cluster.said('allocation slows down') or second.answered(), seconds=60)
            time.sleep(HOLDS_S)
            if second.answered():
                fail(f'{side.name}: the second did not wait for the first')
            first.tell('CLOSE rows;', 'COMMIT;')
        answer, errors = second.close()
        seconds = time.monotonic() - start
        first.ask(*([] if side.preloaded else ['CLOSE rows;', 'COMMIT;']), 'SELECT 1;')
        idle = anonymous(first.backend) - before
        errors += first.close()[1]
        if answer.strip() != RIGHT or errors:
            cluster.server.fail(f'the second got {answer}, not {RIGHT}; {errors}')
    print(f'{side.name}: the second took {seconds:.1f} s; peak {mib(cluster.watch.peak)}; the first, idle, keeps '
          f'{mib(idle)}')
    return cluster.watch.peak


def all_at_once(side, clients):
    """Returns how many statements went well, got an error, lost their server; and the most that all held."""
    with Cluster(side) as cluster:
        sessions = [Watched(cluster) for _ in range(clients)]
        for session in sessions:
            session.tell(SORT + ';')
        results = [session.close() for session in sessions]
        cluster.server.wait_until(cluster.works)  # after a crash it starts again
        alone, _ = Watched(cluster).close(SORT + ';')
    if alone.strip() != RIGHT or any(text.strip() not in ('', RIGHT) for text, _ in results):
        fail(f'{side.name}: wrong answers: {results}, and then {alone}')
    good = sum(text.strip() == RIGHT for text, _ in results)
    refused, lost = (sum(what in errors for _, errors in results) for what in (NO_MEMORY, LOST))
    killed = cluster.said(f'was terminated by signal {int(signal.SIGKILL)}')
    print(f'{side.name}: {clients} statements: {good} right, {refused} out of memory, {lost} lost their server; '
          f'{"a backend was killed, " if killed else ""}peak {mib(cluster.watch.peak)}')
    return good, refused, lost, killed, cluster.watch.peak


def waited(scene):
    """The backends that had to wait, the postmaster and its helpers among them."""
    found = [p for p in trial.figures(scene, 'postgres') if p['waits']['count'] or p['waits']['refused']]
    for process in found:
        print(f'  {waits_of(process)}')
    return found


@contextlib.contextmanager
def group_removed():
    """A killed member leaves the group's file behind."""
    yield
    for file in glob.glob(f'/dev/shm/stealth-*/{GROUP}.*'):
        os.unlink(file)


pg = programs('initdb', 'postgres', 'pg_ctl', 'psql')
GROUP = f'test-{os.getpid()}'
with Pressure() as trial, group_removed():
    with trial.scene('cluster') as side:
        not_as_root(side)
        side.run([pg['initdb'], '-D', side.dir / 'made', '-U', USER, '-A', 'trust', '--locale', 'C.UTF-8', '--no-sync'],
                 record=False)
    group = {'group': GROUP, 'on_exhausted': 'enomem', 'purge_delay': '0'}

    with trial.scene('one after the other, plain') as side:
        plain = one_after_the_other(side)
    with trial.scene('one after the other', capacity='88m', backoff_patience='30s', backoff_max_elapsed='60s',
                     backoff_budget='100%', **group) as side:
        held = one_after_the_other(side)
    waits = max(waited('one after the other'), key=lambda p: p['waits']['longest_us'])['waits']
    check({'the sum is far above the capacity without': plain > 130 * MIB, 'and near it with': held < 120 * MIB,
           'the second says that it waited': waits['longest_us'] > HOLDS_S * 1e6 / 4 and waits['refused'] == 0},
          (plain, held, waits))

    # Between capacity and limit is room for what is not from malloc, and for what a backend was given and has not
    # touched yet, up to 8 MiB each.
    clients, limit = 6, '320m'
    with trial.scene('all at once, plain', limit=limit) as side:
        good, refused, lost, killed, _ = all_at_once(side, clients)
    check({'a backend was killed, and the others lost their server': killed and lost > 1}, (good, refused, lost, killed))
    with trial.scene('all at once', limit=limit, capacity='168m', **group) as side:
        good, refused, lost, killed, held = all_at_once(side, clients)
    waited('all at once')
    check({'nobody was killed': not killed and not lost, 'each statement ended in order': good + refused == clients,
           'some were refused': refused >= 1, 'the sum was bounded': held < 260 * MIB},
          (good, refused, lost, killed, held))
