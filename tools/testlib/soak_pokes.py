"""Looks at what runs under tools/soak, and changes its settings, as an operator would: `stealth stat` in each format,
`stealth top` on a terminal, `stealth set` of what may change in a running process."""
import collections
import json
import os
import pty
import select
import signal
import subprocess
import threading
import time

from . import soak_figures

PATIENCE = 120  # of one call of the command, on a machine that is busy


class Pokes(threading.Thread):
    """`running()`: {pid: (program, name, need, may_set, asked_for)}; `fail(what)`: says what is wrong."""

    def __init__(self, stealth, dice, drawer, running, fail):
        super().__init__(daemon=True)
        self.stealth, self.dice, self.drawer, self.running, self.fail = stealth, dice, drawer, running, fail
        self.counts = collections.Counter()
        self.last = {}  # figures by pid
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(self.dice.uniform(0.05, 0.6)):
            try:
                self.poke()
            except Exception as error:  # a soak that no longer looks must not end as if all were well
                self.fail(f'looking at what runs: {error!r}')

    def stop(self):
        self.ended.set()
        self.join()

    def call(self, *args):
        done = subprocess.run([self.stealth, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=PATIENCE, env={'LC_ALL': 'C.UTF-8'})
        if done.returncode not in (0, 1):
            self.fail(f'stealth {args} ended with {done.returncode}: {done.stderr[-300:]!r}')
        return done

    def poke(self):
        now = self.running()
        pid = self.dice.choice(list(now)) if now else None
        what = self.dice.choice(['stat', 'stat', 'stat', 'set', 'set', 'all', 'prometheus', 'top'])
        if what in ('all', 'prometheus'):
            done = self.call('stat', *(['--format', 'prometheus'] if what == 'prometheus' else []))
            self.counts[what] += 1
            if what == 'prometheus' and done.returncode == 0 and not done.stdout.startswith(b'# '):
                self.fail(f'stat --format prometheus wrote {done.stdout[:100]!r}')
        elif pid is None:
            return
        elif what == 'stat':
            self.look(pid, now[pid])
        elif what == 'top':
            self.counts['top'] += 1
            self.top(pid)
        elif now[pid]['may_set']:
            self.set(pid, now[pid])

    def look(self, pid, one):
        done = self.call('stat', pid, '--format', 'json')
        if done.returncode != 0:  # it has ended, or has no page yet
            self.counts['stat: no page'] += 1
            return None
        self.counts['stat'] += 1
        figures = json.loads(done.stdout)
        wrong = soak_figures.running(figures)
        if pid in self.last and self.last[pid]['program'] == figures['program']:
            wrong += soak_figures.shrunk(self.last[pid], figures)
        self.last[pid] = figures
        for sentence in wrong:
            self.fail(f'{one["name"]} [{pid}]: by stealth stat it is not true that {sentence}: '
                      f'{ {key: value for key, value in figures.items() if key != "classes"} }')
        return figures

    def set(self, pid, one):
        chosen = self.drawer.draw(one['need'], one['program'], live=True)
        if not chosen:
            return
        done = self.call('set', pid, *(f'{name.lower()}={value}' for name, value in chosen.items()))
        if done.returncode == 0:
            self.counts['set'] += 1
            self.counts['settings set'] += len(chosen)
        elif b'refused' in done.stderr:
            self.fail(f'{one["name"]} [{pid}]: set {chosen}: {done.stderr!r}')
        else:  # it has ended, or has no page; or the machine is so busy that it did not answer in time
            self.counts['set: no answer' if b'answer' in done.stderr else 'set: no page'] += 1

    def top(self, pid):
        """For a second, on a terminal of its own."""
        child, terminal = pty.fork()
        if child == 0:
            os.execve(self.stealth, [self.stealth, 'top', str(pid), '--interval', '100ms'],
                      {'TERM': 'xterm', 'LC_ALL': 'C.UTF-8'})
        until, asked, status = time.monotonic() + PATIENCE, time.monotonic() + 1, None
        try:
            while status is None and time.monotonic() < until:
                if select.select([terminal], [], [], 0.1)[0]:
                    try:
                        os.read(terminal, 65536)
                    except OSError:  # the other end is closed
                        pass
                if time.monotonic() > asked:
                    try:
                        os.write(terminal, b'q')
                    except OSError:
                        pass
                    asked += 1
                done, status = os.waitpid(child, os.WNOHANG)
                status = status if done else None
            if status is None:
                self.fail('stealth top did not end when it was asked to')
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            elif os.WIFSIGNALED(status):
                self.fail(f'stealth top was ended by {signal.Signals(os.WTERMSIG(status)).name}')
        finally:
            os.close(terminal)
