"""Work for python3: containers, JSON, threads, fork, subprocesses. Prints checksums only, so that runs can be compared.
Small objects live in Python's own pools (pymalloc); the test also runs this with PYTHONMALLOC=malloc."""
import hashlib
import json
import multiprocessing
import os
import random
import re
import subprocess
import sys
import threading
import zlib


def digest(text):
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()[:16]


def containers():
    rng = random.Random(7)
    table = {f'key {i}': [i, 'x' * rng.randrange(1, 3000)] for i in range(20000)}
    for i in range(0, 20000, 3):
        del table[f'key {i}']
    table.update((f'new {i}', {'n': i, 'set': {i, i + 1}}) for i in range(10000))
    sizes = sorted(len(str(v)) for v in table.values())
    print('containers', len(table), sum(sizes), sizes[len(sizes) // 2])


def documents():
    rng = random.Random(8)

    def tree(depth):
        if depth == 0:
            return [rng.random(), rng.randrange(10**12), 'é' * rng.randrange(200), None, True]
        return {f'n{i}': tree(depth - 1) for i in range(6)}

    text = json.dumps(tree(5), indent=1)
    again = json.dumps(json.loads(text), indent=1)
    print('json', len(text), digest(text), text == again, len(re.findall(r'"n[0-4]": \{', text)))


def buffers():
    grown = bytearray()
    for i in range(60000):
        grown += b'%d,' % i * 4
    packed = zlib.compress(grown, 6)
    print('buffers', len(grown), digest(zlib.decompress(packed)), len(packed))


def threads():
    results, lock = {}, threading.Lock()

    def worker(n):
        rng = random.Random(n)
        kept = []
        for i in range(4000):
            kept.append(bytes(rng.randrange(1, 6000)))
            if len(kept) > 300:
                kept.pop(rng.randrange(len(kept)))
        with lock:
            results[n] = sum(map(len, kept))

    for _ in range(3):
        team = [threading.Thread(target=worker, args=(n,)) for n in range(8)]
        for t in team:
            t.start()
        for t in team:
            t.join()
    print('threads', [results[n] for n in sorted(results)])


def forks():
    """Children of a process in which other threads are in the middle of malloc; some end by exit, some by _exit."""
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            [bytearray(n) for n in range(600, 5000, 400)]

    noise = [threading.Thread(target=churn) for _ in range(2)]
    for t in noise:
        t.start()
    answers = []
    for n in range(12):
        read, write = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            data = [bytes(1000 + i) for i in range(2000 + n)]
            os.write(write, f'{sum(map(len, data))}'.encode())
            os._exit(n)
        os.close(write)
        with os.fdopen(read) as pipe:
            answers.append((n, pipe.read(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
    stop.set()
    for t in noise:
        t.join()
    print('forks', answers)
    with multiprocessing.get_context('fork').Pool(2) as pool:
        print('pool', digest(json.dumps(pool.map(count_words, ['a b ' * n for n in range(300)]))))


def count_words(text):
    return len(text.split())


def children():
    script = 'import sys; d = sys.stdin.read(); print(len(d), sum(map(ord, d)))'
    for n in (10, 100000):
        done = subprocess.run([sys.executable, '-c', script], input='y' * n, capture_output=True, text=True, check=True)
        print('subprocess', done.stdout.strip(), repr(done.stderr))
    print('shell', subprocess.check_output('printf %s hello | tr a-z A-Z | od -c', shell=True))


for part in (containers, documents, buffers, threads, forks, children):
    part()
