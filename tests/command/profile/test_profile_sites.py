"""A program that holds memory at known places, most of it in blocks that were never samples: what the profile says of
each place is within 10 % of what is there, whether blocks are small or large beside the interval, grew, shrank, or were
freed by another thread; under the right names, also of what is inlined. When all is freed, nothing is left.

Blocks of one size that are seen with probability p are off by sqrt((1 - p) / (n p)): here 10 % is 4.5 times that or more
for each place. By chance, a test fails once in 10000 runs."""
import json
import os
import subprocess
import time

from harness import check, equal, fail, folded, quiet
from forms import command

OFF = 0.10


def read_sites(program):
    """{place: bytes}, as it says."""
    lines = iter(program.stdout.readline, '\n')
    return {name: int(size) for name, size in (line.split() for line in lines)}


def held_at(pid):
    """{innermost function: bytes}, and those of the whole stacks."""
    stacks = folded(quiet(pid, '--format', 'folded'))
    found = {}
    for stack, size in stacks.items():
        found[stack[-1]] = found.get(stack[-1], 0) + size
    return found, stacks


def named(place):
    return f'(anonymous namespace)::{place}'


def sites(kind, interval):
    environment = {k: v for k, v in os.environ.items() if not k.startswith('STEALTH')} | {
        'LD_PRELOAD': os.environ['STEALTH_LIB'], 'STEALTH_CONTROL': 'on', 'STEALTH_PROFILE': str(interval)}
    with subprocess.Popen([os.environ['SITES'], kind], env=environment, text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as program:
        try:
            there = read_sites(program)
            found, stacks = held_at(program.pid)
            for place, size in there.items():
                says = found.get(named(place), 0)
                print(f'{place}: {size} bytes are there, the profile says {says}: {100 * (says / size - 1):+.2f} %')
            for place, size in there.items():
                check(abs(found.get(named(place), 0) - size) <= OFF * size, f'{place}: not within 10 %')
            if kind == 'small':
                inlined = {stack[-2] for stack in stacks if stack[-1] == named('inlined')}
                equal('who has the inlined one', inlined, {named('has_inlined')})
            nothing_left(program, there)
        finally:
            program.kill()


def nothing_left(program, there):
    program.stdin.write('\n')
    program.stdin.flush()
    equal('what it says then', program.stdout.readline(), 'free\n')
    left = {place: size for place, size in held_at(program.pid)[0].items() if place in map(named, there)}
    equal('what is left', left, {})


sites('small', 4096)
sites('large', 102400)
