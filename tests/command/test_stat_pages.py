#!/usr/bin/python3
"""stealth stat on pages made by hand: what is good is shown, what is not is refused in one line and never believed."""
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
from command import Case, main, stealth, until


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
        self.assertEqual(said["settings"], {"STEALTH_CAPACITY": "100m", "STEALTH_SOFT": "90%", "STEALTH_MODE": "enforce"})
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


class Refused(Case):
    """No page, or one that is not as it should be."""

    def test_what_is_typed(self):
        self.fails("stat", "abc", says="not a process id", status=2)
        self.fails("stat", "0", says="not a process id", status=2)
        self.fails("stat", "12\x1b[2J", says="\\x1b[2J: not a process id", status=2)
        self.assertEqual(stealth("stat", "--format", "xml").returncode, 2)

    def test_no_process(self):
        child = subprocess.Popen(["true"])
        child.wait()
        self.fails("stat", child.pid, says="no such process")

    def test_a_zombie(self):
        child = subprocess.Popen(["true"])
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        self.fails("stat", child.pid, says="has ended")
        child.wait()

    def test_without_libstealth(self):
        with pages.Sleeper() as one:
            os.unlink(one.path)
            self.fails("stat", one.pid, says=["runs without libstealth", "stealth run"])

    def test_another_user(self):
        if os.geteuid() != 0:
            self.fails("stat", 1, says="belongs to another user")
            return
        with pages.Sleeper() as one:
            # The command itself need not be readable for that user where the tree lies.
            done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "/proc/self/fd/7", "stat", str(one.pid)],
                                  capture_output=True, text=True, check=False, pass_fds=[7])
        self.assertRegex(done.stderr, r"^stealth: \d+: belongs to another user; ")
        self.assertEqual(done.returncode, 1)

    def page(self, change, says):
        with pages.Sleeper(change) as one:
            self.fails("stat", one.pid, says=says)
            done = stealth("stat")
            self.assertNotRegex(done.stdout, rf"(?m)^ *{one.pid} ")
            return done.stderr

    def test_wrong_magic(self):
        def change(page):
            page.head.magic = b"STEALTHQ"
        self.assertIn("is damaged", self.page(change, "is damaged"))

    def test_another_layout(self):
        def change(page):
            page.head.version = 2
        self.page(change, ["is of layout 2, this command reads layout 1", "use the command of"])

    def test_another_size(self):
        def change(page):
            page.head.bytes -= 64
        self.page(change, "another size")

    def test_texts_without_an_end(self):
        def program(page):
            page.head.program = b"x" * 64
        def settings(page):
            page.snapshots[1].settings = b"x" * 8192
        self.page(program, "does not end")
        self.page(settings, "do not end")

    def test_counts_beyond_the_room(self):
        def classes(page):
            page.snapshots[1].classes = 97
        def waiting(page):
            page.snapshots[1].waiting = 2**32 - 1
        self.page(classes, "more classes")
        self.page(waiting, "more waiting threads")

    def test_of_another_process(self):
        def number(page):
            page.head.process += 1
        def start(page):
            page.head.mark += 1 << 22
        def user(page):
            page.head.user += 1
        self.page(number, "damaged")
        self.page(start, "damaged")
        self.page(user, "damaged")

    def test_after_an_exec(self):
        with pages.Sleeper() as one:
            stack = int(pages.proc_fields(one.pid)[25])
            if stack == 0:
                self.skipTest("the kernel does not tell where stacks begin")
            image = 1 + ((stack * 0x9E3779B97F4A7C15 % 2**64) >> 32 | 1) % 63
            for number, shown in ((image, True), (image % 63 + 1, False)):
                one.page.head.mark = one.page.head.mark % 2**58 | number << 58
                one.write()
                self.assertEqual(stealth("stat", one.pid).returncode == 0, shown)
            self.assertNotRegex(self.lists(), rf"(?m)^ *{one.pid} ")
            self.assertTrue(os.path.exists(one.path))  # the process runs: it may take the name over

    def test_no_figures_yet(self):
        def change(page):
            page.newest = 0
        self.assertNotIn("no figures yet", self.page(change, "no figures yet"))  # nothing is wrong with it

    def test_never_whole(self):
        def begun(page):
            page.snapshots[1].begun = 3
        def ended(page):
            page.snapshots[1].ended = 0
        self.page(begun, "no snapshot in it is whole")
        self.page(ended, "no snapshot in it is whole")

    def test_cut(self):
        with pages.Sleeper() as one:
            for size in (0, 1, 100, 200, 4096, len(bytes(one.page)) - 1):
                os.truncate(one.path, size)
                self.fails("stat", one.pid, says="damaged")

    def test_links_and_other_kinds(self):
        with pages.Sleeper() as one:
            os.rename(one.path, one.path + ".away")
            try:
                os.symlink(one.path + ".away", one.path)
                self.fails("stat", one.pid, says="no plain file")
                os.unlink(one.path)
                os.mkfifo(one.path, 0o600)
                self.fails("stat", one.pid, says="no plain file")
                os.unlink(one.path)
                os.mkdir(one.path, 0o700)
                self.fails("stat", one.pid, says="no plain file")
                os.rmdir(one.path)
            finally:
                os.unlink(one.path + ".away")

    def test_open_to_others(self):
        with pages.Sleeper() as one:
            os.chmod(one.path, 0o640)
            self.fails("stat", one.pid, says="open to other users")
            self.fails("set", one.pid, "mode=off", says="open to other users")

    def test_of_another_user(self):
        if os.geteuid() != 0:
            self.skipTest("only root can give files away")
        with pages.Sleeper() as one:
            os.chown(one.path, 65534, 65534)
            self.fails("stat", one.pid, says="belongs to another user")


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
    # The command by a descriptor: a user who may not enter the tree can run it all the same.
    if os.geteuid() == 0:
        command = os.open(os.environ["STEALTH"], os.O_RDONLY)
        if command != 7:
            os.dup2(command, 7)
    main()
