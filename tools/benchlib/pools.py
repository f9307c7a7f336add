"""tools/bench pools: explicit pools against their peers, and against an uncontended pthread mutex pair.

tests/loads/pools.cpp measures, on Google Benchmark; here it is run in rounds, and its figures are compared within each
round. Peers: malloc, boost::pool with a mutex, boost::lockfree::stack, std::pmr::synchronized_pool_resource, and DPDK's
rte_mempool with its cache, started without huge pages. Under valgrind instructions are counted.
"""
import re
import statistics
import subprocess

from . import google, tree
from .google import ratio, verdict

TARGET = 'to-bench-pools'
PROGRAM, SHARED, DPDK = (f'tests/loads/load-pools{kind}' for kind in ('', '-shared', '-dpdk'))
PACKAGES = ['libbenchmark-dev', 'libboost-dev', 'libdpdk-dev', 'valgrind', 'pkg-config']
PAIRS = 100_000  # gets and puts whose instructions are counted


def one_round(build, seconds):
    found = google.figures(google.start(build / PROGRAM, '.', seconds))
    for name, ns in google.figures(google.start(
            build / SHARED, 'alone/.*(mutex|stealth)$|make|threaded/.*(mutex|stealth)$', seconds)).items():
        found[f'shared {name}'] = ns
    if (build / DPDK).exists():
        found.update(google.figures(google.start(build / DPDK, '.', seconds)))
    for kind in ('pair', 'burst'):
        found[f'two processes/{kind}/stealth'] = google.two_processes(build / PROGRAM, f'threaded/{kind}/stealth',
                                                                      seconds)
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


def table(rounds):
    lines = []
    for case in rounds[0]:
        ns = statistics.median(one[case] for one in rounds)
        when = case.removeprefix('shared ').split('/', maxsplit=1)[0]
        mutex = ('shared ' if case.startswith('shared ') else '') + when + '/pair/mutex'
        compared = f'{ratio(rounds, case, mutex):6.2f} x mutex' if mutex in rounds[0] and case != mutex else ''
        lines.append(f'{case:58} {ns:9.1f} ns {compared}')
    return lines


def verdicts(rounds, counted):
    lines = []

    def add(*what, **how):
        lines.append(verdict(*what, **how))
    add('get and put, one thread alone / mutex pair', ratio(rounds, 'alone/pair/stealth', 'alone/pair/mutex'), 1.0)
    add('get and put, program with threads / mutex pair',
        ratio(rounds, 'threaded/pair/stealth', 'threaded/pair/mutex'), 1.0)
    for case in rounds[0]:
        when, _, what = case.partition('/pair/')
        if when in ('alone', 'threaded', 'dpdk') and what and what != 'mutex' and not what.startswith('stealth'):
            add(f'get and put / {what} ({when})', ratio(rounds, f'{when}/pair/stealth', case), 1.0)
    two = 'scaling/{}/stealth/threads:2'
    for kind in ('pair', 'burst'):
        add(f'throughput of 2 threads / of 2 processes, {kind}',
            ratio(rounds, f'two processes/{kind}/stealth', two.format(kind)), 0.9, at_least=True)
        many = f'scaling/{kind}/stealth/threads:64'
        # Each of 64 threads on 2 cores has a 32nd of the time.
        add(f'throughput of 64 threads / of 2 threads, {kind}',
            statistics.median(32 * one[two.format(kind)] / one[many] for one in rounds), 0.9, at_least=True)
    add('first touch of a fresh block / of a page', ratio(rounds, 'alone/touch/stealth', 'alone/touch/page'), 1.2)
    if counted is not None:
        lines.append(f'{"instructions of a get and put, the loop included":70} {counted:6.1f}')
    return lines


def main(argv):
    chosen = google.arguments(argv, 'pools', __doc__)
    build = google.build(chosen, TARGET, PROGRAM, PACKAGES)
    rounds = google.rounds(chosen, lambda: one_round(build, chosen.time))
    counted = instructions(build)
    google.write_json(chosen, rounds=rounds, instructions=counted)
    print('\n'.join(['Time of a get and a put of 4 KiB, medians:', *table(rounds), '', *verdicts(rounds, counted)]))
    return 0
