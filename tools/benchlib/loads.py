"""The table of loads: what each is, how it is started, and how it is compared.

Own loads are the programs of tests/loads; real ones are installed programs on fixed inputs (inputs.py), and given ones
what the caller named (`--program`). Knows nothing of peers or figures. redis is not among them: Debian's is linked with jemalloc itself, so that nothing would be
measured under glibc, and jemalloc would be there beside any other.
"""
import dataclasses
import fnmatch

from . import inputs


@dataclasses.dataclass
class Load:
    name: str
    about: str
    real: bool
    command: object              # (bench folder, scale) -> argv
    stdin: object = None         # (bench folder, scale) -> path, or None for /dev/null
    env: dict = dataclasses.field(default_factory=dict)
    by: str = 'wall'             # what is compared: 'cpu' where part of the run is sleep, 'work' with a metric
    given: bool = False          # by the caller: its output may differ from run to run
    metric: object = None        # finds the number in the output that decides, where the run time is fixed


def own(name, about, program=None, count=None, **more):
    def command(bench, scale):
        argv = [str(bench.programs / f'load-{program or name}'), str(scale)]
        return argv + ([str(count)] if count else [])
    return Load(name, about, False, command, **more)


def real(name, about, command, **more):
    return Load(name, about, True, command, **more)


def given(name, line, metric=None):
    return Load(name, line, True, lambda b, s: ['/bin/sh', '-c', f'exec {line}'], given=True,
                metric=metric, by='work' if metric else 'wall')


TABLE = [
    own('small', 'blocks below 256 B that live shortly'),
    own('ageing', '16 B – 16 KiB with a live set that ages'),
    own('pareto', 'Pareto sizes and lifetimes, up to 4 MiB'),
    own('remote', 'one thread makes, another frees'),
    own('remote-pairs', 'the same with four pairs', 'remote', 4),
    own('threads', 'short threads that leave blocks to others, four at a time'),
    own('threads-many', 'the same, 32 at a time', 'threads', 32),
    own('growing', 'buffers, strings and vectors that grow'),
    own('containers', 'maps, hash maps, lists, vectors of strings'),
    own('trees', 'binary trees built and dropped'),
    own('large', 'buffers of 64 KiB – 32 MiB'),
    own('calloc', 'zeroed blocks, dirtied before they are freed'),
    own('aligned', 'aligned blocks, by every door'),
    own('burst', 'peaks, then a quiet second: CPU time, and what stays resident', by='cpu'),
    own('phases', 'sizes change between phases, 95 % freed at random'),
    own('false-sharing', 'two threads write to small neighbours, passed on or their own'),
    own('exchange', 'four threads free what the others made, in bursts'),
    own('server', 'sessions whose threads end and start their successors'),
    own('shuffle', '16 B – 8 KiB in random order, a quarter freed by other threads'),
    own('graph', 'a graph of small objects that changes'),
    own('strings', 'text split, changed, moved and joined'),
    own('realloc-100m', 'a buffer grown to 100 MiB by realloc', 'realloc'),
    own('held', '1,000 threads that each hold a little: CPU time, and what is resident', by='cpu'),
    own('held-1', 'the same work by one thread', 'held', 1, by='cpu'),
    own('scale', 'live memory from 1 MiB to 1 GiB: what an operation costs at each size'),
    own('trickle', 'mixed phases on two threads, then hardly a call for a second: what stays resident', by='cpu'),
    own('trickle-silent', 'the same, then no call at all', 'trickle', 1, by='cpu'),
    real('g++', 'the compiler on a source full of templates',
         lambda b, s: ['g++', '-std=c++20', '-O0', '-S', '-o', '-', inputs.compiler_source(b.inputs, s)]),
    real('python', 'json, dicts, strings, regular expressions',
         lambda b, s: ['/usr/bin/python3', '-S', '-E', inputs.python_script(b.inputs, s), inputs.records(b.inputs, s)]),
    real('python-malloc', 'the same with every object through malloc (PYTHONMALLOC=malloc)',
         lambda b, s: ['/usr/bin/python3', '-S', inputs.python_script(b.inputs, s), inputs.records(b.inputs, s)],
         env={'PYTHONMALLOC': 'malloc'}),
    real('sqlite', 'inserts, joins and updates in memory',
         lambda b, s: ['sqlite3', '-batch', ':memory:'], stdin=lambda b, s: inputs.sql(b.inputs, s)),
    real('perl', 'hashes, sorting, regular expressions', lambda b, s: ['perl', inputs.perl_script(b.inputs, s)],
         env={'PERL_HASH_SEED': '0', 'PERL_PERTURB_KEYS': '0'}),
    real('ruby', 'arrays, hashes, strings', lambda b, s: ['ruby', '--disable=gems', inputs.ruby_script(b.inputs, s)]),
    real('jq', 'grouping and mapping JSON records',
         lambda b, s: ['jq', '-c', '[group_by(.group)[] | {group: .[0].group, n: length, best: (max_by(.score).name), '
                       'tags: ([.[].tags[]] | unique | length)}] | sort_by(-.n, .group) | .[0:50][]',
                       inputs.records(b.inputs, s)]),
    real('clang', 'the same source in another compiler, optimised',
         lambda b, s: ['clang++-14', '-std=c++20', '-O1', '-S', '-o', '-', inputs.compiler_source(b.inputs, s)]),
    real('lua', 'tables, strings, closures, coroutines', lambda b, s: ['lua5.4', inputs.lua_script(b.inputs, s)]),
    real('node', 'JSON, buffers, compression, digests: what a JavaScript engine has outside its own heap',
         lambda b, s: ['node', inputs.node_script(b.inputs, s), inputs.records(b.inputs, s)]),
    real('ghostscript', 'pages of text, curves and shadings',
         lambda b, s: ['gs', '-q', '-dSAFER', '-dBATCH', '-dNOPAUSE', '-sDEVICE=pgmraw', '-r72', '-sOutputFile=-',
                       inputs.postscript(b.inputs, s)]),
    real('z3', 'a solver on products, queens, jobs and arrays',
         lambda b, s: ['z3', '-smt2', inputs.smt(b.inputs, s)]),
    # By CPU time: server and client wait for each other. Its items lie in pages of its own, so that it calls malloc
    # rarely: a program that an allocator must not harm.
    real('memcached', 'sets and gets of a small client',
         lambda b, s: [str(b.programs / 'load-memcached'), str(s)], by='cpu'),
    real('start', 'a shell that starts many tiny programs: the price of being preloaded at all',
         lambda b, s: ['/bin/sh', '-c',
                       f'i=0; while [ $i -lt {max(20, int(1200 * s))} ]; do /bin/true; i=$((i+1)); done']),
]


def choose(patterns):
    """The loads that the patterns name (shell globs, or the words own and real); all of them for none."""
    if not patterns:
        return TABLE
    chosen = []
    for pattern in patterns:
        found = [load for load in TABLE
                 if fnmatch.fnmatch(load.name, pattern) or pattern == ('real' if load.real else 'own')]
        if not found:
            raise LookupError(f'{pattern}: no such load; see tools/bench --list')
        chosen += [load for load in found if load not in chosen]
    return chosen
