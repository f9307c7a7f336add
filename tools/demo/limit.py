"""A memory limit that needs no root: a memory cgroup where one can be made, else a watcher, which ends the process
by SIGKILL when its resident size passes the limit, as a container would. Used by demo.py, which knows no difference,
and by the tests of real programs:

    with limit.make(bytes) as it:
        … preexec_fn=it.enter …        # in the child, before it becomes the program
        if it.exceeded(resident): …    # kill it, if nobody else does
"""
import os
import time

PREFIX = "stealth-demo-"  # and the process id of the demonstration


class Watcher:
    name = "watched from outside, killed beyond it"

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def enter(self):
        pass

    def adopt(self, pid):
        pass

    def exceeded(self, resident):
        return resident > self.size


class Cgroup:
    """The kernel itself kills. The directory is ours alone, named by our process id, and removed at the end."""

    def __init__(self, version, path, size):
        self.name = f"a memory cgroup, version {version}"
        self.path = path
        os.mkdir(path)
        try:
            if version == 2:
                self._write("memory.max", size)
                self._write("memory.swap.max", 0, may_miss=True)
            else:
                self._write("memory.limit_in_bytes", size)
                # Memory and swap together: without it the process would be swapped out instead of killed.
                self._write("memory.memsw.limit_in_bytes", size, may_miss=True)
            self._prove()
        except OSError:
            self.__exit__()
            raise

    def _write(self, file, value, may_miss=False):
        path = os.path.join(self.path, file)
        if may_miss and not os.path.exists(path):
            return
        with open(path, "w", encoding="ascii") as out:
            out.write(str(value))

    def _prove(self):
        """A cgroup that can be made need not be one that can be entered: a child tries."""
        child = os.fork()
        if child == 0:
            try:
                self.enter()
                os._exit(0)
            except BaseException:  # whatever it is, it must not run our parent's code
                os._exit(1)
        if os.waitpid(child, 0)[1] != 0:
            raise OSError(f"{self.path}: cannot be entered")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for _attempt in range(50):  # the kernel may be busy with the process that just ended
            try:
                os.rmdir(self.path)
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.02)

    def enter(self):
        self.adopt(os.getpid())

    def adopt(self, pid):
        """For a process that may not enter by itself, as it runs as another user. What it holds already stays counted
        where it was; its children, and what it takes from now on, count here."""
        self._write("cgroup.procs", pid)

    def exceeded(self, _resident):
        return False


def own_places():
    """(version, directory) where a memory cgroup of ours may be made: below our own one, or, as version 2 wants no
    processes in a group with children, beside it."""
    mounts = {}
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as table:
        for _, target, kind, options, *_ in (line.split() for line in table):
            if kind == "cgroup2":
                mounts[2] = target
            elif kind == "cgroup" and "memory" in options.split(","):
                mounts[1] = target
    with open("/proc/self/cgroup", encoding="utf-8", errors="replace") as groups:
        for line in groups:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if "memory" in controllers.split(",") and 1 in mounts:
                yield 1, mounts[1] + path
            elif controllers == "" and 2 in mounts:
                here = mounts[2] + path
                for place in (here, os.path.dirname(here)):
                    if place.startswith(mounts[2]) and offers_memory(place):
                        yield 2, place


def sweep(place):
    """Removes what a demonstration that was itself killed could not. One in use cannot be removed anyway."""
    for name in os.listdir(place):
        owner = name.removeprefix(PREFIX)
        if owner != name and not os.path.exists(f"/proc/{owner}"):
            try:
                os.rmdir(os.path.join(place, name))
            except OSError:
                pass


def offers_memory(place):
    try:
        with open(os.path.join(place, "cgroup.subtree_control"), encoding="ascii") as control:
            return "memory" in control.read().split()
    except OSError:
        return False


def make(size):
    try:
        for version, place in own_places():
            try:
                sweep(place)
                return Cgroup(version, os.path.join(place, f"{PREFIX}{os.getpid()}"), size)
            except OSError:
                continue
    except (OSError, ValueError):
        pass  # no /proc, or one that we cannot read: the watcher then
    return Watcher(size)
