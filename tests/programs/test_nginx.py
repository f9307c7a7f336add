#!/usr/bin/python3
"""nginx: concurrent clients get files, compressed files, proxied files, pages put together from parts; in the middle
the configuration is read again, so that old workers end while new ones take over. Each answer is checked."""
import collections
import concurrent.futures
import gzip
import hashlib
import http.client
import pathlib

from harness import Trial, fail, need, work
from server import answers, free_port

nginx = need('/usr/sbin/nginx')
CLIENTS, ROUNDS = 12, 40
FILES = {f'file{n}': hashlib.shake_256(b'%d' % n).digest(length // 2) + b'text %d\n' % n * (length // 16)
         for n, length in enumerate((1, 900, 5000, 30000, 200000, 1000000))}
PAGE = b''.join(b'<!--# include virtual="/file%d" -->|' % n for n in (0, 1, 2)) + b'<!--# echo var="QUERY_STRING" -->'


def expected(path):
    where, _, name = path.strip('/').rpartition('/')
    if path.startswith('/page/'):
        return b''.join(FILES[f'file{n}'] + b'|' for n in (0, 1, 2)) + path.partition('?')[2].encode()
    if path.startswith('/answer'):
        return b'GET %s a note\n' % path.partition('?')[2].encode()
    if path.startswith('/match/'):
        return b'some %s\n' % name.encode()
    return FILES.get(name)


def get(link, path):
    """One request; once more when a worker that is about to end closed the idle connection, as clients have to."""
    for attempt in (1, 2):
        try:
            link.request('GET', path, headers={'Accept-Encoding': 'gzip', 'X-Note': 'a note'})
            answer = link.getresponse()
            return answer, answer.read()
        except (ConnectionError, http.client.BadStatusLine):
            link.close()
            if attempt == 2:
                raise


def client(number, port):
    """One client's share: every kind of request in an order of its own. Counts (status, bytes) by kind."""
    seen = collections.Counter()
    link = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    for n in range(ROUNDS):
        name = f'file{(n * 5 + number) % len(FILES)}'
        for path in (f'/{name}', f'/packed/{name}', f'/through/{name}', f'/page/page?{n}', f'/answer?{number}=1',
                     f'/match/some/{n}', '/missing'):
            answer, body = get(link, path)
            if answer.headers['Content-Encoding'] == 'gzip':
                body = gzip.decompress(body)
            right = expected(path)
            if right is not None and (answer.status, body) != (200, right):
                fail(f'{path}: {answer.status}, {len(body)} bytes, not 200 with the {len(right)} expected')
            seen[path.split('/')[1].split('?')[0], answer.status, hashlib.sha256(body).hexdigest()[:8]] += 1
    return seen


def one_side(side):
    port = free_port()
    (side.dir / 'files').mkdir()
    for name, content in {**FILES, 'page': PAGE}.items():
        (side.dir / 'files' / name).write_bytes(content)
    config = side.dir / 'nginx.conf'
    template = pathlib.Path(work('nginx.conf')).read_text()
    config.write_text(template.replace('@DIR@', str(side.dir)).replace('@PORT@', str(port)))
    command = [nginx, '-p', side.dir, '-e', side.dir / 'error.log', '-c', config]

    server = side.serve(command, lambda: answers(port))
    seen = collections.Counter()
    for _ in range(2):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as team:
            parts = [team.submit(client, number, port) for number in range(CLIENTS)]
            side.run([*command, '-s', 'reload'], record=False)
            for part in parts:
                seen.update(part.result())
    if side.preloaded and (heap := server.libc_heap()) > 1 << 20:
        fail(f'{heap} bytes of the master are in the heap of libc')
    server.stop(lambda: side.run([*command, '-s', 'quit'], record=False))
    side.note('answers', sorted(seen.items()))
    side.note('requests logged', sorted({line.split('"')[1]
                                         for line in (side.dir / 'access.log').read_text().splitlines()}))
    complaints = [line for line in (side.dir / 'error.log').read_text().splitlines()
                  if '[alert]' in line or '[emerg]' in line or '[crit]' in line or 'signal 6' in line]
    if complaints:
        fail(f'{side.name}: nginx complains: {complaints[:5]}')


with Trial() as trial:
    for side in trial.sides():
        one_side(side)
    trial.same_output()
    # The master, its two workers, those of the two reloads, and four calls that only send a signal.
    trial.served('nginx', peak='1m', exactly=10)
