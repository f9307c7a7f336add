"""What the bench says on stderr while it works; stdout is for the tables."""
import shutil
import sys
import time


def say(text):
    print(f'stealth: {text}', file=sys.stderr, flush=True)


class Progress:
    """One line on a terminal, rewritten; elsewhere a line every ten seconds."""

    def __init__(self, total):
        self.total, self.done = total, 0
        self.began = self.said = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def step(self, text, weight=1):
        """Of what begins now; `weight`: its share of the total, where not all are alike."""
        now = time.monotonic()
        line = f'bench: {text}'
        if self.done:
            left = (now - self.began) / self.done * (self.total - self.done) / 60
            line = f'bench: {self.done * 100 // self.total:3d} %, {left:.0f} min left: {text}'
        if self.terminal:
            print(f'\r\033[K{line[:shutil.get_terminal_size().columns - 1]}', end='', file=sys.stderr, flush=True)
        elif now - self.said >= 10:
            self.said = now
            say(line)
        self.done += weight

    def end(self):
        if self.terminal:
            print('\r\033[K', end='', file=sys.stderr, flush=True)
