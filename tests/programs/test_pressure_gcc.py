#!/usr/bin/python3
"""g++ on heavy templates, more than its memory limit allows. Plain, the kernel kills the compiler. With enomem it ends
by itself with its own message, under the limit or at a capacity; and with enough it makes the same object.

Only a small part of the compiler's memory is from malloc: what its garbage collector keeps it maps itself. A capacity
given as a number bounds that part alone. In a cgroup, under `auto`, all of it counts, but is noticed only when malloc is
asked for fresh pages: the limit must be so far above the point where delays begin (85 % of it) that this happens in
between. Here 35 MiB lie there, and malloc asks for fresh pages in nearly each of them."""
from harness import fail, need, work
from pressure import MIB, Pressure, check, mib, waits_of

gcc = need('/usr/bin/g++')
# The collector's thresholds depend on the machine's memory if they are not given.
COMPILE = [gcc, '-std=c++20', '-DCOUNT=140', '--param=ggc-min-expand=100', '--param=ggc-min-heapsize=131072',
           '-c', work('templates.cpp'), '-o', 'templates.o']
LIMIT_MIB = 240
KILLED, REFUSED = 'Killed signal terminated program cc1plus', 'cc1plus: out of memory allocating'
CRASH = ('internal compiler error', 'Segmentation fault', 'Killed', 'Aborted')
SAID = 'stealth: capacity exhausted'

with Pressure() as trial:
    with trial.scene('unlimited') as side:
        done = side.run_watched(COMPILE)
        done.expect(0)
        print(f'plain, no limit: {done.seconds:.1f} s, peak {mib(done.peak)}')
    with trial.scene('plain', limit=f'{LIMIT_MIB}m') as side:
        done = side.run_watched(COMPILE)
        done.expect(1, KILLED)
        print(f'plain, limit {LIMIT_MIB} MiB: {done.seconds:.1f} s, peak {mib(done.peak)}, {done.output.splitlines()[0]}')

    if trial.kernel_limits():
        with trial.scene('auto', limit=f'{LIMIT_MIB}m', on_exhausted='enomem') as side:
            done = side.run_watched(COMPILE)
            done.expect(1, REFUSED, SAID, never=CRASH)
            print(f'enomem, limit {LIMIT_MIB} MiB: {done.seconds:.1f} s, peak {mib(done.peak)}, '
                  f'{done.output.splitlines()[-1]}')
        compiler = trial.figures('auto', 'cc1plus')[0]
        print(f'  {waits_of(compiler)}')
        check({'the capacity is 95 % of the limit': 0.94 < compiler['capacity'] / (LIMIT_MIB * MIB) < 0.96,
               'something was refused': compiler['waits']['refused'] >= 1,
               'the compiler holds much less from malloc than it uses': compiler['peak_held'] < compiler['used'] / 4},
              compiler)
    else:
        print('no cgroup can be made here: nothing was shown of `auto`')

    # Nobody but the compiler could release anything: no need for patience.
    for capacity in (1, 3, 6):
        name = f'enomem, capacity {capacity} MiB'
        with trial.scene(name, capacity=f'{capacity}m', on_exhausted='enomem', backoff_patience='20ms') as side:
            done = side.run_watched(COMPILE)
            done.expect(1, REFUSED, SAID, never=CRASH)
            print(f'{name}: {done.seconds:.1f} s, peak {mib(done.peak)}, {done.output.splitlines()[-1]}')
        compiler = trial.figures(name, 'cc1plus')[0]
        print(f'  {waits_of(compiler)}')
        check({'it held no more than the capacity': compiler['peak_held'] <= capacity * MIB,
               'something was refused, nothing granted': compiler['waits']['refused'] >= 1 > compiler['waits']['grants']},
              compiler)

    with trial.scene('enough', capacity='128m', on_exhausted='enomem') as side:
        done = side.run_watched(COMPILE)
        done.expect(0)
        print(f'enomem, capacity 128 MiB: {done.seconds:.1f} s, peak {mib(done.peak)}')
    for program in ('cc1plus', 'as'):
        process = trial.figures('enough', program)[0]
        print(f'  {program}: {waits_of(process)}')
        check({'nothing was refused, nobody waited': process['waits']['refused'] == process['waits']['count'] == 0}, process)
    if (trial.base / 'enough/templates.o').read_bytes() != (trial.base / 'unlimited/templates.o').read_bytes():
        fail('the objects differ')
    print('the same object as plain')
