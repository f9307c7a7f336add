"""tools/bench pools: explicit pools against their peers, and against an uncontended pthread mutex pair.

tests/loads/pools.cpp measures, on Google Benchmark; here it is run in rounds, and its figures are compared within each
round. Peers: malloc, boost::pool with a mutex, boost::lockfree::stack, std::pmr::synchronized_pool_resource, and DPDK's
rte_mempool with its cache, started without huge pages. Under valgrind instructions are counted.
"""
import argparse
import json
import re
import statistics
import subprocess

from . import machine, progress, tree

TARGET = 'to-bench-pools'
PROGRAM, SHARED, DPDK = (f'tests/loads/load-pools{kind}' for kind in ('', '-shared', '-dpdk'))
PACKAGES = ['libbenchmark-dev', 'libboost-dev', 'libdpdk-dev', 'valgrind', 'pkg-config']
PAIRS = 100_000  # gets and puts whose instructions are counted


def arguments(argv):
    parser = argparse.ArgumentParser(prog='tools/bench pools', description=__doc__.split('\n', maxsplit=1)[0],
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


def start(program, only, seconds):
    command = [str(program), '--benchmark_format=json', f'--benchmark_min_time={seconds}', f'--benchmark_filter={only}']
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def figures(process, timeout=300):
    """{case: ns per get and put, as one thread sees it}"""
    try:
        out, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        tree.fail(1, f'{process.args[0]}: not done after {timeout} s')
    if process.returncode:
        tree.fail(1, f'{process.args[0]}: ended with status {process.returncode}')
    return {case['name']: case['real_time'] * case.get('threads', 1) for case in json.loads(out)['benchmarks']}


def one_round(build, seconds):
    found = figures(start(build / PROGRAM, '.', seconds))
    for name, ns in figures(start(build / SHARED, 'alone/.*(mutex|stealth)$|make|threaded/.*(mutex|stealth)$',
                                  seconds)).items():
        found[f'shared {name}'] = ns
    if (build / DPDK).exists():
        found.update(figures(start(build / DPDK, '.', seconds)))
    # Two processes at once, which share nothing but the machine; "make" first, so that they have had threads as well.
    for kind in ('pair', 'burst'):
        both = [start(build / PROGRAM, f'^make|^threaded/{kind}/stealth$', 2 * seconds) for _ in range(2)]
        found[f'two processes/{kind}/stealth'] = statistics.mean(
            figures(process)[f'threaded/{kind}/stealth'] for process in both)
    return found


def instructions(build):
    """Of one get and put, without what the program does besides; None without valgrind."""
    counts = []
    for pairs in (PAIRS, 2 * PAIRS):
        try:
            run = subprocess.run(['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null',
                                  str(build / PROGRAM), 'instructions', str(pairs)],
                                 capture_output=True, text=True, timeout=300, check=False)
        except FileNotFoundError:
            return None
        match = re.search(r'Collected : (\d+)', run.stderr)
        if not match:
            return None
        counts.append(int(match[1]))
    return (counts[1] - counts[0]) / PAIRS


def ratio(rounds, case, other):
    """The median of the rounds' own ratios: the machine's speed drifts between rounds."""
    return statistics.median(one[case] / one[other] for one in rounds)


def table(rounds):
    lines = []
    cases = [case for case in rounds[0] if not case.startswith('make')]
    for case in cases:
        ns = statistics.median(one[case] for one in rounds)
        when = case.removeprefix('shared ').split('/', maxsplit=1)[0]
        mutex = ('shared ' if case.startswith('shared ') else '') + when + '/pair/mutex'
        compared = f'{ratio(rounds, case, mutex):6.2f} x mutex' if mutex in rounds[0] and case != mutex else ''
        lines.append(f'{case.replace("/real_time", ""):58} {ns:9.1f} ns {compared}')
    return lines


def verdicts(rounds, counted):
    lines = []

    def add(text, value, limit, at_least=False):
        good = value >= limit if at_least else value <= limit
        lines.append(f'{text:70} {value:6.2f}  ({"at least" if at_least else "at most"} {limit})'
                     f'{"" if good else "  MISSED"}')
    add('get and put, one thread alone / mutex pair', ratio(rounds, 'alone/pair/stealth', 'alone/pair/mutex'), 1.0)
    add('get and put, program with threads / mutex pair',
        ratio(rounds, 'threaded/pair/stealth', 'threaded/pair/mutex'), 1.0)
    for case in rounds[0]:
        when, _, what = case.partition('/pair/')
        if when in ('alone', 'threaded', 'dpdk') and what and what != 'mutex' and not what.startswith('stealth'):
            add(f'get and put / {what} ({when})', ratio(rounds, f'{when}/pair/stealth', case), 1.0)
    two = 'scaling/{}/stealth/real_time/threads:2'
    for kind in ('pair', 'burst'):
        add(f'throughput of 2 threads / of 2 processes, {kind}',
            ratio(rounds, f'two processes/{kind}/stealth', two.format(kind)), 0.9, at_least=True)
        many = f'scaling/{kind}/stealth/real_time/threads:64'
        # Each of 64 threads on 2 cores has a 32nd of the time.
        add(f'throughput of 64 threads / of 2 threads, {kind}',
            statistics.median(32 * one[two.format(kind)] / one[many] for one in rounds), 0.9, at_least=True)
    add('first touch of a fresh block / of a page', ratio(rounds, 'alone/touch/stealth', 'alone/touch/page'), 1.2)
    if counted is not None:
        lines.append(f'{"instructions of a get and put, the loop included":70} {counted:6.1f}')
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
    counted = instructions(build)
    if chosen.json:
        with open(chosen.json, 'w', encoding='utf-8') as file:
            json.dump({'machine': machine.describe(), 'rounds': rounds, 'instructions': counted}, file, indent=1)
            file.write('\n')
    print('\n'.join(['Time of a get and a put of 4 KiB, medians:', *table(rounds), '', *verdicts(rounds, counted)]))
    return 0
