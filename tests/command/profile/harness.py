"""What the tests of `stealth profile` share: the command, dumps of a program whose stacks are known, and what it must
make of them.

The command comes by STEALTH, the programs (sampled.cpp, position independent, not so, and with debug information in
files of its own) by SAMPLED_PIE, SAMPLED_NO_PIE and SAMPLED_SPLIT, the directory of profile.proto by PROFILE_PROTO.
"""
import math
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'support'))
from forms import (SECONDS, check, decoded, equal, fail, folded, google_pprof, need, one_line, quantities,  # noqa: F401
                   quiet, run, speedscope)

SOURCE = HERE / 'sampled.cpp'
COMMAND = os.environ['STEALTH']
PIE = os.environ['SAMPLED_PIE']
NO_PIE = os.environ['SAMPLED_NO_PIE']
SPLIT = os.environ['SAMPLED_SPLIT']
INTERVAL = 524288

# What sampled.cpp makes up: objects and bytes, live and ever; and nanoseconds and count, by stack.
STACKS = [
    ['main', 'plain_c', 'shop::Store::add', 'shop::Middle', 'shop::Inner'],
    ['main', 'shop::Store::add', 'shop::Middle', 'shop::Inner'],
    ['main', 'shop::Amount::operator<', 'shop::(anonymous namespace)::hidden'],
    ['main', 'calls_what_never_returns', 'never_returns'],
    ['main'] + ['(anonymous namespace)::recursive'] * 4 + ['shop::(anonymous namespace)::hidden'],
]
INLINED = {'shop::Middle', 'shop::Inner'}
LIVE = [(100, 4096), (7, 16), (3, 64 << 20), (200, 300000), (0, 0)]  # objects, and the bytes of each
EVER = [(300, 4096), (7, 16), (3, 64 << 20), (200, 300000), (50, 100)]
STALLS = [(1, 250_000_000), (2, 500_000_000), (3, 750_000_000), (4, 1_000_000_000), (5, 1_250_000_000)]


def scaled(objects, size, interval=INTERVAL):
    """Objects and bytes, as estimated from samples."""
    if objects == 0:
        return (0, 0)
    factor = 1 / (1 - math.exp(-size / interval))
    return (round(objects * factor), round(objects * size * factor))


def dump(program, kind, *args):
    return subprocess.run([program, kind, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True,
                          timeout=SECONDS).stdout.decode()


def dumped(directory, program, kind, *args):
    """The path of a fresh dump."""
    path = pathlib.Path(directory) / f'{pathlib.Path(program).name}.{kind}'
    path.write_text(dump(program, kind, *args))
    return path


def wanted_folded(inlined=True):
    """What a heap dump must come to."""
    result = {}
    for stack, (objects, size) in zip(STACKS, LIVE):
        if objects:
            result[tuple(name for name in stack if inlined or name not in INLINED)] = scaled(objects, size)[1]
    return result


def source_lines():
    """{NAME: number} of the lines of sampled.cpp that bear "// line: NAME"."""
    found = {}
    for number, line in enumerate(SOURCE.read_text().splitlines(), 1):
        if mark := re.search(r'// line: (\w+)', line):
            found[mark[1]] = number
    return found
