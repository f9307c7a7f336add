"""What the tests of PostgreSQL share: where its programs are, as whom they run, and a psql that goes on."""
import glob
import os
import pwd
import shutil
import subprocess

from harness import fail, need

USER = 'postgres'


def programs(*names):
    """Of the newest installed version; Debian keeps these out of PATH."""
    if os.getuid() == 0 and USER not in (entry.pw_name for entry in pwd.getpwall()):
        fail(f'no user {USER}: the package postgresql makes it')
    versions = sorted(glob.glob('/usr/lib/postgresql/*/bin'), key=lambda path: float(path.split('/')[4]))
    directory = versions[-1] if versions else '/usr/lib/postgresql/<version>/bin'
    return {name: need(f'{directory}/{name}') for name in names}


def not_as_root(side):
    """It refuses to run as root: then all of the side runs as the user that its package makes."""
    if os.getuid() == 0:
        side.user = USER
        shutil.chown(side.dir, USER)


def accepts(data):
    """What pg_ctl start waits for: the server answers earlier than it lets anybody in."""
    try:
        return (data / 'postmaster.pid').read_text().splitlines()[7].startswith('ready')
    except (FileNotFoundError, IndexError):
        return False


def link(port):
    """How its clients find it."""
    return ['-h', '127.0.0.1', '-p', str(port), '-U', USER]


def psql(side, program, port):
    """Not under libstealth."""
    return subprocess.Popen([program, *link(port), '-q', '-X', '-At', 'postgres'], env=side.env(preload=False),
                            cwd=side.dir, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **side.who())


class Session:
    """One psql, and so one backend."""

    def __init__(self, client):
        self.psql = client
        self.backend = int(self.ask('SELECT pg_backend_pid();'))

    def tell(self, *statements):
        self.psql.stdin.write('\n'.join(statements) + '\n')
        self.psql.stdin.flush()

    def ask(self, *statements):
        """They give one line."""
        self.tell(*statements)
        return self.psql.stdout.readline().strip()

    def close(self, last=''):
        """All that it answers from here on, and its errors."""
        return self.psql.communicate(last, timeout=60)
