#!/usr/bin/python3
"""g++ on heavy templates, more than its memory limit allows. Plain, the kernel kills the compiler. With enomem it ends
by itself with its own message, under the limit or at a capacity; and with enough it makes the same object.

Only a part of the compiler's memory is from malloc: what its garbage collector keeps it maps itself. A capacity given
as a number bounds that part alone; in a cgroup, under `auto`, all of it counts, but is noticed only when malloc is asked
for fresh pages."""
from harness import fail, need, work
from pressure import MIB, Pressure, check, mib, waits_of

gcc = need('/usr/bin/g++')
COMPILE = [gcc, '-std=c++20', '-DCOUNT=60', '-c', work('templates.cpp'), '-o', 'templates.o']
LIMIT = '96m'
KILLED, REFUSED = 'Killed signal terminated program cc1plus', 'cc1plus: out of memory allocating'
CRASH = ('internal compiler error', 'Segmentation fault', 'Killed', 'Aborted')

with Pressure() as trial:
    with trial.scene('unlimited') as side:
        done = side.run_watched(COMPILE)
        done.expect(0)
        print(f'plain, no limit: {done.seconds:.1f} s, {mib(done.peak)}')
    with trial.scene('plain', limit=LIMIT) as side:
        done = side.run_watched(COMPILE)
        done.expect(1, KILLED)
        print(f'plain, limit {LIMIT}: {done.output.splitlines()[0]}')

    if trial.kernel_limits():
        with trial.scene('auto', limit=LIMIT, on_exhausted='enomem') as side:
            done = side.run_watched(COMPILE)
            done.expect(1, REFUSED, never=CRASH)
            print(f'enomem, limit {LIMIT}, nothing else set: {done.seconds:.1f} s, {done.output.splitlines()[-1]}')
        compiler = trial.figures('auto', 'cc1plus')[0]
        print(f'  {waits_of(compiler)}')
        check({'the capacity is 95 % of the limit': 91 * MIB < compiler['capacity'] < 92 * MIB,
               'something was refused': compiler['waits']['refused'] >= 1,
               'the compiler holds much less from malloc than it uses': compiler['peak_held'] < compiler['used'] / 4},
              compiler)
    else:
        print('no cgroup can be made here: nothing was shown of `auto`')

    # Nobody but the compiler could release anything: no need for patience.
    with trial.scene('capacity', capacity='6m', on_exhausted='enomem', backoff_patience='20ms') as side:
        done = side.run_watched(COMPILE)
        done.expect(1, REFUSED, 'stealth: capacity exhausted', never=CRASH)
        print(f'enomem, capacity 6m: {done.seconds:.1f} s, {done.output.splitlines()[-1]}')
    compiler = trial.figures('capacity', 'cc1plus')[0]
    print(f'  {waits_of(compiler)}')
    check({'it held no more than the capacity': compiler['peak_held'] <= 6 * MIB,
           'something was refused, and nothing granted': compiler['waits']['refused'] >= 1 > compiler['waits']['grants']},
          compiler)

    with trial.scene('enough', capacity='48m', on_exhausted='enomem') as side:
        done = side.run_watched(COMPILE)
        done.expect(0)
    for program in ('cc1plus', 'as'):
        process = trial.figures('enough', program)[0]
        print(f'enomem, capacity 48m: {program}: {waits_of(process)}')
        check({'nothing was refused, nobody waited': process['waits']['refused'] == process['waits']['count'] == 0}, process)
    if (trial.base / 'enough/templates.o').read_bytes() != (trial.base / 'unlimited/templates.o').read_bytes():
        fail('the objects differ')
