"""Programs on Google Benchmark, as tools/bench pools and buffers run them: arguments, figures, ratios, verdicts."""
import argparse
import json
import statistics
import subprocess

from . import machine, progress, tree


def arguments(argv, name, doc):
    parser = argparse.ArgumentParser(prog=f'tools/bench {name}', description=doc.split('\n', maxsplit=1)[0],
                                     allow_abbrev=False)
    parser.add_argument('--rounds', type=int, default=7, metavar='N', help='default 7')
    parser.add_argument('--time', type=float, default=0.1, metavar='S', help='of each case in each round; default 0.1')
    parser.add_argument('--json', metavar='FILE', help='write every single figure there')
    parser.add_argument('--build', metavar='DIR',
                        help='a build directory to take as it is; default build/, made and kept fresh')
    chosen = parser.parse_args(argv)
    if chosen.rounds < 1 or chosen.time <= 0:
        parser.error('--rounds and --time take numbers above zero')
    return chosen


def build(chosen, target, program, packages):
    """The build directory, with the program in it."""
    directory = tree.build(chosen.build, target, packages=packages, configure='again')
    if not (directory / program).exists():
        tree.fail(1, f'{directory / program}: no such file; install {" ".join(packages)}, '
                     f'then ninja -C {directory} {target}')
    return directory


def start(program, only, seconds):
    command = [str(program), '--benchmark_format=json', f'--benchmark_min_time={seconds}', f'--benchmark_filter={only}']
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def figures(process, timeout=300):
    """{case: ns of one operation, as one thread sees it}"""
    try:
        out, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        tree.fail(1, f'{process.args[0]}: not done after {timeout} s')
    if process.returncode:
        tree.fail(1, f'{process.args[0]}: ended with status {process.returncode}')
    return {case['name'].replace('/real_time', ''): case['real_time'] * case.get('threads', 1)
            for case in json.loads(out)['benchmarks'] if not case['name'].startswith('make')}


def two_processes(program, case, seconds):
    """The same of two at once, which share nothing but the machine; "make" first, so that they have had threads."""
    both = [start(program, f'^make|^{case}$', 2 * seconds) for _ in range(2)]
    return statistics.mean(figures(process)[case] for process in both)


def rounds(chosen, one_round):
    done = []
    for number in range(chosen.rounds):
        progress.say(f'round {number + 1} of {chosen.rounds}')
        done.append(one_round())
    return done


def write_json(chosen, **what):
    if chosen.json:
        with open(chosen.json, 'w', encoding='utf-8') as file:
            json.dump({'machine': machine.describe(), **what}, file, indent=1)
            file.write('\n')


def ratio(measured, case, other):
    """The median of the rounds' own ratios: the machine's speed drifts between rounds."""
    return statistics.median(one[case] / one[other] for one in measured)


def verdict(text, value, limit, at_least=False):
    good = value >= limit if at_least else value <= limit
    return (f'{text:70} {value:6.2f}  ({"at least" if at_least else "at most"} {limit})'
            f'{"" if good else "  MISSED"}')
