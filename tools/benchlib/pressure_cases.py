"""The cases of tools/bench backpressure: which load, with which figures, at which capacity. Knows nothing of results.

The loads are tests/loads/backpressure. A case is run in several arms: its base, which is the same program without a
limit (`none`: under libstealth with no capacity; `plain`: without libstealth, in the same cgroup; some have none),
`with` the capacity, and for some `observe`.
"""
import dataclasses
import fnmatch

MIB = 1 << 20


@dataclasses.dataclass
class Case:
    name: str
    about: str
    load: str
    seconds: int                 # about how long one run takes
    capacity: object = '96m'     # STEALTH_CAPACITY; None: not set; or (what the base's run told) -> STEALTH_CAPACITY
    amounts: dict = dataclasses.field(default_factory=dict)  # arguments of the load, else its own figures hold
    quick: dict = dataclasses.field(default_factory=dict)    # the same for --quick
    env: dict = dataclasses.field(default_factory=dict)
    base: str = 'none'
    observed: bool = False
    processes: int = 1
    cgroup_mib: int = 0          # 0: in none of its own
    most_rounds: int = 99
    repeats: int = 1             # runs of each arm in a round, in turn: for times that are to be told to a few percent
    ends_by: int = 0             # the signal that ends it, where it is meant to

    def argv(self, program, quick):
        amounts = {**self.amounts, **(self.quick if quick else {})}
        return [str(program), self.load, f'deadline={self.timeout + 10}', *(f'{k}={v}' for k, v in amounts.items())]

    @property
    def timeout(self):
        """Seconds after which it will not finish: several times what it needs."""
        return max(30, self.seconds * 2 if self.seconds >= 60 else self.seconds * 5)

    @property
    def arms(self):
        return [*([self.base] if self.base else []), 'with', *(['observe'] if self.observed else [])]


def between_soft_and_capacity(base):
    """What the program holds by itself is 95 % of it; the soft point is at 90 %."""
    return str(int(base['stats']['peak_held'] / 0.95))


# The consumer is due by the clock, as in the other loads, and makes up for lost time; the producer never rests.
BY_THE_CLOCK = {'supply': 0, 'catch_up': 1000000}

TABLE = [
    Case('queue', 'a fast producer, a slow consumer, an unbounded queue', 'queue', 6, quick={'total': 300},
         observed=True),
    # (Without a capacity it would show nothing new, and come to 3.6 GiB.)
    Case('queue-long', 'the same for a minute at 60 MiB/s (one round)', 'queue', 61, base='', most_rounds=1,
         amounts={'total': 3600, 'rate': 60}, quick={'total': 300}),
    Case('many', '8 producers, 4 consumers, 16 B – 256 KiB, bursts', 'many', 6, quick={'total': 300}, observed=True),
    Case('needs', 'as queue, and the consumer needs memory itself', 'needs', 6, quick={'total': 300}, observed=True),
    Case('mutex-200', 'the producer allocates under the mutex that the consumer needs, 200 MiB/s', 'mutex', 6,
         amounts=BY_THE_CLOCK, quick={'total': 300}),
    Case('mutex-10', 'the same at 10 MiB/s', 'mutex', 15, amounts={**BY_THE_CLOCK, 'rate': 10, 'total': 140},
         quick={'total': 110}),
    # Each message costs its consumer a fixed time: what it loses before the mutex is lost.
    Case('mutex-200-fixed', 'the same at 200 MiB/s; the consumer never catches up', 'mutex', 6, quick={'total': 300}),
    Case('mutex-10-fixed', 'the same at 10 MiB/s and a capacity of 32 MiB', 'mutex', 8, capacity='32m',
         amounts={'rate': 10, 'total': 80}, quick={'total': 60}),
    Case('shift', '88 MiB of 1 KiB blocks of which one in eight stays, then 8–64 KiB', 'shift', 4,
         quick={'total': 300}),
    Case('pause', 'a consumer that pauses for 2 s', 'pause', 5),
    Case('pipeline', 'three stages, two queues', 'pipeline', 4, quick={'total': 300}),
    Case('sixty-four', '64 producers', 'sixty-four', 6, quick={'total': 300}),
    Case('steady', 'one thread, live memory between soft point and capacity', 'steady', 2,
         capacity=between_soft_and_capacity, quick={'millions': 2}, repeats=3),
    Case('steady-threads', 'the same with 4 threads, each by itself', 'steady', 2, capacity=between_soft_and_capacity,
         amounts={'threads': 4, 'millions': 20}, quick={'millions': 2}, repeats=3),
    Case('cgroup', 'queue in a memory cgroup of 160 MiB, no settings', 'queue', 6, capacity=None, base='plain',
         cgroup_mib=160, quick={'total': 300}),
    Case('cgroup-four', 'four of them in a cgroup of 320 MiB, no settings', 'queue', 6, capacity=None, base='plain',
         processes=4, cgroup_mib=320, amounts={'total': 320, 'rate': 60}, quick={'total': 160}),
    Case('leak-grant', 'a leak of 128 MiB in one thread at 64 MiB, then over', 'leak', 8, capacity='64m'),
    Case('leak-enomem', 'the same, refused', 'leak', 8, capacity='64m', env={'STEALTH_ON_EXHAUSTED': 'enomem'}),
    Case('leak-abort', 'the same, ended', 'leak', 8, capacity='64m', env={'STEALTH_ON_EXHAUSTED': 'abort'}, ends_by=6),
    Case('group', '64 forked processes with one capacity of 320 MiB, some killed', 'group', 8, capacity='320m',
         env={'STEALTH_GROUP': 'bench-{run}'}, quick={'seconds': 3}),
    Case('calm', 'a program far under its capacity', 'calm', 2, quick={'millions': 3}, repeats=3),
]


def choose(patterns):
    """The cases that the patterns name (shell globs); all of them for none."""
    chosen = []
    for pattern in patterns or ['*']:
        found = [case for case in TABLE if fnmatch.fnmatch(case.name, pattern)]
        if not found:
            raise LookupError(f'{pattern}: no such load; see tools/bench backpressure --list')
        chosen += [case for case in found if case not in chosen]
    return chosen
