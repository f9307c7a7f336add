"""What the tests of fleets share: real programs as on one node of a fleet, started on loopback and ended by their ids,
the command `stealth` that looks at them, and libstealth put into their environment as a fleet's tools put it there.

From tests/programs: scenes, servers and the statistics at exit. From tests/command: the command, and waiting.
STEALTH_LIB and STEALTH name the library and the command.
"""
import contextlib
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE.parent / 'programs'), str(HERE.parent / 'command' / 'support')]

from command import stealth, until  # noqa: E402,F401
from harness import ROOT, fail, need  # noqa: E402,F401
from pressure import MIB, Pressure, anonymous, check, mib, waits_of  # noqa: E402,F401
from server import answers, free_port  # noqa: E402,F401

SLAB = 64 << 10  # what each process of a group may be beyond the capacity


def settings(trial, side, **values):
    """The environment of a process under libstealth, seen from the start; statistics at its end as trial.figures wants
    them."""
    return {'LD_PRELOAD': str(trial.library), 'STEALTH_CONTROL': 'on',
            'STEALTH_STATS': f'exit:json:{side.stats_dir}/%p.json'} | \
        {f'STEALTH_{name.upper()}': str(value) for name, value in values.items()}


@contextlib.contextmanager
def group():
    """A name that no other test has. Members that were killed, as after a failure, leave the group's file behind."""
    name = f'fleet-{os.getpid()}'
    try:
        yield name
    finally:
        for file in pathlib.Path(f'/dev/shm/stealth-{os.geteuid()}').glob(f'{name}.*'):
            file.unlink(missing_ok=True)


def seen(pid):
    """What `stealth stat` says of one process; None: nothing yet, or no more."""
    done = stealth('stat', pid, '--format', 'json')
    return json.loads(done.stdout) if done.returncode == 0 else None
