"""The arithmetic of a comparison: paired ratios, their median and its interval, the best of several peers without its
luck, and what may be concluded.

Pure functions; knows nothing of programs or files. A run is a dictionary with its round's number under 'round' and its
figures under their names. Proved by tests/style/bench_stats_test.py.
"""
import math
import random
import statistics

SAME = 0.02          # closer than this is the same: also what the figures must be able to resolve
MEMORY_LIMIT = 1.2   # peak RSS against the baseline above which a load is marked
FEWEST_ROUNDS = 6    # below, not even the range of all values is a 95 % interval of the median
RESAMPLES = 1000
TICK = 1e-6          # what a clock that counts ticks may show as none at all
QUICK = 1.5          # a peer within so much of the quickest one's time is asked how little memory it needs
LEAN_LIMIT = 1.10    # peak RSS against the leanest of those; what is left after a burst against the leanest of all
REFERENCE_LIMIT = 1.25  # peak RSS against the reference, glibc
MEAN_LIMIT = 0.90    # geometric mean of time against the best single peer


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
    return judged(paired) if paired else None


def minima(runs, base, what):
    """The ratio of the least values, and an interval of it from drawing both lots of runs anew."""
    def least(values):
        return min(run[what] for run in values)
    dice = random.Random(96)
    drawn = sorted(least(dice.choices(runs, k=len(runs))) / least(dice.choices(base, k=len(base)))
                   for _ in range(RESAMPLES))
    return {'ratio': least(runs) / least(base),
            'interval': (drawn[int(RESAMPLES * 0.025)], drawn[int(RESAMPLES * 0.975)])}


def judged(paired):
    bounds = interval(paired)
    return {'ratio': statistics.median(paired), 'interval': bounds, 'verdict': verdict(bounds), 'ratios': paired}


def standing(bounds, limit=1 + SAME):
    """'lost' (beyond noise above the limit), 'reached' (beyond noise not above it), 'not resolved' (the interval holds
    the limit, so that it cannot be told, and counts as not reached), or 'too few rounds'."""
    if bounds is None:
        return 'too few rounds'
    low, high = bounds
    if low > limit:
        return 'lost'
    return 'reached' if high <= limit else 'not resolved'


def speeds(runs, by):
    """{peer: median of its times, each as a share of what all took in that round}: a slow spell of the machine is a
    slow spell for all of them, and must not decide. Of the rounds that all of them have."""
    runs = in_rounds_of_all(runs)
    common = {}
    for peer_runs in runs.values():
        for run in peer_runs:
            common.setdefault(run['round'], []).append(max(run[by], TICK))
    common = {number: geometric_mean(times) for number, times in common.items()}
    return {peer: statistics.median(max(run[by], TICK) / common[run['round']] for run in runs[peer]) for peer in runs}


def quickest(runs, by):
    """The peer with the least time."""
    times = speeds(runs, by)
    return min(times, key=times.get)


def quick(runs, by):
    """The peers that are about as quick as the quickest."""
    times = speeds(runs, by)
    return [peer for peer in runs if times[peer] <= QUICK * min(times.values())]


def leanest(runs, what='rss_kib'):
    """The peer with the least median peak RSS, or whatever else is memory."""
    return min(runs, key=lambda peer: statistics.median(run[what] for run in runs[peer]))


def against_best(runs, mine, rivals, choose, what):
    """compare() with the best of the rivals, and 'chosen', the two that were taken for it; None below two rounds.

    runs: {peer: runs}; choose: ({rival: runs}) -> the best one's name.

    The least of nine noisy figures is not the figure of the best peer: it is also that of the luckiest one, and even a
    peer that is exactly as good as the others would lose against it. So the best is chosen on half of the rounds and
    compared with on the other half, whose noise had no say in the choice; then the halves change their parts, and both
    lots of ratios are one sample. The halves are every other round, so that both saw the same drift of the machine.
    Where the noise is larger than what lies between the peers, the halves may choose differently, and another than the
    best: then the ratio is a little too kind. The interval is wide then, and standing() says what it should: with a
    noise of 20 %, whoever is 6 % slower than the best is said to have reached it in one case of forty, as by chance.
    """
    runs = in_rounds_of_all({peer: runs[peer] for peer in {mine, *rivals}})
    rounds = sorted(run['round'] for run in runs[mine])
    if len(rounds) < 2:
        return None
    paired, chosen = [], []
    for half in (0, 1):
        to_choose, to_compare = rounds[half::2], rounds[1 - half::2]
        best = choose({rival: in_rounds(runs[rival], to_choose) for rival in rivals})
        chosen.append(best)
        paired += ratios(in_rounds(runs[mine], to_compare), runs[best], what)
    return {**judged(paired), 'chosen': chosen} if paired else None


def in_rounds(runs, rounds):
    return [run for run in runs if run['round'] in rounds]


def in_rounds_of_all(runs):
    """The same without the rounds that some peer lacks: where the bench was interrupted, the last one."""
    rounds = set.intersection(*({run['round'] for run in peer_runs} for peer_runs in runs.values()))
    return {peer: in_rounds(peer_runs, rounds) for peer, peer_runs in runs.items()}


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
