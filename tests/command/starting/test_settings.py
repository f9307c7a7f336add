"""stealth settings: the whole table, and what an environment makes of it."""
import unittest

from cli import CommandTest

KEYS = {'name', 'value', 'default', 'is_default', 'in_environment', 'given', 'refused', 'accepted', 'live',
        'help'}
CONTRACT = ('CAPACITY CLASSES MODE SOFT BACKOFF_MAX_WAIT BACKOFF_PATIENCE BACKOFF_MAX_ELAPSED BACKOFF_BUDGET '
            'BACKOFF_JITTER ON_EXHAUSTED PURGE_DELAY HUGE_PAGES GUARD DUMPABLE STATS CONTROL PROFILE GROUP ONLY '
            'VERBOSE')


class Settings(CommandTest):
    def test_table_is_complete(self):
        rows = self.settings()
        self.assertLessEqual({'STEALTH_' + name for name in CONTRACT.split()}, set(rows))
        for row in rows.values():
            self.assertEqual(set(row), KEYS)
            self.assertEqual((row['is_default'], row['in_environment'], row['given'], row['refused']),
                             (True, False, None, None), row)
            self.assertTrue(row['help'] and row['accepted'] and row['default'])

    def test_values_of_the_environment(self):
        rows = self.settings({'STEALTH_CAPACITY': '512M', 'STEALTH_SOFT': '30', 'STEALTH_MODE': 'enforce'})
        capacity, soft, mode = (rows['STEALTH_' + name] for name in ('CAPACITY', 'SOFT', 'MODE'))
        self.assertEqual((capacity['value'], capacity['given'], capacity['is_default']), ('512m', '512M', False))
        self.assertEqual((soft['value'], soft['given'], soft['is_default']), ('90%', '30', True))
        self.assertEqual(soft['refused'], "STEALTH_SOFT='30': not a share; accepted: 0.1% to 100%")
        self.assertEqual((mode['in_environment'], mode['is_default']), (True, True))

    def test_what_it_says_is_what_the_library_does(self):
        env = {'STEALTH_SOFT': '30', 'STEALTH_CAPCITY': '1g'}
        lines = self.call('run', 'true', env=env).stderr
        self.assertIn(f"stealth: {self.settings(env)['STEALTH_SOFT']['refused']}; using 90%\n", lines)
        unknown = self.json('settings', '--format', 'json', env=env)['unknown']
        self.assertEqual(unknown, [{'name': 'STEALTH_CAPCITY', 'nearest': 'STEALTH_CAPACITY'}])
        self.assertIn('stealth: STEALTH_CAPCITY: unknown setting; the nearest known name is STEALTH_CAPACITY\n', lines)

    def test_names_in_any_spelling(self):
        rows = self.json('settings', '--format', 'json', 'backoff-max-wait', 'STEALTH_SOFT', 'Mode')['settings']
        self.assertEqual([row['name'] for row in rows], ['STEALTH_MODE', 'STEALTH_SOFT', 'STEALTH_BACKOFF_MAX_WAIT'])
        self.refused('settings', 'max-wiat', status=2,
                     why='max-wiat: unknown setting; the nearest known name is STEALTH_BACKOFF_MAX_WAIT$')

    def test_text(self):
        text = self.call('settings', env={'STEALTH_MODE': 'observe', 'STEALTH_SOFT': '30', 'STEALTH_X': '1'}).stdout
        self.assertRegex(text, r'(?m)^\* STEALTH_MODE +observe +enforce +live$')
        self.assertRegex(text, r'(?m)^! STEALTH_SOFT +90% +90% +live$')
        self.assertIn("      refused: STEALTH_SOFT='30': not a share; accepted: 0.1% to 100%\n", text)
        self.assertRegex(text, r'(?m)^  STEALTH_CLASSES +all +all +at start$')
        self.assertRegex(text, r'(?m)^! STEALTH_X: unknown; the nearest known name is STEALTH_')
        for row in self.settings().values():
            self.assertIn(f"      {row['help']}\n      accepted: {row['accepted']}\n", text)
        plain = self.call('settings').stdout
        self.assertNotRegex(plain, r'(?m)^[*!]')

    def test_strange_bytes(self):
        row = self.json('settings', '--format', 'json', 'group', env={'STEALTH_GROUP': b'a\xff\n'})['settings'][0]
        self.assertIn('\\xff\\n', row['refused'])
        self.assertEqual(row['value'], 'none')

    def test_names_that_are_not_the_librarys(self):
        self.assertEqual(self.json('settings', '--format', 'json', env={'STEALTH_LIBRARY': '/x'})['unknown'], [])

    def test_man_is_the_same_everywhere(self):
        rows = self.call('settings', '--format', 'man').stdout
        self.assertEqual(self.call('settings', '--format', 'man', env={'STEALTH_SOFT': '10%'}).stdout, rows)
        self.assertEqual(rows.count('.TP\n'), len(self.settings()))

    def test_unknown_format(self):
        self.refused('settings', '--format', 'xml', status=2, why='--format xml: unknown format; say text, json or man')


if __name__ == '__main__':
    unittest.main()
