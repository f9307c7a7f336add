"""The man pages: well formed by two formatters, whole, and with the table as the command tells it."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from cli import CommandTest, environment

BUILD = pathlib.Path(os.environ['TEST_BUILD'])
PAGES = {name: BUILD / 'docs' / 'man' / name for name in ('stealth.1', 'libstealth.3')}


def rendered(page):
    """The page as plain text, one space between words; also what the formatter says of it."""
    done = subprocess.run(['man', '--warnings', '-l', page], env=environment({'MANWIDTH': '500'}), capture_output=True,
                          text=True, timeout=120, check=True)
    return re.sub(r'\s+', ' ', done.stdout.replace('‐', '-').replace('−', '-')), done.stderr


class Pages(CommandTest):
    def test_formatters_have_nothing_to_say(self):
        for name in ('man', 'mandoc'):
            self.assertIsNotNone(shutil.which(name), f'{name} is not installed: see tests/command/packages.txt')
        for page in PAGES.values():
            self.assertEqual(rendered(page)[1], '')
            lint = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning', page], capture_output=True, text=True,
                                  timeout=120, check=False)
            self.assertEqual(lint.stdout + lint.stderr, '')

    def test_table(self):
        for name, page in PAGES.items():
            text = rendered(page)[0]
            self.assertNotIn('@', page.read_text(encoding='utf-8'))
            for setting, row in self.settings().items():
                with self.subTest(page=name, setting=setting):
                    when = 'changes live' if row['live'] else 'read at start'
                    self.assertIn(f"{setting} (default {row['default']}; {when}) {row['help']}. "
                                  f"Accepted: {row['accepted']}.", text)

    def test_command(self):
        text = rendered(PAGES['stealth.1'])[0]
        for subcommand in ('run', 'top', 'stat', 'set', 'profile', 'doctor', 'settings'):
            self.assertIn(f'STEALTH {subcommand.upper()} ', text)
        for option in ('--observe', '--dry-run', '--library', '--profile[=VALUE]', '--guard[=VALUE]', '--stats[=VALUE]',
                       '--stalls', '--format', '--version'):
            self.assertIn(option, text)
        version = self.call('--version').stdout.split()[-1]
        self.assertIn(f'libstealth {version}', text)

    def test_library(self):
        text = rendered(PAGES['libstealth.3'])[0]
        # What is declared in the headers, and no other name.
        headers = pathlib.Path(os.environ['TEST_SOURCE'], 'include', 'stealth')
        declared = set(re.findall(r'\bstealth_[a-z_]+\b', ''.join(path.read_text() for path in headers.glob('*.h'))))
        named = set(re.findall(r'\bstealth_[a-z_]+\b', text))
        self.assertLessEqual({'stealth_stats', 'stealth_set', 'stealth_check', 'stealth_trim', 'stealth_on_pressure',
                              'stealth_pool_create', 'stealth_buffer_pool_create'}, named)
        self.assertLessEqual(named, declared)

    def test_installed(self):
        with open(BUILD / 'meson-info' / 'intro-installed.json', encoding='utf-8') as listing:
            places = {os.path.relpath(source, BUILD): target for source, target in json.load(listing).items()}
        self.assertRegex(places['docs/man/stealth.1'], r'/man/man1/stealth\.1$')
        self.assertRegex(places['docs/man/libstealth.3'], r'/man/man3/libstealth\.3$')
        self.assertRegex(places['tools/stealth'], r'/bin/stealth$')
        completion = os.path.relpath(pathlib.Path(os.environ['TEST_SOURCE'], 'tools', 'completion', 'stealth'), BUILD)
        self.assertRegex(places[completion], r'/bash-completion/completions/stealth$')


if __name__ == '__main__':
    unittest.main()
