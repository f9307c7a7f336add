"""Runs the programs of one case once, in one arm, and tells what they told and what was seen of them from outside.

What comes of it is a dictionary:

    seconds     from the start of the first to the end of the last
    samples     [[second, MiB resident of all together]], every 20 ms
    peak_mib    the most that was resident: as the kernel remembers it of one process, else by the samples
    processes   of each: status (below zero: a signal), timed_out, stderr
    told        the JSON line of the first process; of several: all their lines in `all_told`
    worked      its CPU time and the time that allocations waited: what it would take on an idle machine, where it never
                sleeps by itself
    stats       libstealth's exit statistics, of several processes added up (the longest of what is a longest)
    cgroup      peak_mib, where there is one of its own

Knows nothing of figures.
"""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time

from demo import limit as limits

from . import runner

SAMPLE_SECONDS = 0.02
PAGE = os.sysconf('SC_PAGE_SIZE')
MIB = 1 << 20


class LeftOut(Exception):
    """The machine does not offer what the case needs."""


def environment(folder, settings, preload):
    kept = {name: os.environ[name] for name in runner.KEPT if name in os.environ}
    found = {**kept, **runner.settings(), 'LC_ALL': 'C.UTF-8', 'TMPDIR': str(folder), **settings}
    if preload:
        found.update(LD_PRELOAD=preload, STEALTH_STATS=f'exit:json:{folder}/stats.%p.json')
    return found


def resident_mib(pid):
    try:
        return int(pathlib.Path(f'/proc/{pid}/statm').read_text(encoding='ascii').split()[1]) * PAGE / MIB
    except (OSError, IndexError):
        return 0.0  # gone, or already without memory


@contextlib.contextmanager
def cgroup(mib):
    """One of its own for the time of a run; None where no limit is asked for."""
    if not mib:
        yield None
        return
    with limits.make(mib * MIB) as limit:
        if isinstance(limit, limits.Watcher):
            raise LeftOut('no memory cgroup can be made here')
        yield limit


def cgroup_peak_mib(limit):
    for name in ('memory.max_usage_in_bytes', 'memory.peak'):
        with contextlib.suppress(OSError, ValueError):
            return int(pathlib.Path(limit.path, name).read_text(encoding='ascii')) / MIB
    return None


def run(folder, argv, count, preload, settings, cgroup_mib, timeout):
    for old in folder.glob('stats.*.json'):
        old.unlink()
    with cgroup(cgroup_mib) as limit:
        result = watch(folder, argv, count, environment(folder, settings, preload), limit, timeout)
        if limit:
            result['cgroup'] = {'peak_mib': cgroup_peak_mib(limit)}
    told = [json_of(folder / f'stdout.{i}') for i in range(count)]
    result['told'] = told[0]
    if count > 1:
        result['all_told'] = told
    elif told[0]:
        result['peak_mib'] = told[0].get('largest_sum', told[0]['peak_rss']) / MIB  # of a family: its sum
    result['stats'] = add_up([json_of(path) for path in sorted(folder.glob('stats.*.json'))])
    if told[0] and result['stats']:
        result['worked'] = told[0]['cpu'] + result['stats']['waits']['total_us'] / 1e6
    return result


def watch(folder, argv, count, env, limit, timeout):
    running, samples, late = [], [], False
    began = time.monotonic()
    try:
        for i in range(count):
            with open(folder / f'stdout.{i}', 'wb') as out, open(folder / f'stderr.{i}', 'wb') as err:
                running.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder,
                                                env=env, start_new_session=True,
                                                preexec_fn=limit.enter if limit else None))
        while any(process.poll() is None for process in running):
            now = time.monotonic() - began
            resident = sum(resident_mib(process.pid) for process in running)
            if resident:
                samples.append([round(now, 3), round(resident, 2)])
            if now > timeout:
                late = True
                break
            time.sleep(SAMPLE_SECONDS)
    finally:
        ended = [process.poll() is not None for process in running]
        for process in running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # the session of this child of ours, and no other
                process.wait()
    return {'seconds': time.monotonic() - began, 'samples': samples,
            'peak_mib': max((mib for _, mib in samples), default=0.0),
            'processes': [{'status': process.returncode, 'timed_out': late and not was,
                           'stderr': runner.tail(folder / f'stderr.{i}')}
                          for i, (process, was) in enumerate(zip(running, ended))]}


def json_of(path):
    """What a file's JSON says, or an empty dictionary: a program that was killed says nothing."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}


def add_up(parts):
    """Figures of several processes as if of one; lists and texts are left out."""
    total = {}
    for part in parts:
        for name, value in part.items():
            if isinstance(value, dict):
                total[name] = add_up([total.get(name, {}), value])
            elif isinstance(value, (int, float)):
                total[name] = max(total.get(name, 0), value) if 'longest' in name else total.get(name, 0) + value
    return total
