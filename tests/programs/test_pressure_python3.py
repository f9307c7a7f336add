#!/usr/bin/python3
"""A Python program with an unbounded queue.Queue(), whose producer is faster than its consumer. Plain, the queue grows
as far as the producer gets ahead. At a capacity the producer comes down to its consumer's pace, although it allocates,
and so waits, with the interpreter's lock in its hand: with pymalloc, which passes these messages on, and without.

The load that this cannot help is here, too: a consumer that has to ask for the lock for each message. Then every wait
is in vain, and all that can be asked for is that the budget bounds what is lost."""
from harness import fail, need, work
from pressure import MIB, Pressure, check, mib, waits_of

python = need('/usr/bin/python3')
TOTAL_MIB, PRODUCE, CONSUME, CAPACITY_MIB = 64, 120, 30, 24
OWN_S = TOTAL_MIB / CONSUME  # what the consumer needs by itself


def run(side, *arguments, malloc='pymalloc'):
    done = side.run_watched([python, work('unbounded.py'), *arguments], env={'PYTHONMALLOC': malloc})
    done.expect(0)
    seen = {key: float(value) for key, value in (pair.split('=') for pair in done.stdout.split())}
    if seen['made'] != seen['used']:
        fail(f'{side.name}: messages were lost: {seen}')
    print(f'{side.name}: producer {seen["producer_s"]:.2f} s, consumer {seen["consumer_s"]:.2f} s, queue empty '
          f'{100 * seen["empty"]:.1f} % of the time, resident {seen["rss_mib"]:.0f} MiB')
    return seen


with Pressure() as trial:
    paced = (TOTAL_MIB, PRODUCE, CONSUME, 'paced')
    with trial.scene('plain') as side:
        plain = run(side, *paced)
    if plain['rss_mib'] < 1.6 * CAPACITY_MIB:
        fail(f'plain: the queue did not grow: {plain}')
    for malloc in ('pymalloc', 'malloc'):
        with trial.scene(malloc, capacity=f'{CAPACITY_MIB}m') as side:
            held = run(side, *paced, malloc=malloc)
        process = trial.figures(malloc, 'python3')[0]
        print(f'  {waits_of(process)}')
        check({'it was held at the capacity': process['peak_held'] <= 1.15 * CAPACITY_MIB * MIB,
               'the producer was slowed': process['waits']['count'] > 20 and held['producer_s'] > 1.3 * plain['producer_s'],
               'the consumer kept its rate': held['consumer_s'] <= 1.1 * max(plain['consumer_s'], OWN_S),
               'no wait was long': process['waits']['longest_us'] < 1_000_000},
              (held, process['waits']))

    each = (12, 0, 8, 'each')
    with trial.scene('plain, each') as side:
        plain = run(side, *each)
    with trial.scene('each', capacity='4m', backoff_budget='5%') as side:
        held = run(side, *each)
    process = trial.figures('each', 'python3')[0]
    print(f'  {waits_of(process)}')
    check({'it was waited for, in vain': process['waits']['grants'] > 0,
           'about a twentieth of 10 s was lost': process['waits']['total_us'] < 1_500_000},
          (held, process['waits']))
