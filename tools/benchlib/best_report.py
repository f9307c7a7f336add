"""The tables about the best of all peers (best.py), and the sentences under them. No figures are made here."""
from . import best, stats
from .peers import REFERENCE, SUBJECT
from .report import DECIDES, MANY_ROUNDS, bracket, mebibytes, seconds, table


def names(one):
    """Who was taken for the best: one name, or two where the halves of the rounds do not agree."""
    return '/'.join(dict.fromkeys(one['chosen']))


def words(load):
    found = load['best']
    said = [found['verdict'].upper() if found['verdict'] == 'lost' else found['verdict']]
    if set(found['memory']) - {'left'}:  # what is left has a table of its own
        said.append('MEMORY')
    return ', '.join(said) + DECIDES.get(load['by'], '')


def subject_table(results):
    """libstealth, load by load."""
    rows = [('load', 'quickest peer', 'leanest quick', 'wall s', '(min)', 'time × [95 %]', 'MiB', 'RSS ×',
             f'× {REFERENCE}', 'faults', '')]
    for name, load in results['loads'].items():
        found = load['best']
        if load.get('left_out'):
            continue
        if not found or SUBJECT not in found['time']:
            rows.append((name, *['–'] * 9, 'ERROR' if SUBJECT in load['errors'] else ''))
            continue
        time, rss, reference = (found[what].get(SUBJECT) for what in ('time', 'rss', 'rss_reference'))
        mine = load['summary'][SUBJECT]
        rows.append((name, names(time), names(rss), *seconds(mine), bracket(time), mebibytes(mine),
                     f"{rss['ratio']:.2f}", f"{reference['ratio']:.2f}" if reference else '–',
                     f"{mine['faults']['median']:.0f}", words(load)))
    means = results['best']['means'].get(SUBJECT)
    if means:
        rows.append(('geometric mean', '', '', '', '', bracket(means['time']), '', f"{means['rss']['ratio']:.2f}", '',
                     '', ''))
    return [f'{SUBJECT} against the quickest of all peers, and in memory against the leanest that is within '
            f'{stats.QUICK}× of it;', 'each chosen on half of the rounds, compared with on the other half; below 1 is '
            f'better; {results["rounds"]} rounds', *table(rows, left=3)]


def left_table(results):
    """What libstealth has resident one second after a burst, of the loads that tell."""
    rows = [('load', 'leanest peer', 'MiB', '(min)', 'left × [95 %]', f'× {REFERENCE}', '')]
    for name, load in results['loads'].items():
        if load['best'] and SUBJECT in load['best']['left']:
            found, mine = load['best'], load['summary'][SUBJECT][best.LEFT]
            left, reference = (found[what].get(SUBJECT) for what in ('left', 'left_reference'))
            rows.append((name, names(left), f"{mine['median'] / 1024:.1f}", f"{mine['min'] / 1024:.1f}", bracket(left),
                         f"{reference['ratio']:.2f}" if reference else '–',
                         'LEFT' if 'left' in found['memory'] else ''))
    return [f'{SUBJECT}: resident one second after a burst, against the peer that leaves least, chosen as above',
            *table(rows, left=2)] if len(rows) > 1 else []


def ratio_table(results, what, title):
    """All peers, load by load: one figure each. Nothing where no load has such."""
    peers = list(results['peers'])
    rows = [('load', *peers, '')]
    for name, load in results['loads'].items():
        if load['best'] and load['best'][what]:
            rows.append((name, *(f"{load['best'][what][peer]['ratio']:.2f}" if peer in load['best'][what] else '–'
                                 for peer in peers), ''))
    means = results['best']['means']
    if any(what in mean for mean in means.values()):
        rows.append(('geometric mean', *(f"{means[peer][what]['ratio']:.2f}" if peer in means else '–'
                                         for peer in peers), ''))
    return [title, *table(rows)] if len(rows) > 1 else []


def faults_table(results):
    peers = list(results['peers'])
    rows = [('load', *peers, '')]
    rows += [(name, *(f"{load['summary'][peer]['faults']['median']:.0f}" if peer in load['summary'] else '–'
                      for peer in peers), '') for name, load in results['loads'].items() if load['summary']]
    return ['page faults (medians)', *table(rows)]


def rounds_needed(load):
    """` (≈ N rounds)`, ` (at the limit)` where more would not help, or nothing where their number is no advice."""
    one = load['best']['time'][SUBJECT]
    needed = stats.rounds_to_decide(one, len(one['ratios']))
    if needed <= len(one['ratios']):
        return ' (at the limit)'
    return f' (≈ {needed} rounds)' if needed <= MANY_ROUNDS else ''


def findings(results):
    """What libstealth reached of what is asked, and what could not be told."""
    loads, lines = results['loads'], []
    tally = best.tally(loads)
    count = sum(len(found) for found in tally.values())
    if count:
        lines.append(f'{SUBJECT} against the quickest peer, loads: {count}; '
                     + ', '.join(f'{len(found)} {verdict}' for verdict, found in tally.items()))
    if 'lost' in tally:
        lines.append(f'slower than the quickest peer by more than {stats.SAME:.0%}, beyond noise: ' + ', '.join(
            f"{name} {loads[name]['best']['time'][SUBJECT]['ratio']:.2f}×" for name in tally['lost']))
    if 'not resolved' in tally:
        lines.append(f'too noisy to tell {stats.SAME:.0%}, counts as not reached: ' + ', '.join(
            name + rounds_needed(loads[name]) for name in tally['not resolved']))
    for what, text in (('rss', f'more than {stats.LEAN_LIMIT}× the peak RSS of the leanest quick peer'),
                       ('rss_reference', f'more than {stats.REFERENCE_LIMIT}× the peak RSS of {REFERENCE}'),
                       ('left', f'more than {stats.LEAN_LIMIT}× what the leanest peer leaves after a burst')):
        over = [f"{name} {load['best'][what][SUBJECT]['ratio']:.2f}×" for name, load in loads.items()
                if load['best'] and what in load['best'].get('memory', [])]
        if over:
            lines.append(f'{text}: ' + ', '.join(over))
    single = results['best']['single']
    if single:
        lines.append(f"geometric mean of time against the best single peer, {single['peer']}: "
                     f"{bracket(single['time'])}, {stats.MEAN_LIMIT:.2f} is asked: {single['verdict']}; "
                     f"of peak RSS: {bracket(single['rss_kib'])}")
    means = results['best']['means']
    most = max((mean['loads'] for mean in means.values()), default=0)
    fewer = [f"{peer} {mean['loads']} of {most}" for peer, mean in means.items() if mean['loads'] < most]
    if fewer:
        lines.append('means over fewer loads than the others, not comparable: ' + ', '.join(fewer))
    return lines


def text(results):
    """The tables; the findings are printed with those of report.py, at the end."""
    parts = []
    means = results['best']['means']
    if SUBJECT in means:
        parts += [*subject_table(results), '']
    if means:
        parts += [*ratio_table(results, 'time', "time, each load's quickest peer as 1"), '']
        parts += [*ratio_table(results, 'rss', "peak RSS, each load's leanest quick peer as 1"), '']
        for lines in (left_table(results), ratio_table(results, 'left', "left after a burst, each load's leanest peer "
                                                                        'as 1')):
            parts += [*lines, ''] if lines else []
    return parts + [*faults_table(results), '']
