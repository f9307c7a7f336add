"""What the tests of this directory share: the command in an environment that holds nothing of ours, and what is said of
how it ended. The command, the library and the programs come by environment variables (meson.build)."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

COMMAND = os.environ['STEALTH']
LIBRARY = os.path.realpath(os.environ['STEALTH_LIB'])
# Under the name by which the command finds it beside itself.
BESIDE = str(pathlib.Path(os.environ['STEALTH_LIB']).parent / 'libstealth.so')


def program(name):
    return os.environ['PROGRAM_' + name]


def environment(extra=None):
    return {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C.UTF-8'} | (extra or {})


class CommandTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='stealth-command-')
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.folder.chmod(0o755)

    def call(self, *words, env=None, status=0, command=COMMAND, **more):
        """Runs the command to its end; the status must be as expected."""
        done = subprocess.run([command, *map(str, words)], env=environment(env), capture_output=True, text=True,
                              stdin=more.pop('stdin', subprocess.DEVNULL), timeout=120, check=False, **more)
        self.assertEqual(done.returncode, status, f'{words}: {done.stdout}{done.stderr}')
        return done

    def refused(self, *words, why, status=1, **more):
        """It ends with exactly one line on stderr, which fits `why`, and prints nothing else."""
        done = self.call(*words, status=status, **more)
        self.assertEqual(done.stdout, '')
        self.assertRegex(done.stderr, r'\Astealth: [^\n]+\n\Z')
        self.assertRegex(done.stderr, why)

    def json(self, *words, **more):
        return json.loads(self.call(*words, **more).stdout)

    def settings(self, env=None):
        return {row['name']: row for row in self.json('settings', '--format', 'json', env=env)['settings']}

    def copy(self, source, name, mode=0o755):
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(mode)
        return str(target)

    def edited(self, source, name, change):
        """A copy of a program, after `change` of its bytes (a bytearray, in place)."""
        content = bytearray(pathlib.Path(source).read_bytes())
        change(content)
        target = self.folder / name
        target.write_bytes(content)
        target.chmod(0o755)
        return str(target)

    def script(self, name, text):
        target = self.folder / name
        target.write_text(text, encoding='utf-8')
        target.chmod(0o755)
        return str(target)

    def show(self, *words, **more):
        """What programs/show.c tells when it runs so: {'argument': […], 'variable': {…}, 'served': bool, 'pid': …}."""
        done = self.call(*words, **more)
        self.assertEqual(done.stderr, '')
        return shown(done.stdout)


def shown(text):
    told = {'argument': [], 'variable': {}}
    for line in text.splitlines():
        what, _, rest = line.partition(' ')
        if what == 'argument':
            told['argument'].append(rest)
        elif what == 'variable':
            name, _, value = rest.partition('=')
            told['variable'][name] = value
        elif what in ('served', 'pid'):
            told[what] = int(rest)
    return told


def wrong_machine(content):
    content[18] = 0x28 if content[18] != 0x28 else 0x3e  # e_machine: arm


def wrong_class(content):
    content[4] = 1  # EI_CLASS: 32 bit


def musl(content):
    name = re.search(rb'/lib(64)?/ld-linux[^\0]*', content)
    content[name.start():name.end()] = b'/lib/ld-musl.so.1'.ljust(name.end() - name.start(), b'\0')


def rights_count(path):
    """Whether the kernel gives a program in this place the rights of its set-uid bit, for us."""
    with open('/proc/self/status', encoding='utf-8') as status:
        locked = 'NoNewPrivs:\t1' in status.read()
    return not locked and not os.statvfs(path).f_flag & os.ST_NOSUID
