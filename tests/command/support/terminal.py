"""A real terminal (tmux) for `stealth top`: what stands on it, and keys for it."""
import os
import re
import shlex
import subprocess

from command import COMMAND, until

TERMINALS = 0


class Terminal:
    """A terminal of its own with a shell line in it; ends with its block."""

    def __init__(self, line, columns=80, rows=24):
        global TERMINALS
        TERMINALS += 1
        self.socket = f"stealth-test-{os.getpid()}-{TERMINALS}"
        # What is printed after the command is seen; the pane stays.
        self.tmux("-u", "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                  f"export LC_ALL=C.UTF-8; {line}; echo ended with $?; sleep 600")

    def tmux(self, *arguments):
        done = subprocess.run(["tmux", "-L", self.socket, *arguments], capture_output=True, text=True, check=False,
                              timeout=60)
        if done.returncode != 0:
            raise AssertionError(f"tmux {arguments}: {done.stderr}")
        return done.stdout

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def lines(self, *how):
        return self.tmux("capture-pane", "-p", *how).split("\n")[:-1]

    def sees(self, pattern):
        """The whole screen, as soon as it matches."""
        last = []

        def look():
            last[:] = ["\n".join(self.lines())]
            return last[0] if re.search(pattern, last[0], re.M) else None
        try:
            return until(look, pattern)
        except AssertionError as missing:
            raise AssertionError(f"never seen: {pattern}\n{last[0]}") from missing

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tmux("kill-server")


def top(*arguments):
    return shlex.join([COMMAND, "top", *map(str, arguments)])
