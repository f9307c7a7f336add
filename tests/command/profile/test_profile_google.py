"""google-pprof's table of the same dump says the same, within what it rounds to: totals, and what each function that is
not inlined holds with all that it called. (Of an inlined function it knows nothing without --lines.)"""
import re
import subprocess
import tempfile

from harness import NO_PIE, PIE, check, dumped, equal, folded, need, quiet


def theirs(program, path):
    """google-pprof's total and {function: cumulative}, as it writes them: in MB or seconds."""
    done = subprocess.run([need('google-pprof'), '--text', program, str(path)], stdin=subprocess.DEVNULL,
                          capture_output=True, check=True, timeout=120)
    lines = done.stdout.decode().splitlines()
    total = next(re.fullmatch(r'Total: ([\d.]+) .*', line)[1] for line in lines if line.startswith('Total:'))
    found = {}
    for line in lines:
        row = re.fullmatch(r' *[\d.]+ +[\d.]+% +[\d.]+% +([\d.]+) +[\d.]+% (.*)', line)
        if row:
            found[re.sub(r'( \[clone .*)', '', row[2])] = float(row[1])
    return float(total), found


def ours(path):
    """The same from our stacks, in bytes or nanoseconds."""
    stacks = folded(quiet(path, '--format', 'folded'))
    found = {}
    for stack, value in stacks.items():
        for name in set(stack):
            # google-pprof takes the brackets of (anonymous namespace) for parameters.
            name = name.replace('(anonymous namespace)', '')
            found[name] = found.get(name, 0) + value
    return sum(stacks.values()), found


with tempfile.TemporaryDirectory() as temporary:
    for program in (PIE, NO_PIE):
        for kind, unit, rounding in (('heap', 1 << 20, 0.051), ('stalls', 1e9, 0.00051)):
            dump = dumped(temporary, program, kind)
            their_total, their_functions = theirs(program, dump)
            our_total, our_functions = ours(dump)
            check(abs(our_total / unit - their_total) <= rounding, f'{dump}: total {our_total}, theirs {their_total}')
            wanted = {'main', 'plain_c', 'shop::Store::add', 'shop::::hidden', 'shop::Amount::operator<',
                      'calls_what_never_returns', 'never_returns'} | ({'::recursive'} if kind == 'stalls' else set())
            equal(f'{dump}: functions', set(their_functions), wanted)
            for name, value in their_functions.items():
                check(abs(our_functions[name] / unit - value) <= rounding,
                      f'{dump}: {name}: {our_functions[name]}, theirs {value}')
