#!/usr/bin/python3
"""The heap profile of real programs, which hold much and stand still meanwhile: `test_profiled.py gcc|postgresql|
python3|redis`. What it says in all is what the process's own count of live memory says, within 10 %, though it has seen
only a few thousand of the blocks; all forms say the same; and google-pprof reads the dump, with the program's names.

How far it may be off by chance: of blocks that are small against the interval one is seen in each INTERVAL bytes, so
the sum of L bytes is good to sqrt(INTERVAL / L), for larger ones better. Each program holds so much that 10 % is at least
4.5 of that: by chance, a test fails once in 100000 runs."""
import contextlib
import json
import math
import os
import pathlib
import random
import signal
import sys
import time

import postgres
from harness import ROOT, fail, need
from pressure import MIB, Pressure, family
from server import answers, free_port

sys.path.append(str(ROOT / 'tests/command/support'))
import forms  # noqa: E402
import pages  # noqa: E402

OFF = 0.10
SIGMAS = 4.5
PAGE = 4096


def figures(pid):
    """What the process counts, as it is after this was called."""
    begin = time.monotonic_ns()
    while True:
        asked = time.monotonic_ns()
        now = json.loads(forms.command('stat', pid, '--format', 'json')[0])
        if asked - now['age_ns'] > begin:
            return now
        time.sleep(0.1)


def total(stacks):
    return sum(stacks.values())


def samples(dump):
    """(objects, bytes) of each line that holds something."""
    lines = (line.split() for line in dump.read_text().split('\n\n', 1)[0].splitlines()[1:])
    return [(int(words[0][:-1]), int(words[1])) for words in lines if words[0] != '0:']


def rounding(dump):
    """A sample has pages of its own, which count as live; the profile tells what another one in its place has. Where a
    line's samples are larger than a page, half of one is lost on average."""
    return sum(max(n * PAGE - b, 0) if b / n < PAGE else n * PAGE // 2 for n, b in samples(dump) if b / n < 8 * PAGE)


def agrees(pid, interval, folder):
    """The profile of the running process, and its raw dump, against its own count. Tries again where that moves."""
    for attempt in range(10):
        before = figures(pid)
        stacks = forms.folded(forms.run(pid, '--format', 'folded')[0])
        after = figures(pid)
        low, high = sorted((before['live'], after['live']))
        if high - low <= 0.02 * low:
            break
        print(f'live moved from {before["live"]} to {after["live"]} bytes')
    else:
        fail(f'the program never stood still: {before["live"]} and then {after["live"]} bytes')
    dump = raw_dump(pid, folder)
    lost = rounding(dump)
    if before['profile']['interval'] != interval:
        fail(f'the interval is {before["profile"]}, not {interval}')
    error = math.sqrt(interval / low)
    print(f'the profile says {total(stacks)} bytes, live are {low} to {high}, {lost} of these the rounding of samples: '
          f'{100 * (total(stacks) / (low - lost) - 1):+.2f} %, standard error at most {100 * error:.2f} %; '
          f'{before["profile"]["samples"]} samples, {len(stacks)} stacks')
    if error * SIGMAS > OFF:
        fail(f'{low} bytes are too few for samples each {interval} bytes')
    if not (1 - OFF) * (low - lost) <= total(stacks) <= (1 + OFF) * (high - lost):
        fail('the profile is not within 10 % of what is live')
    return dump


def raw_dump(pid, folder):
    """As the command has it written, but kept."""
    name = f'dump-{pid}-{os.getpid()}'
    made = pathlib.Path(pages.wish(pid, f'profile heap {name}')) / name
    kept = folder / 'raw.heap'
    kept.write_bytes(made.read_bytes())
    made.unlink()
    return kept


def forms_agree(dump):
    """All forms of one dump have the same sum. Returns it."""
    stacks = forms.folded(forms.run(dump, '--format', 'folded')[0])
    everything = total(stacks)
    rows = forms.run(dump, '--top', '0')[0].decode().splitlines()
    if f'{everything / MIB:.1f} MiB live' not in rows[0]:
        fail(f'the table begins with {rows[0]}, the stacks sum up to {everything}')

    file = forms.decoded(forms.run(dump, '--format', 'pprof')[0])
    at = forms.quantities(file).index(('inuse_space', 'bytes'))
    forms.equal('sum of pprof', sum(sample['values'][at] for sample in file['samples']), everything)
    file = forms.speedscope(forms.run(dump, '--format', 'speedscope')[0], ['bytes', 'none', 'bytes', 'none'])
    forms.equal('sum of speedscope', sum(file['profiles'][0]['weights']), everything)
    return everything, stacks


def google_agrees(dump, program, ours, stacks, names):
    """Of names that the program exports, google-pprof says as much as we do, or more: where a function has no name, it
    takes that of the one before it in the file."""
    theirs, functions = forms.google_pprof(program, dump)
    if abs(ours / MIB - theirs) > 0.051 + 0.001 * theirs:
        fail(f'google-pprof says {theirs} MB, we {ours / MIB} MB')
    for name in names:
        held = total({stack: value for stack, value in stacks.items() if name in stack}) / MIB
        if functions.get(name, 0) < 0.999 * held - 0.051 or held < ours / MIB / 10:
            fail(f'{name} holds {held} MB by us, {functions.get(name)} by google-pprof, of {theirs} MB in all: '
                 f'{sorted(functions, key=functions.get)[-20:]}')
        print(f'{name}: {held:.1f} MB')


def looked_at(side, pid, interval, names):
    dump = agrees(pid, interval, side.dir)
    ours, stacks = forms_agree(dump)
    google_agrees(dump, os.readlink(f'/proc/{pid}/exe'), ours, stacks, names)


# --- the programs: each holds its memory in its own way ---


def redis_commands():
    """Strings of all sizes, most of them short; some that are much larger than the interval; and collections."""
    draw = random.Random(1)

    def one(*words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        return b'*%d\r\n' % len(parts) + b''.join(b'$%d\r\n%s\r\n' % (len(part), part) for part in parts)

    for n in range(160_000):
        yield one('SET', f'key:{n}', b'v' * int(2 ** draw.uniform(2, 11.9)))
    for n in range(90):
        yield one('SET', f'large:{n}', b'v' * 500_000)
    for n in range(2000):
        yield one('RPUSH', f'list:{n}', *(b'l' * draw.randrange(200) for _ in range(50)))
        yield one('HSET', f'hash:{n}', *(f'{i} {"h" * draw.randrange(100)}' for i in range(200)))


def redis(trial):
    server_path, client_path = map(need, ('/usr/bin/redis-server', '/usr/bin/redis-cli'))
    port = free_port()
    with trial.scene('redis', control='on', profile='64k') as side:
        server = side.serve([server_path, '--port', port, '--bind', '127.0.0.1', '--save', '', '--dir', side.dir],
                            lambda: answers(port))
        side.run([client_path, '-p', port, '--pipe'], input=b''.join(redis_commands()), record=False, preload=False)
        looked_at(side, server.pid, 64 << 10, ['main', 'aeMain', 'readQueryFromClient'])
        server.stop(lambda: side.run([client_path, '-p', port, 'SHUTDOWN', 'NOSAVE'], record=False, preload=False))


# A hash table and a sort that a cursor keeps open, and many small contexts: what a prepared statement is made of.
POSTGRES_HOLDS = ['BEGIN;', '''DECLARE rows CURSOR FOR SELECT a.i FROM generate_series(1, 60000) a(i)
    JOIN generate_series(1, 400000) b(i) ON a.i = b.i ORDER BY md5(a.i::text) || repeat('x', 500);''', 'FETCH FROM rows;']
POSTGRES_STATEMENT = "PREPARE s{n} AS SELECT oid, relname FROM pg_class WHERE relname = $1 OR oid IN (1, 2, {n});"


def postgresql(trial):
    pg = postgres.programs('initdb', 'postgres', 'pg_ctl', 'psql')
    with trial.scene('postgresql', control='on', profile='32k') as side:
        postgres.not_as_root(side)
        port, data = free_port(), side.dir / 'data'
        side.run([pg['initdb'], '-D', data, '-U', postgres.USER, '-A', 'trust', '--locale', 'C.UTF-8', '--no-sync'],
                 record=False, preload=False)
        server = side.serve([pg['postgres'], '-D', data, '-p', port, '-h', '127.0.0.1', '-k', '', '-c', 'fsync=off',
                             '-c', 'autovacuum=off', '-c', 'jit=off', '-c', 'work_mem=1GB',
                             '-c', 'max_parallel_workers_per_gather=0'], lambda: postgres.accepts(data))
        session = postgres.Session(postgres.psql(side, pg['psql'], port))
        session.tell(*(POSTGRES_STATEMENT.format(n=n) for n in range(3000)))
        session.ask(*POSTGRES_HOLDS)
        looked_at(side, session.backend, 32 << 10, ['main', 'PostmasterMain', 'PostgresMain'])
        session.close()
        server.stop(lambda: side.run([pg['pg_ctl'], 'stop', '-D', data, '-m', 'fast', '-w'], record=False,
                                     preload=False))


PYTHON_HOLDS = '''
import signal
rows = [{'name': 'name %d' % n, 'text': 'x' * (n % 700), 'parts': list(range(n % 60)), 'point': (n, n / 3)}
        for n in range(120_000)]
rows.append([bytearray(300_000) for _ in range(60)])
open('ready', 'x').close()
signal.pause()
'''


def python3(trial):
    python = need('/usr/bin/python3')
    with trial.scene('python3', control='on', profile='64k') as side:
        server = side.serve([python, '-c', PYTHON_HOLDS], lambda: (side.dir / 'ready').exists(),
                            env={'PYTHONMALLOC': 'malloc'})
        looked_at(side, server.pid, 64 << 10, ['Py_BytesMain', 'Py_RunMain'])
        server.stop(lambda: os.kill(server.pid, signal.SIGTERM), status=-signal.SIGTERM)


def gcc_source():
    """Names, macros and bodies. The compiler reads a last file, which is a pipe, and so stops before that."""
    for n in range(60_000):
        yield f'struct type_{n} {{ int field_{n}_a, field_{n}_b; int sum() const {{ return field_{n}_a + field_{n}_b; }} }};'
        yield f'#define MACRO_{n}(a, b) ((a) * {n} + (b) * FACTOR_{n})'
    for n in range(8000):
        yield (f'inline int function_{n}(type_{n} const& a, int b) '
               f'{{ for (int i = 0; i < b; ++i) if (a.sum() > i * {n}) return i + b; return "{n} text"[b % 3]; }}')
    yield '#include "pipe"\n'


def gcc(trial):
    compiler = need('/usr/bin/g++')
    with trial.scene('gcc', control='on', profile='8k') as side:
        (side.dir / 'source.cpp').write_text('\n'.join(gcc_source()))
        pipe = side.dir / 'pipe'
        os.mkfifo(pipe)
        ends = []

        def is_read():
            with contextlib.suppress(OSError):  # nobody reads it yet
                ends.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            return bool(ends)

        driver = side.serve([compiler, '-fsyntax-only', 'source.cpp'], is_read, seconds=120)
        cc1plus = next(pid for pid in family(driver.pid) if os.readlink(f'/proc/{pid}/exe').endswith('/cc1plus'))
        looked_at(side, cc1plus, 8 << 10, ['main', 'toplev::main', 'xmalloc'])
        os.close(ends[0])
        driver.stop(None, seconds=120)


PROGRAMS = {program.__name__: program for program in (gcc, postgresql, python3, redis)}

if __name__ == '__main__':
    with Pressure() as pressure:
        PROGRAMS[sys.argv[1]](pressure)
