#!/usr/bin/python3
"""g++, as and ld building libstealth itself, as the build directory's compile_commands.json says (STEALTH_BUILD): every
object, the linked shared library and a linked program have the same bytes as when the tools run plain."""
import concurrent.futures
import json
import os
import pathlib
import shlex

from harness import ROOT, Trial, fail, need

gcc, ld = need('/usr/bin/g++'), need('/usr/bin/ld')
FLAGS = ['-O2', '-g', '-fPIC', '-Wall', '-Wextra']  # beside what a source needs to be understood


def sources():
    """What the libraries are built from, and one program that is heavy on templates: {path: its -D, -I, -std flags}."""
    build = pathlib.Path(os.environ.get('STEALTH_BUILD') or fail('STEALTH_BUILD does not name the build directory'))
    found = {}
    for entry in json.loads((build / 'compile_commands.json').read_text()):
        directory = pathlib.Path(entry['directory'])
        path = (directory / entry['file']).resolve()
        if path.suffix == '.cpp' and any(path.is_relative_to(ROOT / room) for room in ('src', 'preload')):
            found[path] = [f'-I{(directory / word[2:]).resolve()}' if word.startswith('-I') else word
                           for word in shlex.split(entry['command']) if word.startswith(('-D', '-I', '-std='))]
    if len(found) < 10:
        fail(f'compile_commands.json names only {len(found)} of our sources')
    return found | {PROGRAM: ['-std=c++20', '-D_GNU_SOURCE']}


PROGRAM = ROOT / 'tests/loads/containers.cpp'


def one_side(side):
    def compile_one(path):
        made = f'{path.parent.name}-{path.stem}.o'
        side.run([gcc, *FLAGS, *todo[path], '-c', path, '-o', made], record=False)
        return made

    with concurrent.futures.ThreadPoolExecutor(2) as team:
        *objects, program = team.map(compile_one, todo)
    side.run([gcc, '-shared', '-g', *objects, '-o', 'ours.so'])
    side.run([gcc, program, '-o', 'program', '-pthread'])
    side.run([ld, '-r', *objects, '-o', 'all.together'])
    side.run([gcc, '-std=c++20', '-x', 'c++', '-fsyntax-only', '-'], status=1,  # errors are reported as without us
             input=b'#include <map>\nint main() { std::map<int, int> m; m.insert("x"); return m; }\n')


todo = sources()
with Trial() as trial:
    for side in trial.sides():
        one_side(side)
    trial.same_output()
    trial.same_files('*.o', 'ours.so', 'program', 'all.together')
    compiled, linked = len(todo), 2
    trial.served('cc1plus', peak='30m', exactly=compiled + 1)
    trial.served('as', peak='500k', exactly=compiled)
    trial.served('ld', peak='2m', exactly=linked + 1)
    trial.served('g++', peak='100k', exactly=compiled + linked + 1)
