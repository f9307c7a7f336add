"""Runs the command, and programs under libstealth for it to look at."""
import os
import subprocess
import sys
import time
import unittest

COMMAND, LIBRARY = os.environ["STEALTH"], os.environ["STEALTH_LIB"]
PATIENCE = 60  # seconds, for what mostly takes milliseconds

# Fills its memory to the capacity, from three threads, and waits there.
GREEDY = """
import threading
kept = []
def fill():
    while True:
        try:
            kept.append(bytearray(100_000))
        except MemoryError:
            pass
for _ in range(2):
    threading.Thread(target=fill, daemon=True).start()
fill()
"""
# Waits, and is not delayed for it.
WAITS_LONG = {"STEALTH_CAPACITY": "48m", "STEALTH_BACKOFF_PATIENCE": "60m", "STEALTH_BACKOFF_MAX_ELAPSED": "1440m",
              "STEALTH_BACKOFF_BUDGET": "100%", "STEALTH_ON_EXHAUSTED": "enomem"}
QUIET = "import sys; kept = [bytearray(100_000) for _ in range(300)]; print('ready', flush=True); sys.stdin.read()"


def stealth(*arguments, **options):
    return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False,
                          timeout=PATIENCE, stdin=subprocess.DEVNULL, **options)


def until(condition, what):
    """The first true value of `condition`."""
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"never came: {what}")
        time.sleep(0.02)


class Program:
    """A Python program under libstealth; ends with its block. `inside`: the command line that starts it."""

    def __init__(self, code, preload=True, inside=(), **settings):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STEALTH_")}
        environment.update(PYTHONMALLOC="malloc", **settings)
        environment.setdefault("STEALTH_CONTROL", "on")
        if preload:
            environment["LD_PRELOAD"] = LIBRARY
        self.child = subprocess.Popen([*inside, "/usr/bin/python3", "-c", code], env=environment, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.pid = self.child.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.communicate()


class Case(unittest.TestCase):
    maxDiff = None

    def succeeds(self, *arguments, **options):
        done = stealth(*arguments, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def lists(self, *arguments):
        """All processes; other tests' pages, on which there may be something to say, are among them."""
        done = stealth("stat", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def fails(self, *arguments, says, status=1):
        """Exactly one line of the command's form, with these words."""
        done = stealth(*arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Astealth: [^\n]*: [^\n]*; [^\n]*\n\Z")
        self.assertTrue(done.stderr.isprintable() or done.stderr[:-1].isprintable(), repr(done.stderr))
        for word in [says] if isinstance(says, str) else says:
            self.assertIn(word, done.stderr)
        return done.stderr


def main():
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
