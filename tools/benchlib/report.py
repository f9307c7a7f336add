"""The tables that the bench prints of single peers, from the dictionary that it also writes as JSON, and what all
tables are made of. No figures are made here. Those about the best of all peers are in best_report.py."""
from . import stats

DECIDES = {'cpu': ' (by CPU)', 'work': ' (by its own figure)'}
MANY_ROUNDS = 99  # beyond this, the number of rounds that would decide is no advice


def bracket(comparison):
    """`0.97 [0.95 0.99]`, the interval left out where there is none."""
    if comparison is None:
        return '–'
    text = f"{comparison['ratio']:.2f}"
    if comparison['interval']:
        low, high = comparison['interval']
        text += f' [{low:.2f} {high:.2f}]'
    return text


def seconds(summary):
    return f"{summary['wall']['median']:.3f}", f"{summary['wall']['min']:.3f}"


def mebibytes(summary):
    return f"{summary['rss_kib']['median'] / 1024:.1f}"


def marks(compared, by):
    """The verdict's words for one load."""
    words = []
    found = compared[by]['verdict']
    if found == 'slower':
        words.append('SLOWER')
    elif found != 'too few rounds':
        words.append(found)
    if by != 'cpu' and compared['cpu']['verdict'] == 'slower' and found != 'slower':
        words.append('more CPU')
    if compared['rss_kib'] and compared['rss_kib']['ratio'] > stats.MEMORY_LIMIT:
        words.append('MEMORY')
    return ', '.join(words)


def table(rows, left=1):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    last = len(widths) - 1
    return [' '.join(cell.ljust(width) if i < left or i == last else cell.rjust(width)
                     for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def peer_table(results, peer):
    """One peer against the baseline, load by load."""
    base = results['baseline']
    rows = [('load', 'wall s', '(min)', f'{base}', '(min)', 'time × [95 %]', 'CPU × [95 %]', 'MiB', f'{base}', 'RSS ×',
             'faults ×', '')]
    for name, load in results['loads'].items():
        compared, errors = load['compared'].get(peer), load['errors']
        if compared is None:
            rows.append((name, *['–'] * 10, 'ERROR' if peer in errors or base in errors else ''))
            continue
        mine, its = load['summary'][peer], load['summary'][base]
        by = load['by']
        note = marks(compared, by) + DECIDES.get(by, '') + (' ERROR' if peer in errors else '')
        rows.append((name, *seconds(mine), *seconds(its), bracket(compared['wall']), bracket(compared['cpu']),
                     mebibytes(mine), mebibytes(its), f"{compared['rss_kib']['ratio']:.2f}",
                     f"{compared['faults']['ratio']:.2f}" if compared['faults'] else '–', note))
    means = results['means'].get(peer)
    if means:
        rows.append(('geometric mean', '', '', '', '', bracket(means['time']), bracket(means['cpu']), '', '',
                     f"{means['rss_kib']['ratio']:.2f}", f"{means['faults']['ratio']:.2f}", ''))
    return [f'{peer} against {base}: ratios of the same round, below 1 is better; {results["rounds"]} rounds',
            *table(rows)]


def metrics_table(results):
    """What programs tell of themselves, such as what stays resident after a burst."""
    names = list(results['peers'])
    rows = [('load', 'metric', *names, '')]
    for name, load in results['loads'].items():
        for metric in load['metrics']:
            rows.append((name, metric, *(f"{load['summary'][peer][metric]['median']:.0f}"
                                         if peer in load['summary'] else '–' for peer in names), ''))
    return ["the programs' own figures (medians)", *table(rows, left=2)] if len(rows) > 1 else []


def findings(results):
    """The sentences under the tables: what was lost, what could not be decided, what failed."""
    lines = []
    base = results['baseline']
    for peer in results['peers']:
        lost, memory, open_ = [], [], []
        for name, load in results['loads'].items():
            compared = load['compared'].get(peer)
            if not compared:
                continue
            main = compared[load['by']]
            if main['verdict'] == 'slower':
                lost.append(f"{name} {main['ratio']:.2f}×")
            if main['verdict'] == 'undecided':
                needed = stats.rounds_to_decide(main, len(main['ratios']))
                open_.append(f'{name} (≈ {needed} rounds)' if needed <= MANY_ROUNDS else name)
            if compared['rss_kib'] and compared['rss_kib']['ratio'] > stats.MEMORY_LIMIT:
                memory.append(f"{name} {compared['rss_kib']['ratio']:.2f}×")
        if base and peer != base:
            if lost:
                lines.append(f'{peer} is slower than {base} beyond noise: ' + ', '.join(lost))
            if memory:
                lines.append(f'{peer} has more than {stats.MEMORY_LIMIT}× the peak RSS of {base}: ' + ', '.join(memory))
            if open_:
                lines.append(f'{peer}: too noisy to decide to {stats.SAME:.0%}: ' + ', '.join(open_))
    if results['rounds'] < stats.FEWEST_ROUNDS:
        lines.append(f"{results['rounds']} rounds decide nothing about time; at least {stats.FEWEST_ROUNDS} are "
                     'needed, 9 or more are better')
    busy = results['machine'].get('busy_with_others')
    if busy is not None and busy > 0.03:
        lines.append(f'others kept {busy:.0%} of the processors busy meanwhile: do not trust small differences')
    for name, load in results['loads'].items():
        if load.get('left_out'):
            lines.append(f"{name} left out: {load['left_out']}")
        for peer, error in load['errors'].items():
            lines.append(f"ERROR: {name} under {peer}: {error}")
    return lines


def text(results):
    """The tables; findings() are printed after all of them."""
    parts = []
    for peer in results['peers'] if results['baseline'] else []:
        if peer != results['baseline']:
            parts += peer_table(results, peer) + ['']
    metrics = metrics_table(results)
    return parts + (metrics + [''] if metrics else [])
