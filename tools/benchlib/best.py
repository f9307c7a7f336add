"""How every peer stands against the best of all, load by load and over all loads: from a session's runs to the part
`best` of the result. best_report.py prints it, best_plots.py draws it.

The arithmetic, and why the best is chosen as it is, are in stats.py (against_best).
"""
from . import stats
from .peers import REFERENCE, SUBJECT

LEFT = 'left_kib'  # what a load tells to be resident one second after its last burst (`metric left_kib`)


def of_load(runs, errors, by, own=()):
    """One load: for each peer that served it, its time against the quickest and its peak RSS against the leanest quick
    one and the reference; where the load tells what is left after its burst, that, too, against the peer that leaves
    least, quick or not, and the reference. libstealth and other builds of it (`own`) are never the one compared with.
    None where no rival served it."""
    runs = {peer: found for peer, found in runs.items() if found and peer not in errors}
    rivals = [peer for peer in runs if peer != SUBJECT and peer not in own]
    if not rivals:
        return None
    # All rounds say who is quick: this is a limit of time, and no choice of the luckiest peak.
    quick = stats.quick({peer: runs[peer] for peer in rivals}, by)
    after = {peer: left for peer, left in ((peer, left_after(runs[peer])) for peer in runs) if left}
    leaving = [peer for peer in rivals if peer in after]
    found = {'time': {}, 'rss': {}, 'rss_reference': {}, 'left': {}, 'left_reference': {}}
    for peer in runs:
        found['time'][peer] = stats.against_best(runs, peer, rivals, lambda few: stats.quickest(few, by), by)
        found['rss'][peer] = stats.against_best(runs, peer, quick, stats.leanest, 'rss_kib')
        if REFERENCE in runs:
            found['rss_reference'][peer] = stats.compare(runs[peer], runs[REFERENCE], 'rss_kib')
        if peer in after and leaving:
            found['left'][peer] = stats.against_best(after, peer, leaving, lambda few: stats.leanest(few, LEFT), LEFT)
            if REFERENCE in after:
                found['left_reference'][peer] = stats.compare(after[peer], after[REFERENCE], LEFT)
    found = {what: {peer: one for peer, one in by_peer.items() if one} for what, by_peer in found.items()}
    if not found['time']:
        return None
    if SUBJECT in found['time']:
        found['verdict'] = stats.standing(found['time'][SUBJECT]['interval'])
        limits = {'rss': stats.LEAN_LIMIT, 'rss_reference': stats.REFERENCE_LIMIT, 'left': stats.LEAN_LIMIT}
        found['memory'] = [what for what, limit in limits.items()
                           if SUBJECT in found[what] and found[what][SUBJECT]['ratio'] > limit]
    return found


def left_after(runs):
    """The same runs, as what they left after the burst; none of a load that does not tell."""
    return [{'round': run['round'], LEFT: run['metrics'][LEFT]} for run in runs if LEFT in run.get('metrics', {})]


def overall(loads, peers, own=()):
    """{'means': {peer: …}, 'single': …} of a session's loads: geometric means against each load's best, and libstealth
    against the one peer that is best over all. loads: {name: {'runs', 'by', 'best'}}."""
    compared = [load['best'] for load in loads.values() if load['best']]
    means = {}
    for peer in peers:
        served = [one for one in compared if peer in one['time']]
        if served:
            means[peer] = {'loads': len(served), 'time': stats.overall([one['time'][peer] for one in served]),
                           'rss': stats.overall([one['rss'][peer] for one in served])}
    # Means over different loads are not comparable: who failed somewhere is not the best.
    most = max((mean['loads'] for mean in means.values()), default=0)
    rivals = [peer for peer, mean in means.items() if peer != SUBJECT and peer not in own and mean['loads'] == most]
    single = None
    if SUBJECT in means and rivals:
        peer = min(rivals, key=lambda rival: means[rival]['time']['ratio'])
        both = [load for load in loads.values() if load['best'] and {peer, SUBJECT} <= set(load['best']['time'])]
        single = {'peer': peer}
        for what in ('time', 'rss_kib'):
            ratios = [stats.compare(load['runs'][SUBJECT], load['runs'][peer], load['by'] if what == 'time' else what)
                      for load in both]
            single[what] = stats.overall([one for one in ratios if one])
        single['verdict'] = stats.standing(single['time']['interval'], stats.MEAN_LIMIT)
    return {'means': means, 'single': single}


def tally(loads):
    """{verdict: [names]} of libstealth; a load that failed under it is there as `failed`, one that no
    rival served, or that ran in one round only, as `not compared`."""
    found = {}
    for name, load in loads.items():
        if SUBJECT in load['errors']:
            found.setdefault('failed', []).append(name)
        elif SUBJECT in load['summary']:
            found.setdefault((load['best'] or {}).get('verdict', 'not compared'), []).append(name)
    return found
