"""The table of loads: what each is, how it is started, and how it is compared.

Own loads are the programs of tests/loads; real ones are installed programs on fixed inputs (inputs.py). Knows nothing
of peers or figures.
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
    by: str = 'wall'             # the time that is compared: 'cpu' where part of the run is sleep


def own(name, about, program=None, count=None, **more):
    def command(bench, scale):
        argv = [str(bench.programs / f'load-{program or name}'), str(scale)]
        return argv + ([str(count)] if count else [])
    return Load(name, about, False, command, **more)


def real(name, about, command, **more):
    return Load(name, about, True, command, **more)


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
