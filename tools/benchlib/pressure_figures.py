"""The figures of tools/bench backpressure: what is asked of each case, and the formula that says what was reached.

Each figure is one row of FIGURES. Its formula gets a Seen (all runs of the case under one library) and gives a Value.
Knows nothing of how runs are made or shown.
"""
import dataclasses
import re
import signal
import statistics

MIB = 1 << 20
CAPACITY_MIB = 96
SLAB = 64 << 10         # bytes that a thread, or a process of a group, may be beyond the capacity
MAX_WAIT_SECONDS = 0.1  # STEALTH_BACKOFF_MAX_WAIT
BUDGET = 0.5            # STEALTH_BACKOFF_BUDGET, of any BUDGET_SECONDS
BUDGET_SECONDS = 10


@dataclasses.dataclass
class Value:
    text: str           # None: there is no figure, and the runs' trouble is the text
    reached: bool
    score: float = None  # 1 is what is asked, less is better
    without: str = ''


def look_up(run, path):
    for part in path.split('.'):
        run = run.get(part) if isinstance(run, dict) else None
    return run


def ended_by(run):
    """How the processes of a run ended, in words; None where all did properly."""
    for process in run['processes']:
        if process['timed_out']:
            return f"not finished after {run['seconds']:.0f} s"
        if process['status'] < 0:
            alike = sum(other['status'] == process['status'] for other in run['processes'])
            return (f'{alike} ' if len(run['processes']) > 1 else '') + (
                f"ended by {signal.Signals(-process['status']).name} after {run['seconds']:.1f} s")
        if process['status']:
            return f"exit status {process['status']}"
    return None


class Seen:
    """All runs of one case under one library: {arm: [run]}. What one run did not tell, all did not."""

    def __init__(self, runs):
        self.runs = runs
        self.base = 'plain' if 'plain' in runs else 'none'

    def values(self, arm, path):
        return [look_up(run, path) for run in self.runs.get(arm, [])]

    def median(self, arm, path):
        found = self.values(arm, path)
        return statistics.median(found) if found and None not in found else None

    def most(self, arm, path):
        found = self.values(arm, path)
        return max(found) if found and None not in found else None

    def ratio(self, path):
        """For times that the clock paces."""
        mine, its = self.median('with', path), self.median(self.base, path)
        return mine / its if mine is not None and its else None

    def paired_ratio(self, path):
        """For times of pure work: of runs that followed each other, as the machine's speed drifts."""
        pairs = list(zip(self.values('with', path), self.values(self.base, path)))
        if not pairs or any(mine is None or not its for mine, its in pairs):
            return None
        return statistics.median(mine / its for mine, its in pairs)

    def trouble(self, arm):
        found = [text for text in map(ended_by, self.runs.get(arm, [])) if text]
        if not found:
            return None
        return found[0] + (f' ({len(found)} of {len(self.runs[arm])} runs)' if len(self.runs[arm]) > 1 else '')

    def finished(self, arm):
        return bool(self.runs.get(arm)) and self.trouble(arm) is None

    def says(self, arm, pattern):
        """Every run's stderr has it."""
        runs = self.runs.get(arm, [])
        return bool(runs) and all(re.search(pattern, run['processes'][0]['stderr']) for run in runs)


# How numbers are shown.
def mib(number): return f'{number:.1f} MiB'
def mib_of_bytes(number): return mib(number / MIB)
def times(number): return f'{number:.3f}×'
def share(number): return f'{number:.2%}'
def seconds(number): return f'{number:.3f} s'
def whole(number): return f'{number:.0f}'


def at_most(number, limit, show, without=None, more=''):
    other = without if isinstance(without, str) or without is None else show(without)
    if number is None:
        return Value(None, False, None, other or '')
    return Value(show(number) + more, number <= limit, number / limit if limit else None, other or '')


def at_least(number, limit, show, without=None):
    value = at_most(number, limit, show, without)
    if number is not None:
        value.reached, value.score = number >= limit, limit / number if number else None
    return value


def holds(true, text, without=''):
    return Value(text, bool(true), None, without)


# The formulas that several figures share.
def peak_rss(limit_mib):
    return lambda s: at_most(s.median('with', 'peak_mib'), limit_mib, mib, s.median('none', 'peak_mib'))


def peak_held(limit_bytes):
    return lambda s: at_most(s.median('with', 'stats.peak_held'), limit_bytes, mib_of_bytes,
                             s.median('none', 'stats.peak_held'))


def empty(limit):
    return lambda s: at_most(s.median('with', 'told.empty_share'), limit, share, s.median('none', 'told.empty_share'))


def nothing_lost(s):
    lost = s.most('with', 'told.lost')
    return at_most(None if lost is None else lost + s.most('with', 'told.corrupt'), 0, whole)


def time(limit):
    return lambda s: at_most(s.ratio('told.elapsed'), limit, times, elapsed_without(s))


def time_of_work(limit):
    """Of what only works and waits; the time that others kept the processors is not in it."""
    def formula(s):
        base = s.median(s.base, 'worked')
        return at_most(s.paired_ratio('worked'), limit, times, None if base is None else seconds(base))
    return formula


def elapsed_without(s):
    found = s.median(s.base, 'told.elapsed')
    return None if found is None else seconds(found)


def consumer_time(limit):
    """Against the same program without a limit; in brackets against what its work takes by itself."""
    def own(s, arm):
        found, alone = s.median(arm, 'told.consumer_seconds'), s.median(arm, 'told.consumer_own_seconds')
        return f'{found / alone:.3f}× own' if found and alone else ''
    return lambda s: at_most(s.ratio('told.consumer_seconds'), limit, times, own(s, 'none'), f" ({own(s, 'with')})")


def predicted(s):
    """By how much the time that `observe` would have waited differs from what `enforce` did wait."""
    foretold, waited = s.median('observe', 'stats.waits.observed_us'), s.median('with', 'stats.waits.total_us')
    if foretold is None or not waited:
        return holds(False, 'nothing foretold' if foretold is None else 'nothing waited')
    ratio = foretold / waited
    apart = max(ratio, 1 / ratio) if ratio else None
    return Value(f'{ratio:.2f}× of {waited / 1e6:.2f} s', apart is not None and apart <= 2, apart and apart / 2)


def slowed_within_the_budget(s):
    waited, elapsed = s.median('with', 'stats.waits.total_us'), s.median('with', 'told.elapsed')
    if waited is None or elapsed is None:
        return Value(None, False)
    most = BUDGET * max(elapsed, BUDGET_SECONDS) + MAX_WAIT_SECONDS
    value = at_most(waited / 1e6, most, seconds, f"{s.median('none', 'told.elapsed'):.3f} s in all",
                    f' waited in {elapsed:.2f} s')
    value.reached = value.reached and waited > 0
    return value


def over_and_said(s):
    grants, held = s.median('with', 'stats.waits.grants'), s.median('with', 'stats.peak_held')
    if grants is None or held is None:
        return Value(None, False)
    said = s.says('with', 'stealth: .*(exhausted|over)')
    return holds(grants > 0 and held > 64 * MIB and said,
                 f"{grants:.0f} grants, peak held {held / MIB:.0f} MiB, {'reported' if said else 'NOT REPORTED'}")


def null_at_once(s):
    later = s.median('with', 'told.later_refusal_median')
    if later is None:
        return Value(None, False)
    longest = s.most('with', 'told.later_refusal_longest')
    return at_most(later, 0.001, lambda x: f'{x * 1e6:.1f} µs', None, f' (median; longest {longest * 1e3:.0f} ms)')


def reported_and_ended(s):
    aborted = all(run['processes'][0]['status'] == -signal.SIGABRT for run in s.runs['with'])
    said = s.says('with', 'stealth: .*(exhausted|abort)')
    return holds(aborted and said, f"{s.trouble('with') or 'went on'}, {'reported' if said else 'NOT REPORTED'}")


def killed(runs):
    """How many of a run's processes the kernel killed; of several runs, the fewest."""
    return min(sum(p['status'] == -signal.SIGKILL and not p['timed_out'] for p in run['processes']) for run in runs)


def survives(s):
    finished, plain = s.finished('with'), killed(s.runs['plain'])
    lost = sum(one.get('lost', 0) for run in s.runs['with'] for one in run.get('all_told', [run['told']]))
    peak, took = s.median('with', 'cgroup.peak_mib'), s.median('with', 'seconds')
    return holds(finished and plain and not lost,
                 (f'finished in {took:.1f} s' if finished else s.trouble('with')) + f', peak {peak or 0:.0f} MiB'
                 + (f', {lost} LOST' if lost else ''), f'{plain} killed')


def share_back(s):
    found = s.values('with', 'told.share_back')
    if not found or None in found:
        return Value(None, False)
    if min(found) < 0:
        never_full = None in s.values('with', 'told.dead_ones_share')
        return holds(False, 'beyond the capacity before' if never_full else 'never')
    return at_most(statistics.median(found), 1.0, seconds)


@dataclasses.dataclass
class Figure:
    case: str
    asked: str
    measure: object  # Seen -> Value

    def value(self, seen):
        value = self.measure(seen)
        if value.text is None:
            value.text = seen.trouble('with') or 'not told'
        return value


FIGURES = [
    Figure('queue', 'peak RSS ≤ 112 MiB', peak_rss(112)),
    Figure('queue', 'queue empty ≤ 2 % of the time', empty(0.02)),
    Figure('queue', 'nothing lost', nothing_lost),
    Figure('queue', 'observe foretells the wait within 2×', predicted),
    Figure('queue-long', 'peak RSS ≤ 112 MiB', peak_rss(112)),
    Figure('queue-long', 'queue empty ≤ 2 % of the time', empty(0.02)),
    Figure('queue-long', 'nothing lost', nothing_lost),
    Figure('many', 'peak held ≤ capacity + 1 slab a thread', peak_held(CAPACITY_MIB * MIB + (8 + 4 + 1) * SLAB)),
    Figure('many', 'grants: none', lambda s: at_most(s.most('with', 'stats.waits.grants'), 0, whole)),
    Figure('many', 'queue empty ≤ 5 % of the time', empty(0.05)),
    Figure('many', 'slowest producer ≥ half of the mean',
           lambda s: at_least(s.median('with', 'told.fairness'), 0.5, share, s.median('none', 'told.fairness'))),
    Figure('many', 'nothing lost', nothing_lost),
    Figure('many', 'observe foretells the wait within 2×', predicted),
    Figure('needs', 'finishes, nothing lost', nothing_lost),
    Figure('needs', "consumer's longest wait ≤ 100 ms",
           lambda s: at_most(s.median('with', 'told.consumer_allocations.longest'), MAX_WAIT_SECONDS, seconds,
                             s.median('none', 'told.consumer_allocations.longest'))),
    Figure('needs', 'observe foretells the wait within 2×', predicted),
    Figure('mutex-200', "consumer's time ≤ 1.05×", consumer_time(1.05)),
    Figure('mutex-200', 'peak held ≤ 1.1× capacity', peak_held(1.1 * CAPACITY_MIB * MIB)),
    Figure('mutex-10', "consumer's time ≤ 1.15×", consumer_time(1.15)),
    Figure('mutex-10', 'peak held ≤ 1.1× capacity', peak_held(1.1 * CAPACITY_MIB * MIB)),
    Figure('mutex-200-fixed', "consumer's time ≤ 1.05×", consumer_time(1.05)),
    Figure('mutex-200-fixed', 'peak held ≤ 1.1× capacity', peak_held(1.1 * CAPACITY_MIB * MIB)),
    Figure('mutex-10-fixed', "consumer's time ≤ 1.15×", consumer_time(1.15)),
    Figure('mutex-10-fixed', 'peak held ≤ 1.1× capacity', peak_held(1.1 * 32 * MIB)),
    *[figure for case, limit in (('shift', 1.02), ('pause', 1.05), ('pipeline', 1.02), ('sixty-four', 1.1))
      for figure in (
        Figure(case, f'time ≤ {limit}×', time(limit)),
        Figure(case, 'peak held ≤ 1.2× capacity', peak_held(1.2 * CAPACITY_MIB * MIB)))],
    Figure('steady', 'time ≤ 1.02×', time_of_work(1.02)),
    Figure('steady-threads', 'time ≤ 1.02×', time_of_work(1.02)),
    Figure('cgroup', 'plain: killed; ours: finishes', survives),
    Figure('cgroup-four', 'plain: killed; ours: all finish', survives),
    Figure('leak-grant', 'slowed within the budget', slowed_within_the_budget),
    Figure('leak-grant', 'then over, reported', over_and_said),
    Figure('leak-enomem', 'slowed within the budget', slowed_within_the_budget),
    Figure('leak-enomem', 'then NULL at once', null_at_once),
    Figure('leak-abort', 'report and exit', reported_and_ended),
    Figure('group', 'sum held ≤ capacity + 1 slab a process',
           lambda s: at_most(s.median('with', 'told.largest_sum'), 320 * MIB + 64 * SLAB, mib_of_bytes,
                             s.median('none', 'told.largest_sum'))),
    Figure('group', "the dead ones' share is back ≤ 1 s", share_back),
    Figure('calm', 'time ≤ 1.02× (noise)', time_of_work(1.02)),
]
