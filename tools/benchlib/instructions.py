"""tools/bench instructions: instructions of one malloc and free, by case and allocator, counted under callgrind.

Unlike time, they repeat: the same to the instruction for what has no clock and no random numbers of its own. So there
are no rounds. tests/loads/instructions.c is run with a number of pairs and with twice as many; what lies between is
theirs, the program's loop and its calls through the PLT included. System calls count as nothing, and so does waiting.
"""
import argparse
import dataclasses
import json
import re
import shutil
import tempfile

from . import google, machine, peers, progress, report, runner, tree
from .tree import fail

TARGET = 'to-bench-instructions'
PROGRAM = 'load-instructions'
STEP = 1000  # the program takes multiples of it
# callgrind leaves malloc alone: what is counted is the allocator's own. The library is preloaded by a program that
# valgrind follows, so that valgrind's own starter, a shell script, does without it.
CALLGRIND = ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', '--trace-children=yes']


@dataclasses.dataclass
class Case:
    name: str
    about: str
    limit: int = None  # what is asked of libstealth


CASES = [
    Case('same', 'one block of 64 B, freed at once', 45),
    Case('batch-100', '100 blocks of 64 B, then all freed', 50),
    Case('batch-1000', '1,000 blocks of 64 B, then all freed', 62),
    Case('random', '8 - 519 B at random, 4,096 live', 54),
    Case('calloc-40', 'calloc of 40 B, freed at once', 70),
    Case('3-4k', '3 - 4 KiB at random, freed at once', 50),
    Case('100k', '100 KB, freed at once', 80),
    Case('remote', '1,000 blocks of 64 B, freed by another thread'),
]


def arguments(argv):
    parser = argparse.ArgumentParser(prog='tools/bench instructions', description=__doc__.split('\n', maxsplit=1)[0],
                                     allow_abbrev=False)
    parser.add_argument('--case', nargs='+', action='extend', choices=[case.name for case in CASES], metavar='NAME',
                        help=f'only these of {", ".join(case.name for case in CASES)}')
    parser.add_argument('--pairs', type=int, default=100_000, metavar='N',
                        help=f'pairs that are counted, a multiple of {STEP:,}; default 100,000')
    parser.add_argument('--peers', choices=['all', 'usual'], default='all',
                        help=f'which of the known ones: all that can be had (default), or {" and ".join(peers.USUAL)}')
    parser.add_argument('--peer', action='append', default=[], metavar='NAME=PATH',
                        help='another library to preload, or another path for a known peer')
    parser.add_argument('--own', action='append', default=[], metavar='NAME=PATH',
                        help='another build of libstealth, of which the same is asked')
    parser.add_argument('--without', action='append', default=[], metavar='NAME', help='leave this peer out')
    parser.add_argument('--json', metavar='FILE', help='write every single figure there')
    parser.add_argument('--strict', action='store_true', help='end with status 1 where libstealth takes more than asked')
    parser.add_argument('--timeout', type=int, default=120, metavar='S', help='for one run; default 120')
    parser.add_argument('--build', metavar='DIR',
                        help='a build directory to take as it is; default build/, made and kept fresh')
    chosen = parser.parse_args(argv)
    if chosen.pairs < STEP or chosen.pairs % STEP:
        parser.error(f'--pairs takes a multiple of {STEP:,}')
    if chosen.timeout < 1:
        parser.error('--timeout takes a number above zero')
    chosen.case = [case for case in CASES if not chosen.case or case.name in chosen.case]
    chosen.peer, chosen.own = tree.named_paths(chosen.peer), tree.named_paths(chosen.own)
    return chosen


def collected(log):
    """The instructions that callgrind tells of at the end, or None."""
    found = re.findall(r'Collected : (\d+)', log)
    return int(found[-1]) if found else None


def count(bench, preload, case, pairs):
    """{'totals': of the run with so many pairs and with twice as many, 'pair': of one}, or {'error': why not}."""
    totals, log = [], bench.inputs / 'callgrind.log'
    for many in (pairs, 2 * pairs):
        preloading = [f'LD_PRELOAD={preload}'] if preload else []
        log.unlink(missing_ok=True)
        run = bench.run([*CALLGRIND, f'--log-file={log}', '/usr/bin/env', *preloading,
                         str(bench.programs / PROGRAM), case, str(many)], None)
        total = collected(log.read_text(encoding='utf-8', errors='replace')) if log.exists() else None
        if 'error' in run or total is None:
            return {'error': ': '.join([run.get('error', 'no count'), *run['stderr'].splitlines()[-1:]])}
        totals.append(total)
    return {'totals': totals, 'pair': (totals[1] - totals[0]) / pairs}


def measure(bench, found, cases, pairs):
    """{case: {peer: what count() says}}"""
    shown = progress.Progress(len(cases) * len(found))
    counts = {case.name: {} for case in cases}
    try:
        for case in cases:
            for peer, preload in found.items():
                shown.step(f'{case.name} under {peer}')
                counts[case.name][peer] = count(bench, preload, case.name, pairs)
    finally:
        shown.end()
    return counts


def table(counts, names):
    rows = [('case', '', *names, '')]
    for case in CASES:
        if case.name in counts:
            found = counts[case.name]
            rows.append((case.name, case.about, *(f"{found[peer]['pair']:.1f}" if 'pair' in found[peer] else 'fails'
                                                  for peer in names), ''))
    return report.table(rows, left=2)


def asked(counts, subjects):
    """What is asked of libstealth, and of other builds of it: of what, the figure, its limit."""
    return [(f'{subject}, {case.name}: {case.about}', counts[case.name][subject]['pair'], case.limit)
            for subject in subjects for case in CASES
            if case.limit and 'pair' in counts.get(case.name, {}).get(subject, {})]


def verdicts(figures):
    return [google.verdict(*figure) for figure in figures]


def is_any_missed(figures):
    return any(pair > limit for _, pair, limit in figures)


def failures(counts):
    """A line for each peer and reason."""
    cases = {}
    for case, by_peer in counts.items():
        for peer, one in by_peer.items():
            if 'error' in one:
                cases.setdefault((peer, one['error']), []).append(case)
    return [f'{peer} fails in valgrind: {error} ({", ".join(found) if len(found) < len(counts) else "all cases"})'
            for (peer, error), found in cases.items()]


def main(argv):
    chosen = arguments(argv)
    known = peers.chosen_names(chosen.peers, chosen.without)
    build = tree.build(chosen.build, TARGET, ['valgrind=valgrind'], wanted=peers.packages(known))
    if shutil.which('valgrind') is None:
        fail(1, 'no valgrind here; apt-get install valgrind')
    found = peers.find(known, chosen.peer + chosen.own, chosen.without, build)
    with tempfile.TemporaryDirectory(prefix='stealth-bench-') as folder:
        bench = runner.Bench(build, folder, chosen.timeout)
        for program in (bench.launch, bench.programs / PROGRAM):
            if not program.exists():
                fail(1, f'{program}: no such file; build it: ninja -C {build} {TARGET}')
        found = peers.preloadable(bench, found, set(known) - set(dict(chosen.peer)))
        counts = measure(bench, found, chosen.case, chosen.pairs)
    if chosen.json:
        with open(chosen.json, 'w', encoding='utf-8') as file:
            json.dump({'machine': {**machine.describe(), 'settings': runner.settings()}, 'peers': found,
                       'pairs': chosen.pairs, 'limits': {case.name: case.limit for case in CASES if case.limit},
                       'counts': counts}, file, indent=1)
            file.write('\n')
    subjects = [peers.SUBJECT, *dict(chosen.own)]
    figures = asked(counts, subjects)
    print('\n'.join(['Instructions of one malloc and free, the loop and the PLT included:',
                     *table(counts, list(found)), '', *verdicts(figures), *failures(counts)]).rstrip())
    # A peer that valgrind cannot run is no error of ours; one of our own builds is.
    failed = any('error' in by_peer.get(subject, {}) for by_peer in counts.values() for subject in subjects)
    return 1 if failed or (chosen.strict and is_any_missed(figures)) else 0
