#!/usr/bin/python3
"""g++, as and ld building libstealth itself, from the sources that meson knows (STEALTH_BUILD is its build directory):
every object, the linked shared library and a linked program have the same bytes as when the tools run plain."""
import concurrent.futures
import json
import os
import pathlib
import shutil

from harness import ROOT, Trial, fail, need

gcc, ld = need('/usr/bin/g++'), need('/usr/bin/ld')
ROOMS = ('src', 'preload', 'include', 'tests/loads')
FLAGS = ['-O2', '-g', '-fPIC', '-Wall', '-Wextra']  # beside what a source needs to be understood


def sources():
    """What libstealth.so is made of, and one program that is heavy on templates: {path: its -D, -I, -std flags}."""
    build = pathlib.Path(os.environ.get('STEALTH_BUILD') or fail('STEALTH_BUILD does not name the build directory'))
    found = {}
    for target in json.loads((build / 'meson-info/intro-targets.json').read_text()):
        is_ours = target['name'] in ('stealth', 'stealthrooms') and 'library' in target['type']
        for part in target['target_sources'] if is_ours else []:
            flags = [copied(word) for word in part.get('parameters', []) if word.startswith(('-D', '-I', '-std='))]
            found |= {copied(path): flags for path in part.get('sources', []) if path.endswith('.cpp')}
    if len(found) < 20:
        fail(f'meson knows only {len(found)} sources of libstealth.so')
    return found | {copied(f'{ROOT}/tests/loads/containers.cpp'): ['-std=c++20', '-D_GNU_SOURCE']}


def copied(word):
    """A path or flag that names one of ROOMS, in the copy: nobody edits that between the two runs."""
    for room in ROOMS:
        word = word.replace(f'{ROOT}/{room}', f'{trial.base}/{room}', 1)
    return word


def one_side(side):
    def compile_one(path):
        made = '-'.join(pathlib.Path(path).with_suffix('.o').parts[-2:])
        side.run([gcc, *FLAGS, *todo[path], '-c', path, '-o', made], record=False)
        return made

    with concurrent.futures.ThreadPoolExecutor(2) as team:
        *objects, program = team.map(compile_one, todo)
    side.run([gcc, '-shared', '-g', *objects, '-o', 'ours.so'])
    side.run([gcc, program, '-o', 'program', '-pthread'])
    side.run([ld, '-r', *objects, '-o', 'all.together'])
    side.run([gcc, '-std=c++20', '-x', 'c++', '-fsyntax-only', '-'], status=1,  # errors are reported as without us
             input=b'#include <map>\nint main() { std::map<int, int> m; m.insert("x"); return m; }\n')


with Trial() as trial:
    for room in ROOMS:
        shutil.copytree(ROOT / room, trial.base / room)
    todo = sources()
    for side in trial.sides():
        one_side(side)
    trial.same_output()
    trial.same_files('*.o', 'ours.so', 'program', 'all.together')
    compiled, linked = len(todo), 2
    trial.served('cc1plus', peak='10m', exactly=compiled + 1)
    trial.served('as', peak='500k', exactly=compiled)
    trial.served('ld', peak='2m', exactly=linked + 1)
    trial.served('g++', peak='100k', exactly=compiled + linked + 1)
