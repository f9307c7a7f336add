"""The allocators that libstealth is measured against: which there are, and where they are found.

Debian's own packages, as they are: no builds of ours, no settings. Others come by `--peer NAME=PATH`. Knows nothing of
loads or figures.
"""
import dataclasses
import glob
import os
import pathlib
import platform
import re
import subprocess

from . import progress, runner
from .tree import fail

REFERENCE = 'glibc'  # what a program prints under it is what it must print under all
SUBJECT = 'libstealth'
USUAL = (REFERENCE, 'jemalloc')


@dataclasses.dataclass
class Known:
    package: str
    libraries: tuple  # all of them are preloaded: names that ldconfig knows, or globs, of which the newest is taken


KNOWN = {
    'jemalloc': Known('libjemalloc2', ('libjemalloc.so.2',)),
    'mimalloc': Known('libmimalloc2.0', ('libmimalloc.so.2',)),
    'tcmalloc': Known('libtcmalloc-minimal4', ('libtcmalloc_minimal.so.4',)),
    # The proxy brings malloc and free, and looks for the other by its name.
    'tbbmalloc': Known('libtbbmalloc2', ('libtbbmalloc_proxy.so.2', 'libtbbmalloc.so.2')),
    'scudo': Known('libclang-rt-dev', ('/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.scudo_standalone-'
                                       f'{platform.machine()}.so',)),
}


def chosen_names(which, without):
    """The known peers that a call is about: `which` is all or usual."""
    return [name for name in KNOWN if name not in without and (which == 'all' or name in USUAL)]


def packages(names):
    return [KNOWN[name].package for name in names]


def find_library(name):
    """A library's path, or None."""
    if '/' in name:
        def version(path):
            return [int(number) for number in re.findall(r'\d+', path)]
        return max(glob.glob(name), key=version, default=None)
    listing = subprocess.run(['/sbin/ldconfig', '-p'], capture_output=True, text=True, check=False).stdout
    for line in listing.splitlines():
        words = line.split()
        if words and words[0] == name:
            return words[-1]
    return None


def find(names, added, without, build_dir):
    """{name: what to preload}. A known peer that is not here is told and gone without; what was asked for by its path
    must be there."""
    found = {REFERENCE: ''}
    for name in names:
        if name in dict(added):
            continue
        paths = [find_library(library) for library in KNOWN[name].libraries]
        if None in paths:
            missing = KNOWN[name].libraries[paths.index(None)]
            progress.say(f'{name} left out: no {missing} here; apt-get install {KNOWN[name].package}')
        else:
            found[name] = ':'.join(paths)
    found[SUBJECT] = str(build_dir / 'preload' / 'libstealth.so')
    for name, path in added:
        found[name] = ':'.join(str(pathlib.Path(part).resolve()) for part in path.split(':'))
    for name in without:
        if name not in found and name not in KNOWN:
            fail(2, f'--without {name}: no such peer; there are {", ".join(found)}')
        found.pop(name, None)
    for name, paths in found.items():
        for path in paths.split(':') if paths else []:
            if not os.path.exists(path):
                fail(1, f'{name}: {path}: no such file; build it, or leave the peer out by --without {name}')
            if ' ' in path:
                fail(1, f'{name}: {path}: LD_PRELOAD cannot carry a path with blanks; move it elsewhere')
    return found


def preloadable(bench, found, names):
    """Those of `found` that a program really starts with; a known one (`names`) that it does not is told and left out,
    any other, and one given by its path, is an error."""
    good = {}
    for name, preload in found.items():
        wrong = runner.preloads(bench, preload)
        if not wrong:
            good[name] = preload
        elif name in names:
            progress.say(f'{name} left out: cannot be preloaded: {wrong}')
        else:
            fail(1, f'{name}: cannot be preloaded: {wrong}')
    return good
