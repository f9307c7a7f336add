"""What `stealth profile` says of broken dumps and of calls that make no sense: one line, the line's number where there
is one, and nothing on stdout."""
import gzip
import pathlib
import random
import re
import subprocess
import tempfile

from harness import COMMAND, PIE, check, dump, equal, one_line, run

HEAP = dump(PIE, 'heap')
STALLS = dump(PIE, 'stalls')
MAPS = HEAP.index('MAPPED_LIBRARIES:')
FIRST_MAP = HEAP[:MAPS].count('\n') + 2  # its line number
LAST = HEAP.count('\n')


def line(number, new):
    """The heap dump with another line there."""
    lines = HEAP.split('\n')
    lines[number - 1] = new
    return '\n'.join(lines)


def head(new):
    return line(1, new)


STACK = '@ 0x1001 0x2001'
# What is wrong, the text, the number of the line, and words of the message.
BROKEN = [
    ('empty', '', 1, 'empty'),
    ('another text', 'hello\n' * 10, 1, 'not a dump'),
    ('a program', pathlib.Path(PIE).read_bytes(), 1, 'binary'),
    ('zeros', b'\0' * 100000, 1, ''),
    ('no line end in much', 'x' * 100000, 1, 'longer than'),
    ('a line too long', line(2, '1: 1 [1: 1] @' + ' 0x1001' * 20000), 2, 'longer than'),
    ('a zero byte', line(3, '1: 1 [1: 1] @ 0x10\0'), 3, 'binary'),
    ('cut in the first line', HEAP[:20], 1, 'cut short'),
    ('cut in a stack', HEAP[:HEAP.index('@', 80) + 8], 2, 'cut short'),
    ('cut after a stack', HEAP[:HEAP.index('\n', 100) + 1], 3, 'cut short'),
    ('cut before the mappings', HEAP[:MAPS], FIRST_MAP - 1, 'MAPPED_LIBRARIES'),
    ('no mapping', HEAP[:MAPS] + 'MAPPED_LIBRARIES:\n', FIRST_MAP, 'mapping'),
    ('cut in a mapping', HEAP[:MAPS + 40], FIRST_MAP, 'cut short'),
    ('cut at the end', HEAP[:-1], LAST, 'cut short'),
    ('no counts', head('heap profile: @ heap_v2/1'), 1, 'live objects'),
    ('no bytes', head('heap profile: 1: [1: 1] @ heap_v2/1'), 1, 'live bytes'),
    ('a count that is too large', head('heap profile: 99999999999999999999: 1 [1: 1] @ heap_v2/1'), 1, 'live objects'),
    ('no interval', head('heap profile: 1: 1 [1: 1] @ heap_v2'), 1, 'heap_v2 alone'),
    ('interval zero', head('heap profile: 1: 1 [1: 1] @ heap_v2/0'), 1, 'interval'),
    ('interval and more', head('heap profile: 1: 1 [1: 1] @ heap_v2/1x'), 1, 'after the sampling interval'),
    ('another kind of heap profile', head('heap profile: 1: 1 [1: 1] @ heapprofile'), 1, 'heapprofile'),
    ("jemalloc's", 'heap_v2/524288\n  t*: 1: 2 [0: 0]\n', 1, 'jemalloc'),
    ('a stack of no numbers', line(2, f'one: 1 [1: 1] {STACK}'), 2, 'live objects'),
    ('no bracket', line(2, f'1: 1 1: 1 {STACK}'), 2, "'['"),
    ('no @', line(2, '1: 1 [1: 1] 0x1001'), 2, "'@'"),
    ('a stack too deep', line(2, '1: 1 [1: 1] @' + ' 0x1' * 16000), 2, 'more than 1024 addresses'),
    ('no address', line(2, '1: 1 [1: 1] @'), 2, 'without addresses'),
    ('an address without 0x', line(2, '1: 1 [1: 1] @ 1001'), 2, '0x'),
    ('an address of other letters', line(2, '1: 1 [1: 1] @ 0x10g1'), 2, 'hexadecimal'),
    ('an address too large', line(2, '1: 1 [1: 1] @ 0x10000000000000000'), 2, 'hexadecimal'),
    ('bytes in no objects', line(3, f'0: 10 [1: 10] {STACK}'), 3, 'no objects'),
    ('more live than ever', line(3, f'2: 20 [1: 20] {STACK}'), 3, 'more is live'),
    ('a mapping of nothing', line(FIRST_MAP, '2000-1000 r-xp 00000000 00:00 1 /x'), FIRST_MAP, 'ends before'),
    ('no mapping there', line(FIRST_MAP, 'something'), FIRST_MAP, 'maps'),
    ('a build-id of no digits', line(LAST, 'build-id: xyz /x'), LAST, 'hexadecimal'),
    ('a build-id without a path', line(LAST, 'build-id: abcd'), LAST, 'path'),
    ('two build-ids', HEAP + 'build-id: abcd /x\nbuild-id: abce /x\n', LAST + 2, 'another build-id'),
    ('stalls without a clock', STALLS.replace('cycles/second = 1000000000\n', ''), 3, 'cycles/second'),
    ('a clock of zero', STALLS.replace('= 1000000000', '= 0'), 2, 'above zero'),
    ('time, but no stall', STALLS.replace('250000000 1 @', '250000000 0 @'), 4, 'no stall'),
    ('neither stack nor variable', STALLS.replace('sampling period = 1', 'sampling'), 3, 'NAME = NUMBER'),
    ('stalls cut short', STALLS[:STALLS.index('MAPPED')], STALLS[:STALLS.index('MAPPED')].count('\n') + 1, 'cut short'),
    ('gzip cut short', gzip.compress(HEAP.encode())[:-600], None, 'cut short'),
    ('gzip damaged', gzip.compress(HEAP.encode())[:-8] + b'\1' * 8, None, 'damaged'),
]


def broken(directory):
    for name, text, number, words in BROKEN:
        path = pathlib.Path(directory) / 'broken'
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        out, errors = run(path, status=1)
        equal(f'{name}: stdout', out, b'')
        wanted = f'stealth: profile: {path}, line {number or ""}'
        check(one_line(errors).startswith(wanted) and words in errors, f'{name}: wanted {wanted} … {words}: {errors}')
        check(number is None or errors.startswith(f'{wanted}: '), f'{name}: line {number}: {errors}')


def calls(directory):
    """Of the call itself; wrong use ends with 2."""
    path = pathlib.Path(directory) / 'heap'
    path.write_text(HEAP)
    missing = pathlib.Path(directory) / 'missing'
    for args, status, words in [
            ([], 2, 'target'),
            ([missing], 1, 'No such file'),
            ([directory], 1, 'directory'),
            ([path, '--stalls'], 1, 'heap profile'),
            ([path, '--format', 'xml'], 2, 'xml'),
            ([path, '--format', 'folded', '--top', '3'], 2, '--top'),
            ([path, '--top', 'x'], 2, 'top'),
            ([path, '--root', missing], 2, '--root'),
            ([path, '--debug-dir', missing], 2, '--debug-dir'),
            ([path, '--output', missing / 'x'], 1, 'No such file'),
            (['99999999999'], 2, 'process'),
            (['0'], 2, 'process'),
    ]:
        out, errors = run(*args, status=status)
        equal(f'{args}: stdout', out, b'')
        check(words in one_line(errors), f'{args}: not of {words}: {errors}')
    # A disk that is full.
    with open('/dev/full', 'wb') as full:
        done = subprocess.run([COMMAND, 'profile', str(path)], stdin=subprocess.DEVNULL, stdout=full,
                              stderr=subprocess.PIPE, timeout=120)
    check(done.returncode == 1 and b'stdout' in done.stderr, f'a full disk: {done}')


def odd_but_readable(directory):
    """Other sums in the first line are told, once; carriage returns and ends of stacks by zero are taken."""
    path = pathlib.Path(directory) / 'odd'
    path.write_text(re.sub(r'^heap profile: 310:', 'heap profile: 311:', HEAP))
    _, errors = run(path, '--format', 'folded')
    check('line 1 says 311 objects' in one_line(errors), f'sums: {errors}')
    path.write_text(HEAP)
    wanted, _ = run(path, '--format', 'folded')
    for text in (HEAP.replace('\n', '\r\n'), re.sub(r'(@ 0x.*)', r'\1 0x0', HEAP)):
        path.write_bytes(text.encode())
        equal('odd', run(path, '--format', 'folded')[0], wanted)


def anything(directory):
    """Whatever the bytes, it ends by itself, with 0 or 1, and with one line if with 1."""
    draw = random.Random(1)
    path = pathlib.Path(directory) / 'anything'
    for text in (HEAP.encode(), STALLS.encode()):
        for turn in range(60):
            if turn % 2:
                data = text[:draw.randrange(len(text))]
            else:
                data = bytearray(text)
                for _ in range(draw.choice((1, 20))):
                    data[draw.randrange(len(data))] = draw.choice((draw.randrange(256), *b'0 :@\n-x9'))
            path.write_bytes(data)
            done = subprocess.run([COMMAND, 'profile', str(path)], stdin=subprocess.DEVNULL, capture_output=True,
                                  timeout=120)
            check(done.returncode in (0, 1), f'status {done.returncode} of {bytes(data)}')
            if done.returncode == 1:
                one_line(done.stderr.decode(errors='replace'))


with tempfile.TemporaryDirectory() as temporary:
    broken(temporary)
    calls(temporary)
    odd_but_readable(temporary)
    anything(temporary)
