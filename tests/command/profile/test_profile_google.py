"""google-pprof's table of the same dump says the same, within what it rounds to: totals, and what each function that is
not inlined holds with all that it called. (Of an inlined function it knows nothing without --lines.)"""
import tempfile

from harness import NO_PIE, PIE, check, dumped, equal, folded, google_pprof, quiet


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
            their_total, their_functions = google_pprof(program, dump)
            our_total, our_functions = ours(dump)
            check(abs(our_total / unit - their_total) <= rounding, f'{dump}: total {our_total}, theirs {their_total}')
            wanted = {'main', 'plain_c', 'shop::Store::add', 'shop::::hidden', 'shop::Amount::operator<',
                      'calls_what_never_returns', 'never_returns'} | ({'::recursive'} if kind == 'stalls' else set())
            equal(f'{dump}: functions', set(their_functions), wanted)
            for name, value in their_functions.items():
                check(abs(our_functions[name] / unit - value) <= rounding,
                      f'{dump}: {name}: {our_functions[name]}, theirs {value}')
