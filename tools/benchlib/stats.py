"""The arithmetic of a comparison: paired ratios, their median and its interval, and what may be concluded.

Pure functions; knows nothing of programs or files.
"""
import math
import random
import statistics

SAME = 0.02          # closer than this is the same: also what the figures must be able to resolve
MEMORY_LIMIT = 1.2   # peak RSS against the baseline above which a load is marked
FEWEST_ROUNDS = 6    # below, not even the range of all values is a 95 % interval of the median
RESAMPLES = 1000


def interval(values):
    """Bounds that hold the median with at least 95 % probability, or None for too few values.

    Order statistics, as in the sign test: exact whatever the distribution. A bootstrap of the median held it in 86 % of
    cases only at seven values (simulated), and gives about the same bounds from nine on.
    """
    if len(values) < FEWEST_ROUNDS:
        return None
    ordered, outside, cut = sorted(values), 0.0, 0
    while True:
        outside += 2 * math.comb(len(values), cut) / 2 ** len(values)
        if outside > 0.05:
            break
        cut += 1
    return ordered[cut - 1], ordered[len(values) - cut]


def ratios(runs, base, what):
    """Paired ratios: the runs of one round followed each other closely, so the machine's drift cancels out."""
    by_round = {run['round']: run for run in base}
    return [run[what] / by_round[run['round']][what] for run in runs
            if run['round'] in by_round and by_round[run['round']][what] > 0 and run[what] > 0]


def verdict(bounds):
    """'slower', 'quicker', 'not slower', 'undecided' (the interval straddles a limit), or 'too few rounds'."""
    if bounds is None:
        return 'too few rounds'
    low, high = bounds
    if low > 1 + SAME:
        return 'slower'
    if high < 1 - SAME:
        return 'quicker'
    if high <= 1 + SAME:
        return 'not slower'
    return 'undecided'


def compare(runs, base, what):
    """What one quantity's ratios say: {'ratio', 'interval', 'verdict', 'ratios'}, or None without common rounds."""
    paired = ratios(runs, base, what)
    if not paired:
        return None
    bounds = interval(paired)
    return {'ratio': statistics.median(paired), 'interval': bounds, 'verdict': verdict(bounds), 'ratios': paired}


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(value) for value in values))


def overall(comparisons):
    """Geometric mean over loads of one quantity. Its interval comes from drawing each load's rounds anew."""
    if not comparisons:
        return None
    mean = geometric_mean([one['ratio'] for one in comparisons])
    if any(one['interval'] is None for one in comparisons):
        return {'ratio': mean, 'interval': None}
    dice = random.Random(96)
    means = sorted(
        geometric_mean([statistics.median(dice.choices(one['ratios'], k=len(one['ratios']))) for one in comparisons])
        for _ in range(RESAMPLES))
    return {'ratio': mean, 'interval': (means[int(len(means) * 0.025)], means[int(len(means) * 0.975)])}


def rounds_to_decide(comparison, rounds):
    """About how many rounds would narrow the interval to ± SAME: its width falls with their square root."""
    low, high = comparison['interval']
    return math.ceil(rounds * ((high - low) / (2 * SAME)) ** 2)


def summary(runs):
    """Median and minimum of every quantity that was measured."""
    figures = {}
    for what in ('wall', 'cpu', 'user', 'system', 'rss_kib', 'faults', 'preempted'):
        values = [run[what] for run in runs]
        figures[what] = {'median': statistics.median(values), 'min': min(values)}
    for name in runs[0]['metrics']:
        values = [run['metrics'][name] for run in runs if name in run['metrics']]
        figures[name] = {'median': statistics.median(values), 'min': min(values)}
    return figures
