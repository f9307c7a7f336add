"""What the tests of real programs under memory pressure share. Each test shows one program several times: plain, beyond
a memory limit that kills it or far above it; and with a capacity, judged by the statistics that it wrote at its end.

    with Pressure() as trial:
        with trial.scene('plain', limit='160m') as side:             # a memory cgroup, or a watcher that kills
            done = side.run_watched(['/usr/bin/g++', …])            # .status, .stdout, .peak; side.watch(server.pid)
        with trial.scene('capacity', capacity='8m', on_exhausted='enomem') as side:
            …
        facts = trial.figures('capacity', 'cc1plus')                # statistics, sound ones only

Settings are STEALTH_* in lower case. A test prints what it measured: docs/real-programs.md tells it.
"""
import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import served
from harness import ROOT, Side, Trial, ended, fail, tail

sys.path.append(str(ROOT / 'tools/demo'))
import limit as limits  # noqa: E402

MIB = 1 << 20


def mib(size):
    """For messages."""
    return f'{size / MIB:.0f} MiB'


def family(pid):
    """The process and all that descend from it: {pid: bytes of anonymous memory that are resident}."""
    parents, found = {}, {pid}
    for entry in pathlib.Path('/proc').iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parents[int(entry.name)] = int((entry / 'stat').read_text().rpartition(')')[2].split()[1])
    grown = True
    while grown:
        more = {child for child, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return {one: size for one in found if (size := anonymous(one)) is not None}


def anonymous(pid):
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines():
            if line.startswith('RssAnon:'):
                return int(line.split()[1]) * 1024
    return None  # gone, or about to


class Watch(threading.Thread):
    """Looks at a process and its descendants all the time: `peak` is the most that they held together. Where the limit
    is no cgroup, it does the kernel's part, and kills the largest."""

    def __init__(self, pid, limit):
        super().__init__(daemon=True)
        self.pid, self.limit, self.peak, self.over = pid, limit, 0, threading.Event()

    def run(self):
        while not self.over.wait(0.02):
            sizes = family(self.pid)
            together = sum(sizes.values())
            self.peak = max(self.peak, together)
            if self.limit and self.limit.exceeded(together):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(max(sizes, key=sizes.get), signal.SIGKILL)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


@dataclasses.dataclass
class Done:
    status: int
    stdout: str
    stderr: str
    peak: int  # bytes
    seconds: float

    @property
    def output(self):
        return self.stdout + self.stderr

    def expect(self, status, *texts, never=()):
        """It ended so, and said so."""
        if self.status != status or any(text not in self.output for text in texts) or \
                any(text in self.output for text in never):
            fail(f'{ended(self.status)}, not with {status}, {texts} and without {never}\n{tail(self.output.encode())}')


class PressureSide(Side):
    def __init__(self, name, base, library, limit, settings):
        super().__init__(name, base, library)
        self.stats_dir = self.stats_dir / name
        self.stats_dir.mkdir()
        self.stats_dir.chmod(0o1777)
        self.limit = limit
        self.settings = {f'STEALTH_{key.upper()}': str(value) for key, value in settings.items()}

    def env(self, extra=None, preload=True):
        return super().env((self.settings if self.preloaded and preload else {}) | (extra or {}), preload)

    @property
    def enter(self):
        return self.limit.enter if self.limit else lambda: None

    def watch(self, pid):
        return Watch(pid, self.limit)

    def run_watched(self, argv, *, env=None, timeout=60):
        start = time.monotonic()
        process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, cwd=self.dir, env=self.env(env), start_new_session=True,
                                   preexec_fn=self.enter)
        with self.watch(process.pid) as watch:
            try:
                outputs = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # the session made above
                fail(f'{self.name}: {argv} did not end within {timeout} s\n{tail(process.communicate()[1])}')
        texts = (output.decode(errors='backslashreplace') for output in outputs)
        return Done(process.returncode, *texts, watch.peak, time.monotonic() - start)


class Pressure(Trial):
    @contextlib.contextmanager
    def scene(self, name, *, preloaded=None, limit=None, **settings):
        """A run under its own settings; plain if there are none, and `preloaded` does not say otherwise."""
        library = self.library if preloaded or settings else None
        with limits.make(served.size(limit)) if limit else contextlib.nullcontext() as made:
            self.side = PressureSide(name, self.base, library, made, settings)
            yield self.side
            for server in self.side.servers:
                if server.running():
                    fail(f'{name}: the test left {server.argv[0]} running')
        self.side.dir.rename(self.base / name)
        self.side.dir = self.base / name

    def figures(self, scene, program):
        """What the processes of that name wrote at their end, the largest first."""
        everyone = served.read_all(self.base / 'stats' / scene, fail)
        found = sorted((p for p in everyone if p['program'] == program), key=lambda p: -p['peak_held'])
        for process in found:
            if wrong := served.sound(process):
                fail(f'{program} [{process["pid"]}]: by its statistics it is not true that {wrong}: {process}')
        if not found:
            fail(f'{scene}: no process named {program} wrote statistics, but {[p["program"] for p in everyone]}')
        return found

    @staticmethod
    def kernel_limits():
        """Whether limits here are cgroups, which `auto` can follow; else it has nothing to go by."""
        with limits.make(64 * MIB) as made:
            return not isinstance(made, limits.Watcher)


def check(claims, facts):
    """Each claim is true; else the test ends with it and with the facts."""
    for claim, true in claims.items():
        if not true:
            fail(f'it is not true that {claim}: {facts}')


def waits_of(process):
    """In one line, for the output and the documentation."""
    waits = process['waits']
    return (f'peak held {process["peak_held"] / MIB:.1f} MiB of {process["capacity"] / MIB:.0f}, '
            f'{waits["count"]} waits, {waits["total_us"] / 1e6:.2f} s in all, longest {waits["longest_us"] / 1e3:.0f} ms, '
            f'{waits["grants"]} grants, {waits["refused"]} refused')
