#!/usr/bin/python3
"""cgroup.py --outer SIZE --inner SIZE [--then SECONDS:inner=SIZE]… [--beside "PROGRAM ARG…"] -- COMMAND…

Runs the command while two nested memory cgroups exist, each with its limit (`none`: without one); {cgroup} in the
command stands for the inner one's folder. Another program, without libstealth, may run in the inner group beside it. So
many seconds after the inner group has come near its limit, limits change; after one second the program beside is ended.
The groups are ours alone, named by our process id, and removed at the end.

Where no memory cgroup can be made the test fails and says so. Only where the system has none at all, or lets nobody but
its owner make one, is it left out: loudly, and with the status by which meson, and CI, know a test that was not run.
"""
import argparse
import os
import shlex
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), *[".."] * 3, "tools", "demo"))
import limit  # pylint: disable=wrong-import-position

PREFIX = "stealth-test-"
NOT_RUN = 77
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def size_in_bytes(text):
    return -1 if text == "none" else int(text[:-1]) * UNITS[text[-1]]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outer", required=True)
    parser.add_argument("--inner", required=True)
    parser.add_argument("--then", action="append", default=[], metavar="SECONDS:LEVEL=SIZE")
    parser.add_argument("--beside")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def places():
    """Where groups may be made, and why that would be impossible if there are none."""
    found = list(limit.own_places())
    if not found:
        return found, "no memory cgroup is mounted, or none that lets us have children with limits"
    writable = [place for place in found if os.access(place[1], os.W_OK)]
    return writable, "the memory cgroups belong to somebody else; run this as root"


def remove(folder):
    for _attempt in range(100):  # the kernel may be busy with processes that just ended
        try:
            os.rmdir(folder)
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)


def sweep(place):
    """Removes what a test that was itself killed could not."""
    for name in os.listdir(place):
        owner = name.removeprefix(PREFIX)
        if owner != name and not os.path.exists(f"/proc/{owner}"):
            remove(os.path.join(place, name, "inner"))
            remove(os.path.join(place, name))


class Groups:
    """Outer and inner."""

    def __init__(self, version, place):
        self.version = version
        self.outer = os.path.join(place, f"{PREFIX}{os.getpid()}")
        self.inner = os.path.join(self.outer, "inner")

    def __enter__(self):
        sweep(os.path.dirname(self.outer))
        os.mkdir(self.outer)
        try:
            if self.version == 2:
                write(os.path.join(self.outer, "cgroup.subtree_control"), "+memory")
            os.mkdir(self.inner)
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        remove(self.inner)
        remove(self.outer)

    def enter(self):
        write(os.path.join(self.inner, "cgroup.procs"), str(os.getpid()))

    def limit(self, level, size):
        name, none = ("memory.limit_in_bytes", "-1") if self.version == 1 else ("memory.max", "max")
        write(os.path.join(getattr(self, level), name), none if size < 0 else str(size))

    def used(self):
        name = "memory.usage_in_bytes" if self.version == 1 else "memory.current"
        try:
            with open(os.path.join(self.inner, name), encoding="ascii") as file:
                return int(file.read())
        except OSError:  # the test has ended, and the groups are gone
            return 0


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def change_later(groups, changes, inner, beside):
    begin = time.monotonic()
    while groups.used() < 0.9 * inner and time.monotonic() < begin + 60:  # however slowly the program starts
        time.sleep(0.01)
    begin = time.monotonic()
    for seconds, level, size in sorted(changes):
        time.sleep(max(0.0, begin + seconds - time.monotonic()))
        groups.limit(level, size)
    if beside:
        time.sleep(max(0.0, begin + 1 - time.monotonic()))
        beside.kill()


def main():
    arguments = parse_arguments()
    found, why_none = places()
    if not found:
        print(f"NOT RUN, AND NOTHING IS KNOWN OF LIMITS OF CGROUPS: {why_none}")
        sys.exit(NOT_RUN)
    changes = []
    for change in arguments.then:
        seconds, _, rest = change.partition(":")
        level, _, size = rest.partition("=")
        changes.append((float(seconds), level, size_in_bytes(size)))
    try:
        with Groups(*found[0]) as groups:
            groups.limit("outer", size_in_bytes(arguments.outer))
            groups.limit("inner", size_in_bytes(arguments.inner))
            beside = None
            if arguments.beside:
                beside = subprocess.Popen(shlex.split(arguments.beside), stdout=subprocess.PIPE,
                                          preexec_fn=groups.enter)
                beside.stdout.readline()  # it is ready
            inner = size_in_bytes(arguments.inner)
            threading.Thread(target=change_later, args=(groups, changes, inner, beside), daemon=True).start()
            command = [part.replace("{cgroup}", groups.inner) for part in arguments.command]
            status = subprocess.run(command, check=False).returncode
            if beside:
                beside.kill()
                beside.wait()
    except OSError as reason:
        sys.exit(f"FAULT: no memory cgroup can be made and used: {reason}")
    sys.exit(status)


if __name__ == "__main__":
    main()
