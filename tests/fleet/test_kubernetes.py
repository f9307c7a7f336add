#!/usr/bin/python3
"""docs/recipes: the manifest for Kubernetes is one that the API takes, as far as that can be told without a cluster; it
and the Dockerfile name the same paths, those that the build makes; and what both do, done here in two folders, ends with
a program under libstealth."""
import copy
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile

import yaml

import manifest
from fleet import ROOT, check, fail, need, seen, until

RECIPES, BUILD = ROOT / 'docs/recipes', pathlib.Path(os.environ['STEALTH_BUILD'])


class Dockerfile:
    """The few instructions that it has: [(word, rest)] of each stage."""

    def __init__(self, text):
        lines = re.sub(r'\\\n', ' ', re.sub(r'(?m)^#.*\n', '', text)).splitlines()
        self.stages = []
        for word, rest in (line.split(None, 1) for line in lines if line.strip()):
            if word == 'FROM':
                self.stages.append([])
            self.stages[-1].append((word, rest.strip()))

    def all(self, stage, word):
        return [rest for found, rest in self.stages[stage] if found == word]

    def commands(self):
        """The shell's commands of the first stage, as words."""
        return [shlex.split(one) for run in self.all(0, 'RUN') for one in run.split('&&')]


def refused(deployment):
    """Each mistake is found: the rules can say no."""
    container = ('spec', 'template', 'spec', 'containers', 0)
    mistakes = {
        'selector': (('spec', 'selector', 'matchLabels', 'app'), 'another'),
        'apps/v1': (('apiVersion',), 'extensions/v1beta1'),
        'no string': ((*container, 'env', 1, 'value'), True),
        'no volume': ((*container, 'volumeMounts', 0, 'name'), 'stealht'),
        'no quantity': ((*container, 'resources', 'limits', 'memory'), '512MB'),
        'no image': (('spec', 'template', 'spec', 'initContainers', 0, 'image'), ''),
        'twice': (('spec', 'template', 'spec', 'initContainers', 0, 'name'), 'my-server'),
        'no field': ((*container, 'envs'), []),
    }
    for says, (path, value) in mistakes.items():
        wrong = copy.deepcopy(deployment)
        place = wrong
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        if not any(says in fault for fault in manifest.faults(wrong)):
            fail(f'the rules do not notice {path} = {value!r}: {list(manifest.faults(wrong))}')


def paths(pod, docker):
    """What one file says must be where the other looks. Gives back (libraries, volume in the init container, in the
    program's)."""
    commands = docker.commands()
    setup = next(words for words in commands if words[:2] == ['meson', 'setup'])
    build, source = [word for word in setup[2:] if not word.startswith('-')]
    options = [word.removeprefix('-D').split('=')[0] for word in setup if word.startswith('-D')]
    declared = re.findall(r"option\('(\w+)'", (ROOT / 'meson_options.txt').read_text())
    target = next(words for words in commands if words[0] == 'ninja')
    made = subprocess.run([need('/usr/bin/ninja'), '-C', BUILD, '-t', 'query', target[-1]], capture_output=True, text=True,
                          check=False).stdout
    made = {path.strip(' |') for path in made.partition('outputs:')[0].splitlines() if '.so' in path}
    copied = next(words for words in commands if words[0] == 'cp')
    libraries, image = [pathlib.PurePath(word) for word in copied[2:-1]], copied[-1].rstrip('/')
    given, kept = docker.all(1, 'COPY')[0].split()[1:]
    command = json.loads(docker.all(1, 'CMD')[0])
    init, program = pod['initContainers'][0], pod['containers'][0]
    volume, mounted = init['volumeMounts'][0], program['volumeMounts'][0]
    preload = pathlib.PurePath(next(one['value'] for one in program['env'] if one['name'] == 'LD_PRELOAD'))
    check({'the tree is copied to where it is built from': docker.all(0, 'COPY') == [f'. {source}'],
           'the options of the build are there': options and set(options) <= set(declared),
           'the target that is built is that of the build directory that is copied from':
               target[:3] == ['ninja', '-C', build] and all(str(path).startswith(f'{build}/') for path in libraries),
           'it makes all that is copied': len(libraries) == 2 and all(
               any(one.startswith(f'{path.relative_to(build)}.') for one in made) for path in libraries),
           'the build here has made it, by these names':
               all((BUILD / path.relative_to(build)).is_file() for path in libraries),
           'its folder is made, and is what the second stage takes': ['mkdir', image] in commands and given == image,
           'the init container runs what the image does by itself': 'command' not in init and 'args' not in init,
           'that copies the folder of the image into the volume':
               command == ['cp', '-a', f'{kept}/.', f'{volume["mountPath"]}/'],
           'which the program mounts, too': volume['name'] == mounted['name'],
           'LD_PRELOAD is a file there': str(preload.parent) == mounted['mountPath'],
           'by a name that was copied': preload.name in [path.name for path in libraries],
           'stages are of one C library': len({stage[0][1].split()[0] for stage in docker.stages}) == 1},
          (made, libraries, command, volume, mounted, preload))
    return [BUILD / path.relative_to(build) for path in libraries], copied[:2], command, program


def done(libraries, copying, command, program):
    """The same steps in folders of this machine, then a program with the environment of the manifest."""
    with tempfile.TemporaryDirectory(prefix='stealth-fleet-') as directory:
        image, volume = pathlib.Path(directory, 'image'), pathlib.Path(directory, 'volume')
        image.mkdir()
        volume.mkdir()
        subprocess.run([*copying, *libraries, f'{image}/'], check=True)
        subprocess.run([*command[:-2], f'{image}/.', f'{volume}/'], check=True)
        shutil.rmtree(image)
        mounted = program['volumeMounts'][0]['mountPath']
        environment = {one['name']: one['value'].replace(mounted, str(volume)) for one in program['env']}
        code = "import sys; print('ready', flush=True); sys.stdin.read()"
        with subprocess.Popen(['/usr/bin/python3', '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, env={'PATH': '/usr/bin:/bin'} | environment) as child:
            try:
                ready = child.stdout.readline()
                until(lambda: (seen(child.pid) or {'held': 0})['held'] > 0, 'the figures of the program')
                with open(f'/proc/{child.pid}/maps', encoding='utf-8') as maps:
                    mapped = str(volume / 'libstealth.so.0') in maps.read()
            except BaseException:
                child.kill()
                raise
            said = child.communicate('')[1]  # its input ends, and so does it
        check({'it ran': ready == 'ready\n' and child.returncode == 0, 'nothing was said on stderr': said == '',
               'with the library of the volume': mapped}, (child.returncode, said))


recipe = list(yaml.safe_load_all((RECIPES / 'kubernetes.yaml').read_text()))
if len(recipe) != 1:
    fail(f'kubernetes.yaml has {len(recipe)} documents')
if found := list(manifest.faults(recipe[0])):
    fail('kubernetes.yaml: ' + '; '.join(found))
refused(recipe[0])
done(*paths(recipe[0]['spec']['template']['spec'], Dockerfile((RECIPES / 'Dockerfile').read_text())))
print('kubernetes.yaml and Dockerfile: one Deployment, the same paths, and a program under libstealth at the end')
