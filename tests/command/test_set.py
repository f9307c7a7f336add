#!/usr/bin/python3
"""stealth set: what it writes into a page, what it says of the answer, and what comes of it in a real process."""
import fcntl
import json
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import pages
from command import QUIET, WAITS_LONG, GREEDY, Case, Program, main, stealth, until


def wish_of(one):
    """(number, text, bell) as the file has them."""
    with open(one.path, "rb") as file:
        page = pages.Page.from_buffer_copy(file.read())
    return page.wish.number, page.wish.text, page.bell


class Wishes(Case):
    def test_one_and_several(self):
        with pages.Sleeper() as one:
            one.answer()
            self.assertEqual(self.succeeds("set", one.pid, "capacity=1g"), "")
            self.assertEqual(self.succeeds("set", one.pid, "STEALTH_MODE=observe", "backoff-max-wait=5ms"), "")
            self.assertEqual([text for text, _ in one.wishes], ["set STEALTH_CAPACITY=1g", "set STEALTH_MODE=observe",
                                                                "set STEALTH_BACKOFF_MAX_WAIT=5ms"])
            self.assertEqual(wish_of(one)[0], 3)
            self.assertEqual(wish_of(one)[2], 3)  # the bell has rung each time

    def test_verbose(self):
        with pages.Sleeper() as one:
            one.answer()
            self.assertEqual(self.succeeds("set", "--verbose", one.pid, "capacity=1024m", "soft=80%"),
                             "STEALTH_CAPACITY: 100m -> 1g\nSTEALTH_SOFT: 90% -> 80%\n")

    def test_nothing_is_written_when_one_is_wrong(self):
        with pages.Sleeper() as one:
            for wrong, says in (("mode=sideways", "STEALTH_MODE='sideways': not a known word; accepted: enforce"),
                                ("capacty=1g", "the nearest known name is STEALTH_CAPACITY"),
                                ("classes=all", "cannot be changed in a running process"),
                                ("soft=101%", "out of range"), ("soft", "not a setting"), ("mode=\x1b", "\\x1b")):
                self.fails("set", one.pid, "capacity=1g", wrong, says=says, status=2)
            self.assertEqual(wish_of(one), (0, b"", 0))

    def test_refused(self):
        with pages.Sleeper() as one:
            one.answer(lambda text: (9, b"not \x1b today"))
            self.fails("set", one.pid, "mode=off", says=f"{one.pid}: refused: not \\x1b today")

    def test_the_last_number_of_all(self):
        def change(page):
            page.answer.number = page.wish.number = 2**32 - 1
        with pages.Sleeper(change) as one:
            one.answer()
            self.succeeds("set", one.pid, "mode=off")
            self.assertEqual(wish_of(one)[0], 1)  # 0 is no wish

    def test_not_answered(self):
        with pages.Sleeper() as one:
            self.fails("set", one.pid, "mode=off", says="does not answer, nothing was changed")
            self.assertEqual(wish_of(one), (1, b"", 1))  # withdrawn
            one.child.send_signal(signal.SIGSTOP)
            os.waitpid(one.pid, os.WUNTRACED)
            self.fails("set", one.pid, "mode=off", says=["is stopped", f"kill -CONT {one.pid}"])
            self.assertEqual(wish_of(one), (1, b"", 2))

    def test_answer_to_what_was_withdrawn(self):
        """An empty wish that stands is answered first, with an error; ours is then told again."""
        with pages.Sleeper() as one:
            stealth("set", one.pid, "mode=off")
            pending = threading.Event()

            def judge(text):
                if not pending.is_set():
                    pending.set()
                    return 1, b"the empty wish"
                return 0, b""
            one.answer(judge)
            self.succeeds("set", one.pid, "mode=observe")
            self.assertEqual(one.wishes[-1][0], "set STEALTH_MODE=observe")

    def test_ended_meanwhile(self):
        with pages.Sleeper() as one:
            ender = threading.Timer(0.3, one.child.kill)
            ender.start()
            self.fails("set", one.pid, "mode=off", says="has ended")
            ender.join()

    def test_cut_meanwhile(self):
        """No SIGBUS: the file is cut while the command waits for the answer."""
        with pages.Sleeper() as one:
            def cut():
                until(lambda: wish_of(one)[0] == 1, "the wish")
                os.truncate(one.path, 100)
            cutter = threading.Thread(target=cut)
            cutter.start()
            self.fails("set", one.pid, "mode=off", says="cut short")
            cutter.join()

    def test_another_command_is_waited_for(self):
        with pages.Sleeper() as one:
            one.answer()
            with open(one.path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                self.fails("set", one.pid, "mode=off", says="another command")
                self.assertEqual(wish_of(one)[0], 0)
                freed = threading.Timer(0.3, fcntl.flock, (file, fcntl.LOCK_UN))
                freed.start()
                self.succeeds("set", one.pid, "mode=off")
                freed.join()

    def test_no_process(self):
        self.fails("set", "x", "mode=off", says="not a process id", status=2)
        with pages.Sleeper() as one:
            os.unlink(one.path)
            self.fails("set", one.pid, "mode=off", says="runs without libstealth")
        self.assertEqual(stealth("set").returncode, 2)
        self.assertEqual(stealth("set", "1").returncode, 2)


class Real(Case):
    """Under the real library."""

    def figures(self, pid):
        return json.loads(self.succeeds("stat", pid, "--format", "json"))

    def test_is_in_force(self):
        with Program(QUIET) as one:
            one.child.stdout.readline()
            until(lambda: stealth("stat", one.pid).returncode == 0, "the page")
            self.succeeds("set", one.pid, "capacity=1g", "soft=50%", "mode=observe", "on-exhausted=enomem")
            # The answer comes before the next snapshot.
            until(lambda: self.figures(one.pid)["on_exhausted"] == "enomem", "a snapshot with all of them")
            said = self.figures(one.pid)
            self.assertEqual((said["capacity"], said["mode"]), (1 << 30, "observe"))
            self.assertAlmostEqual(said["soft_point"], 1 << 29, delta=1 << 20)
            self.assertEqual(said["settings"]["STEALTH_SOFT"], "50%")

    def test_frees_threads_that_wait(self):
        with Program(GREEDY, **WAITS_LONG) as one:
            until(lambda: stealth("stat", one.pid).returncode == 0 and self.figures(one.pid)["waits"]["now"] >= 1,
                  "threads that wait")
            best = 9.0
            for size in ("56m", "64m", "72m", "80m", "96m"):
                begin = time.monotonic()
                self.succeeds("set", one.pid, f"capacity={size}")
                best = min(best, time.monotonic() - begin)
            self.assertLess(best, 0.1)
            until(lambda: self.figures(one.pid)["held"] > 80 << 20, "more memory")

    def test_stopped_process(self):
        with Program(QUIET) as one:
            one.child.stdout.readline()
            until(lambda: stealth("stat", one.pid).returncode == 0, "the page")
            one.child.send_signal(signal.SIGSTOP)
            os.waitpid(one.pid, os.WUNTRACED)
            self.fails("set", one.pid, "capacity=1g", says="is stopped")
            one.child.send_signal(signal.SIGCONT)
            self.succeeds("set", one.pid, "capacity=2g")
            until(lambda: self.figures(one.pid)["capacity"] == 2 << 30, "the second capacity")


if __name__ == "__main__":
    main()
