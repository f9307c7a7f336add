"""The bash completion: sourced in a real bash, which then completes command lines as it would at the prompt."""
import os
import pathlib
import subprocess
import unittest

from cli import COMMAND, CommandTest, environment

SCRIPT = pathlib.Path(os.environ['TEST_SOURCE'], 'tools', 'completion', 'stealth')
# Calls the function as bash does, with the words behind; the last one is where the cursor is. Only our own pages.
ASK = r'''
source "$1"; shift
command=$1; shift
_stealth_roots() { printf '%s\n' "$ROOT"; }
COMP_WORDS=("$command" "$@") COMP_CWORD=$#
_stealth "$command" "${@: -1}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
'''


class Completion(CommandTest):
    def complete(self, *words, cwd=None):
        done = subprocess.run(['bash', '--norc', '-c', ASK, 'bash', SCRIPT, COMMAND, *words], cwd=cwd or self.folder,
                              env=environment({'ROOT': str(self.folder)}), capture_output=True, text=True, timeout=120,
                              check=True)
        self.assertEqual(done.stderr, '')
        return [line for line in done.stdout.split('\n') if line]

    def page(self, pid):
        folder = self.folder / f'stealth-{os.getuid()}'
        folder.mkdir(exist_ok=True)
        (folder / f'page-{pid}-12345').touch()
        return str(pid)

    def test_subcommands(self):
        all_of_them = {'run', 'top', 'stat', 'set', 'profile', 'doctor', 'settings', '--help', '--version'}
        self.assertEqual(set(self.complete('')), all_of_them)
        self.assertEqual(self.complete('se'), ['set', 'settings'])

    def test_flags_are_those_of_the_table(self):
        flags = {'--' + name.removeprefix('STEALTH_').lower().replace('_', '-') for name in self.settings()}
        offered = set(self.complete('run', '--'))
        self.assertEqual(offered, flags | {'--observe', '--dry-run', '--library', '--help'})
        self.assertEqual(self.complete('run', '--soft', '50%', '--on-'), ['--on-exhausted'])

    def test_values(self):
        self.assertEqual(self.complete('run', '--mode', ''), ['enforce', 'observe', 'off'])
        self.assertEqual(self.complete('run', '--mode', 'o'), ['observe', 'off'])
        self.assertEqual(self.complete('run', '--on-exhausted', '=', 'e'), ['enomem'])
        self.assertEqual(self.complete('run', '--capacity', '='), ['auto', 'none'])
        self.assertEqual(self.complete('run', '--verbose', ''), ['0', '1', '2'])
        for word in self.complete('run', '--huge-pages', ''):
            self.call('run', '--huge-pages', word, 'true')

    def test_program(self):
        self.assertIn('python3', self.complete('run', 'pytho'))
        self.assertIn('python3', self.complete('run', '--mode', 'off', '--stats', '--', 'pytho'))
        self.assertIn('python3', self.complete('run', '--stats', '=', 'exit', 'pytho'))
        self.assertIn('python3', self.complete('doctor', 'pytho'))
        (self.folder / 'data-file').touch()
        self.assertEqual(self.complete('run', 'cat', 'data-'), ['data-file'])
        self.assertEqual(self.complete('run', 'cat', '--mod'), [])  # the program's own options are not ours
        self.assertEqual(self.complete('run', './data'), ['./data-file'])
        self.assertEqual(self.complete('run', '--library', 'data'), ['data-file'])

    def test_processes(self):
        lives = self.page(os.getpid())
        with subprocess.Popen(['true']) as ended:
            gone = ended
        self.page(gone.pid)
        draft = self.folder / f'stealth-{os.getuid()}' / f'page-{os.getppid()}'
        draft.touch()  # not the name of a page
        for subcommand in ('top', 'stat', 'set', 'profile'):
            offered = [word for word in self.complete(subcommand, '') if word.isdigit()]
            self.assertEqual(offered, [lives], subcommand)

    def test_set_offers_what_changes_live(self):
        live = {name.removeprefix('STEALTH_').lower() + '=' for name, row in self.settings().items() if row['live']}
        self.assertEqual(set(self.complete('set', '1', '')), live)
        self.assertEqual(self.complete('set', '1', 'capacity', '='), ['auto', 'none'])
        self.assertEqual(self.complete('set', '1', 'soft', '=', '50%', 'mode', '=', 'obs'), ['observe'])

    def test_formats(self):
        self.assertEqual(self.complete('stat', '1', '--format', ''), ['text', 'json', 'prometheus'])
        self.assertEqual(self.complete('profile', '1', '--format', '=', 'f'), ['folded'])
        self.assertEqual(self.complete('settings', '--format', 'j'), ['json'])
        self.assertEqual(self.complete('doctor', '--format', 't'), ['text'])
        self.assertEqual(self.complete('profile', '1', '--st'), ['--stalls'])
        self.assertEqual(set(self.complete('settings', 'BACKOFF_M')), {'BACKOFF_MAX_WAIT', 'BACKOFF_MAX_ELAPSED'})

    def test_it_is_bound_to_the_command(self):
        done = subprocess.run(['bash', '--norc', '-c', f'source {SCRIPT}; complete -p stealth'], capture_output=True,
                              text=True, timeout=120, check=True)
        self.assertEqual(done.stdout, 'complete -F _stealth stealth\n')


if __name__ == '__main__':
    unittest.main()
