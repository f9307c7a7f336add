#!/usr/bin/python3
"""other_root.py KIND LIBRARY PROGRAM: runs the program under libstealth where files that it would like are not to be
had, and judges what it says. It has a capacity, which must hold all the same, and it wants everything that needs files:
a group, a control page, figures and a profile at the end. For each there must be one line, and no other problem.

    bare         a root directory with /usr and what leads there, no /proc, /dev, /tmp or /run; written to by nobody
    read-only    the same with all of them, and nothing can be written
    full         the same with all of them, and no room is left in any
    midway       the program changes to an empty root directory while it runs (chroot)

In a mount namespace of its own; where the caller is not root, in a user namespace, too. Where neither is to be had the
test fails and says so.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

SETTINGS = {"STEALTH_CAPACITY": "32m", "STEALTH_BACKOFF_PATIENCE": "1ms", "STEALTH_BACKOFF_MAX_ELAPSED": "2ms",
            "STEALTH_CONTROL": "on", "STEALTH_STATS": "exit:json:/tmp/statistics", "STEALTH_PURGE_DELAY": "100ms"}
WRITABLE = ("/dev/shm", "/tmp", "/run/user", "/var/tmp")
# What is said of a capacity that is reached, and what is not to be had.
ALWAYS = [r"^stealth: capacity 32\.0 MiB: .*allocation slows down", r"^stealth: capacity exhausted: "]
REFUSED = [r"^stealth: STEALTH_GROUP='other-root.*: error \d+; this process counts alone", r"^stealth: STEALTH_CONTROL: no control page at ",
           r"^stealth: STEALTH_STATS: cannot write /tmp/statistics "]


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def bind(source, target):
    os.makedirs(target, exist_ok=True)
    mount("--rbind", source, target)


def make_root(kind, library, program):
    """A tmpfs with the system's own programs and libraries, and in /opt what is to be tried."""
    top = tempfile.mkdtemp(prefix="stealth-root-")
    mount("-t", "tmpfs", "tmpfs", top)
    for name in os.listdir("/"):
        if os.path.islink("/" + name):
            os.symlink(os.readlink("/" + name), top + "/" + name)  # /lib -> usr/lib
        elif name in ("usr", "lib", "lib64", "bin"):
            bind("/" + name, top + "/" + name)
    bind(os.path.dirname(library), top + "/opt/library")
    bind(os.path.dirname(program), top + "/opt/program")
    if kind != "bare":
        for name in WRITABLE:
            os.makedirs(top + name)
        bind("/proc", top + "/proc")
    for name in WRITABLE if kind == "full" else ():
        # Of two inodes the folder itself is one, and what libstealth makes in it the other.
        mount("-t", "tmpfs", "-o", "size=4k,nr_inodes=2", "tmpfs", top + name)
    mount("-o", "remount,ro", top)
    return top


def inside(kind, group, library, program):
    if kind == "midway":
        empty = tempfile.mkdtemp(prefix="stealth-root-")
        mount("-t", "tmpfs", "tmpfs", empty)
        command = [program, empty]
    else:
        os.chroot(make_root(kind, library, program))
        os.chdir("/")
        library = "/opt/library/" + os.path.basename(library)
        command = ["/opt/program/" + os.path.basename(program)]
    os.environ.update(SETTINGS, STEALTH_GROUP=group, LD_PRELOAD=library)
    os.execv(command[0], command)


def judge(kind, done):
    faults = []
    if done.returncode != 0:
        faults.append(f"ended by {done.returncode}")
    lines = [line for line in done.stderr.splitlines() if line.startswith("stealth: ")]
    # Who goes elsewhere midway has had a group and a page; the group goes on without its file's name.
    for pattern in REFUSED[1:] if kind == "midway" else REFUSED:
        found = [line for line in lines if re.search(pattern, line)]
        most = 2 if "STEALTH_CONTROL" in pattern else 1  # the child says so, too
        if not 1 <= len(found) <= most:
            faults.append(f"{len(found)} lines that match {pattern!r}")
    for line in lines:
        if not any(re.search(pattern, line) for pattern in ALWAYS + REFUSED):
            faults.append(f"a line that nobody expects: {line!r}")
    return faults


def main():
    if sys.argv[1] == "--inside":
        inside(*sys.argv[2:])
    kind, library, program = sys.argv[1], os.path.realpath(sys.argv[2]), os.path.realpath(sys.argv[3])
    group = f"other-root-{os.getpid()}"  # of this run's own
    command = ["unshare", "--mount", "--propagation", "private"]
    command += [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("STEALTH_", "LD_"))}
    if subprocess.run(command + ["true"], env=environment, check=False).returncode != 0:
        sys.exit("FAULT: no mount namespace is to be had: run this test as root, or allow user namespaces")
    folder = tempfile.mkdtemp(prefix="stealth-other-root-")  # what is made inside is made below it, and goes with it
    try:
        command += [sys.executable, os.path.abspath(__file__), "--inside", kind, group, library, program]
        done = subprocess.run(command, env={**environment, "TMPDIR": folder}, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=180, check=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for left in glob.glob(f"/dev/shm/stealth-*/{group}.*"):  # by who could not see it any more when he went
            os.unlink(left)
    faults = judge(kind, done)
    if faults:
        sys.exit("\n".join(f"FAULT: {fault}" for fault in faults) + f"\n--- stdout\n{done.stdout}\n--- stderr\n"
                 f"{done.stderr[-4000:]}")


if __name__ == "__main__":
    main()
