#!/usr/bin/python3
"""Runs one program under LD_PRELOAD=libstealth.so and judges what came of it.

    run.py [--env NAME=VALUE] [--limit as=64m] [--status N | --signal ABRT] [--line REGEX]… [--stats EXPRESSION]… …
           -- PROGRAM [ARG…]

The library is named by STEALTH_LIB. Unless --no-stats is given, the program must leave exit statistics behind that say
that memory was ours: a test that passes without libstealth proves nothing. Of the lines on stderr that begin with
`stealth: ` there must be one for each --line, and no other. TEST_STANDIN=1 runs the program under no libstealth and
leaves out what only libstealth can answer, to see what the tests themselves think of another allocator.
"""
import argparse
import glob
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

STANDIN = "TEST_STANDIN" in os.environ
LIMITS = {"as": resource.RLIMIT_AS, "data": resource.RLIMIT_DATA, "stack": resource.RLIMIT_STACK,
          "nofile": resource.RLIMIT_NOFILE, "memlock": resource.RLIMIT_MEMLOCK, "fsize": resource.RLIMIT_FSIZE}
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class Record:
    """A JSON object whose keys are read as attributes, so that expressions stay short."""

    def __init__(self, content):
        self.__dict__.update({name: Record(value) if isinstance(value, dict) else value
                              for name, value in content.items()})


class Statistics(Record):
    """The exit statistics; cls(64) is the class of that block size, all zeroes when it was never used."""

    def cls(self, size):
        for entry in self.classes:
            if entry["size"] == size:
                return Record(entry)
        return Record({"size": size, "slabs": 0, "blocks": 0, "in_use": 0, "max": 0})

    def sizes(self):
        return [entry["size"] for entry in self.classes if entry["blocks"] > 0]


def size_in_bytes(text):
    if text == "unlimited":
        return resource.RLIM_INFINITY
    return int(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else int(text)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE",
                        help="{tmp} stands for the test's own empty folder")
    parser.add_argument("--behind", action="append", default=[], metavar="LIB",
                        help="a library that is preloaded behind libstealth")
    parser.add_argument("--limit", action="append", default=[], metavar="NAME=SIZE")
    parser.add_argument("--cgroup", metavar="FOLDER", help="the program runs in this control group")
    parser.add_argument("--status", type=int, default=0)
    parser.add_argument("--signal", help="the program ends by this signal instead of a status: ABRT")
    parser.add_argument("--line", action="append", default=[], metavar="REGEX",
                        help="a line of ours on stderr; {stdout} stands for what the program printed there")
    parser.add_argument("--perhaps", action="append", default=[], metavar="REGEX",
                        help="a line of ours that may be there or not")
    parser.add_argument("--stdout", metavar="REGEX", help="must be found in the program's output")
    parser.add_argument("--stderr", metavar="REGEX", help="must be found in the program's stderr")
    parser.add_argument("--xml", action="store_true", help="the program's output is well-formed XML")
    parser.add_argument("--no-stats", action="store_true", help="the program leaves no statistics behind")
    parser.add_argument("--stats", action="append", default=[], metavar="EXPRESSION",
                        help="Python over the statistics: passed_on.calls == 0 and cls(64).blocks > 10")
    parser.add_argument("--file", action="append", default=[], metavar="NAME:REGEX",
                        help="a file that the program leaves in {tmp}; {pid} in its name is the program's")
    parser.add_argument("--processes", type=int, metavar="N", help="so many processes leave statistics behind")
    parser.add_argument("--peak-rss", metavar="SIZE", help="the most that may have been resident")
    parser.add_argument("--seconds", type=float, default=150, help="then it has hung")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def child_environment(arguments, folder):
    # STEALTH_LIB must not reach the program: libstealth would rightly complain of an unknown name.
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("STEALTH_", "LD_", "MALLOC_"))}
    libraries = ([] if STANDIN else [os.path.abspath(os.environ["STEALTH_LIB"])]) + arguments.behind
    environment["LD_PRELOAD"] = " ".join(libraries)
    if not arguments.no_stats and not STANDIN:
        environment["STEALTH_STATS"] = "exit:json:" + os.path.join(folder, "statistics.%p.json")
    for setting in arguments.env:
        name, _, value = setting.partition("=")
        environment[name] = value.replace("{tmp}", folder)
    return environment


def prepare_child(arguments):
    """Runs in the child, after its descriptors were laid and before exec."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if arguments.cgroup:
        with open(os.path.join(arguments.cgroup, "cgroup.procs"), "w", encoding="ascii") as members:
            members.write(str(os.getpid()))
    for limit in arguments.limit:
        name, _, size = limit.partition("=")
        resource.setrlimit(LIMITS[name], (size_in_bytes(size), size_in_bytes(size)))


def where_it_hangs(pid):
    """Stacks where gdb is at hand, else what each thread sleeps in; a hang is only worth reporting with its place."""
    if shutil.which("gdb"):
        shown = subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt 12"], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        return shown.stdout[-12000:]
    lines = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/wchan", encoding="ascii") as place:
            lines.append(f"thread {thread} in {place.read()}")
    return "\n".join(lines)


def run(arguments, folder):
    outputs = [os.path.join(folder, "stdout"), os.path.join(folder, "stderr")]
    with open(outputs[0], "wb") as stdout, open(outputs[1], "wb") as stderr:
        child = subprocess.Popen(arguments.command, env=child_environment(arguments, folder), start_new_session=True,
                                 stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                                 preexec_fn=lambda: prepare_child(arguments))
        hang = None
        try:
            signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError()))
            signal.setitimer(signal.ITIMER_REAL, arguments.seconds)
            _, status, usage = os.wait4(child.pid, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except TimeoutError:
            hang = f"still running after {arguments.seconds:g} s:\n{where_it_hangs(child.pid)}"
            os.killpg(child.pid, signal.SIGKILL)
            _, status, usage = os.wait4(child.pid, 0)
        child.returncode = status
    texts = []
    for output in outputs:
        with open(output, encoding="utf-8", errors="replace") as file:
            texts.append(file.read())
    return child.pid, os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024, texts[0], texts[1], hang


def check_lines(arguments, stdout, stderr, faults):
    ours = [line for line in stderr.splitlines() if line.startswith("stealth: ")]
    for pattern in arguments.line:
        pattern = pattern.replace("{stdout}", re.escape(stdout.strip()))
        found = next((line for line in ours if re.search(pattern, line)), None)
        if found is None:
            faults.append(f"no line of ours on stderr that matches {pattern!r}")
        else:
            ours.remove(found)
    for line in ours:
        if not any(re.search(pattern, line) for pattern in arguments.perhaps):
            faults.append(f"a line of ours that nobody expects: {line!r}")


def check_statistics(arguments, folder, pid, faults):
    path = os.path.join(folder, f"statistics.{pid}.json")
    if not os.path.exists(path):
        faults.append("the program left no exit statistics: libstealth was not there, or did not see the end")
        return
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        statistics = Statistics(json.loads(text))
    except ValueError as reason:
        faults.append(f"exit statistics are no JSON: {reason}: {text!r}")
        return
    names = {"__builtins__": {"len": len, "sum": sum, "max": max, "min": min, "abs": abs, "set": set}, **vars(statistics),
             "cls": statistics.cls, "sizes": statistics.sizes, "MiB": 1 << 20}
    for expression in ["pid == %d and version != ''" % pid] + arguments.stats:
        try:
            if not eval(expression, names):
                faults.append(f"not so in the statistics: {expression}\n{text}")
        except Exception as reason:  # a missing key is a fault of the statistics, not of this script
            faults.append(f"cannot be read from the statistics: {expression}: {reason!r}\n{text}")


def check_files(arguments, folder, pid, faults):
    if arguments.processes is not None:
        found = len(glob.glob(os.path.join(folder, "statistics.*.json")))
        if found != arguments.processes:
            faults.append(f"{found} processes left statistics, expected {arguments.processes}")
    for wish in arguments.file:
        name, _, pattern = wish.partition(":")
        path = os.path.join(folder, name.replace("{pid}", str(pid)))
        if not os.path.exists(path):
            faults.append(f"no file {name}")
            continue
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if not re.search(pattern, text):
            faults.append(f"{name} does not match {pattern!r}: {text!r}")


def check_end(arguments, code, faults):
    wanted = -getattr(signal, "SIG" + arguments.signal) if arguments.signal else arguments.status
    if code != wanted:
        shown = signal.Signals(-code).name if code < 0 else f"status {code}"
        faults.append(f"ended by {shown}, expected {arguments.signal or arguments.status}")


def main():
    arguments = parse_arguments()
    faults = []
    with tempfile.TemporaryDirectory(prefix="stealth-test-") as folder:
        pid, code, peak, stdout, stderr, hang = run(arguments, folder)
        if hang:
            faults.append(hang)
        else:
            check_end(arguments, code, faults)
        if arguments.stdout and not re.search(arguments.stdout, stdout):
            faults.append(f"stdout does not match {arguments.stdout!r}")
        if arguments.stderr and not re.search(arguments.stderr, stderr, re.MULTILINE):
            faults.append(f"stderr does not match {arguments.stderr!r}")
        if arguments.xml:
            try:
                xml.etree.ElementTree.fromstring(stdout)
            except xml.etree.ElementTree.ParseError as reason:
                faults.append(f"stdout is not well-formed XML: {reason}")
        if arguments.peak_rss and peak > size_in_bytes(arguments.peak_rss):
            faults.append(f"peak resident {peak >> 20} MiB, at most {arguments.peak_rss} allowed")
        if not STANDIN:
            check_lines(arguments, stdout, stderr, faults)
            check_files(arguments, folder, pid, faults)
            if not arguments.no_stats and not hang and code >= 0:
                check_statistics(arguments, folder, pid, faults)
    if STANDIN:
        print("STAND-IN: libstealth was not loaded; what only it can answer was left out")
    if faults:
        print("\n".join("FAULT: " + fault for fault in faults))
        print(f"--- stdout\n{stdout[-4000:]}\n--- stderr\n{stderr[-4000:]}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
