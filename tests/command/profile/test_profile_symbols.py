"""Where `stealth profile` finds names: in the program, in debug files apart from it by build-id or link, in a root of
its own; and what it says where there are none, or where the file is another one."""
import pathlib
import re
import shutil
import subprocess
import tempfile

from harness import (NO_PIE, PIE, SPLIT, check, dumped, equal, folded, need, one_line, quiet, run, wanted_folded)


def tool(*args):
    subprocess.run([need(args[0]), *map(str, args[1:])], stdin=subprocess.DEVNULL, check=True, timeout=120)


def stacks(*args):
    return folded(quiet(*args, '--format', 'folded'))


def build_id(path, program):
    lines = [line for line in path.read_text().splitlines() if line.startswith('build-id:')]
    return next(line.split(' ')[1] for line in lines if line.endswith(f' {program}'))


def without_build_ids(path):
    path.write_text(re.sub(r'build-id: .*\n', '', path.read_text()))


def offsets(path, program):
    """Every stack as the program's base name and offsets in its file."""
    text = path.read_text()
    maps = [re.match(r'(\w+)-(\w+) \S+ (\w+) .* (\S+)$', line) for line in text.splitlines()]
    maps = [[int(m[i], 16) for i in (1, 2, 3)] for m in maps if m and m[4] == str(program)]
    result = set()
    for line in text.splitlines():
        if '@ 0x' not in line or line.startswith('0: 0'):
            continue
        names = []
        for address in line.split('@ ')[1].split():
            at = int(address, 16) - 1
            start, _, offset = next(m for m in maps if m[0] <= at < m[1])
            names.append(f'{program.name}+{at - start + offset:#x}')
        result.add(tuple(reversed(names)))
    return result


class Case:
    """A copy of a program and its dump, with which anything may be done."""

    def __init__(self, program):
        self.temporary = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.temporary.name).resolve()
        self.program = self.dir / 'app' / 'program'
        self.program.parent.mkdir()
        shutil.copy(program, self.program)
        self.dump = dumped(self.dir, self.program, 'heap')
        self.id = build_id(self.dump, self.program)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.temporary.cleanup()

    def debug_file(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        tool('objcopy', '--only-keep-debug', self.program, path)

    def debug_dir(self):
        """A directory with the program's debug file, under its build-id."""
        self.debug_file(self.dir / 'debug' / '.build-id' / self.id[:2] / f'{self.id[2:]}.debug')
        return self.dir / 'debug'


def in_the_program(case):
    equal('from the program itself', stacks(case.dump), wanted_folded())
    without_build_ids(case.dump)
    equal('without build-ids the path is believed', stacks(case.dump), wanted_folded())


def split(directory):
    """The program has but the skeleton of its debug information, which names other files."""
    equal('split debug information', stacks(dumped(directory, SPLIT, 'heap')), wanted_folded())


def symbol_table_alone(case):
    tool('strip', '-g', case.program)
    equal('from the symbol table', stacks(case.dump), wanted_folded(inlined=False))


def separate_by_build_id(case):
    debug = case.debug_dir()
    tool('strip', case.program)
    found = stacks(case.dump)
    equal('stripped', set(found), offsets(case.dump, case.program))
    equal('stripped: figures', sorted(found.values()), sorted(wanted_folded().values()))
    equal('debug file by build-id', stacks(case.dump, '--debug-dir', debug), wanted_folded())
    (case.dir / 'none').mkdir()
    equal('the second of two', stacks(case.dump, '--debug-dir', case.dir / 'none', '--debug-dir', debug),
          wanted_folded())


def separate_by_link(case):
    for place in (case.program.parent, case.program.parent / '.debug'):
        file = place / 'program.debug'
        case.debug_file(file)
        stripped = case.dir / 'stripped'
        tool('objcopy', '--strip-all', f'--add-gnu-debuglink={file}', case.program, stripped)
        whole = case.program.read_bytes()
        shutil.copy(stripped, case.program)
        equal(f'debug file by link in {place}', stacks(case.dump), wanted_folded())
        file.unlink()
        check(stacks(case.dump) != wanted_folded(), 'the names came from elsewhere')
        case.program.write_bytes(whole)


def only_the_debug_file(case):
    debug = case.debug_dir()
    case.program.unlink()
    out, errors = run(case.dump, '--format', 'folded')
    check(case.id in one_line(errors) and str(case.program) in errors, f'not what is missing: {errors}')
    equal('gone', set(folded(out)), offsets(case.dump, case.program))
    equal('debug file alone', stacks(case.dump, '--debug-dir', debug), wanted_folded())


def another_file(case, other):
    shutil.copy(other, case.program)
    out, errors = run(case.dump, '--format', 'folded')
    check(case.id in one_line(errors), f'the other build-id is not told: {errors}')
    equal('another file at its path', set(folded(out)), offsets(case.dump, case.program))


def deleted(case):
    """A file that has lost its name: what is there now is believed by its build-id alone."""
    text = case.dump.read_text().replace(f'{case.program}\n', f'{case.program} (deleted)\n')
    case.dump.write_text(text)
    equal('deleted, and back', stacks(case.dump), wanted_folded())
    without_build_ids(case.dump)
    out, errors = run(case.dump, '--format', 'folded')
    one_line(errors)
    equal('deleted, no build-id', set(folded(out)), offsets_of_deleted(case))


def offsets_of_deleted(case):
    path = case.dir / 'plain'
    path.write_text(case.dump.read_text().replace(' (deleted)\n', '\n'))
    return offsets(path, case.program)


def other_root(case):
    """As in a container: the path in the dump is below --root."""
    text = case.dump.read_text().replace(str(case.program), '/app/program')
    case.dump.write_text(text)
    run(case.dump)
    equal('--root', stacks(case.dump, '--root', case.dir), wanted_folded())
    equal('--root with a slash', stacks(case.dump, '--root', f'{case.dir}/'), wanted_folded())
    system = case.dir / 'usr' / 'lib' / 'debug' / '.build-id' / case.id[:2] / f'{case.id[2:]}.debug'
    case.debug_file(system)
    tool('strip', case.program)
    equal('/usr/lib/debug of the root', stacks(case.dump, '--root', case.dir), wanted_folded())


def own_frames(case):
    """Those of libstealth end every stack; they are left out, unless there is nothing else, or all are asked for."""
    text = case.dump.read_text().replace('@ 0x', '@ 0x1180 0x1100 0x')
    text = text.replace('\nMAPPED', '1: 1024 [1: 1024] @ 0x1180\n\nMAPPED')
    case.dump.write_text(text + '1000-2000 r-xp 00000000 00:00 1 /nowhere/libstealth.so.0.1.0\n')
    out, _ = run(case.dump, '--format', 'folded')
    found = folded(out)
    alone = [stack for stack in found if stack[0] == 'libstealth.so.0.1.0+0x17f']
    equal('nothing else', len(alone), 1)
    del found[alone[0]]
    equal('left out', found, wanted_folded())
    out, _ = run(case.dump, '--format', 'folded', '--all-frames')
    wanted = {(*stack, 'libstealth.so.0.1.0+0xff', 'libstealth.so.0.1.0+0x17f'): value
              for stack, value in wanted_folded().items()}
    equal('--all-frames', {s: v for s, v in folded(out).items() if len(s) > 1}, wanted)


def nowhere(case):
    """Addresses of no file, and of no mapping at all; and a name with what separates."""
    case.dump.write_text('heap profile: 2: 2097152 [2: 2097152] @ heap_v2/1\n'
                         '1: 1048576 [1: 1048576] @ 0x1801 0x5001\n'
                         '1: 1048576 [1: 1048576] @ 0x9001 0x7001\n\nMAPPED_LIBRARIES:\n'
                         '1000-2000 r-xp 00000000 00:00 0 [vdso]\n'
                         '5000-6000 r-xp 00000000 00:00 0 \n'
                         '7000-8000 r-xp 00001000 00:00 9 /no where/a;b c\n')
    out, _ = run(case.dump, '--format', 'folded')
    equal('nowhere', folded(out), {('0x5000', '[vdso]+0x800'): 1 << 20, ('a:b c+0x1000', '0x9000'): 1 << 20})


for program_kind, other_kind in ((PIE, NO_PIE), (NO_PIE, PIE)):
    for test in (in_the_program, symbol_table_alone, separate_by_build_id, separate_by_link, only_the_debug_file,
                 deleted, other_root, own_frames, nowhere):
        with Case(program_kind) as this:
            test(this)
    with Case(program_kind) as this:
        another_file(this, other_kind)
with tempfile.TemporaryDirectory() as somewhere:
    split(somewhere)
