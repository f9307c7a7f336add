"""tools/bench buffers: a write to a Buffer, and a get, a write and a put, against an uncontended pthread mutex pair.

tests/loads/buffers.cpp measures, on Google Benchmark; here it is run in rounds, and its figures are compared within
each round. Besides: a std::vector behind a mutex, growing to 1 GiB, and several threads with a buffer each.
"""
import statistics

from . import google
from .google import ratio, verdict

TARGET = 'to-bench-buffers'
PROGRAM = 'tests/loads/load-buffers'
PACKAGES = ['libbenchmark-dev']


def one_round(build, seconds):
    found = google.figures(google.start(build / PROGRAM, '.', seconds))
    found['two processes/write/stealth'] = google.two_processes(build / PROGRAM, 'threaded/write/stealth', seconds)
    return found


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

    def add(*what, **how):
        lines.append(verdict(*what, **how))
    for when, words in (('alone', 'one thread alone'), ('threaded', 'program with threads')):
        mutex = f'{when}/mutex pair'
        add(f'write of 64 bytes / mutex pair, {words}', ratio(rounds, f'{when}/write/stealth', mutex), 1.3)
        add(f'get, write and put / mutex pair, {words}', ratio(rounds, f'{when}/get, write, put/stealth', mutex), 8)
    add('growing to 1 GiB / a vector that does', ratio(rounds, 'grow to 1 GiB/stealth/iterations:1',
                                                        'grow to 1 GiB/vector, mutex/iterations:1'), 1.0)
    two, many = (f'scaling/write/stealth/threads:{n}' for n in (2, 64))
    add('throughput of 2 threads with a buffer each / of 2 processes, write',
        ratio(rounds, 'two processes/write/stealth', two), 0.9, at_least=True)
    # Each of 64 threads on 2 cores has a 32nd of the time.
    add('throughput of 64 threads / of 2 threads, write',
        statistics.median(32 * found[two] / found[many] for found in rounds), 0.9, at_least=True)
    return lines


def main(argv):
    chosen = google.arguments(argv, 'buffers', __doc__)
    build = google.build(chosen, TARGET, PROGRAM, PACKAGES)
    rounds = google.rounds(chosen, lambda: one_round(build, chosen.time))
    google.write_json(chosen, rounds=rounds)
    print('\n'.join(['Time of one operation, medians:', *table(rounds), '', *verdicts(rounds)]))
    return 0
