#!/usr/bin/python3
"""openssl: digests, ciphers, deterministic signatures, certificate parsing, and a TLS server that hands out a file."""
import concurrent.futures
import socket
import ssl

from harness import Trial, fail, need
from server import answers, free_port

openssl = need('/usr/bin/openssl')
CLIENTS = 12
KEY_IV = ['-K', '00112233445566778899aabbccddeeff' * 2, '-iv', '0102030405060708090a0b0c0d0e0f10']
DATA = b''.join(b'%d %d\n' % (n, n * n) for n in range(150000))


def fetch(port, certificate):
    """The file over TLS, by Python's client, which is not preloaded."""
    context = ssl.create_default_context(cafile=certificate)
    with socket.create_connection(('127.0.0.1', port), 20) as plain:
        with context.wrap_socket(plain, server_hostname='localhost') as tls:
            tls.sendall(b'GET /data HTTP/1.0\r\n\r\n')
            answer = b''
            while part := tls.recv(65536):
                answer += part
    return answer.partition(b'\r\n\r\n')[2]


def serve(side):
    port = free_port()
    # -naccept is the server's own way to end: after so many connections, of which the first only asks if it is there.
    server = side.serve([openssl, 's_server', '-accept', f'127.0.0.1:{port}', '-cert', 'cert.pem', '-key', 'rsa.pem',
                         '-WWW', '-naccept', str(CLIENTS + 1)], lambda: answers(port))
    with concurrent.futures.ThreadPoolExecutor(4) as team:
        files = list(team.map(lambda _: fetch(port, side.dir / 'cert.pem'), range(CLIENTS)))
    server.stop(None)
    if any(file != DATA for file in files):
        fail(f'{side.name}: s_server handed out {[len(file) for file in files]} bytes, not {len(DATA)} right ones')


def one_side(side, keys):
    def run(*args, **options):
        return side.run([openssl, *args], **options)

    for name, content in {**keys, 'data': DATA}.items():
        (side.dir / name).write_bytes(content)
    run('version', '-a')
    run('dgst', '-sha256', '-sha3-512', 'data')
    for cipher in ('aes-256-cbc', 'aes-256-ctr', 'chacha20'):
        run('enc', f'-{cipher}', *KEY_IV, '-in', 'data', '-out', f'{cipher}.bin')
        run('enc', '-d', f'-{cipher}', *KEY_IV, '-in', f'{cipher}.bin')
    run('dgst', '-sha256', '-sign', 'rsa.pem', '-out', 'data.sig', 'data')
    run('dgst', '-sha256', '-prverify', 'rsa.pem', '-signature', 'data.sig', 'data')
    run('pkeyutl', '-sign', '-inkey', 'ed.pem', '-rawin', '-in', 'data', '-out', 'ed.sig')
    run('x509', '-in', 'cert.pem', '-noout', '-text', '-fingerprint')
    run('verify', '-CAfile', 'cert.pem', 'cert.pem')
    run('prime', '-checks', '20', '170141183460469231731687303715884105727')
    run('asn1parse', '-in', 'rsa.pem')
    run('genrsa', '2048', record=False)
    serve(side)


def make_keys(side):
    """Keys and a certificate are random: made once, plain, and used on both sides."""
    side.run([openssl, 'genrsa', '-out', 'rsa.pem', '2048'], record=False)
    side.run([openssl, 'genpkey', '-algorithm', 'ed25519', '-out', 'ed.pem'], record=False)
    side.run([openssl, 'req', '-x509', '-key', 'rsa.pem', '-subj', '/CN=localhost', '-addext',
              'subjectAltName=DNS:localhost', '-days', '2', '-out', 'cert.pem'], record=False)
    return {name: (side.dir / name).read_bytes() for name in ('rsa.pem', 'ed.pem', 'cert.pem')}


keys = None
with Trial() as trial:
    for side in trial.sides():
        keys = keys or make_keys(side)
        one_side(side, keys)
    trial.same_output()
    trial.same_files('*.bin', '*.sig')
    trial.served('openssl', peak='1m', exactly=17)
