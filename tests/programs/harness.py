"""What every test of a real program shares: the same work is done twice, plain and under libstealth, the outputs must
be equal, and the statistics that the processes wrote at their end must say that their memory came from our blocks.

    with Trial() as trial:
        for side in trial.sides():              # first the plain run, then the preloaded one
            side.run([need('/usr/bin/perl'), work('perl.pl')])
        trial.same_output()
        trial.served('perl', peak='4m')

The library comes by STEALTH_LIB. Other STEALTH_* variables are handed on to the preloaded side, so that the same
programs can be tried under other settings. Servers are in server.py, reading the statistics in served.py.
"""
import contextlib
import difflib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import served
from server import Server

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent  # the source tree
OURS = ('STEALTH_LIB', 'STEALTH_BUILD')  # what meson tells the tests; not settings


def fail(why):
    raise SystemExit(f'FAIL: {why}')


def need(path):
    """The program's path, or the end of the test with one clear line."""
    found = shutil.which(path)
    if not found:
        fail(f'{path} is not installed; its package is listed in tests/programs/packages.txt')
    return found


def work(name):
    """Path of a script that a program is given to run."""
    return str(HERE / 'work' / name)


class Side:
    """One of the two runs. Both see the same directory path while they run, since paths end up in outputs."""

    def __init__(self, name, base, library):
        self.name = name
        self.dir = base / 'run'
        self.library = library
        self.stats_dir = base / 'stats'
        self.records = []  # (what was run, stdout, stderr), compared between the sides
        self.servers = []
        self.user = None  # programs that refuse to run as root: a user's name
        self.dir.mkdir()
        self.dir.chmod(0o777)

    @property
    def preloaded(self):
        return self.library is not None

    def env(self, extra=None, preload=True):
        """A small environment that does not depend on who runs the test."""
        env = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C.UTF-8', 'TZ': 'UTC', 'HOME': str(self.dir),
               'TMPDIR': str(self.dir)}
        if self.preloaded and preload:
            env.update({k: v for k, v in os.environ.items() if k.startswith('STEALTH_') and k not in OURS})
            env['LD_PRELOAD'] = str(self.library)
            env['STEALTH_STATS'] = f'exit:json:{self.stats_dir}/%p.json'
        return env | (extra or {})

    def who(self):
        return {'user': self.user, 'group': self.user, 'extra_groups': []} if self.user else {}

    def run(self, argv, *, input=b'', env=None, timeout=120, record=True, preload=True, status=0):
        """Runs to the end and returns stdout (bytes); what it wrote is compared with the other side if `record`."""
        argv = [str(a) for a in argv]
        try:
            done = subprocess.run(argv, input=input, capture_output=True, cwd=self.dir, timeout=timeout,
                                  env=self.env(env, preload), **self.who())
        except subprocess.TimeoutExpired as late:
            fail(f'{self.name}: {argv} did not end within {timeout} s\n{tail(late.stdout)}{tail(late.stderr)}')
        if done.returncode != status:
            fail(f'{self.name}: {argv} {ended(done.returncode)}, not with {status}\n'
                 f'{tail(done.stdout)}{tail(done.stderr)}')
        if record:
            self.note(argv, done.stdout, done.stderr)
        return done.stdout

    def note(self, what, *outputs):
        """Adds something to what is compared between the sides."""
        self.records.append((what, *outputs))

    def serve(self, argv, ready, seconds=30, **more):
        """Starts a server, waits until ready() is true. Stop it with server.stop(); the trial ends it in any case."""
        server = Server(self, [str(a) for a in argv], **more)
        self.servers.append(server)
        server.wait_until(ready, seconds)
        return server


class Trial:
    def __init__(self):
        library = os.environ.get('STEALTH_LIB') or fail('STEALTH_LIB does not name the library')
        if not os.path.isfile(library):
            fail(f'STEALTH_LIB: no file {library}')
        self.base = pathlib.Path(tempfile.mkdtemp(prefix='stealth-programs-'))
        self.base.chmod(0o755)
        (self.base / 'stats').mkdir()
        (self.base / 'stats').chmod(0o1777)  # workers of some servers run as another user
        # A copy, because another user may not be allowed to enter the directory where the library was built.
        self.library = self.base / 'libstealth.so'
        shutil.copy(library, self.library)
        unwinder = pathlib.Path(library).parent / 'libstealth-unwind.so.0'  # found beside it, where there are profiles
        if unwinder.is_file():
            shutil.copy(unwinder, self.base)
        self.done = []

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: fail('ended by SIGTERM (timeout of the runner?)'))
        return self

    def __exit__(self, *error):
        with contextlib.suppress(AttributeError):
            for server in self.side.servers:
                server.end()
        shutil.rmtree(self.base, ignore_errors=True)

    def sides(self):
        for name, library in (('plain', None), ('stealth', self.library)):
            self.side = Side(name, self.base, library)
            yield self.side
            for server in self.side.servers:
                if server.running():
                    fail(f'{name}: the test left {server.argv[0]} running')
            self.side.dir.rename(self.base / name)
            self.side.dir = self.base / name
            self.done.append(self.side)

    def same_output(self):
        plain, stealth = self.done
        if len(plain.records) != len(stealth.records):
            fail(f'{len(plain.records)} outputs plain, {len(stealth.records)} under libstealth')
        for before, after in zip(plain.records, stealth.records):
            if before[1:] != after[1:]:  # the first may name a port
                fail(f'output differs: {before[0]}\n' + ''.join(map(difference, before[1:], after[1:])))
        print(f'same output: {len(plain.records)} compared')

    def same_files(self, *patterns):
        """The files that match exist on both sides and have the same bytes."""
        plain, stealth = ({p.relative_to(side.dir): p.read_bytes() for pattern in patterns
                           for p in sorted(side.dir.glob(pattern)) if p.is_file()} for side in self.done)
        if not plain or plain.keys() != stealth.keys():
            fail(f'{patterns}: files differ: plain {sorted(map(str, plain))}, stealth {sorted(map(str, stealth))}')
        for name, content in plain.items():
            if stealth[name] != content:
                fail(f'{name}: {len(content)} bytes plain, {len(stealth[name])} under libstealth, contents differ')
        print(f'same files: {len(plain)}, {sum(map(len, plain.values()))} bytes')

    def served(self, program, **expected):
        """See served.check. Returns the processes' statistics."""
        return served.check(self.base / 'stats', program, fail=fail, **expected)


def ended(code):
    return f'ended with {code}' if code >= 0 else f'was ended by {signal.Signals(-code).name}'


def tail(output):
    """The end of what a failed program said."""
    return b'\n'.join((output or b'').splitlines()[-15:]).decode(errors='backslashreplace') + '\n'


def difference(before, after):
    lines = [(part if isinstance(part, bytes) else str(part).encode()).decode(errors='backslashreplace').splitlines()
             for part in (before, after)]
    shown = list(difflib.unified_diff(*lines, 'plain', 'stealth', n=1, lineterm=''))[:25]
    return ''.join(line[:300] + '\n' for line in shown)


if __name__ == '__main__':
    sys.exit('run one of the test_*.py')
