"""What the tests of `stealth profile` share: the command, dumps of a program whose stacks are known, and what it must
make of them.

The command comes by STEALTH, the programs (sampled.cpp, position independent, not so, and with debug information in
files of its own) by SAMPLED_PIE, SAMPLED_NO_PIE and SAMPLED_SPLIT, the directory of profile.proto by PROFILE_PROTO.
"""
import math
import os
import pathlib
import re
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE / 'sampled.cpp'
COMMAND = os.environ['STEALTH']
PIE = os.environ['SAMPLED_PIE']
NO_PIE = os.environ['SAMPLED_NO_PIE']
SPLIT = os.environ['SAMPLED_SPLIT']
PROTO = os.environ['PROFILE_PROTO']
INTERVAL = 524288
SECONDS = 120  # for one call; CI machines are slow

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


def fail(why):
    raise SystemExit(f'FAIL: {why}')


def check(good, why):
    if not good:
        fail(why)


def equal(what, found, wanted):
    if found != wanted:
        fail(f'{what}:\nfound  {found}\nwanted {wanted}')


def need(name):
    found = shutil.which(name)
    check(found, f'{name} is not installed; its package is listed in tests/command/packages.txt')
    return found


def scaled(objects, size, interval=INTERVAL):
    """Objects and bytes, as estimated from samples."""
    if objects == 0:
        return (0, 0)
    factor = 1 / (1 - math.exp(-size / interval))
    return (round(objects * factor), round(objects * size * factor))


def run(*args, status=0):
    """The command's stdout (bytes) and stderr (text), after its status was looked at."""
    done = subprocess.run([COMMAND, 'profile', *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=SECONDS)
    errors = done.stderr.decode(errors='replace')
    check(done.returncode == status, f'profile {args}: status {done.returncode}, not {status}: {errors}')
    return done.stdout, errors


def quiet(*args):
    """stdout of a call that has nothing to complain of."""
    out, errors = run(*args)
    check(errors == '', f'profile {args} said on stderr: {errors}')
    return out


def one_line(errors):
    check(errors.startswith('stealth: ') and errors.endswith('\n') and errors.count('\n') == 1,
          f'not one line of the form `stealth: …`: {errors!r}')
    return errors


def dump(program, kind, *args):
    return subprocess.run([program, kind, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True,
                          timeout=SECONDS).stdout.decode()


def dumped(directory, program, kind, *args):
    """The path of a fresh dump."""
    path = pathlib.Path(directory) / f'{pathlib.Path(program).name}.{kind}'
    path.write_text(dump(program, kind, *args))
    return path


def folded(text):
    """Lines "a;b;c NUMBER" as {(a, b, c): NUMBER}."""
    result = {}
    for line in text.decode().splitlines():
        stack, number = line.rsplit(' ', 1)
        check(tuple(stack.split(';')) not in result, f'a stack twice: {line}')
        result[tuple(stack.split(';'))] = int(number)
    return result


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
