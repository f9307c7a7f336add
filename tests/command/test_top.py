#!/usr/bin/python3
"""stealth top in a real terminal (tmux): what it shows, its keys, and that it leaves the terminal as it was."""
import json
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import pages
from command import GREEDY, WAITS_LONG, Case, Program, main, stealth, until
from terminal import Terminal, top


class OnPages(Case):
    def test_the_list(self):
        with pages.Sleeper(program=b"zebra") as one, pages.Sleeper(program=b"e\x1b[31mvil") as two, \
                Terminal(top(), 100, 30) as terminal:
            screen = terminal.sees(rf"^ *{one.pid}  zebra ")
            self.assertRegex(screen, r"(?m)^ stealth top: \d+ process(es)?, by held")
            self.assertRegex(screen, r"(?m)^ +PID  PROGRAM +CAPACITY +FILL +HELD +LIVE +RSS WAITS/S WAITING$")
            self.assertRegex(screen, rf"(?m)^ *{one.pid}  zebra +100 MiB  93.0% 95.0 MiB 80.0 MiB +[\d.]+ MiB +0 +1$")
            self.assertRegex(screen, rf"(?m)^ *{two.pid}  e\\x1b\[31mvil ")
            for order in ("fill", "waits/s", "pid", "held"):
                terminal.keys("s")
                terminal.sees(rf"^ stealth top: .*, by {order}$")
            terminal.keys("q")
            terminal.sees(r"^ended with 0$")

    def test_to_one_and_back(self):
        with pages.Sleeper(program=b"zebra") as one, Terminal(top()) as terminal:
            terminal.sees(rf"^ *{one.pid}  zebra ")
            # Other tests' processes may stand in the list, too, and come and go.
            def opened():
                terminal.keys("Enter")
                terminal.sees(r"^ \d+ .*, libstealth|has ended|no such process|; ")
                if re.search(rf"(?m)^ {one.pid} zebra, libstealth", "\n".join(terminal.lines())):
                    return True
                terminal.keys("Escape")
                terminal.sees(r"^ stealth top: ")
                terminal.keys("Down")
                return False
            until(opened, "zebra from near")
            terminal.keys("Escape")
            terminal.sees(r"^ stealth top: ")
            terminal.keys("h")
            terminal.sees(r"^ stealth top: help")
            terminal.keys("q")  # any key
            terminal.sees(r"^ stealth top: \d")
            terminal.keys("q")
            terminal.sees(r"^ended with 0$")

    def check_detail(self, screen, pid, rows, columns):
        lines = screen.split("\n")
        self.assertTrue(lines[0].startswith(f" {pid} queue, libstealth 0.1.0; figures "), lines[0])
        self.assertRegex(lines[1], r"^ fill  █+┃?█*░*┃?░* 93.0% of 100 MiB$")
        self.assertEqual(len(re.findall("[█░┃]", lines[1])), columns - 29)
        mark = re.search("┃", lines[1]).start() - 7
        self.assertAlmostEqual(mark / (columns - 29), 0.9, delta=0.02)
        self.assertRegex(lines[2], r"^ held .*[▁-█] 95.0 MiB$")
        self.assertRegex(lines[3], r"^ waits .* 0/s$")
        self.assertRegex(screen, r"(?m)^ held +95.0 MiB  peak +99.0 MiB  live +80.0 MiB  idle +5.00 MiB")
        self.assertRegex(screen, r"(?m)^ +4.00 KiB 19.5 MiB +5000  120 KiB +10000 +3( |$)")
        self.assertRegex(screen, r"(?m)^ +large 30.0 MiB +3 +0 B ")
        self.assertRegex(screen, rf"(?m) {pid} +[\dm.]+ ?s  3.91 KiB$")
        self.assertIn("c: capacity", lines[rows - 1])
        self.assertLessEqual(max(map(len, lines)), columns)

    def test_one_at_80x24(self):
        with pages.Sleeper() as one, Terminal(top(one.pid)) as terminal:
            self.check_detail(terminal.sees(r"c: capacity"), one.pid, 24, 80)

    def test_one_wide_and_resized(self):
        with pages.Sleeper() as one, Terminal(top("--interval", "100ms", one.pid), 160, 50) as terminal:
            self.check_detail(terminal.sees(r"c: capacity"), one.pid, 50, 160)
            terminal.tmux("resize-window", "-x", "90", "-y", "30")
            until(lambda: "c: capacity" in terminal.lines()[29] and "93.0% of 100 MiB" in terminal.lines()[1], "90x30")
            self.check_detail(terminal.sees(r"c: capacity"), one.pid, 30, 90)
            terminal.tmux("resize-window", "-x", "30", "-y", "5")
            terminal.sees("^too small")
            terminal.tmux("resize-window", "-x", "80", "-y", "24")
            terminal.sees(r"c: capacity")

    def test_keys_make_wishes(self):
        with pages.Sleeper() as one, Terminal(top(one.pid)) as terminal:
            one.answer(lambda text: (0, b"") if "profile" not in text.lower() else (3, b"no profile; not now"))
            terminal.sees(r"c: capacity")
            terminal.keys("c")
            terminal.sees(r"^ capacity: _")
            terminal.keys("1", "2", "x", "Enter")
            terminal.sees(r"^ '12x': not a size; accepted: bytes with k, m, g or t, N%, auto, none$")
            self.assertEqual(one.wishes, [])
            terminal.keys("BSpace", "m", "Enter")
            terminal.sees(r"^ STEALTH_CAPACITY is 12m now")
            terminal.keys("m")
            terminal.sees(r"^ STEALTH_MODE is observe now")
            terminal.keys("p")
            terminal.sees(rf"^ {one.pid}: refused: no profile; not now")
            terminal.keys("c", "9", "Escape")
            terminal.sees(r"c: capacity")
            self.assertEqual([text for text, _ in one.wishes], ["set STEALTH_CAPACITY=12m", "set STEALTH_MODE=observe",
                                                                "set STEALTH_PROFILE=512k"])

    def test_the_end_of_the_process(self):
        with pages.Sleeper() as one, Terminal(top(one.pid)) as terminal:
            terminal.sees(r"c: capacity")
            one.child.kill()
            one.child.wait()
            screen = terminal.sees(rf"^ {one.pid}: the process has ended; these are its last figures")
            self.assertIn("93.0% of 100 MiB", screen)
            terminal.keys("m", "c", "s")  # nothing to change any more
            terminal.keys("q")
            terminal.sees(r"^ended with 0$")

    def test_a_page_that_breaks(self):
        with pages.Sleeper() as one, Terminal(top(one.pid)) as terminal:
            terminal.sees(r"c: capacity")
            os.truncate(one.path, 100)
            terminal.sees(rf"^ {one.pid}: the control page .* is damaged")
            terminal.keys("q")
            terminal.sees(r"^ended with 0$")

    def test_stopped(self):
        with pages.Sleeper() as one, Terminal(top(one.pid)) as terminal:
            one.child.send_signal(signal.SIGSTOP)
            terminal.sees(r"; STOPPED$")


class Leaving(Case):
    def test_the_terminal_is_as_it_was(self):
        """After q and after each signal that ends it: settings, cursor, and what stood there before."""
        for how in ("q", signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            notes = f"/tmp/stealth-test-{os.getpid()}"
            line = (f"echo it stood here; stty -a > {notes}.before; "
                    f"sh -c 'echo $$ > {notes}.pid; exec {top()}'; stty -a > {notes}.after; echo done")
            with Terminal(line) as terminal:
                terminal.sees(r"^ stealth top: ")
                if how == "q":
                    terminal.keys("q")
                else:
                    with open(f"{notes}.pid", encoding="ascii") as text:
                        os.kill(int(text.read()), how)
                screen = terminal.sees(r"^ended with 0$")
                self.assertIn("it stood here", screen)
                self.assertNotIn("stealth top: ", screen)
                with open(f"{notes}.before", encoding="utf-8") as before, \
                        open(f"{notes}.after", encoding="utf-8") as after:
                    self.assertEqual(before.read(), after.read(), how)
                self.assertEqual(terminal.tmux("display-message", "-p", "#{cursor_flag} #{alternate_on}"), "1 0\n")
            for name in ("before", "after", "pid"):
                os.unlink(f"{notes}.{name}")

    def test_status_tells_the_signal(self):
        notes = f"/tmp/stealth-test-{os.getpid()}.pid"
        with Terminal(f"sh -c 'echo $$ > {notes}; exec {top()}'") as terminal:
            terminal.sees(r"^ stealth top: ")
            with open(notes, encoding="ascii") as text:
                os.kill(int(text.read()), signal.SIGTERM)
            terminal.sees(rf"^ended with {128 + signal.SIGTERM}$")
        os.unlink(notes)

    def test_no_terminal(self):
        self.fails("top", says="no terminal to draw on")
        self.fails("top", "--interval", "1h", says="100ms to 60s", status=2)
        self.fails("top", "abc", says="not a process id", status=2)

    def test_terminals_that_cannot(self):
        for kind in ("nosuchterminal", "dumb", ""):
            with Terminal(f"TERM={kind} {top()}", 120) as terminal:
                screen = terminal.sees(r"^ended with 1$")
                self.assertRegex(screen, rf"(?m)^stealth: top: TERM='{kind}': not a terminal that can be drawn on; ")

    def test_no_such_process(self):
        child = subprocess.Popen(["true"])
        child.wait()
        with Terminal(top(child.pid)) as terminal:
            self.assertIn("no such process", terminal.sees(r"^ended with 1$"))

    def test_plain_letters(self):
        with pages.Sleeper() as one, Terminal(f"LC_ALL=C {top(one.pid)}") as terminal:
            screen = terminal.sees(r"^ fill  #+")
            self.assertTrue(screen.isascii())


class Real(Case):
    def test_the_capacity_is_raised(self):
        with Program(GREEDY, **WAITS_LONG) as one:
            figures = lambda: json.loads(stealth("stat", one.pid, "--format", "json").stdout or "null")
            until(lambda: (figures() or {}).get("waiting"), "a thread that waits")
            with Terminal(top(one.pid)) as terminal:
                screen = terminal.sees(r"^ waiting +[1-3] |  waiting +[1-3] ")
                self.assertRegex(screen, r"(?m)THREAD WAITS FOR  WANTS$")
                terminal.keys("c", "9", "6", "m", "Enter")
                terminal.sees(r"STEALTH_CAPACITY is 96m now")
                terminal.sees(r" of 96.0 MiB$")
                until(lambda: figures()["held"] > 80 << 20, "more memory")
                one.child.kill()
                terminal.sees(rf"{one.pid}: the process has ended")
                terminal.keys("q")
                terminal.sees(r"^ended with 0$")


if __name__ == "__main__":
    main()
