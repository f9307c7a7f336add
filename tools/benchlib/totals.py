"""tools/bench totals: instructions of whole runs with a setting, by those without, load by load, under callgrind.

What the clock decides (when memory goes back, when something is looked at) comes about fifty times as often for each
instruction there as it does otherwise, and threads take turns; so this is a bound more than a measure. System calls
count as nothing.
"""
import argparse
import json
import shutil
import tempfile

from . import instructions, loads, machine, peers, progress, report, runner, stats, tree

PLAIN = 'without'


def arguments(argv):
    parser = argparse.ArgumentParser(prog='tools/bench totals', description=__doc__.split('\n', maxsplit=1)[0],
                                     allow_abbrev=False)
    parser.add_argument('setting', nargs='+', metavar='NAME=VALUE',
                        help='a variable of libstealth, as STEALTH_GUARD=sample; several are counted side by side')
    parser.add_argument('--load', nargs='+', action='extend', default=[], metavar='NAME',
                        help='only these loads (globs; own and real name the two kinds)')
    parser.add_argument('--scale', type=float, default=0.1, metavar='X', help='how much work each load does; default 0.1')
    parser.add_argument('--limit', type=float, metavar='RATIO', help='what each ratio may be: exit status 1 if one is above')
    parser.add_argument('--timeout', type=int, default=600, metavar='S', help='for one run; default 600')
    parser.add_argument('--json', metavar='FILE', help='write every single figure there')
    parser.add_argument('--build', metavar='DIR',
                        help='a build directory to take as it is; default build/, made and kept fresh')
    chosen = parser.parse_args(argv)
    if chosen.scale <= 0 or chosen.timeout < 1:
        parser.error('--scale and --timeout take numbers above zero')
    for setting in chosen.setting:
        if not setting.startswith('STEALTH_') or '=' not in setting:
            parser.error(f'{setting}: not a variable with its value; say for example STEALTH_GUARD=sample')
    return chosen


def count(bench, library, load, scale, setting):
    """{'total': instructions}, or {'error': why not}."""
    log = bench.inputs / 'callgrind.log'
    for old in bench.inputs.glob('callgrind.log*'):
        old.unlink()
    stdin = load.stdin(bench, scale) if load.stdin else None
    run = bench.run([*instructions.CALLGRIND, f'--log-file={log}.%p', '/usr/bin/env', f'LD_PRELOAD={library}', *setting,
                     *load.command(bench, scale)], None, stdin, load.env)
    totals = [instructions.collected(file.read_text(encoding='utf-8', errors='replace'))
              for file in bench.inputs.glob('callgrind.log.*')]
    if 'error' in run or None in totals or not totals:
        return {'error': ': '.join([run.get('error', 'no count'), *run['stderr'].splitlines()[-1:]])}
    return {'total': sum(totals)}


def measure(bench, library, chosen, table):
    """{load: {setting or without: what count() says}}"""
    shown = progress.Progress(len(table) * (1 + len(chosen.setting)))
    counts = {}
    try:
        for load in table:
            counts[load.name] = {}
            for setting in (PLAIN, *chosen.setting):
                shown.step(f'{load.name}, {setting}')
                counts[load.name][setting] = count(bench, library, load, chosen.scale,
                                                   [] if setting == PLAIN else [setting])
    finally:
        shown.end()
    return counts


def main(argv):
    chosen = arguments(argv)
    try:
        table = loads.choose(chosen.load)
    except LookupError as error:
        tree.fail(2, error)
    build = tree.build(chosen.build, 'to-bench', ['valgrind=valgrind'])
    if shutil.which('valgrind') is None:
        tree.fail(1, 'no valgrind here; apt-get install valgrind')
    library = peers.find([], [], [], build)[peers.SUBJECT]
    with tempfile.TemporaryDirectory(prefix='stealth-bench-') as folder:
        counts = measure(runner.Bench(build, folder, chosen.timeout), library, chosen, table)
    if chosen.json:
        with open(chosen.json, 'w', encoding='utf-8') as file:
            json.dump({'machine': machine.describe(), 'scale': chosen.scale, 'counts': counts}, file, indent=1)
            file.write('\n')
    good = {name: {setting: one['total'] for setting, one in found.items()} for name, found in counts.items()
            if all('total' in one for one in found.values())}
    rows = [('load', 'instructions', *chosen.setting, '')]
    rows += [(name, f'{found[PLAIN]:,}', *(f'{found[setting] / found[PLAIN]:.4f}' for setting in chosen.setting), '')
             for name, found in good.items()]
    lines = [*report.table(rows), '']
    above = []
    for setting in chosen.setting:
        ratios = {name: found[setting] / found[PLAIN] for name, found in good.items()}
        if ratios:
            worst = max(ratios, key=ratios.get)
            lines.append(f'{setting}: geometric mean {stats.geometric_mean(ratios.values()):.4f}, '
                         f'worst {ratios[worst]:.4f} ({worst})')
            above += [name for name, ratio in ratios.items() if chosen.limit and ratio > chosen.limit]
    failed = [f"{name}, {setting}: {one['error']}" for name, found in counts.items() for setting, one in found.items()
              if 'error' in one]
    print('\n'.join([*lines, *([f'above {chosen.limit}: {" ".join(above)}'] if above else []), *failed]))
    return 1 if failed or above else 0
