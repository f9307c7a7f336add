"""Runs one program once under one peer and tells what it used, by way of tests/loads/launch.c.

Knows nothing of rounds or comparisons.
"""
import hashlib
import os
import pathlib
import signal
import subprocess

# What a program may know of its surroundings; the rest of the caller's environment stays outside, or figures would
# depend on who measures. Settings of allocators come through, so that they can be compared, too.
KEPT = ('PATH', 'HOME', 'USER')
KEPT_PREFIXES = ('STEALTH_', 'MALLOC_', 'GLIBC_TUNABLES', 'MIMALLOC_', 'TCMALLOC_', 'TBB_MALLOC_', 'SCUDO_')


def settings():
    return {name: value for name, value in os.environ.items() if name.startswith(KEPT_PREFIXES)}


class Bench:
    """Where things are: the built programs, the starter, the folder for inputs and outputs."""

    def __init__(self, build, folder, timeout):
        self.programs = pathlib.Path(build) / 'tests' / 'loads'
        self.launch = self.programs / 'launch'
        self.inputs = pathlib.Path(folder)
        self.timeout = timeout

    def run(self, argv, preload, stdin=None, env=None, metric=None):
        """One run: a dictionary with status, times in seconds, rss_kib, faults, output (a digest), metrics, stderr, and
        with a metric (a compiled expression, whose first group is a number: more is better) what a billion of them take, work."""
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        environment.update(settings(), LC_ALL='C.UTF-8', TMPDIR=str(self.inputs), **(env or {}))
        out_path, err_path = self.inputs / 'stdout', self.inputs / 'stderr'
        read_end, write_end = os.pipe()
        try:
            with open(stdin or os.devnull, 'rb') as source, open(out_path, 'wb') as out, open(err_path, 'wb') as err:
                starter = subprocess.Popen(
                    [str(self.launch), str(write_end), str(self.timeout), preload or '-', *argv],
                    stdin=source, stdout=out, stderr=err, pass_fds=[write_end], cwd=self.inputs, env=environment)
                os.close(write_end)
                write_end = -1
                try:
                    starter.wait()
                except BaseException:
                    starter.terminate()  # the starter ends the program
                    starter.wait()
                    raise
            report = os.read(read_end, 4096).split()
        finally:
            os.close(read_end)
            if write_end >= 0:
                os.close(write_end)
        if len(report) != 9:
            return {'error': f'could not be started (starter: exit {starter.returncode})', 'stderr': tail(err_path)}
        status, wall, user, system, rss, minor, major, voluntary, involuntary = (int(word) for word in report)
        result = {'wall': wall / 1e9, 'user': user / 1e6, 'system': system / 1e6, 'cpu': (user + system) / 1e6,
                  'rss_kib': rss, 'faults': minor + major, 'major_faults': major, 'switches': voluntary,
                  'preempted': involuntary}
        result['output'], result['metrics'] = digest(out_path)
        result['stderr'] = tail(err_path)
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            late = name == 'SIGKILL' and result['wall'] >= self.timeout
            result['error'] = f'still running after {self.timeout} s' if late else f'ended by {name}'
        elif os.WEXITSTATUS(status) != 0:
            result['error'] = f'exit status {os.WEXITSTATUS(status)}'
        elif metric:
            found = metric.search(out_path.read_text(encoding='utf-8', errors='replace'))
            if found and float(found[1]) > 0:
                result['work'] = 1e9 / float(found[1])
            else:
                result['error'] = f'its output has no number at {metric.pattern}'
        return result


def digest(path):
    """A digest of what a program printed, without its `metric NAME VALUE` lines, and those as a dictionary."""
    metrics, rest = {}, hashlib.sha256()
    for line in path.read_bytes().splitlines(keepends=True):
        if line.startswith(b'metric '):
            _, name, value = line.decode().split()
            metrics[name] = float(value)
        else:
            rest.update(line)
    return rest.hexdigest(), metrics


def tail(path):
    return path.read_bytes()[-2000:].decode('utf-8', 'replace').strip()


def preloads(bench, preload):
    """None when a program started with this preload has every library of it mapped, else what the loader said."""
    result = bench.run(['/bin/cat', '/proc/self/maps'], preload)
    if 'error' in result:
        return f"a program started with it: {result['error']} {result['stderr']}".strip()
    mapped = (bench.inputs / 'stdout').read_text(encoding='utf-8', errors='replace')
    for path in preload.split(':') if preload else []:
        if os.path.realpath(path) not in mapped:
            return result['stderr'] or f'{path} is not mapped by a program started with it'
    return None
