#!/usr/bin/python3
"""A Python program with an unbounded queue.Queue(), whose producer is faster than its consumer. Plain, the queue grows
until the kernel kills the program. At a capacity the producer comes down to its consumer's pace, although it allocates,
and so waits, with the interpreter's lock in its hand: with pymalloc, which passes these messages on, and without.

The load that this cannot help is here, too: a consumer that has to ask for the lock for each message. Then every wait
is in vain, and all that can be asked for is that the budget bounds what is lost."""
import signal

from harness import fail, need, work
from pressure import MIB, Pressure, check, mib, waits_of

python = need('/usr/bin/python3')
TOTAL_MIB, PRODUCE, CONSUME = PACED = 96, 200, 30  # MiB, and MiB/s
LIMIT_MIB, CAPACITY_MIB = 48, 24
OWN_S = TOTAL_MIB / CONSUME  # what the consumer needs by itself


def start(side, *arguments, malloc='pymalloc'):
    return side.run_watched([python, work('unbounded.py'), *arguments], env={'PYTHONMALLOC': malloc})


def run(side, *arguments, **options):
    done = start(side, *arguments, **options)
    done.expect(0)
    seen = {key: float(value) for key, value in (pair.split('=') for pair in done.stdout.split())}
    if seen['made'] != seen['used']:
        fail(f'{side.name}: messages were lost: {seen}')
    print(f'{side.name}: producer {seen["producer_s"]:.2f} s, consumer {seen["consumer_s"]:.2f} s, queue empty '
          f'{100 * seen["empty"]:.1f} % of the time, peak {mib(done.peak)}')
    return seen, done.peak


def paced(trial, name, malloc, **settings):
    """Under the limit, and held; returns the figures of the process. What does not fit under the limit must have been
    used up before the producer ends; the margins are for a busy machine."""
    with trial.scene(name, limit=f'{LIMIT_MIB}m', preloaded=True, **settings) as side:
        seen, _ = run(side, *PACED, 'paced', malloc=malloc)
    process = trial.figures(name, 'python3')[0]
    print(f'  {waits_of(process)}')
    check({'it waited': process['waits']['count'] > 20,
           'the producer was slowed': seen['producer_s'] > 0.8 * (TOTAL_MIB - LIMIT_MIB) / CONSUME,
           'the consumer kept its rate': seen['consumer_s'] < 1.5 * OWN_S,
           'no wait was longer than 2 s': process['waits']['longest_us'] < 2_000_000}, (seen, process['waits']))
    return process


with Pressure() as trial:
    with trial.scene('plain') as side:
        _, peak = run(side, *PACED, 'paced')
    check({'the queue grows far beyond the limit': peak > 1.3 * LIMIT_MIB * MIB}, mib(peak))
    with trial.scene('plain, limit', limit=f'{LIMIT_MIB}m') as side:
        done = start(side, *PACED, 'paced')
        done.expect(-signal.SIGKILL)
        print(f'{side.name} {LIMIT_MIB} MiB: killed after {done.seconds:.2f} s, last seen with {mib(done.peak)}')

    if trial.kernel_limits():
        process = paced(trial, 'nothing set', 'pymalloc')
        check({'the capacity is 95 % of the limit': 0.94 < process['capacity'] / (LIMIT_MIB * MIB) < 0.96}, process)
    else:
        print('no cgroup can be made here: nothing was shown of `auto`')
    for malloc in ('pymalloc', 'malloc'):
        process = paced(trial, f'capacity, {malloc}', malloc, capacity=f'{CAPACITY_MIB}m')
        check({'it was held at the capacity': process['peak_held'] <= 1.3 * CAPACITY_MIB * MIB}, process)

    each = (12, 0, 8, 'each')
    with trial.scene('each, plain') as side:
        run(side, *each)
    with trial.scene('each', capacity='4m', backoff_budget='5%') as side:
        run(side, *each)
    process = trial.figures('each', 'python3')[0]
    print(f'  {waits_of(process)}')
    # 0.5 s of 10 s, a bit more for what wakes late; ten times as much with the default budget.
    check({'it was waited for, in vain': process['waits']['grants'] > 0,
           'little more than a twentieth of 10 s was lost': process['waits']['total_us'] < 2_500_000}, process['waits'])
