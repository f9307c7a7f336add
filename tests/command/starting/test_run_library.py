"""stealth run: which libstealth.so it takes, and what becomes of LD_PRELOAD."""
import os
import pathlib
import subprocess
import unittest

from cli import BESIDE, COMMAND, LIBRARY, CommandTest, environment, program

SHOW, OTHER = program('SHOW'), program('HARMLESS')


class FindsLibrary(CommandTest):
    def preloaded(self, *flags, env=None, command=COMMAND):
        return self.show('run', *flags, SHOW, env=env, command=command)['variable']['LD_PRELOAD']

    def test_option_before_variable_before_the_one_beside(self):
        one, two = self.copy(LIBRARY, 'one.so'), self.copy(LIBRARY, 'two.so')
        self.assertEqual(self.preloaded(), BESIDE)
        self.assertEqual(self.preloaded(env={'STEALTH_LIBRARY': one}), one)
        self.assertEqual(self.preloaded('--library', two, env={'STEALTH_LIBRARY': one}), two)

    def test_variable_is_the_commands_own(self):
        told = self.show('run', SHOW, env={'STEALTH_LIBRARY': LIBRARY})
        self.assertNotIn('STEALTH_LIBRARY', told['variable'])
        line = self.call('run', '--dry-run', SHOW, env={'STEALTH_LIBRARY': LIBRARY}).stdout
        self.assertTrue(line.startswith('env -u STEALTH_LIBRARY '), line)

    def test_relative_name_becomes_absolute(self):
        self.copy(LIBRARY, 'here.so')
        told = self.show('run', '--library', 'here.so', SHOW, cwd=self.folder)
        self.assertEqual(told['variable']['LD_PRELOAD'], str(self.folder / 'here.so'))

    def test_build_tree_and_installed_tree_may_lie_anywhere(self):
        built = self.copy(COMMAND, 'tree/tools/stealth')
        library = self.copy(LIBRARY, 'tree/preload/libstealth.so')
        self.assertEqual(self.preloaded(command=built), library)
        if not os.path.isabs(os.environ['TEST_LIBDIR']):
            installed = self.copy(COMMAND, 'prefix/bin/stealth')
            library = self.copy(LIBRARY, f"prefix/{os.environ['TEST_LIBDIR']}/libstealth.so.0")
            self.assertEqual(self.preloaded(command=installed), library)
            link = self.folder / 'link'
            link.symlink_to(installed)
            self.assertEqual(self.preloaded(command=str(link)), library)

    def test_no_library(self):
        alone = self.copy(COMMAND, 'alone/bin/stealth')
        # One that was installed on this machine may be found; without it, the line says where it was looked for.
        done = subprocess.run([alone, 'run', '--dry-run', SHOW], env=environment(), capture_output=True, text=True,
                              timeout=120, check=False)
        if done.returncode:
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r'\Astealth: libstealth\.so: not found as .*alone/preload/libstealth\.so, '
                                          r'.*; name it by --library or STEALTH_LIBRARY\n\Z')
        else:
            self.assertNotIn(str(self.folder / 'alone'), done.stdout.split(' ', 1)[0])

    def test_what_is_no_libstealth(self):
        self.refused('run', '--library', OTHER, SHOW, why=r'libharmless\.so: not libstealth\.so; check --library$')
        self.refused('run', SHOW, env={'STEALTH_LIBRARY': '/dev/null'}, why='no such library; check STEALTH_LIBRARY$')
        self.refused('run', '--library', '', SHOW, why='--library: the name is empty', status=2)
        self.refused('run', '--library', self.copy(LIBRARY, 'a b/l.so'), SHOW, why='LD_PRELOAD cannot carry')
        self.refused('run', '--library', self.copy(LIBRARY, 'a:b/l.so'), SHOW, why='LD_PRELOAD cannot carry')

    def test_others_stay_behind_it(self):
        self.assertEqual(self.preloaded(env={'LD_PRELOAD': OTHER}), f'{BESIDE}:{OTHER}')

    def test_not_twice(self):
        copy = self.copy(LIBRARY, 'copy/libstealth.so.0')
        same = str(self.folder / 'same.so')
        pathlib.Path(same).symlink_to(BESIDE)
        for before in (BESIDE, f'{OTHER}:{BESIDE}', f' {BESIDE} {OTHER}', f'{copy}:{OTHER}', f'{same}:{OTHER}'):
            rest = f':{OTHER}' if OTHER in before else ''
            line = self.call('run', '--dry-run', SHOW, env={'LD_PRELOAD': before}).stdout
            self.assertIn(f'LD_PRELOAD={BESIDE}{rest} ', line, before)


if __name__ == '__main__':
    unittest.main()
