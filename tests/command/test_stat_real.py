#!/usr/bin/python3
"""stealth stat on real processes under libstealth: their figures, also while all their threads wait or are stopped."""
import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from command import GREEDY, QUIET, WAITS_LONG, Case, Program, main, stealth, until


class Real(Case):
    def figures(self, pid):
        done = stealth("stat", pid, "--format", "json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def once(self, pid, condition, what):
        """The first figures that are so."""
        def look():
            now = self.figures(pid)
            return now if now and condition(now) else None
        return until(look, what)

    def quickest(self, *arguments):
        """Of ten: the machine may be busy with other things."""
        best = 9.0
        for _ in range(10):
            begin = time.monotonic()
            self.succeeds(*arguments)
            best = min(best, time.monotonic() - begin)
        return best

    def test_figures_are_the_process_s(self):
        with Program(QUIET, STEALTH_CAPACITY="1g", STEALTH_SOFT="70%") as one:
            one.child.stdout.readline()
            said = self.once(one.pid, lambda now: now["live"] > 30_000_000, "figures")
            self.assertEqual((said["pid"], said["capacity"]), (one.pid, 1 << 30))
            self.assertRegex(said["program"], r"^python3")
            self.assertTrue(30_000_000 < said["live"] <= said["held"] <= said["peak"] < 100_000_000, said)
            self.assertGreater(said["resident"], 30_000_000)
            self.assertTrue(said["large"]["blocks"] >= 300 and said["large"]["bytes"] > 30_000_000)
            self.assertGreater(sum(row["in_use"] for row in said["classes"]), 1000)
            self.assertEqual(said["settings"]["STEALTH_SOFT"], "70%")
            text = self.succeeds("stat", one.pid)
            self.assertIn("STEALTH_SOFT=70%\n", text)
            self.assertNotIn("STEALTH_VERBOSE", text)
            self.assertRegex(self.lists(), rf"(?m)^ *{one.pid}  python3[.\d]* +1.00 GiB ")

    def test_while_all_threads_wait_and_while_stopped(self):
        with Program(GREEDY, **WAITS_LONG) as one:
            said = self.once(one.pid, lambda now: now["waiting"], "a thread that waits")
            self.assertEqual(said["waits"]["now"], len(said["waiting"]))
            threads = [int(name) for name in os.listdir(f"/proc/{one.pid}/task")]
            self.assertIn(said["waiting"][0]["thread"], threads)
            self.assertGreaterEqual(said["waiting"][0]["bytes"], 100_000)
            self.assertLess(self.quickest("stat", one.pid), 0.1)
            later = self.once(one.pid, lambda now: now["waiting"] and now["waiting"][0]["waited_ns"] > 10**9,
                              "a wait of more than a second")
            self.assertGreaterEqual(later["held"], 40 << 20)
            self.assertRegex(self.succeeds("stat", one.pid), r"(?m)^ *\d+ +[\d.]+ m?s  [\d.]+ KiB$")
            one.child.send_signal(signal.SIGSTOP)
            os.waitpid(one.pid, os.WUNTRACED)
            self.assertLess(self.quickest("stat", one.pid), 0.1)
            self.assertIn(", stopped", self.succeeds("stat", one.pid))
            before = self.figures(one.pid)["waiting"][0]["waited_ns"]
            until(lambda: self.figures(one.pid)["waiting"][0]["waited_ns"] > before, "time to go on")
            self.assertGreater(self.figures(one.pid)["age_ns"], 0)

    def test_no_page(self):
        with Program(QUIET, STEALTH_CONTROL="off") as one:
            one.child.stdout.readline()
            self.fails("stat", one.pid, says="was started with STEALTH_CONTROL=off")
        with Program("import sys; print('ready', flush=True); sys.stdin.read()", STEALTH_CONTROL="auto") as one:
            one.child.stdout.readline()
            self.fails("stat", one.pid, says=["no control page yet", "16 MiB", "stealth run"])
        with Program(QUIET, preload=False) as one:
            one.child.stdout.readline()
            self.fails("stat", one.pid, says="runs without libstealth")

    def test_nothing_is_left(self):
        with Program(QUIET) as one:
            one.child.stdout.readline()
            until(lambda: self.figures(one.pid), "the page")
        self.fails("stat", one.pid, says="no such process")
        self.assertNotRegex(self.lists(), rf"(?m)^ *{one.pid} ")
        folder = f"/dev/shm/stealth-{os.geteuid()}"
        self.assertFalse([name for name in os.listdir(folder) if re.match(rf"page-{one.pid}-\d+$", name)])


if __name__ == "__main__":
    main()
