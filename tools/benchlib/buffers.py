"""tools/bench buffers: a write to a Buffer, and a get, a write and a put, against an uncontended pthread mutex pair.

tests/loads/buffers.cpp measures, on Google Benchmark; here it is run in rounds, and its figures are compared within
each round. Besides: a std::vector behind a mutex, growing to 1 GiB, and several threads with a buffer each.
"""
import argparse
import json
import statistics
import subprocess

from . import machine, progress, tree

TARGET = 'to-bench-buffers'
PROGRAM = 'tests/loads/load-buffers'
PACKAGES = ['libbenchmark-dev']


def arguments(argv):
    parser = argparse.ArgumentParser(prog='tools/bench buffers', description=__doc__.split('\n', maxsplit=1)[0],
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


def one_round(build, seconds):
    """{case: ns of one operation, as one thread sees it}"""
    command = [str(build / PROGRAM), '--benchmark_format=json', f'--benchmark_min_time={seconds}']
    try:
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=300,
                             check=False)
    except subprocess.TimeoutExpired:
        tree.fail(1, f'{PROGRAM}: not done after 300 s')
    if run.returncode:
        tree.fail(1, f'{PROGRAM}: ended with status {run.returncode}')
    return {case['name'].replace('/real_time', ''): case['real_time'] * case.get('threads', 1)
            for case in json.loads(run.stdout)['benchmarks'] if not case['name'].startswith('make')}


def ratio(rounds, case, other):
    """The median of the rounds' own ratios: the machine's speed drifts between rounds."""
    return statistics.median(one[case] / one[other] for one in rounds)


def table(rounds):
    lines = []
    for case in rounds[0]:
        ns = statistics.median(one[case] for one in rounds)
        mutex = case.split('/', maxsplit=1)[0] + '/mutex pair'
        compared = f'{ratio(rounds, case, mutex):6.2f} x mutex' if mutex in rounds[0] and case != mutex else ''
        shown = f'{ns / 1e6:9.1f} ms' if case.startswith('grow') else f'{ns:9.1f} ns'
        lines.append(f'{case:58} {shown} {compared}')
    return lines


def verdicts(rounds):
    lines = []

    def add(text, value, limit, at_least=False):
        good = value >= limit if at_least else value <= limit
        lines.append(f'{text:70} {value:6.2f}  ({"at least" if at_least else "at most"} {limit})'
                     f'{"" if good else "  MISSED"}')
    for when, words in (('alone', 'one thread alone'), ('threaded', 'program with threads')):
        mutex = f'{when}/mutex pair'
        add(f'write of 64 bytes / mutex pair, {words}', ratio(rounds, f'{when}/write/stealth', mutex), 1.3)
        add(f'get, write and put / mutex pair, {words}', ratio(rounds, f'{when}/get, write, put/stealth', mutex), 8)
    add('growing to 1 GiB / a vector that does', ratio(rounds, 'grow to 1 GiB/stealth/iterations:1',
                                                        'grow to 1 GiB/vector, mutex/iterations:1'), 1.0)
    one, two, many = (f'scaling/write/stealth/threads:{n}' for n in (1, 2, 64))
    add('throughput of 2 threads with a buffer each / of 1 thread, write',
        statistics.median(2 * found[one] / found[two] for found in rounds), 1.8, at_least=True)
    # Each of 64 threads on 2 cores has a 32nd of the time.
    add('throughput of 64 threads / of 2 threads, write',
        statistics.median(32 * found[two] / found[many] for found in rounds), 0.9, at_least=True)
    return lines


def main(argv):
    chosen = arguments(argv)
    build = tree.build(chosen.build, TARGET, packages=PACKAGES, configure='again')
    if not (build / PROGRAM).exists():
        tree.fail(1, f'{build / PROGRAM}: no such file; install {" ".join(PACKAGES)}, then ninja -C {build} {TARGET}')
    rounds = []
    for done in range(chosen.rounds):
        progress.say(f'round {done + 1} of {chosen.rounds}')
        rounds.append(one_round(build, chosen.time))
    if chosen.json:
        with open(chosen.json, 'w', encoding='utf-8') as file:
            json.dump({'machine': machine.describe(), 'rounds': rounds}, file, indent=1)
            file.write('\n')
    print('\n'.join(['Time of one operation, medians:', *table(rounds), '', *verdicts(rounds)]))
    return 0
