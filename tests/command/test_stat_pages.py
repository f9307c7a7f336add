#!/usr/bin/python3
"""stealth stat on pages made by hand: what is good is shown; no bytes make it crash or mislead."""
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import pages
from command import QUIET, Case, Program, main, stealth, until


class Good(Case):
    def test_text(self):
        with pages.Sleeper() as one:
            said = self.succeeds("stat", one.pid)
        for words in (f"{one.pid} queue, libstealth 0.1.0", "100 MiB, delays from 90.0 MiB", "93.0% of the capacity",
                      "95.0 MiB, at most 99.0 MiB", "3 calls, 12.0 ms together, the longest 9.00 ms",
                      "2 granted, 0 refused", "1 thread\n", "STEALTH_CAPACITY=100m"):
            self.assertIn(words, said)
        self.assertNotIn("STEALTH_SOFT", said)  # the default
        self.assertRegex(said, rf"(?m)^ *{one.pid} +\d[\d.]* s  3.91 KiB$")
        self.assertRegex(said, r"(?m)^ *4.00 KiB +19.5 MiB +5000 +120 KiB +10000 +5 +3 +12.0 ms +0$")
        self.assertRegex(said, r"(?m)^ *large +30.0 MiB +3 ")

    def test_json(self):
        with pages.Sleeper() as one:
            said = json.loads(self.succeeds("stat", one.pid, "--format", "json"))
        figures = one.page.snapshots[1].figures
        for key in ("capacity", "soft_point", "held", "used", "over", "peak", "live", "idle", "purged", "pools"):
            self.assertEqual(said[key], getattr(figures, key), key)
        self.assertEqual((said["pid"], said["program"], said["mode"]), (one.pid, "queue", "enforce"))
        self.assertEqual(said["waits"]["count"], 3)
        self.assertEqual([one["count"] for one in said["waits"]["histogram"]], list(figures.histogram))
        self.assertEqual(said["waits"]["histogram"][10]["below_ns"], 1024 * 1000)
        self.assertEqual([row["size"] for row in said["classes"]], [64, 4096])
        self.assertEqual(said["settings"],
                         {"STEALTH_CAPACITY": "100m", "STEALTH_SOFT": "90%", "STEALTH_MODE": "enforce"})
        self.assertGreaterEqual(said["waiting"][0]["waited_ns"], 2_000_000_000)
        self.assertGreater(said["age_ns"], 0)

    def test_all(self):
        with pages.Sleeper() as one, pages.Sleeper(program=b"other") as two:
            table = self.lists()
            said = json.loads(self.lists("--format", "json"))
        for process, program in ((one, "queue"), (two, "other")):
            self.assertRegex(table, rf"(?m)^ *{process.pid}  {program} +100 MiB +93.0% +95.0 MiB +80.0 MiB .*  3    1$")
            self.assertIn((process.pid, program), [(entry["pid"], entry["program"]) for entry in said])

    def test_stopped(self):
        with pages.Sleeper() as one:
            one.child.send_signal(signal.SIGSTOP)
            os.waitpid(one.pid, os.WUNTRACED)
            self.assertIn(", stopped", self.succeeds("stat", one.pid))

    def test_no_capacity(self):
        def change(page):
            page.snapshots[1].figures.capacity = page.snapshots[1].figures.soft_point = 0
        with pages.Sleeper(change) as one:
            self.assertRegex(self.succeeds("stat", one.pid), r"capacity +none\n")

    def test_output_file(self):
        path = f"/tmp/stealth-test-{os.getpid()}.prom"
        with pages.Sleeper() as one:
            self.assertEqual(self.succeeds("stat", one.pid, "--format", "json", "--output", path), "")
            try:
                with open(path, encoding="utf-8") as text:
                    self.assertEqual(json.load(text)["pid"], one.pid)
                self.assertEqual(os.stat(path).st_mode & 0o7777, 0o644)
            finally:
                os.unlink(path)
            self.fails("stat", one.pid, "--output", "/nowhere/x.prom", says="No such file")
            self.fails("stat", one.pid, "--output", "/dev/null", says="no plain file")

    def test_page_of_a_process_that_ended_is_taken_away(self):
        with pages.Sleeper() as one:
            one.child.kill()
            one.child.wait()
            self.assertNotIn(one.pid, [entry["pid"] for entry in json.loads(self.lists("--format", "json"))])
            self.assertFalse(os.path.exists(one.path))

    def test_old_drafts_are_taken_away(self):
        new, old = (f"{pages.folder()}/page-{os.getpid()}-{number}~{os.getpid()}" for number in (1, 2))
        for path in (new, old):
            with open(path, "wb"):
                pass
        os.utime(old, (1, 1))
        self.lists()
        self.assertEqual((os.path.exists(new), os.path.exists(old)), (True, False))
        os.unlink(new)

    def test_a_process_that_numbers_itself_otherwise(self):
        """In a PID namespace of its own, as in a container: shown by the number that counts here."""
        apart = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
        if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("no PID namespace can be made here")
        with Program(QUIET, inside=apart) as outer:
            outer.child.stdout.readline()
            inner = until(lambda: self.child_of(outer.pid), "the process in it")
            until(lambda: stealth("stat", inner).returncode == 0, "the page")
            self.assertIn(f"{inner} python3", self.succeeds("stat", inner))
            self.assertRegex(self.lists(), rf"(?m)^ *{inner}  python3")
            self.assertRegex(self.succeeds("set", "-v", inner, "capacity=3g"), "-> 3g")

    @staticmethod
    def child_of(pid):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as text:
            return int((text.read().split() or [0])[0])


class Hostile(Case):
    def test_texts_are_escaped(self):
        def change(page):
            page.head.library = b"\xff\r1"
            page.snapshots[1].settings = b"STEALTH_MODE=\x1b]0;x\x07\nSTEALTH_X\x00STEALTH_SOFT=1%\n"
        with pages.Sleeper(change, b'e\x1b[31m\xc2\x9b"\\\n\xe2\x80\xae') as one:
            for format in ("text", "json", "prometheus"):
                for said in (self.succeeds("stat", one.pid, "--format", format), self.lists("--format", format)):
                    self.assertTrue(all(character.isprintable() or character == "\n" for character in said), repr(said))
                    self.assertIn("x1b[31m", said)
            self.assertIn("STEALTH_MODE=\\x1b]0;x\\x07\n", self.succeeds("stat", one.pid))

    def test_greatest_numbers(self):
        def change(page):
            snapshot = page.snapshots[1]
            for name, kind in pages.Figures._fields_:
                if kind is pages.U64:
                    setattr(snapshot.figures, name, 2**64 - 1)
            for i in range(pages.BUCKETS):
                snapshot.figures.histogram[i] = 2**64 - 1
            snapshot.classes, snapshot.waiting = pages.CLASS_ROWS, pages.WAITING_ROWS
            for row in (*snapshot.class_rows, *snapshot.waiting_rows):
                for name, _ in row._fields_:
                    setattr(row, name, 2**64 - 1)
        with pages.Sleeper(change) as one:
            for format in ("text", "json", "prometheus"):
                self.succeeds("stat", one.pid, "--format", format)
            self.lists()

    def test_any_bytes(self):
        """Ends by itself, with a status of its own, whatever stands behind the head."""
        dice = random.Random(1)
        with pages.Sleeper() as one:
            good = bytes(one.page)
            head = 192
            for trial in range(60):
                damaged = bytearray(good)
                for _ in range(dice.choice((1, 8, 2000))):
                    damaged[dice.randrange(0 if trial % 3 == 0 else head, len(damaged))] = dice.randrange(256)
                with open(one.path, "r+b") as file:
                    file.write(damaged)
                for format in ("text", "json", "prometheus"):
                    self.assertIn(stealth("stat", one.pid, "--format", format).returncode, (0, 1))

    def test_written_meanwhile(self):
        """Each snapshot is of one number throughout; what the command shows must be, too."""
        with pages.Sleeper() as one:
            end = threading.Event()

            def write():
                number = 1
                while not end.is_set():
                    number += 1
                    snapshot = one.page.snapshots[number % 2]
                    ctypes.memmove(ctypes.byref(snapshot), ctypes.byref(one.page.snapshots[1 - number % 2]),
                                   ctypes.sizeof(snapshot))
                    snapshot.begun = snapshot.ended = number
                    snapshot.figures.held = snapshot.figures.live = snapshot.figures.grants = number
                    snapshot.class_rows[1].in_use = number
                    at = pages.Page.snapshots.offset + number % 2 * ctypes.sizeof(snapshot)
                    file.seek(at)
                    file.write(bytes(snapshot))
                    file.seek(pages.Page.newest.offset)
                    file.write(number.to_bytes(8, sys.byteorder))
                    time.sleep(0.001)

            with open(one.path, "r+b", buffering=0) as file:
                writer = threading.Thread(target=write)
                writer.start()
                try:
                    until(lambda: one.page.snapshots[0].begun > 4, "the writer's snapshots")
                    seen = set()
                    for _ in range(60):
                        said = json.loads(self.succeeds("stat", one.pid, "--format", "json"))
                        numbers = {said["held"], said["live"], said["waits"]["grants"], said["classes"][1]["in_use"]}
                        self.assertEqual(len(numbers), 1, numbers)
                        seen |= numbers
                    self.assertGreater(len(seen), 5)
                finally:
                    end.set()
                    writer.join()


if __name__ == "__main__":
    main()
