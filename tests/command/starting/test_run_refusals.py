"""stealth run: what it refuses, in one line and with the right status, before anything is started."""
import os
import unittest

import cli
from cli import CommandTest, program

SHOW = program('SHOW')


class Usage(CommandTest):
    def test_wrong_values_of_every_setting(self):
        for name in self.settings():
            flag = '--' + name.removeprefix('STEALTH_').lower().replace('_', '-')
            with self.subTest(flag):
                self.refused('run', f'{flag}=', SHOW, status=2, why=f"^stealth: {name}='': .*; accepted: .+")

    def test_the_parsers_own_line(self):
        self.refused('run', '--capacity', '12x', SHOW, status=2,
                     why="^stealth: STEALTH_CAPACITY='12x': not a size; accepted: bytes with k, m, g or t, N%, auto, "
                         'none$')
        self.refused('run', '--classes', '16-64,bad', SHOW, status=2,
                     why="STEALTH_CLASSES='16-64,bad': bad: not a size")

    def test_a_later_right_value_does_not_hide_a_wrong_one(self):
        self.refused('run', '--soft', '200%', '--soft', '50%', SHOW, status=2, why='out of range')

    def test_options(self):
        self.refused('run', '--capactiy', '1g', SHOW, status=2,
                     why='--capactiy: unknown option; the nearest is --capacity')
        self.refused('run', '-c', '1g', SHOW, status=2, why='-c: unknown option')
        self.refused('run', '--capacity', status=2, why='--capacity: the value is missing')
        self.refused('run', '--observe=yes', SHOW, status=2, why='--observe=yes: this option takes no value')
        self.refused('run', status=2, why='no program given')
        self.refused('run', '--observe', '--', status=2, why='no program given')

    def test_subcommands(self):
        self.refused('rnu', 'true', status=2,
                     why='^stealth: rnu: no such subcommand; the nearest is run, see stealth --help$')
        self.refused(status=2, why='^stealth: no subcommand given; say stealth --help$')
        self.refused('RUN', 'true', status=2, why='RUN')
        self.assertIn('doctor', self.call('--help').stdout)

    def test_help(self):
        text = self.call('run', '--help').stdout
        for name in self.settings():
            self.assertIn('--' + name.removeprefix('STEALTH_').lower().replace('_', '-'), text)
        self.assertEqual(self.call('run', '--soft', '50%', '-h').stdout, text)


class Programs(CommandTest):
    def test_not_there(self):
        self.refused('run', 'no-such-program', why='no-such-program: no such program; check the name and the PATH$')
        self.refused('run', '/no/such', why='/no/such: no such program; check the name$')
        self.refused('run', '', why='no such program')
        self.refused('run', 'two\nlines', why=r'two\?lines: no such program')

    def test_a_value_that_is_not_joined(self):
        self.refused('run', '--guard', 'full', '--', SHOW,
                     why='full: no such program; a value of --guard is joined to it: --guard=full$')
        self.refused('run', '--stats', 'exit', SHOW, why='--stats=exit$')
        self.refused('run', '--guard', 'fully', SHOW, why='fully: no such program; check the name and the PATH$')
        self.refused('run', '--guard=full', 'full', SHOW, why='full: no such program; check the name and the PATH$')

    def test_not_executable(self):
        self.refused('run', self.folder, why='a directory, not a program')
        self.refused('run', self.copy(SHOW, 'locked', 0o644), why='locked: not executable; check its mode')
        self.refused('run', 'locked', env={'PATH': str(self.folder)}, why='locked: not executable')

    def test_static(self):
        self.refused('run', program('STATIC'), why='starting-static: static: no dynamic loader runs')
        self.refused('run', program('STATIC_PIE'), why='starting-static-pie: static: no dynamic loader runs')

    def test_other_machines_and_libraries(self):
        self.refused('run', self.edited(SHOW, 'arm', cli.wrong_machine), why='arm, 64 bit: libstealth was built for ')
        self.refused('run', self.edited(SHOW, 'damaged', cli.wrong_class), why='damaged ELF file|32 bit')
        self.refused('run', self.edited(SHOW, 'musl', cli.musl), why='musl .*libstealth is built for glibc')
        self.refused('run', self.copy(program('BRINGS_MALLOC'), 'lib.so'), why='a shared library: it is no program')

    def test_scripts_are_judged_by_their_interpreter(self):
        static = program('STATIC')
        self.refused('run', self.script('one', f'#!{static}\n'),
                     why=rf'^stealth: {static} \(which runs .*/one\): static')
        self.refused('run', self.script('two', '#!/no/such\n'),
                     why='/two: the interpreter of its #! line: /no/such: no such')
        self.refused('run', self.script('three', '#!/usr/bin/env no-such\n'),
                     why='interpreter of its #! line: no-such: ')
        self.refused('run', self.script('four', '#!\n'), why='names no interpreter')
        self.refused('run', self.script('five', f'#!{self.folder}/five\n'), why='scripts that run scripts without end')
        self.refused('run', self.script('six', 'MZ\0\0\1'), why='neither an ELF file nor a script')

    def test_set_uid(self):
        if os.geteuid() != 0:
            if cli.rights_count('/usr/bin/su'):
                self.refused('run', '/usr/bin/su', why='/usr/bin/su: set-uid: ')
            return
        for name, bit, owner, group in (('set-uid', 0o4755, 65534, 0), ('set-gid', 0o2755, 0, 65534)):
            path = self.copy(SHOW, name)
            os.chown(path, owner, group)
            os.chmod(path, bit)
            if cli.rights_count(path):
                self.refused('run', path, why=f'{name}: {name}: the loader of a program that gains rights ignores')
            os.chown(path, 0, 0)
            os.chmod(path, bit)  # rights that we have: nothing changes, and the loader takes what we give
            self.assertEqual(self.show('run', path)['served'], 1)

    def test_same_checks_for_a_dry_run(self):
        self.refused('run', '--dry-run', program('STATIC'), why='static')


if __name__ == '__main__':
    unittest.main()
