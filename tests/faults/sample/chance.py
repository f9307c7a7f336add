"""How often STEALTH_GUARD=sample finds a use after free in a loop of a million operations: as often as computed.

Blocks are counted until 256 lists have been, which hold 4 KiB each, and a sample is drawn once in 256 KiB of them on
the average; a thread that does nothing but this loop comes to no other window. So of blocks each EVERYth of which is
used after its free one is found with the probability 1 - exp(-256 * 4 KiB / EVERY / 256 KiB).
"""
import math
import os
import signal
import subprocess
import sys

OPERATIONS = 1_000_000
LISTS, LIST_BYTES, INTERVAL = 256, 4096, 256 * 1024
RUNS = {1: 60, 8: 600}
# Beyond so many standard deviations is one run of the test in some 100,000.
DEVIATIONS = 4.5


def is_found(program, library, every):
    run = subprocess.run([program, str(OPERATIONS), str(every)], env={'LD_PRELOAD': library, 'STEALTH_GUARD': 'sample'},
                         capture_output=True, text=True, timeout=200, check=False)
    if run.returncode == 0 and not run.stderr:
        return False
    if run.returncode == -signal.SIGSEGV and 'stealth: use after free: access to 0x' in run.stderr:
        return True
    sys.exit(f'each {every}th: ended with {run.returncode}: {run.stderr}')


def main():
    program, library = sys.argv[1], os.environ['STEALTH_LIB']
    good = True
    for every, runs in RUNS.items():
        chance = 1 - math.exp(-LISTS * LIST_BYTES / every / INTERVAL)
        found = sum(is_found(program, library, every) for _ in range(runs))
        # The first lists of all are the C library's, and some of those that are counted are shorter.
        margin = DEVIATIONS * math.sqrt(runs * chance * (1 - chance)) + 0.05 * runs * chance + 1
        fits = abs(found - runs * chance) <= margin
        print(f'each {every}th of {OPERATIONS}: found in {found} of {runs} runs, computed {runs * chance:.1f} '
              f'+- {margin:.1f}: {"as computed" if fits else "NOT SO"}', flush=True)
        good = good and fits
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
