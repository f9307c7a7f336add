"""stealth doctor: each obstacle on a program that has it and nothing else, and the machine's figures against /proc."""
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import unittest

import cli
from cli import COMMAND, LIBRARY, CommandTest, environment, program

sys.path.insert(0, os.path.join(os.environ['TEST_SOURCE'], 'tools', 'demo'))
import limit  # pylint: disable=wrong-import-position

PLAIN = program('PLAIN')


class Doctor(CommandTest):
    def diagnosis(self, *words, status, **more):
        """{what: finding} of the program; the exit status and `can_be_preloaded` must agree."""
        told = self.json('doctor', '--format', 'json', '--', *words, status=status, **more)['program']
        self.assertEqual(told['can_be_preloaded'], status == 0)
        self.assertEqual(any(one['level'] == 'bad' for one in told['findings']), status != 0)
        for one in told['findings']:
            self.assertEqual(bool(one['why']), one['level'] != 'ok', one)
            self.assertEqual(bool(one['todo']), one['level'] != 'ok', one)
        return {one['what']: one for one in told['findings']}

    def bad(self, path, what, found, **more):
        one = self.diagnosis(path, status=1, **more)[what]
        self.assertEqual(one['level'], 'bad')
        self.assertRegex(one['found'], found)


class Programs(Doctor):
    def test_plain_program(self):
        found = self.diagnosis(PLAIN, '--format', 'bad', status=0)
        self.assertEqual({one['level'] for one in found.values()}, {'ok'}, found)
        self.assertEqual(found['malloc']['found'], "the C library's")
        self.assertEqual(found['plug-ins']['found'], 'none: nothing that is linked calls dlopen')

    def test_static(self):
        self.bad(program('STATIC'), 'linking', '^static$')
        self.bad(program('STATIC_PIE'), 'linking', '^static$')

    def test_static_go(self):
        path = str(self.folder / 'go')
        subprocess.run(['objcopy', '--add-section', '.go.buildinfo=/dev/null', program('STATIC'), path], check=True)
        self.bad(path, 'linking', r'^static \(Go\)$')

    def test_machine_and_library(self):
        self.bad(self.edited(PLAIN, 'arm', cli.wrong_machine), 'machine', '^arm, 64 bit$')
        self.bad(self.edited(PLAIN, 'musl', cli.musl), 'C library', r'^musl \(/lib/ld-musl')
        self.bad(self.copy(program('BRINGS_MALLOC'), 'lib.so'), 'form', '^a shared library$')

    def test_own_malloc(self):
        self.bad(program('OWN_MALLOC'), 'malloc', '^the program defines it$')
        self.bad(program('HIDDEN_MALLOC'), 'malloc', '^the program defines it$')

    def test_malloc_of_a_library(self):
        found = self.diagnosis(program('LINKS_MALLOC'), status=0)
        self.assertEqual((found['malloc']['level'], found['malloc']['found']), ('warn', 'from libbringsmalloc.so'))
        self.assertEqual((found['other allocator']['level'], found['other allocator']['found']), ('warn', 'mallocx'))

    def test_libraries_by_the_older_run_path(self):
        lines = subprocess.run(['readelf', '-d', program('RPATH')], capture_output=True, text=True, check=True).stdout
        self.assertIn('(RPATH)', lines)
        found = self.diagnosis(program('RPATH'), status=0)
        self.assertEqual((found['libraries']['level'], found['malloc']['found']), ('ok', 'from libbringsmalloc.so'))

    def test_missing_library(self):
        # Away from its place, and from the directory that its run path names.
        moved = self.copy(program('LINKS_MALLOC'), 'moved')
        content = pathlib.Path(moved).read_bytes().replace(b'libbringsmalloc', b'libbringsnothin')
        pathlib.Path(moved).write_bytes(content)
        found = self.diagnosis(moved, status=0)['libraries']
        self.assertEqual((found['level'], found['found']), ('warn', 'libbringsnothin.so not found'))
        shutil.copy(program('BRINGS_MALLOC'), self.folder / 'libbringsnothin.so')
        found = self.diagnosis(moved, status=0, env={'LD_LIBRARY_PATH': str(self.folder)})
        self.assertEqual(found['libraries']['level'], 'ok')
        self.assertEqual(found['malloc']['found'], 'from libbringsnothin.so')

    def test_libraries_are_those_of_the_loader(self):
        for path in ('/usr/bin/python3', COMMAND):
            lines = subprocess.run([path, '--version'], env=environment({'LD_TRACE_LOADED_OBJECTS': '1'}), check=True,
                                   capture_output=True, text=True).stdout.splitlines()
            loaded = [line for line in lines if '=>' in line or 'ld-linux' in line]
            self.assertGreater(len(loaded), 1)
            found = self.diagnosis(path, status=0)['libraries']['found']
            # The loader itself is counted where some library names it.
            self.assertIn(found, {f'{len(loaded)}, all found', f'{len(loaded) - 1}, all found'})

    def test_plug_ins(self):
        found = self.diagnosis(program('PLUG_INS'), status=0)['plug-ins']
        self.assertEqual(found['level'], 'ok')
        self.assertRegex(found['found'], '^opened by starting-plug-ins; whether with RTLD_DEEPBIND cannot be told')
        found = self.diagnosis(program('DEEPBIND'), status=0)['plug-ins']
        self.assertEqual(found['level'], 'warn')
        self.assertIn('RTLD_DEEPBIND', found['why'])

    def test_sanitizer(self):
        self.bad(program('SANITIZED'), 'sanitizer', '^__asan_init$')

    def test_run_times(self):
        found = self.diagnosis('/usr/bin/python3', status=0)['run-time']
        self.assertEqual((found['found'], found['todo']), ('Python', 'set PYTHONMALLOC=malloc'))

    def test_scripts(self):
        found = self.diagnosis(self.script('one', f'#!{PLAIN}\n'), status=0)
        self.assertEqual(found['program']['found'], f'{self.folder}/one: a script, run by {PLAIN}')
        self.bad(self.script('two', f'#!{program("STATIC")}\n'), 'linking', '^static$')
        self.assertIn('run by /usr/bin/python3',
                      self.diagnosis(self.script('three', '#!/usr/bin/env python3\n'), status=0)['program']['found'])

    def test_nothing_is_started(self):
        self.diagnosis(self.script('touches', f'#!/bin/sh\ntouch {self.folder}/made\n'), status=0)
        self.assertFalse((self.folder / 'made').exists())

    def test_no_program(self):
        self.refused('doctor', 'no-such-program', why='no-such-program: no such program')
        self.refused('doctor', '/etc', why='a directory, not a program')
        self.refused('doctor', '--format', 'xml', why='unknown format; say text or json', status=2)
        self.refused('doctor', '--capacity', '1g', why='--capacity: unknown option', status=2)


@unittest.skipIf(os.geteuid() != 0, 'gives files to other users')
class Rights(Doctor):
    def setUp(self):
        super().setUp()
        self.command = self.copy(COMMAND, 'tree/tools/stealth')
        self.copy(LIBRARY, 'tree/preload/libstealth.so')
        self.nobody = {'user': 65534, 'group': 65534, 'extra_groups': [], 'command': self.command}

    def test_set_uid(self):
        path = self.copy(PLAIN, 'set-uid', 0o4755)
        found = self.diagnosis(path, status=0)['identity']  # root runs root's: nothing is gained
        self.assertEqual(found['level'], 'warn')
        if cli.rights_count(path):
            self.bad(path, 'identity', '^set-uid$', **self.nobody)

    def test_file_capabilities(self):
        path = self.copy(PLAIN, 'capable')
        # Version 2, effective; CAP_NET_RAW permitted.
        os.setxattr(path, 'security.capability', bytes([1, 0, 0, 2, 0, 0x20, 0, 0]) + bytes(12))
        self.assertNotIn('identity', self.diagnosis(path, status=0))
        if cli.rights_count(path):
            self.bad(path, 'identity', '^file capabilities$', **self.nobody)

    def test_program_that_cannot_be_read(self):
        path = self.copy(PLAIN, 'unreadable', 0o711)
        found = self.diagnosis(path, status=0, **self.nobody)
        self.assertEqual((found['file']['level'], found['file']['found']), ('warn', 'cannot be read'))


class Machine(Doctor):
    def machine(self, **more):
        return {one['what']: one for one in self.json('doctor', '--format', 'json', **more)['machine']}

    def test_figures(self):
        found = self.machine()
        self.assertIn(platform.release(), found['kernel']['found'])
        mode = pathlib.Path('/proc/sys/vm/overcommit_memory').read_text(encoding='ascii').strip()
        self.assertTrue(found['overcommit']['found'].startswith(f'mode {mode}'))
        mappings = pathlib.Path('/proc/sys/vm/max_map_count').read_text(encoding='ascii').strip()
        self.assertEqual(found['mappings']['found'], f'at most {mappings}')
        self.assertEqual(found['libstealth']['found'], cli.BESIDE)
        for what in ('cgroup', 'memory', 'huge pages', 'RLIMIT_MEMLOCK', 'shared files', 'seccomp', 'profiles'):
            self.assertIn(what, found)

    def test_profiles_want_their_library_beside(self):
        library = self.copy(LIBRARY, 'beside/libstealth.so')
        profiles = lambda: self.machine_with(library)['profiles']
        beside = self.folder / 'beside' / 'libstealth-unwind.so.0'
        self.assertEqual((profiles()['level'], profiles()['found']), ('warn', f'{beside} is not there'))
        shutil.copy(program('HARMLESS'), beside)
        self.assertEqual((profiles()['level'], profiles()['found']), ('ok', f'stacks by {beside}'))

    def machine_with(self, library):
        told = self.json('doctor', '--format', 'json', '--library', library)['machine']
        return {one['what']: one for one in told}

    def test_capacity(self):
        found = lambda value: self.machine(env={'STEALTH_CAPACITY': value})['capacity']['found']
        self.assertEqual(found('512M'), '512m here means 512.0 MiB')
        self.assertEqual(found('none'), 'none here means none')
        self.assertRegex(found('50%'), r'^50% here means [0-9.]+ [MGT]iB$')
        self.assertRegex(found('auto'), r'^auto here means (none: there is no cgroup|[0-9.]+ .iB, for the whole)')

    def test_capacity_of_a_cgroup(self):
        with limit.make(64 << 20) as group:
            if not isinstance(group, limit.Cgroup):
                return  # none can be made here; what `auto` then means, test_capacity has seen
            found = self.machine(preexec_fn=group.enter)
        self.assertRegex(found['cgroup']['found'], r'^v[12], [0-9.]+ [KM]iB used of 64\.0 MiB ')
        self.assertEqual(found['capacity']['found'], 'auto here means 60.8 MiB, for the whole cgroup')

    def test_limits(self):
        limited = ['sh', '-c', 'ulimit -v 8388608; ulimit -d 4194304; exec "$0" doctor --format json', COMMAND]
        done = subprocess.run(limited, env=environment(), capture_output=True, text=True, timeout=120, check=True)

        found = {one['what']: one for one in json.loads(done.stdout)['machine']}
        self.assertEqual((found['RLIMIT_AS']['level'], found['RLIMIT_AS']['found']), ('warn', '8.0 GiB'))
        self.assertEqual((found['RLIMIT_DATA']['level'], found['RLIMIT_DATA']['found']), ('warn', '4.0 GiB'))

    def test_what_is_preloaded(self):
        self.assertEqual(self.machine()['LD_PRELOAD']['found'], 'not set')
        other = program('HARMLESS')
        self.assertEqual(self.machine(env={'LD_PRELOAD': other})['LD_PRELOAD']['found'],
                         f'{other}; stealth run puts libstealth before it')

    def test_text(self):
        text = self.call('doctor', program('STATIC'), status=1).stdout
        self.assertRegex(text, r'(?m)^  bad   linking  static: no dynamic loader runs that would read LD_PRELOAD; '
                               r'link it dynamically$')
        self.assertRegex(text, r'(?m)^  ok    kernel +Linux ')
        self.assertTrue(text.endswith('\nthe program cannot be preloaded\n'))
        self.assertTrue(self.call('doctor', PLAIN).stdout.endswith('\nthe program can be preloaded\n'))
        self.assertNotIn('the program', self.call('doctor').stdout.splitlines()[-1])


if __name__ == '__main__':
    unittest.main()
