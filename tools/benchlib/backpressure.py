"""tools/bench backpressure: what happens at the capacity, against the figures that are asked of it.

Every load (tests/loads/backpressure; the table is pressure_cases.py) is run in interleaved rounds, without a capacity
and with it, some with STEALTH_MODE=observe as well. Prints a table of figures (pressure_figures.py), each reached or
missed, and one of all that happened; draws the memory over time. For comparing laws: --peer NAME=PATH takes another
build of libstealth.so, and settings in the environment (STEALTH_SOFT=…) hold for all runs.

Exit status: 0 where all ran properly, whatever the figures say; 1 where something went wrong; 2 for wrong arguments.

A run is sampled from outside every 20 ms and ended after some times what it should take. What is not finished by then
under a capacity has missed its figures. Nothing of a run is left behind: each is a session of its own, killed as such.
"""
import argparse
import json
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

from . import machine, pressure_cases, pressure_figures, pressure_plots, pressure_report, pressure_run, progress, \
    runner, tree

LIBRARY = 'libstealth'


def arguments(argv):
    parser = argparse.ArgumentParser(prog='tools/bench backpressure', description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--list', action='store_true', help='name the loads and end')
    parser.add_argument('--load', nargs='+', action='extend', default=[], metavar='NAME', help='only these (globs)')
    parser.add_argument('--rounds', type=int, default=3, metavar='N', help='default 3; the table has the medians')
    parser.add_argument('--peer', action='append', default=[], metavar='NAME=PATH',
                        help=f'another libstealth.so, or another path for {LIBRARY}')
    parser.add_argument('--json', metavar='FILE', help='write every run and every figure there')
    parser.add_argument('--plots', metavar='DIR', help='draw memory over time and an overview there, as PNG')
    parser.add_argument('--quick', action='store_true', help='less work, 1 round: shows that all runs, no more')
    parser.add_argument('--seed', type=int, help='of the random order; default: from the clock')
    parser.add_argument('--build', metavar='DIR',
                        help='a build directory to take as it is; default build/, made and kept fresh')
    chosen = parser.parse_args(argv)
    if chosen.quick:
        chosen.rounds = 1
    if chosen.rounds < 1:
        parser.error('--rounds takes a number above zero')
    chosen.peer = tree.named_paths(chosen.peer)
    return chosen


class Rounds:
    """The runs of one call: which were made, and what went wrong."""

    def __init__(self, program, folder, libraries, cases, quick):
        self.program, self.folder, self.libraries, self.quick = program, folder, libraries, quick
        self.cases = {case.name: case for case in cases}
        self.runs = {name: {library: {arm: [] for arm in case.arms} for library in libraries}
                     for name, case in self.cases.items()}
        self.errors, self.left_out, self.made = [], {}, 0

    def settings(self, case, arm, library):
        found = {}
        if arm == 'none':
            return {'STEALTH_CAPACITY': 'none'}
        if arm == 'plain':
            return found
        capacity = case.capacity
        if callable(capacity):
            told = self.runs[case.name][library][case.base]
            if not told or not told[-1]['stats']:
                raise pressure_run.LeftOut('its run without a capacity told nothing to set one by')
            capacity = capacity(told[-1])
        if capacity:
            found['STEALTH_CAPACITY'] = capacity
        if arm == 'observe':
            found['STEALTH_MODE'] = 'observe'
        found.update({name: value.format(run=f'{os.getpid()}-{self.made}') for name, value in case.env.items()})
        return found

    def turns(self, case, number, dice):
        """The runs of one case in one round: (library, arm), the arms of a library one after the other."""
        for repeat in range(case.repeats):
            for library in dice.sample(list(self.libraries), len(self.libraries)):
                arms = dice.sample(case.arms, len(case.arms))
                if callable(case.capacity) and number == 1 and repeat == 0:
                    arms = case.arms  # the base first: the capacity comes from it
                yield from ((library, arm) for arm in arms)

    def run(self, case, arm, library, number):
        if case.name in self.left_out:
            return
        self.made += 1
        preload = '' if arm == 'plain' else self.libraries[library]
        try:
            settings = self.settings(case, arm, library)
            result = pressure_run.run(self.folder, case.argv(self.program, self.quick), case.processes, preload,
                                      settings, case.cgroup_mib, case.timeout)
        except pressure_run.LeftOut as why:
            self.left_out[case.name] = str(why)
            return
        wrong = pressure_report.problem(case, arm, result)
        if wrong:
            self.errors.append(f'round {number}: {case.name} under {library}, {arm}: {wrong}')
        self.runs[case.name][library][arm].append({'round': number, 'settings': settings, **result})

    def measure(self, rounds, dice):
        plan = {case.name: min(rounds, case.most_rounds) for case in self.cases.values()}
        shown = progress.Progress(sum(plan[case.name] * case.repeats * case.seconds * len(case.arms)
                                      * len(self.libraries) for case in self.cases.values()))
        try:
            for number in range(1, rounds + 1):
                for case in dice.sample(list(self.cases.values()), len(self.cases)):
                    if number <= plan[case.name]:
                        for library, arm in self.turns(case, number, dice):
                            shown.step(f'round {number} of {rounds}: {case.name}, {arm}, {library}', case.seconds)
                            self.run(case, arm, library, number)
        finally:
            shown.end()

    def figures(self):
        """[(figure, {library: Value})] of the cases that were run."""
        rows = []
        for figure in pressure_figures.FIGURES:
            by_library = self.runs.get(figure.case, {})
            values = {library: figure.value(pressure_figures.Seen(by_arm)) for library, by_arm in by_library.items()
                      if all(by_arm.values())}
            if values:
                rows.append((figure, values))
        return rows


def main(argv):
    chosen = arguments(argv)
    if chosen.list:
        for case in pressure_cases.TABLE:
            print(f'{case.name:14} {case.about}')
        return 0
    try:
        cases = pressure_cases.choose(chosen.load)
    except LookupError as error:
        tree.fail(2, error)
    build = tree.build(chosen.build, 'to-bench-backpressure', commands=['gnuplot=gnuplot-nox'] if chosen.plots else [])
    libraries = {LIBRARY: str(build / 'preload' / 'libstealth.so')}
    libraries.update({name: str(pathlib.Path(path).resolve()) for name, path in chosen.peer})
    program = build / 'tests' / 'loads' / 'load-backpressure'
    for path in [str(program), *libraries.values()]:
        if not pathlib.Path(path).exists():
            tree.fail(1, f'{path}: no such file; build it first, or give another by --build or --peer')
        if ' ' in path or ':' in path:
            tree.fail(1, f'{path}: LD_PRELOAD cannot carry a path with blanks or colons; move it elsewhere')
    for number in (signal.SIGTERM, signal.SIGHUP):  # a polite end unwinds like an error, so that nothing is left behind
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    seed = chosen.seed if chosen.seed is not None else time.time_ns() % 1_000_000
    with tempfile.TemporaryDirectory(prefix='stealth-bench-') as folder:
        rounds = Rounds(program, pathlib.Path(folder), libraries, cases, chosen.quick)
        watch, interrupted = machine.Watch(), False
        try:
            rounds.measure(chosen.rounds, random.Random(seed))
        except KeyboardInterrupt:
            interrupted = True
    rows = rounds.figures()
    results = {'format': 1, 'libraries': libraries, 'rounds': chosen.rounds, 'quick': chosen.quick, 'seed': seed,
               'interrupted': interrupted, 'errors': rounds.errors, 'left_out': rounds.left_out,
               'machine': {**machine.describe(), 'settings': runner.settings(), **watch.figures()},
               'figures': [{'case': figure.case, 'asked': figure.asked,
                            'values': {name: vars(value) for name, value in values.items()}}
                           for figure, values in rows],
               'cases': rounds.runs}
    if chosen.json:
        pathlib.Path(chosen.json).write_text(json.dumps(results) + '\n', encoding='utf-8')
    print(pressure_report.text(results, rows), end='')
    drawn = pressure_plots.draw(results, rows, pathlib.Path(chosen.plots)) if chosen.plots else True
    if interrupted:
        progress.say('interrupted: these are the rounds until then')
        return 130
    return 1 if rounds.errors or not drawn else 0
