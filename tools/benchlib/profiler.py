"""tools/bench profiler: the CPU time that the sampling profiler takes, load by load.

Each load runs with the profile off and on, in random order and many rounds; compared are the least times: what disturbs
a run makes it longer, never shorter. The interval comes from drawing the rounds anew; that of a minimum is a rough one.
"""
import argparse
import json
import random
import tempfile

from . import loads, machine, peers, progress, report, runner, stats, tree

MEAN_LIMIT, WORST_LIMIT = 1.02, 1.05
OFF = 'off'


def arguments(argv):
    parser = argparse.ArgumentParser(prog='tools/bench profiler', description=__doc__.split('\n', maxsplit=1)[0],
                                     allow_abbrev=False)
    parser.add_argument('--interval', nargs='+', default=['512k'], metavar='BYTES',
                        help='from one sample to the next, as STEALTH_PROFILE takes it; default 512k; several are '
                             'measured side by side')
    parser.add_argument('--load', nargs='+', action='extend', default=[], metavar='NAME',
                        help='only these loads (globs; own and real name the two kinds)')
    parser.add_argument('--rounds', type=int, default=15, metavar='N', help='default 15')
    parser.add_argument('--scale', type=float, default=1.0, metavar='X', help='how much work each load does; default 1')
    parser.add_argument('--timeout', type=int, default=120, metavar='S', help='for one run; default 120')
    parser.add_argument('--json', metavar='FILE', help='write every single figure there')
    parser.add_argument('--build', metavar='DIR',
                        help='a build directory to take as it is; default build/, made and kept fresh')
    chosen = parser.parse_args(argv)
    if chosen.rounds < 1 or chosen.scale <= 0 or chosen.timeout < 1:
        parser.error('--rounds, --scale and --timeout take numbers above zero')
    if OFF in chosen.interval:
        parser.error('--interval off: that is what each is compared with; say for example --interval 512k')
    return chosen


def measure(bench, library, chosen, table):
    """{load: {interval or off: [runs]}}; a load that fails once is left out, and said so."""
    runs = {load.name: {how: [] for how in (OFF, *chosen.interval)} for load in table}
    inputs = {load.name: (load.command(bench, chosen.scale), load.stdin(bench, chosen.scale) if load.stdin else None)
              for load in table}
    failed = {}
    shown = progress.Progress(len(table) * (1 + len(chosen.interval)) * chosen.rounds)
    try:
        for number in range(1, chosen.rounds + 1):
            for load in random.sample(table, len(table)):
                for how in random.sample(list(runs[load.name]), 1 + len(chosen.interval)):
                    shown.step(f'round {number} of {chosen.rounds}: {load.name}, profile {how}')
                    if load.name in failed:
                        continue
                    profile = OFF if how == OFF else f'{how}:{bench.inputs}/profile.%p'
                    argv, stdin = inputs[load.name]
                    run = bench.run(argv, library, stdin, {**load.env, 'STEALTH_PROFILE': profile})
                    if 'error' in run:
                        failed[load.name] = f"{load.name}, profile {how}: {run['error']} {run['stderr']}".strip()
                    runs[load.name][how].append({'round': number, **run})
                    for dump in bench.inputs.glob('profile.*'):
                        dump.unlink()
    finally:
        shown.end()
    return {name: found for name, found in runs.items() if name not in failed}, list(failed.values())


def main(argv):
    chosen = arguments(argv)
    try:
        table = loads.choose(chosen.load)
    except LookupError as error:
        tree.fail(2, error)
    build = tree.build(chosen.build, 'to-bench')
    library = peers.find([], [], [], build)[peers.SUBJECT]
    with tempfile.TemporaryDirectory(prefix='stealth-bench-') as folder:
        runs, failed = measure(runner.Bench(build, folder, chosen.timeout), library, chosen, table)
    if chosen.json:
        with open(chosen.json, 'w', encoding='utf-8') as file:
            json.dump({'machine': machine.describe(), 'scale': chosen.scale, 'runs': runs, 'failed': failed}, file,
                      indent=1)
            file.write('\n')
    rows = [('load', 'CPU time', *(f'profile {how}' for how in chosen.interval), '')]
    for name, found in runs.items():
        compared = [stats.minima(found[how], found[OFF], 'cpu') for how in chosen.interval]
        rows.append((name, f"{min(run['cpu'] for run in found[OFF]):.3f} s",
                     *(f"{one['ratio']:.3f} [{one['interval'][0]:.3f} {one['interval'][1]:.3f}]" for one in compared),
                     ''))
    lines = [*report.table(rows), '']
    for how in chosen.interval:
        compared = {name: stats.minima(found[how], found[OFF], 'cpu')['ratio'] for name, found in runs.items()}
        if compared:
            worst = max(compared, key=compared.get)
            lines.append(f'profile {how}: geometric mean {stats.geometric_mean(compared.values()):.3f} '
                         f'(asked {MEAN_LIMIT}), worst {compared[worst]:.3f} ({worst}; asked {WORST_LIMIT})')
    print('\n'.join([*lines, *failed]))
    return 1 if failed else 0
