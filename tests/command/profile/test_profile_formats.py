"""Every format of `stealth profile` says the same, and what is true: names, inlined functions, lines, scaled figures."""
import gzip
import pathlib
import pty
import os
import re
import subprocess
import tempfile
import xml.etree.ElementTree

from harness import (COMMAND, EVER, INTERVAL, LIVE, PIE, SOURCE, STACKS, STALLS, check, decoded, dumped, equal, folded,
                     quantities, quiet, run, scaled, source_lines, speedscope, wanted_folded)

KIB, MIB = 1 << 10, 1 << 20


def heap_folded(heap):
    equal('folded, heap', folded(quiet(heap, '--format', 'folded')), wanted_folded())
    equal('folded, by lines', quiet(heap, '--format', 'folded').splitlines(),
          sorted(quiet(heap, '--format', 'folded').splitlines()))


def other_interval(directory):
    heap = dumped(directory, PIE, 'heap', '1000000')
    found = folded(quiet(heap, '--format', 'folded'))
    wanted = {tuple(s): scaled(n, size, 1000000)[1] for s, (n, size) in zip(STACKS, LIVE) if n}
    equal('folded, another interval', found, wanted)


def stalls_folded(stalls):
    wanted = {tuple(stack): ns for stack, (_, ns) in zip(STACKS, STALLS)}
    equal('folded, stalls', folded(quiet(stalls, '--format', 'folded')), wanted)
    equal('folded, --stalls', folded(quiet(stalls, '--format', 'folded', '--stalls')), wanted)


def stalls_of_cycles(directory, stalls):
    """Another clock, and only one of ten counted."""
    text = stalls.read_text().replace('cycles/second = 1000000000', 'cycles/second = 2500000000')
    path = pathlib.Path(directory) / 'cycles'
    path.write_text(text.replace('sampling period = 1', 'sampling period = 10'))
    wanted = {tuple(stack): ns * 4 for stack, (_, ns) in zip(STACKS, STALLS)}
    equal('folded, stalls in cycles', folded(quiet(path, '--format', 'folded')), wanted)


def rows(text):
    """{function: (flat, flat%, sum%, cumulative, cumulative%, count)} of a table, and its first line."""
    head, columns, *lines = text.decode().splitlines()
    check(columns.split()[:3] == ['flat', 'flat%', 'sum%'], f'not the columns: {columns}')
    found = {}
    for line in lines:
        row = re.fullmatch(r' *(\S+ \S+) +([\d.]+)% +([\d.]+)% +(\S+ \S+) +([\d.]+)% +(\d+)  (.+) \(sampled\.cpp\)', line)
        check(row, f'not a row: {line!r}')
        found[row[7]] = (row[1], float(row[2]), float(row[3]), row[4], float(row[5]), int(row[6]))
    return head, found


def table(heap, stalls):
    head, found = rows(quiet(heap))
    total = sum(wanted_folded().values())
    objects = sum(scaled(*figures)[0] for figures in LIVE)
    check(f'{total / MIB:.1f} MiB live in {objects} objects, from 310 samples' in head and '512.0 KiB' in head,
          f'the first line: {head}')
    inner = scaled(*LIVE[0])[1] + scaled(*LIVE[1])[1]
    inner_objects = scaled(*LIVE[0])[0] + scaled(*LIVE[1])[0]
    sizes = f'{inner / MIB:.1f} MiB'
    share = round(100 * inner / total, 1)
    equal('the row of an inlined function', found['shop::Inner'], (sizes, share, 100.0, sizes, share, inner_objects))
    equal('the row of its caller', found['shop::Store::add'], ('0 B', 0.0, 100.0, sizes, share, 0))
    equal('the row of main', found['main'], ('0 B', 0.0, 100.0, f'{total / MIB:.1f} MiB', 100.0, 0))
    check('(anonymous namespace)::recursive' not in found, 'a function that holds nothing has a row')
    equal('the first row', next(iter(found)), 'shop::(anonymous namespace)::hidden')

    head, found = rows(quiet(stalls))
    check('3.8 s in 15 waits' in head, f'the first line of stalls: {head}')
    equal('who calls himself counts once', found['(anonymous namespace)::recursive'][3:5], ('1.2 s', 33.3))

    lines = quiet(heap, '--top', '2').decode().splitlines()
    check(len(lines) == 5 and 'more functions' in lines[-1], f'--top 2: {lines}')
    check(len(quiet(heap, '--top', '0').splitlines()) == 2 + len({n for s in STACKS[:4] for n in s}), '--top 0')


def speedscope_files(heap, stalls):
    for path, units in ((heap, ['bytes', 'none', 'bytes', 'none']), (stalls, ['nanoseconds', 'none'])):
        file = speedscope(quiet(path, '--format', 'speedscope'), units)
        frames = file['shared']['frames']
        # Template arguments stay in these names, so shorten them here.
        first, found = file['profiles'][0], {}
        for stack, weight in zip(first['samples'], first['weights']):
            names = tuple(re.sub(r'(?<=Store)<.*>(?=::)', '', frames[f]['name']) for f in stack)
            found[names] = found.get(names, 0) + weight
        equal('stacks of speedscope', found, folded(quiet(path, '--format', 'folded')))
        begins = {f['name']: f.get('line') for f in frames if f.get('file') == str(SOURCE)}
        equal('where a function begins', begins['shop::Inner'], source_lines()['inner'] - 1)


def pprof_stacks(file):
    """{stack of (name, line), root first: values}, with all references looked at."""
    texts = file['texts']
    equal('the first text', texts[0], '')
    for name in ('mappings', 'places', 'functions'):
        equal(f'ids of {name}', [m['id'][0] for m in file[name]], list(range(1, len(file[name]) + 1)))
    def text(message, field):
        return texts[message.get(field, [0])[0]]
    for place in file['places']:
        mapping = file['mappings'][place['mapping'][0] - 1]
        check(mapping['start'][0] <= place['address'][0] < mapping['end'][0], 'an address outside of its mapping')
    result = {}
    for sample in file['samples']:
        stack = []
        for place in sample['places']:
            for line in file['places'][place - 1]['lines']:
                function = file['functions'][line['function'][0] - 1]
                equal('file of a function', text(function, 'file'), str(SOURCE))
                stack.append((text(function, 'name'), line['line'][0]))
        result[tuple(reversed(stack))] = [int(v) for v in sample['values']]
    return result


def pprof(directory, heap, stalls):
    at = source_lines()
    file = decoded(quiet(heap, '--format', 'pprof'))
    texts = file['texts']
    equal('what the values are', quantities(file), [('alloc_objects', 'count'), ('alloc_space', 'bytes'),
                                                    ('inuse_objects', 'count'), ('inuse_space', 'bytes')])
    period = file['period_quantity'][0]
    equal('period', (texts[period['type'][0]], texts[period['unit'][0]], file['period'][0]),
          ('space', 'bytes', INTERVAL))
    equal('shown first', texts[file['default_quantity'][0]], 'inuse_space')
    program = file['mappings'][0]
    equal('the first mapping', texts[program['path'][0]], PIE)
    ids = dict(reversed(line.split(' ')[1:]) for line in heap.read_text().splitlines() if line.startswith('build-id:'))
    equal('its build-id', texts[program['build_id'][0]], ids[PIE])
    stacks = pprof_stacks(file)
    # The lines of what main calls follow from the others, they are those after its brace.
    found = {tuple(n for n, _ in stack): v for stack, v in stacks.items()}
    equal('number of stacks', len(found), len(STACKS))
    first = next(stack for stack in stacks if stack[1][0] == 'plain_c')
    equal('names and lines', first[1:], (('plain_c', at['plain_c']), ('shop::Store<int>::add', at['add']),
                                         ('shop::Middle', at['middle']), ('shop::Inner', at['inner'])))
    equal('figures', stacks[first], [*scaled(*EVER[0]), *scaled(*LIVE[0])])
    last = next(stack for stack in stacks if stack[1][0] == 'calls_what_never_returns')
    equal('a call that does not return', last[1][1], at['last_call'])

    file = decoded(quiet(stalls, '--format', 'pprof'))
    equal('what the values of stalls are', quantities(file), [('contentions', 'count'), ('delay', 'nanoseconds')])
    equal('figures of stalls', sorted(pprof_stacks(file).values()), sorted(map(list, STALLS)))

    output = pathlib.Path(directory) / 'out.pb.gz'
    equal('stdout beside --output', quiet(heap, '--format', 'pprof', '--output', output), b'')
    equal('--output', output.read_bytes(), quiet(heap, '--format', 'pprof'))


def no_alloc_where_unknown(directory, heap):
    """Writers that know only what is live write the same twice, or zeros."""
    text = heap.read_text()
    for name, ever in (('twice', r'\1: \2 [\1: \2]'), ('zeros', r'\1: \2 [0: 0]')):
        path = pathlib.Path(directory) / name
        path.write_text(re.sub(r'(\d+): (\d+) \[\d+: \d+\]', ever, text))
        texts = decoded(quiet(path, '--format', 'pprof'))['texts']
        check('inuse_space' in texts and 'alloc_space' not in texts, f'{name}: {texts}')


def terminal(heap):
    """pprof's format is binary: not to a terminal."""
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run([COMMAND, 'profile', str(heap), '--format', 'pprof'], stdout=theirs,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)
    finally:
        os.close(ours)
        os.close(theirs)
    check(done.returncode == 2 and b'--output' in done.stderr, f'on a terminal: {done}')


def svg(heap):
    """A box for each function above each other, as wide as what it holds; well-formed, and without scripts."""
    data = quiet(heap, '--format', 'svg').decode()
    check('script' not in data and 'href' not in data, 'more than a picture')
    name = '{http://www.w3.org/2000/svg}'
    boxes = {}
    for group in xml.etree.ElementTree.fromstring(data).iter(f'{name}g'):
        title, rect = group.find(f'{name}title').text, group.find(f'{name}rect')
        boxes.setdefault(title.rsplit(': ', 1)[0], []).append((float(rect.get('width')), float(rect.get('y')), title))
    stacks = wanted_folded()
    total = sum(stacks.values())
    equal('functions with a box', set(boxes), {'all'} | {n for stack in stacks for n in stack})
    held = stacks[tuple(STACKS[2])]
    for level, function in enumerate(STACKS[2][1:], 2):
        wide, y, title = boxes[function][0]
        check(abs(wide - 1200 * held / total) < 1, f'{function} is {wide} wide')
        check(f'{held / MIB:.1f} MiB, {100 * held / total:.1f} %' in title, title)
        equal(f'row of {function}', boxes['all'][0][1] - y, 18.0 * level)


def same_whatever_the_order(directory, heap):
    lines = heap.read_text().split('\n')
    path = pathlib.Path(directory) / 'turned' / heap.name
    path.parent.mkdir()
    path.write_text('\n'.join([lines[0], *reversed(lines[1:1 + len(STACKS)]), *lines[1 + len(STACKS):]]))
    for form in ('text', 'folded', 'speedscope', 'svg', 'pprof'):
        found, wanted = quiet(path, '--format', form), quiet(heap, '--format', form)
        if form == 'pprof':
            equal('order of stacks in pprof', gzip.decompress(found), gzip.decompress(wanted))
        else:
            equal(f'order of stacks in {form}', found.replace(bytes(path), b''), wanted.replace(bytes(heap), b''))


def compressed(directory, heap):
    path = pathlib.Path(directory) / 'heap.gz'
    path.write_bytes(gzip.compress(heap.read_bytes()))
    equal('gzip', quiet(path, '--format', 'folded'), quiet(heap, '--format', 'folded'))


def nothing_sampled(directory, heap):
    path = pathlib.Path(directory) / 'nothing'
    path.write_text(f'heap profile: 0: 0 [0: 0] @ heap_v2/{INTERVAL}\n' + heap.read_text()[heap.read_text().index('\nMAPPED'):])
    for form in ('text', 'folded', 'speedscope', 'svg', 'pprof'):
        run(path, '--format', form)


with tempfile.TemporaryDirectory() as temporary:
    heap_dump = dumped(temporary, PIE, 'heap', str(INTERVAL))
    stalls_dump = dumped(temporary, PIE, 'stalls')
    heap_folded(heap_dump)
    other_interval(temporary)
    heap_dump = dumped(temporary, PIE, 'heap', str(INTERVAL))
    stalls_folded(stalls_dump)
    stalls_of_cycles(temporary, stalls_dump)
    table(heap_dump, stalls_dump)
    speedscope_files(heap_dump, stalls_dump)
    pprof(temporary, heap_dump, stalls_dump)
    no_alloc_where_unknown(temporary, heap_dump)
    svg(heap_dump)
    terminal(heap_dump)
    same_whatever_the_order(temporary, heap_dump)
    compressed(temporary, heap_dump)
    nothing_sampled(temporary, heap_dump)
