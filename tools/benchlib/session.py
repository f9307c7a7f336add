"""The rounds of one call of tools/bench: every load under every peer, in random order, and what came of it.

A load's runs of one round follow each other closely, so that their ratio means something although the machine's speed
drifts. The result is one dictionary, which report.py prints and `--json` writes.
"""
import shutil

from . import best, progress, stats
from .peers import REFERENCE


class Session:
    """The runs of one call: which were made, and what went wrong. All are compared with the best peer, and with the
    baseline where there is one."""

    def __init__(self, bench, peers, chosen, scale, by=None, baseline=None, own=(), own_env=None):
        self.bench, self.peers, self.scale, self.baseline, self.own = bench, peers, scale, baseline, own
        self.own_env = own_env or {}  # {peer: settings}
        self.loads = {}
        for load in chosen:
            entry = {'load': load, 'runs': {peer: [] for peer in peers}, 'errors': {}, 'failed_runs': [],
                     'by': load.by if load.metric else by or load.by, 'varies': False}
            self.loads[load.name] = entry
            entry['argv'] = load.command(bench, scale)
            entry['stdin'] = load.stdin(bench, scale) if load.stdin else None
            if shutil.which(entry['argv'][0]) is None:
                entry['left_out'] = f"{entry['argv'][0]} is not there"

    def run(self, entry, peer, number):
        load = entry['load']
        result = self.bench.run(entry['argv'], self.peers[peer], entry['stdin'],
                                {**load.env, **self.own_env.get(peer, {})}, load.metric)
        error = result.get('error')
        if not error and result['output'] != entry.setdefault('expected', result['output']) and not entry['varies']:
            error = 'wrong output'
        if error:
            when = f'round {number}' if number else 'first run'
            entry['errors'][peer] = ': '.join([when, error, *result['stderr'].splitlines()[-1:]])
            entry['failed_runs'].append({'peer': peer, 'round': number, **result})
        elif number:
            entry['runs'][peer].append({'round': number, **result})

    def usable(self):
        return [entry for entry in self.loads.values() if 'left_out' not in entry]

    def measure(self, rounds, dice):
        usable = self.usable()
        shown = progress.Progress(len(usable) * (1 + len(self.peers) * rounds))
        try:
            for entry in usable:  # outputs to compare with, and programs in the page cache
                shown.step(f"{entry['load'].name} once")
                self.run(entry, REFERENCE, 0)
                if entry['load'].given and not entry['errors']:
                    self.run(entry, REFERENCE, 0)
                    if entry['errors'].get(REFERENCE, '').startswith('first run: wrong output'):
                        entry['varies'] = True  # it prints times, or addresses
                        entry['errors'].clear()
                        entry['failed_runs'].clear()
            for number in range(1, rounds + 1):
                for entry in dice.sample(usable, len(usable)):
                    for peer in dice.sample(list(self.peers), len(self.peers)):
                        shown.step(f"round {number} of {rounds}: {entry['load'].name} under {peer}")
                        if peer not in entry['errors']:  # one failure is an error already
                            self.run(entry, peer, number)
        finally:
            shown.end()

    def results(self):
        found = {'format': 2, 'baseline': self.baseline, 'peers': self.peers, 'own': list(self.own),
                 'own_env': self.own_env,
                 'scale': self.scale, 'means': {},
                 'rounds': max((len(runs) for entry in self.usable() for runs in entry['runs'].values()), default=0),
                 'loads': {name: result_of(entry, self.baseline, self.own) for name, entry in self.loads.items()}}
        found['best'] = best.overall(found['loads'], self.peers, self.own)
        for peer in self.peers:
            both = [(load['by'], load['compared'][peer]) for load in found['loads'].values()
                    if peer in load['compared']]
            if both:
                found['means'][peer] = {'time': stats.overall([one[by] for by, one in both])}
                for what in ('cpu', 'rss_kib', 'faults'):
                    found['means'][peer][what] = stats.overall([one[what] for _, one in both if one[what]])
        return found


def result_of(entry, baseline, own):
    """One load's part of the result."""
    load = entry['load']
    measured = {peer: runs for peer, runs in entry['runs'].items() if runs}
    compared = {}
    for peer, runs in measured.items():
        if peer != baseline and baseline in measured:
            one = {what: stats.compare(runs, measured[baseline], what)
                   for what in {'wall', 'cpu', 'rss_kib', 'faults', entry['by']}}
            if one['wall'] and one['cpu']:
                compared[peer] = one
    return {'about': load.about, 'by': entry['by'], 'argv': entry['argv'],
            'summary': {peer: stats.summary(runs) for peer, runs in measured.items()}, 'compared': compared,
            'best': best.of_load(measured, entry['errors'], entry['by'], own),
            'metrics': list(dict.fromkeys(metric for runs in measured.values() for metric in runs[0]['metrics'])),
            'runs': entry['runs'], 'errors': entry['errors'], 'failed_runs': entry['failed_runs'],
            'left_out': entry.get('left_out')}
