"""What tools/soak runs: programs that end, each with an output that is the same every time, and servers that stay, under a
load that stays the same."""
import contextlib
import ctypes
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

from benchlib import loads

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
SCALE = 0.1  # of the bench's loads: a second or a few each
# They take a gigabyte, or what they print or take depends on the machine.
LEFT_OUT = ('scale', 'memcached', 'held', 'held-1', 'start')

# A history with fixed dates, so that its names are hashes of the contents.
GIT = r'''
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.com GIT_AUTHOR_DATE='1700000000 +0000' GIT_CONFIG_GLOBAL=/dev/null
export GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.com GIT_COMMITTER_DATE='1700000000 +0000' GIT_CONFIG_NOSYSTEM=1
git init -q -b main repo && cd repo || exit 1
i=0
while [ $i -lt 25 ]; do
  seq $((i * 300)) $((i * 300 + 3000)) > file$((i % 7)); git add . && git commit -q -m "commit $i" || exit 1; i=$((i+1))
done
git -c pack.threads=2 repack -q -a -d -f --window=20 && git fsck --strict --no-progress && git log --stat -p && cd .. || exit 1
git clone -q --no-local repo copy && git -C copy rev-list --objects HEAD | sort && git -C copy archive HEAD | sha256sum
'''

# A server that does one piece of work for each line, with every object from malloc. Its answers are always the same.
WORKER = r'''
import json, re, sys, zlib
for line in sys.stdin:
    n = int(line)
    rows = [{"id": i, "text": "x" * (i % 700), "list": list(range(i % 40)), "name": str(i * n)} for i in range(4000)]
    text = json.dumps(rows)
    back = {row["name"]: row for row in json.loads(text)}
    found = len(re.findall("9[0-9]*1", text))
    print(zlib.crc32(text.encode()), len(back), found, flush=True)
'''


class Job:
    """A program that ends."""

    def __init__(self, name, argv, program, stdin=None, env=None):
        self.name, self.argv, self.program, self.stdin, self.env = name, argv, program, stdin, env or {}
        self.lock = threading.Lock()
        self.expected = None  # (status, digest), without libstealth
        self.seconds = 0.0    # that it took so
        self.need = 0         # bytes held at most, with nothing set
        self.runs = 0


def jobs(bench):
    """All of them whose program is here, and the names of the others."""
    found, missing = [], []
    for load in loads.TABLE:
        if load.name in LEFT_OUT:
            continue
        argv = [str(word) for word in load.command(bench, SCALE)]
        if not shutil.which(argv[0]):
            missing.append(load.name)
            continue
        stdin = load.stdin(bench, SCALE) if load.stdin else None
        found.append(Job(load.name, argv, os.path.basename(os.path.realpath(shutil.which(argv[0]))), stdin, load.env))
    if shutil.which('git'):
        found.append(Job('git', ['/bin/sh', '-c', GIT], 'git'))
    else:
        missing.append('git')
    return found, missing


def digest(path):
    """Without the lines of figures that own loads print."""
    hashed = hashlib.sha256()
    with open(path, 'rb') as output:
        for line in output:
            if not line.startswith(b'metric '):
                hashed.update(line)
    return hashed.hexdigest()


def surroundings(folder):
    return {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C.UTF-8', 'TZ': 'UTC', 'HOME': str(folder),
            'TMPDIR': str(folder)}


def start(argv, folder, env, stdin=subprocess.DEVNULL, out=None, err=None):
    """In a session of its own, by whose id it is ended; it ends with us whatever happens."""
    return subprocess.Popen(argv, stdin=stdin, stdout=out, stderr=err, cwd=folder, env=surroundings(folder) | env,
                            start_new_session=True, preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM))


def end(process):
    """Nobody of its session is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Server:
    """A process that stays. `load()` is one round of its load, which fails by an exception."""

    def __init__(self, name, program, folder, env):
        self.name, self.program, self.folder, self.env = name, program, pathlib.Path(folder), env
        self.folder.mkdir()
        self.rounds, self.samples, self.need = 0, [], 64 << 20

    def begin(self, argv, stdin=subprocess.DEVNULL, out=None):
        self.log = open(self.folder / 'log', 'wb')
        self.process = start(argv, self.folder, self.env, stdin, out or self.log, self.log)
        self.pid = self.process.pid

    def close(self):
        if hasattr(self, 'process'):
            end(self.process)
            self.log.close()

    def tail(self):
        return (self.folder / 'log').read_text(errors='replace')[-600:]


class Redis(Server):
    TESTS = 'set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin'

    def __init__(self, name, folder, env, port):
        super().__init__(name, 'redis-server', folder, env)
        self.port = port
        self.begin(['redis-server', '--port', str(port), '--bind', '127.0.0.1', '--save', '', '--dir', str(folder),
                    '--lazyfree-lazy-user-del', 'yes', '--lazyfree-lazy-server-del', 'yes'])
        until = time.monotonic() + 60
        while self.cli('PING', check=False) != 'PONG':
            if time.monotonic() > until or self.process.poll() is not None:
                raise RuntimeError(f'does not serve: {self.tail()}')
            time.sleep(0.1)
        for n in range(200):
            self.cli('SET', f'kept:{n}', f'value {n * 7919}')

    def cli(self, *args, check=True):
        done = subprocess.run(['redis-cli', '-p', str(self.port), *args], stdin=subprocess.DEVNULL, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=surroundings(self.folder))
        if check and done.returncode != 0:
            raise RuntimeError(f'redis-cli {args}: {done.stdout.decode(errors="replace")}')
        return done.stdout.decode(errors='replace').strip()

    def load(self):
        done = subprocess.run(['redis-benchmark', '-p', str(self.port), '-q', '-c', '8', '-P', '4', '-r', '20000',
                               '-n', '4000', '-d', '300', '-t', self.TESTS], stdin=subprocess.DEVNULL, timeout=300,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=surroundings(self.folder))
        if done.returncode != 0 or b'rror' in done.stdout:
            raise RuntimeError(f'its clients: {done.stdout[-300:]!r}; its log: {self.tail()}')

    def stop(self):
        for n in range(200):
            if (value := self.cli('GET', f'kept:{n}')) != f'value {n * 7919}':
                raise RuntimeError(f'kept:{n} is {value!r}')
        self.cli('SHUTDOWN', 'NOSAVE', check=False)
        return self.process.wait(60)


class Worker(Server):
    def __init__(self, name, folder, env):
        super().__init__(name, 'python3', folder, env | {'PYTHONMALLOC': 'malloc'})
        self.expected = subprocess.run(['/usr/bin/python3', '-S', '-c', WORKER], input=b'7\n', stdout=subprocess.PIPE,
                                       check=True).stdout
        self.begin(['/usr/bin/python3', '-S', '-c', WORKER], subprocess.PIPE, subprocess.PIPE)

    def load(self):
        self.process.stdin.write(b'7\n')
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if answer != self.expected:
            raise RuntimeError(f'answered {answer!r}, not {self.expected!r}; its log: {self.tail()}')
        time.sleep(0.2)

    def stop(self):
        self.process.stdin.close()
        return self.process.wait(60)

    def close(self):
        super().close()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
