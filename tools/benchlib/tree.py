"""The tree that is measured: where it is, and how it is built. What all subcommands of tools/bench begin with."""
import pathlib
import subprocess
import sys

from . import progress

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def fail(status, text):
    progress.say(text)
    sys.exit(status)


def build(own_build, target, commands=(), packages=(), configure='once', wanted=()):
    """Installs and builds by the same file as tools/run and tools/test; nothing where a build directory was given.
    wanted: packages that it goes without where they cannot be had. configure: `again` where a package decides whether
    there is such a target."""
    if own_build:
        return pathlib.Path(own_build).resolve()
    script = ('set -euo pipefail; root=$1; source "$root/tools/lib/setup.sh"; open_build_dir; need_build_tools; '
              f'{needs("commands", commands)}{needs("packages", packages)}'
              f'{"want_packages " + " ".join(wanted) + "; " if wanted else ""}'
              f'configure {configure}; compile {target}; close_build_dir')
    if subprocess.run(['bash', '-c', script, 'bench', str(ROOT)], stdout=sys.stderr, check=False).returncode:
        sys.exit(1)
    return ROOT / 'build'


def needs(what, names):
    return f'need_{what} {" ".join(names)}; ' if names else ''


def named_paths(pairs):
    """NAME=PATH …, as --peer and --own take them: [(name, path)]."""
    found = []
    for pair in pairs:
        name, _, path = pair.partition('=')
        if not name or not path:
            fail(2, f'{pair}: not NAME=PATH; say for example --peer mimalloc=/usr/lib/libmimalloc.so')
        found.append((name, path))
    return found


def named_settings(texts, names):
    """NAME=VARIABLE=VALUE …, as --own-env takes them: {name: {variable: value}}. `names`: those that there are."""
    found = {}
    for text in texts:
        name, variable, value = (text.split('=', 2) + ['', ''])[:3]
        if name not in names or not variable or text.count('=') < 2:
            fail(2, f'--own-env {text}: not NAME=VARIABLE=VALUE with the NAME of an --own; say for example '
                    '--own full=PATH --own-env full=STEALTH_GUARD=full')
        found.setdefault(name, {})[variable] = value
    return found
