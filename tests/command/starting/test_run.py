"""stealth run: what the program gets, and that it is really it that runs."""
import os
import shlex
import signal
import subprocess
import unittest

from cli import BESIDE, COMMAND, CommandTest, environment, program, shown

SHOW = program('SHOW')


class Run(CommandTest):
    def test_program_is_served_and_its_status_is_ours(self):
        told = shown(self.call('run', SHOW, env={'STATUS': '7'}, status=7).stdout)
        self.assertEqual(told['served'], 1)
        self.assertEqual(told['variable']['LD_PRELOAD'], BESIDE)
        self.assertEqual(shown(subprocess.run([SHOW], env=environment(), capture_output=True, text=True,
                                              check=True).stdout)['served'], 0)

    def test_it_becomes_the_program(self):
        with subprocess.Popen([COMMAND, 'run', SHOW], env=environment(), stdout=subprocess.PIPE, text=True) as child:
            self.assertEqual(shown(child.communicate(timeout=60)[0])['pid'], child.pid)

    def test_a_signal_ends_it_as_it_ends_the_program(self):
        self.call('run', 'sh', '-c', 'kill -TERM $$', status=-signal.SIGTERM)

    def test_standard_input_and_output_are_the_programs(self):
        read, write = os.pipe()
        os.write(write, b'one\ntwo\n')
        os.close(write)
        with os.fdopen(read) as source:
            self.assertEqual(self.call('run', 'sort', '-r', stdin=source).stdout, 'two\none\n')

    def test_what_follows_the_program_is_its_own(self):
        words = ['--capacity', '12x', '--help', '--', '-h', 'a b', '']
        self.assertEqual(self.show('run', SHOW, *words)['argument'], words)
        self.assertEqual(self.show('run', '--verbose', '0', '--', SHOW, *words)['argument'], words)

    def test_program_may_be_named_like_a_subcommand(self):
        self.copy(SHOW, 'top')
        told = self.show('run', 'top', 'stat', env={'PATH': f'{self.folder}:/usr/bin'})
        self.assertEqual(told['argument'], ['stat'])

    def test_every_setting_has_a_flag(self):
        settings = self.settings()
        self.assertGreaterEqual(len(settings), 20)
        for name, row in settings.items():
            flag = '--' + name.removeprefix('STEALTH_').lower().replace('_', '-')
            with self.subTest(flag):
                told = self.show('run', f"{flag}={row['default']}", SHOW)
                self.assertEqual(told['variable'][name], row['default'])

    def test_values_reach_the_program_as_they_were_given(self):
        told = self.show('run', '--capacity', '512M', '--classes=16-64,1m:max=4', '--on-exhausted', 'enomem',
                         '--backoff-max-wait', '20ms', SHOW)['variable']
        self.assertEqual(told['STEALTH_CAPACITY'], '512M')
        self.assertEqual(told['STEALTH_CLASSES'], '16-64,1m:max=4')
        self.assertEqual(told['STEALTH_ON_EXHAUSTED'], 'enomem')
        self.assertEqual(told['STEALTH_BACKOFF_MAX_WAIT'], '20ms')

    def test_observe_is_a_mode_and_the_last_option_counts(self):
        mode = lambda *flags: self.show('run', *flags, SHOW)['variable']['STEALTH_MODE']
        self.assertEqual(mode('--observe'), 'observe')
        self.assertEqual(mode('--observe', '--mode', 'off'), 'off')
        self.assertEqual(mode('--mode=off', '--observe'), 'observe')

    def test_flag_comes_before_the_environment(self):
        env = {'STEALTH_SOFT': '50%', 'STEALTH_VERBOSE': '0'}
        told = self.show('run', '--soft', '60%', SHOW, env=env)['variable']
        self.assertEqual((told['STEALTH_SOFT'], told['STEALTH_VERBOSE']), ('60%', '0'))

    def test_flags_without_a_value(self):
        for flag, name, value in (('--stats', 'STEALTH_STATS', 'exit'), ('--guard', 'STEALTH_GUARD', 'sample'),
                                  ('--profile', 'STEALTH_PROFILE', '512k')):
            with self.subTest(flag):
                line = self.call('run', '--dry-run', flag, SHOW).stdout
                self.assertIn(f'{name}={value} ', line)

    def test_figures_at_exit(self):
        done = self.call('run', '--stats', SHOW)
        self.assertIn('stealth: statistics of starting-show, process ', done.stderr)

    def test_control_page_is_asked_for_unless_something_else_is(self):
        told = self.show('run', SHOW)['variable']
        self.assertEqual(told.get('STEALTH_CONTROL'), 'on')
        line = self.call('run', '--dry-run', SHOW, env={'STEALTH_CONTROL': 'off'}).stdout
        self.assertNotIn('STEALTH_CONTROL', line)
        self.assertIn('STEALTH_CONTROL=auto ', self.call('run', '--dry-run', '--control', 'auto', SHOW).stdout)

    def test_control_page_is_there_from_the_start(self):
        # It is made beside the program, which may be quicker.
        look = 'for i in $(seq 3000); do grep -q /page- /proc/$$/maps && break; sleep 0.01; done; cat /proc/$$/maps'
        maps = self.call('run', 'sh', '-c', look + '; exit 0').stdout
        self.assertRegex(maps, r'/stealth-[0-9]+/page-[0-9]+-[0-9]+\n')

    def test_dry_run_prints_what_a_shell_can_run(self):
        words = ["it's", 'a  b', '$HOME', '', 'NAME=value', '*', 'x\ny'[0:1], '--', '\\']
        line = self.call('run', '--dry-run', '--only', '*show*', '--soft=70%', SHOW, *words).stdout
        self.assertEqual(line.count('\n'), 1)
        self.assertEqual(shlex.split(line)[-len(words):], words)
        by_shell = subprocess.run(['/bin/sh', '-c', line], env=environment(), capture_output=True, text=True,
                                  timeout=60, check=True)
        told, ours = shown(by_shell.stdout), self.show('run', '--only', '*show*', '--soft=70%', SHOW, *words)
        for one in (told, ours):
            del one['pid']
        self.assertEqual(told, ours)
        self.assertEqual(told['argument'], words)
        self.assertEqual(told['served'], 1)

    def test_dry_run_runs_nothing(self):
        self.call('run', '--dry-run', 'touch', self.folder / 'made')
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_scripts(self):
        one = self.script('one', '#!/bin/sh\necho "$1"; exit 3\n')
        self.assertEqual(self.call('run', one, 'x', status=3).stdout, 'x\n')
        told = self.show('run', self.script('bare', f'exec {SHOW} "$@"\n'), 'y')  # no #! line: sh runs it
        self.assertEqual((told['served'], told['argument']), (1, ['y']))
        told = self.show('run', self.script('env', f'#!/usr/bin/env -S sh -e\nexec {SHOW} "$@"\n'), 'z')
        self.assertEqual((told['served'], told['argument']), (1, ['z']))

    def test_capacity_is_in_force(self):
        done = self.call('run', '--verbose', '2', '--capacity', '123m', SHOW)
        self.assertRegex(done.stderr, r'(?m)^stealth: .*123')


if __name__ == '__main__':
    unittest.main()
