#!/usr/bin/python3
"""overcommit.py COMMAND…: runs the command under vm.overcommit_memory=2, and puts the old setting back in any event.

The setting is the whole machine's, so the commit limit is set well above what is committed already, and a guardian
process holds the other end of a pipe: when this one is gone, however it ended, the guardian restores. Where the setting
cannot be written the test fails and says so: passing would claim something that was never tried.
"""
import os
import signal
import subprocess
import sys

FOLDER = "/proc/sys/vm/"
SPARE_KIB = 8 << 20  # for the rest of the machine, and for the test


def read(name):
    with open(FOLDER + name, encoding="ascii") as file:
        return file.read().strip()


def write(name, value):
    with open(FOLDER + name, "w", encoding="ascii") as file:
        file.write(str(value))


def committed_kib():
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Committed_AS:"))


def restore(old):
    write("overcommit_memory", old["overcommit_memory"])
    # Of these two the kernel zeroes the one that was not written last.
    if old["overcommit_kbytes"] != "0":
        write("overcommit_kbytes", old["overcommit_kbytes"])
    else:
        write("overcommit_ratio", old["overcommit_ratio"])


def start_guardian(old):
    """Returns the end of the pipe whose closing makes the guardian restore, and its pid."""
    reading, writing = os.pipe()
    guardian = os.fork()
    if guardian == 0:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.close(writing)
        os.read(reading, 1)
        restore(old)
        os._exit(0)
    os.close(reading)
    return writing, guardian


def main():
    old = {name: read(name) for name in ("overcommit_memory", "overcommit_kbytes", "overcommit_ratio")}
    try:
        write("overcommit_memory", old["overcommit_memory"])
    except OSError as reason:
        sys.exit(f"FAULT: vm.overcommit_memory cannot be set ({reason}): run this test as root, outside a container")
    alive, guardian = start_guardian(old)
    try:
        write("overcommit_kbytes", committed_kib() + SPARE_KIB)
        write("overcommit_memory", 2)
        status = subprocess.run(sys.argv[1:], check=False).returncode
    finally:
        os.close(alive)
        os.waitpid(guardian, 0)
    if read("overcommit_memory") != old["overcommit_memory"]:
        sys.exit("FAULT: vm.overcommit_memory was not put back")
    sys.exit(status)


if __name__ == "__main__":
    main()
