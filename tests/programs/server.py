"""A server under test: started on loopback, waited for, stopped by its own means, and ended by its process id whatever
happens, also when the test itself is killed."""
import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def free_port():
    """Below the range that the kernel takes for outgoing connections, so that none takes it before the server does."""
    while True:
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(('127.0.0.1', port))
            return port


def answers(port, address='127.0.0.1'):
    """True once something accepts connections there."""
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex((address, port)) == 0


def libc_heap(smaps):
    """Resident bytes of libc's own heap: what the kernel says, without asking libstealth."""
    heap, total = False, 0
    for line in smaps.splitlines():
        if '-' in line.split(' ', 1)[0]:
            heap = line.endswith('[heap]')
        elif heap and line.startswith('Rss:'):
            total += int(line.split()[1]) * 1024
    return total


class Server:
    def __init__(self, side, argv, env=None, enter=lambda: None):
        """`enter` runs in the child before it becomes the server, as the server's user."""
        self.argv = argv
        self.log = side.dir / f'server{len(side.servers)}.log'
        # A session of its own, so that workers can be ended by its id; asked to end if the test dies without a word.
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=side.dir,
                                            env=side.env(env), start_new_session=True,
                                            preexec_fn=lambda: (LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM), enter()),
                                            **side.who())
        self.pid = self.process.pid

    def running(self):
        return self.process.poll() is None

    def fail(self, why):
        lines = self.log.read_text(errors='backslashreplace').splitlines()[-15:]
        raise SystemExit('\n'.join([f'FAIL: {self.argv[0]}: {why}; its log ends:', *lines]))

    def wait_until(self, ready, seconds=30):
        until = time.monotonic() + seconds
        while not ready():
            if not self.running():
                self.fail(f'ended with {self.process.returncode} instead of serving')
            if time.monotonic() > until:
                self.fail(f'not ready after {seconds} s')
            time.sleep(0.05)

    def stop(self, ask, seconds=30, status=0):
        """ask() tells the server to stop in its own way (None: it knows when); it must end by itself, with `status`."""
        if ask and not self.running():
            self.fail(f'had ended with {self.process.returncode} before it was asked to')
        if ask:
            ask()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.fail(f'still runs {seconds} s after it was asked to stop')
        if code != status:
            self.fail(f'ended with {code}, not {status}, when asked to stop')

    def end(self):
        """After a failure: no politeness, and nobody is left behind. Only processes of the session made above."""
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL):
            if not self.running():
                break
            self.process.send_signal(number)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                continue
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.poll()

    def libc_heap(self):
        with open(f'/proc/{self.pid}/smaps') as smaps:
            return libc_heap(smaps.read())
