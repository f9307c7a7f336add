#!/usr/bin/python3
"""stealth stat where there is no page, or one that is not as it should be: refused in one line, and never believed."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import pages
from command import Case, main, stealth


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
            done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "/proc/self/fd/7", "stat",
                                   str(one.pid)], capture_output=True, text=True, check=False, pass_fds=[7])
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


if __name__ == "__main__":
    # The command by a descriptor: a user who may not enter the tree can run it all the same.
    if os.geteuid() == 0:
        command = os.open(os.environ["STEALTH"], os.O_RDONLY)
        if command != 7:
            os.dup2(command, 7)
    main()
