"""Control pages made by hand, to the layout of src/observe/page.hpp: what a process under libstealth would show, and
what it never would. The process is a child that sleeps; this program writes its page and may answer for it."""
import ctypes
import fcntl
import mmap
import os
import subprocess
import threading
import time

U32, U64, I32 = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int32
CLASS_ROWS, WAITING_ROWS, BUCKETS = 96, 64, 26
MIB = 1 << 20


def record(name, *fields):
    return type(name, (ctypes.Structure,), {"_fields_": list(fields)})


def words(text):
    return [(name, U64) for name in text.split()]


Head = record("Head", ("magic", ctypes.c_char * 8), ("version", U32), ("bytes", U32),
              *words("mark boot pid_namespace time_namespace made_ns"), ("process", U32), ("user", U32),
              ("program", ctypes.c_char * 64), ("library", ctypes.c_char * 32))
ClassRow = record("ClassRow", *words("size max slabs carved in_use in_lists in_slabs waits waited_ns grants"))
WaitingRow = record("WaitingRow", *words("thread since_ns bytes size"))
Figures = record("Figures", *words(
    "at_ns interval_ns capacity soft_point held used over peak live idle purged pools large_blocks large_bytes heaps "
    "passed_calls passed_bytes waiting_now waits waited_ns longest_call_ns longest_sleep_ns grants refusals "
    "observed_ns"),
    ("histogram", U64 * BUCKETS), *words("group_members mode policy profile_interval profile_samples"),
    ("reserved", U64 * 16))
Snapshot = record("Snapshot", ("begun", U64), ("figures", Figures), ("classes", U32), ("waiting", U32),
                  ("class_rows", ClassRow * CLASS_ROWS), ("waiting_rows", WaitingRow * WAITING_ROWS),
                  ("settings", ctypes.c_char * 8192), ("ended", U64))
Wish = record("Wish", ("number", U32), ("reserved", U32), ("text", ctypes.c_char * 2048))
Answer = record("Answer", ("number", U32), ("error", I32), ("text", ctypes.c_char * 512))


def aligned(*parts):
    """A record whose parts each begin at a multiple of 64, and its size too."""
    fields, at = [], 0
    for name, kind in parts:
        gap = -at % 64
        if gap:
            fields.append((f"_before_{name}", ctypes.c_char * gap))
        fields.append((name, kind))
        at += gap + ctypes.sizeof(kind)
    if at % 64:
        fields.append(("_end", ctypes.c_char * (-at % 64)))
    return record("Page", *fields)


Page = aligned(("head", Head), ("bell", U32), ("newest", U64), ("snapshots", Snapshot * 2),
               ("wish", Wish), ("answer", Answer))


def proc_fields(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        return stat.read().rpartition(") ")[2].split()


def command_line(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as text:
        return text.read()


def namespace(kind):
    return int(os.readlink(f"/proc/self/ns/{kind}").partition("[")[2].rstrip("]"))


def boot():
    value = 0xCBF29CE484222325
    with open("/proc/sys/kernel/random/boot_id", "rb") as text:
        for byte in text.read():
            value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def folder():
    """The directory of this user's pages, made as the library makes it."""
    path = f"/dev/shm/stealth-{os.geteuid()}"
    if not os.path.isdir(path):
        os.makedirs(path, 0o700, exist_ok=True)
        os.chmod(path, 0o700)
    return path


def plain_page(pid, program=b"queue"):
    """A page that nothing is wrong with: 100 MiB of capacity, nearly full, three waits, one thread that waits."""
    start = int(proc_fields(pid)[19])
    page = Page()
    head = page.head
    head.magic, head.version, head.bytes = b"STEALTHP", 1, ctypes.sizeof(Page)
    head.mark = pid & (2**22 - 1) | start << 22
    head.boot, head.pid_namespace, head.time_namespace = boot(), namespace("pid"), namespace("time")
    head.process, head.user, head.program, head.library = pid, os.geteuid(), program, b"0.1.0"
    page.newest = 1
    snapshot = page.snapshots[1]
    snapshot.begun = snapshot.ended = 1
    figures = snapshot.figures
    figures.at_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    figures.interval_ns = 250_000_000
    figures.capacity, figures.soft_point = 100 * MIB, 90 * MIB
    figures.held, figures.used, figures.peak = 95 * MIB, 93 * MIB, 99 * MIB
    figures.live, figures.idle, figures.purged, figures.pools = 80 * MIB, 5 * MIB, 7 * MIB, 2 * MIB
    figures.large_blocks, figures.large_bytes, figures.heaps = 3, 30 * MIB, 4
    figures.passed_calls, figures.passed_bytes = 12, 3456
    figures.waiting_now, figures.waits, figures.waited_ns = 1, 3, 12_000_000
    figures.longest_call_ns, figures.longest_sleep_ns, figures.grants = 9_000_000, 4_000_000, 2
    figures.histogram[10], figures.histogram[14] = 2, 1
    snapshot.classes, snapshot.waiting = 2, 1
    for row, size, use in ((0, 64, 1000), (1, 4096, 5000)):
        one = snapshot.class_rows[row]
        one.size, one.slabs, one.carved, one.in_use, one.in_lists, one.in_slabs = size, 5, use + 30, use, 10, 20
    snapshot.class_rows[1].max, snapshot.class_rows[1].waits, snapshot.class_rows[1].waited_ns = 10000, 3, 12_000_000
    waiting = snapshot.waiting_rows[0]
    waiting.thread, waiting.bytes, waiting.size = pid, 4000, 4096
    waiting.since_ns = figures.at_ns - 2_000_000_000
    snapshot.settings = b"STEALTH_CAPACITY=100m\nSTEALTH_SOFT=90%\nSTEALTH_MODE=enforce\n"
    return page


def wish(pid, text, seconds=60):
    """Tells a real process something by its page, as the command does, and waits for its answer. The page's directory."""
    user = os.stat(f"/proc/{pid}").st_uid
    name = f"/dev/shm/stealth-{user}/page-{pid}-{proc_fields(pid)[19]}"
    with open(name, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # commands come one after the other
        page = Page.from_buffer(mmap.mmap(file.fileno(), ctypes.sizeof(Page)))
        page.wish.text = text.encode()
        page.wish.number = number = (page.wish.number + 1) % 2**32
        page.bell += 1  # nobody is woken, but it looks after a while
        end = time.monotonic() + seconds
        while page.answer.number != number:
            if time.monotonic() > end:
                raise SystemExit(f"FAIL: {pid} does not answer to: {text}")
            time.sleep(0.02)
        if page.answer.error:
            raise SystemExit(f"FAIL: {pid} answered to {text}: {page.answer.text}")
    return os.path.dirname(name)


class Sleeper:
    """A process that does nothing, with a page. Ends with its block, and so does the page."""

    def __init__(self, change=None, program=b"queue"):
        self.child = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
        self.pid = self.child.pid
        # What exec does shows late: the page is made for the image that stays.
        while command_line(self.pid) != b"sleep\x00600\x00":
            time.sleep(0.01)
        self.page = plain_page(self.pid, program)
        if change is not None:
            change(self.page)
        self.path = f"{folder()}/page-{self.pid}-{proc_fields(self.pid)[19]}"
        self.wishes, self.threads, self.end = [], [], threading.Event()
        self.write()

    def write(self):
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.write(handle, bytes(self.page))
        os.close(handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end.set()
        for thread in self.threads:
            thread.join()
        self.child.kill()
        self.child.wait()
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass

    def answer(self, judge=lambda text: (0, b"")):
        """From now on answers each wish by what `judge` makes of its text: (error, text)."""
        with open(self.path, "r+b") as file:
            shared = mmap.mmap(file.fileno(), ctypes.sizeof(Page))

        def serve():
            page = Page.from_buffer(shared)
            while not self.end.wait(0.005):
                if page.wish.number != page.answer.number:
                    text = page.wish.text.decode()
                    self.wishes.append((text, page.bell))
                    page.answer.error, page.answer.text = judge(text)
                    page.answer.number = page.wish.number

        self.threads.append(threading.Thread(target=serve))
        self.threads[-1].start()
