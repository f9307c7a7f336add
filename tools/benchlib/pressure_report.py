"""The tables of tools/bench backpressure, from the runs. Figures are made in pressure_figures.py."""
from . import report
from .pressure_figures import MIB, Seen, ended_by, look_up


def figures(rows, libraries):
    """rows: [(figure, {library: Value})]. What is asked, what came without a limit, and what with it."""
    table = [('load', 'figure asked', 'without', *[cell for name in libraries for cell in (name, '')])]
    last = None
    for figure, values in rows:
        without = next((value.without for value in values.values() if value.without), '')
        cells = []
        for name in libraries:
            value = values.get(name)
            cells += ['–', ''] if value is None else [value.text, 'yes' if value.reached else 'NO']
        table.append((figure.case if figure.case != last else '', figure.asked, without, *cells))
        last = figure.case
    for i, name in enumerate(libraries):
        judged = [values[name].reached for _, values in rows if name in values]
        table.append(('' if i else 'reached', name, f'{sum(judged)} of {len(judged)}', *['' for _ in libraries] * 2))
    return report.table(table, left=len(table[0]))


def amount(value, scale, form):
    return '–' if value is None else format(value / scale, form)


COLUMNS = [  # of the table of what happened: head, path, divided by, format
    ('s', 'seconds', 1, '.2f'), ('RSS MiB', 'peak_mib', 1, '.1f'), ('held MiB', 'stats.peak_held', MIB, '.1f'),
    ('waits', 'stats.waits.count', 1, '.0f'), ('waited s', 'stats.waits.total_us', 1e6, '.2f'),
    ('longest ms', 'stats.waits.longest_us', 1e3, '.0f'), ('grants', 'stats.waits.grants', 1, '.0f'),
    ('refused', 'stats.waits.refused', 1, '.0f'), ('over MiB', 'stats.over_bytes', MIB, '.1f'),
    ('empty %', 'told.empty_share', 0.01, '.2f'), ('locked %', 'told.locked_share', 0.01, '.2f'),
    ('late ms', 'told.longest_late', 1e-3, '.0f'), ('producer ms', 'told.producer_allocations.longest', 1e-3, '.1f'),
    ('consumer ms', 'told.consumer_allocations.longest', 1e-3, '.1f')]


def happened(results):
    """What else is known: medians of every arm."""
    table = [('load', 'arm', *[head for head, *_ in COLUMNS], '')]
    for case, by_library in results['cases'].items():
        for library, by_arm in by_library.items():
            for arm, runs in by_arm.items():
                if not runs:
                    continue
                seen = Seen(by_arm)
                cells = [amount(seen.median(arm, path), scale, form) for _, path, scale, form in COLUMNS]
                name = arm if arm != 'with' else library
                table.append((case, name if len(by_library) == 1 or arm == 'with' else f'{library}, {arm}', *cells,
                              seen.trouble(arm) or ''))
    return report.table(table, left=2)


NOTES = """without: the same program under libstealth with STEALTH_CAPACITY=none (cgroup loads: without libstealth).
empty, locked: share of the time that consumers, due by their clock, found nothing, or found the queue's mutex taken;
late: the most that one was behind its clock; producer, consumer: their longest single allocation, preemption and all.
Medians of {rounds} rounds."""


def text(results, rows):
    parts = figures(rows, results['libraries']) + [''] + happened(results) + ['']
    parts += [NOTES.format(rounds=results['rounds'])]
    parts += [f'{case} left out: {why}' for case, why in results['left_out'].items()]
    busy = results['machine'].get('busy_with_others')
    if busy is not None and busy > 0.03:
        parts.append(f'others kept {busy:.0%} of the processors busy meanwhile: do not trust small differences')
    parts += [f'ERROR: {error}' for error in results['errors']]
    return '\n'.join(parts) + '\n'


def problem(case, arm, run):
    """What went wrong with a run as such, in words; a figure that is missed is nothing of that kind. None: nothing."""
    ended = ended_by(run)
    stderr = ': '.join(line for line in run['processes'][0]['stderr'].splitlines()[-1:])
    codes = [process['status'] for process in run['processes']]
    if ended and arm != 'plain':
        missed = arm == 'with' and (any(p['timed_out'] for p in run['processes']) or (case.cgroup_mib and -9 in codes))
        if not missed and not (arm == 'with' and case.ends_by and -case.ends_by in codes):
            return f'{ended}: {stderr}'.rstrip(': ')
    if ended is None and not all(run.get('all_told', [run['told']])):
        return f'ended well and told nothing: {stderr}'
    if ended is None and arm != 'plain' and look_up(run, 'stats.peak_held') is None:
        return f'no exit statistics; was libstealth preloaded? {stderr}'
    for told in run.get('all_told', [run['told']]):
        for what in ('lost', 'corrupt', 'failed', 'stuck'):
            if told.get(what):
                return f'{told[what]} {what}'
    return None
