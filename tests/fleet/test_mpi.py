#!/usr/bin/python3
"""Open MPI on one node: four ranks under libstealth, by mpirun's -x, that share one capacity through their group. Each
has more to do than it should hold (work/ranks.c). Without a capacity they take a multiple of it together; with it, the
sum stays within, all messages come, and all ranks end well. What they hold is asked of the kernel, and of `stealth`."""
import os
import re
import signal
import time

from fleet import MIB, ROOT, SLAB, Pressure, anonymous, check, fail, group, mib, need, seen, settings, waits_of
from harness import tail

mpicc, mpirun = need('/usr/bin/mpicc'), need('/usr/bin/mpirun')
RANKS, CAPACITY = 4, 64 * MIB
BLOCKS, PACE_US = 800, 1500
# docs/backpressure.md: credit in a group, what is taken with a lock in hand, a slab for each process; and grants, where
# all ranks were kept from their work for a while. Patience grows by 10 ms with each percent above the capacity, so at a
# quarter nobody in the group has released anything for a quarter of a second before there is one more.
MARGIN = CAPACITY / 256 + CAPACITY / 128 + RANKS * SLAB + CAPACITY / 4
# Of each rank, what is not from malloc: stacks, the data of MPI's libraries, libstealth's own.
OTHERWISE = 4 * MIB


def job(side, program, **options):
    """mpirun, as for one node of a fleet but for the transports: this machine alone, by shared memory."""
    exported = [word for name, value in options.items() for word in ('-x', f'{name}={value}')]
    parameters = {'pml': 'ob1', 'btl': 'self,vader', 'btl_vader_backing_directory': side.dir,
                  'btl_vader_single_copy_mechanism': 'none', 'oob_tcp_if_include': 'lo', 'plm': 'isolated'}
    return [mpirun, '--allow-run-as-root', '--oversubscribe', '--bind-to', 'none', '-n', RANKS,
            *(word for name, value in parameters.items() for word in ('--mca', name, value)),
            *exported, program, BLOCKS, PACE_US]


class Job:
    """One run of it, watched until it ends."""

    def __init__(self, side, program, **options):
        self.most, self.looks, self.shown = 0, 0, []
        self.log = side.dir / 'server0.log'  # what mpirun writes is its ranks' output
        self.server = side.serve(job(side, program, **options), lambda: len(self.ranks()) == RANKS)
        self.pids = self.ranks()

    def ranks(self):
        return [int(pid) for pid in re.findall(r'^rank \d of \d pid (\d+)$', self.output(), re.M)]

    def output(self):
        return self.log.read_text(errors='backslashreplace')

    def watch(self, stat):
        """Until it ends: what the ranks have resident together; with `stat`, also what the command shows of each."""
        until_ = time.monotonic() + 100
        while self.server.running():
            sizes = [anonymous(pid) for pid in self.pids]
            if None not in sizes:
                self.most = max(self.most, sum(sizes))
                self.looks += 1
            if stat and self.looks % 5 == 1:
                self.shown.append([figures for pid in self.pids if (figures := seen(pid))])
            if time.monotonic() > until_:
                self.server.fail('does not end')
            time.sleep(0.01)
        self.server.stop(None)  # its status is 0 if that of all ranks is

    def end(self):
        for pid in self.pids:  # they are gone with mpirun; none is left if it was not
            try:
                with open(f'/proc/{pid}/comm') as comm:
                    if comm.read().strip() == 'ranks':
                        os.kill(pid, signal.SIGKILL)
            except (OSError, ProcessLookupError):
                pass

    def all_messages_came(self):
        ends = re.findall(r'^rank (\d) sent (\d+) of (\d+) got (\d+) of (\d+)$', self.output(), re.M)
        sent, got = (sum(int(end[column]) for end in ends) for column in (1, 3))
        whole = {int(end[column]) for end in ends for column in (2, 4)}
        if sorted(end[0] for end in ends) != [str(rank) for rank in range(RANKS)] or {sent, got} != whole:
            fail(f'not all ranks ended, or messages were lost:\n{tail(self.output().encode())}')
        return sent


def run(side, program, stat=False, **options):
    work = Job(side, program, **options)
    try:
        work.watch(stat)
    finally:
        work.end()
    return work, work.all_messages_came()


with Pressure() as trial:
    ranks = trial.base / 'ranks'
    with trial.scene('plain') as side:
        side.run([mpicc, '-O2', '-pthread', ROOT / 'tests/fleet/work/ranks.c', '-o', ranks], record=False)
        work, plain = run(side, ranks)
        print(f'plain: {mib(work.most)} in {RANKS} ranks at most, {mib(plain)} in messages')
        if work.most < 2 * CAPACITY:
            fail(f'plain: the ranks hold {work.most} bytes at most: that would fit')

    with trial.scene('group') as side, group() as name:
        work, sent = run(side, ranks, stat=True, **settings(trial, side, capacity=CAPACITY, group=name))
    processes = trial.figures('group', 'ranks')
    print(f'group: {mib(work.most)} in {RANKS} ranks at most, {mib(sent)} in messages')
    for process in processes:
        print(f'  {waits_of(process)}')
    full = [looks for looks in work.shown if len(looks) == RANKS]
    members = [{look['group_members'] for look in looks} for looks in full]
    check({'as much was done as without a capacity': sent == plain,
           'each rank wrote its figures': len(processes) == RANKS,
           'all share one capacity': {process['capacity'] for process in processes} == {CAPACITY},
           'stat showed all of them while they ran': len(full) >= 3,
           'each with all as members of its group': members.count({RANKS}) >= 2 and max(map(max, members)) == RANKS},
          (work.looks, members, processes))
    held = [sum(look['held'] for look in looks) for looks in full]
    used = [look['used'] for looks in full for look in looks]
    check({'they did not fit, and waited': all(process['waits']['count'] > 10 for process in processes),
           'the kernel says that the sum stayed within the capacity':
               work.most <= CAPACITY + MARGIN + RANKS * OTHERWISE,
           'and so does what the group uses': max(used) <= CAPACITY + MARGIN,
           'and the sum of what each holds': max(held) <= CAPACITY + MARGIN,
           'it was used': max(used) > 0.8 * CAPACITY}, (work.most, max(held), max(used)))
    print(f'  used {mib(max(used))}, held {mib(max(held))} at most, of {mib(CAPACITY)}, in {len(full)} looks')
