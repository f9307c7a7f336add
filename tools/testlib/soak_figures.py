"""What figures must say at any time, whatever the settings: those of a running process (`stealth stat --format json`) and
those at exit (STEALTH_STATS). Each function gives sentences that ought to be true and are not."""

MIB = 1 << 20
# A running process's figures are read one by one while its threads go on: sums may be off by what moves meanwhile.
SLACK, SLACK_SHARE = 4 * MIB, 0.1

ONLY_GROW = ('peak', 'purged')


def untrue(truths):
    return [sentence for sentence, true in truths.items() if not true]


def at_exit(process):
    held, waits = process['held'], process['waits']
    return untrue({
        'held <= peak_held': held <= process['peak_held'],
        'live <= held': process['live'] <= held,
        'in_use <= blocks in every class': all(c['in_use'] <= c['blocks'] for c in process['classes']),
        'there are waits where time was waited': waits['count'] > 0 or waits['total_us'] == 0,
        'the longest wait is no longer than all': waits['longest_us'] <= waits['total_us'],
    })


def running(figures):
    held, waits = figures['held'], figures['waits']
    slack = SLACK + held * SLACK_SHARE
    in_classes = sum(c['size'] * c['in_use'] for c in figures['classes'])
    return untrue({
        'live <= held': figures['live'] <= held + slack,
        'held <= peak': held <= figures['peak'] + slack,
        'blocks in use <= live': in_classes <= figures['live'] + slack,
        'resident >= 0': figures['resident'] >= 0,
        'in use, in lists and in slabs are no more than were cut': all(
            c['in_use'] + c['in_lists'] + c['in_slabs'] <= c['blocks'] + slack / c['size'] for c in figures['classes']),
        'the histogram has as many calls as were counted': abs(sum(
            b['count'] for b in waits['histogram']) - waits['count']) <= 256,
        'threads that wait are those in rows': len(figures['waiting']) <= waits['now'] + 64,
    })


def shrunk(before, after):
    """Of two looks at one process: what only grows and did not."""
    pairs = {key: (before[key], after[key]) for key in ONLY_GROW}
    pairs |= {f'waits.{key}': (before['waits'][key], after['waits'][key])
              for key in ('count', 'total_ns', 'longest_ns', 'grants', 'refusals')}
    pairs |= {f'passed_on.{key}': (before['passed_on'][key], after['passed_on'][key]) for key in ('calls', 'bytes')}
    return [f'{key} only grows: {old} -> {new}' for key, (old, new) in pairs.items() if new < old]
