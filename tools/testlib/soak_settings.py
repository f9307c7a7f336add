"""Random settings for tools/soak: one generator for each row of the library's own table, which `stealth settings` tells.
A row of words is drawn from what it accepts; a new row of another kind has to be given a generator here, or the soak does
not begin."""
import json
import re
import subprocess

MIB = 1 << 20


def table(stealth):
    """The rows: name (without STEALTH_), accepted, live."""
    told = subprocess.run([stealth, 'settings', '--format', 'json'], stdout=subprocess.PIPE, check=True, env={}).stdout
    return [{'name': row['name'].removeprefix('STEALTH_'), 'accepted': row['accepted'], 'live': row['live']}
            for row in json.loads(told)['settings']]


def words(row):
    """What a row of plain words accepts; None for any other."""
    parts = row['accepted'].split(', ')
    return parts if len(parts) > 1 and all(re.fullmatch('[a-z]+', part) for part in parts) else None


def often(dice, *weighted):
    return dice.choices([value for value, _ in weighted], [weight for _, weight in weighted])[0]


def groups(folder):
    """Two names, of this soak alone."""
    return f'soak-{folder.name}-a', f'soak-{folder.name}-b'


class Drawer:
    """`need`: bytes that the program holds at most when nothing is set. Capacities below it make it wait, and go over in
    the end: outputs stay the same. What makes allocations fail is only drawn where there is room in plenty."""

    def __init__(self, dice, rows, folder):
        self.dice, self.rows, self.folder = dice, rows, folder
        unknown = [row['name'] for row in rows if row['name'].lower() not in dir(self) and not words(row)]
        if unknown:
            raise SystemExit(f'stealth: STEALTH_{unknown[0]}: the soak cannot draw values for it; '
                             'add them to tools/testlib/soak_settings.py')

    def draw(self, need, program, live=False):
        """{name: value}; of those that may change in a running process, or of all, each with a chance."""
        self.need, self.program = max(need, 4 * MIB), program
        chosen = {}
        for row in self.rows:
            rarely = 0.15 if row['name'] == 'CAPACITY' and not live else 0.4
            if live and not row['live'] or self.dice.random() < rarely:
                continue
            by_hand = getattr(self, row['name'].lower(), None)
            value = by_hand() if by_hand else self.dice.choice(words(row))
            if value is not None:
                chosen[row['name']] = value
        capacity = chosen.get('CAPACITY', 'auto')
        plenty = capacity.isdigit() and int(capacity) > 3 * self.need
        risky = 'GROUP' in chosen or chosen.get('GUARD', 'off') != 'off' or 'CLASSES' in chosen
        if live or risky or not plenty:  # nothing may fail
            chosen.pop('ON_EXHAUSTED', None)
        return chosen

    def capacity(self):
        factor = often(self.dice, (self.dice.uniform(0.6, 1.1), 4), (self.dice.uniform(1.1, 3), 3), (4, 2), (0, 2), (-1, 1))
        return 'none' if factor == 0 else 'auto' if factor < 0 else str(int(self.need * factor))

    def classes(self):
        return often(self.dice, ('all', 6), ('none', 1), ('16-1024', 2), ('16-32768', 1),
                     ('16-1024,4k:max=100000:prealloc=20,64k,1m:max=1000', 2))

    def mode(self):
        return often(self.dice, ('enforce', 6), ('observe', 2), ('off', 1))

    def soft(self):
        return f'{self.dice.choice([0.1, 10, 50, 75, 90, 95, 100])}%'

    def backoff_max_wait(self):
        return self.dice.choice(['1us', '150us', '1ms', '10ms', '100ms'])

    # Short ones: with a capacity below what is needed each of many waits is in vain.
    def backoff_patience(self):
        return often(self.dice, ('0', 1), ('2ms', 3), ('20ms', 3), ('200ms', 3))

    def backoff_max_elapsed(self):
        return often(self.dice, ('0', 1), ('100ms', 3), ('1s', 3), ('15s', 3))

    def backoff_budget(self):
        return often(self.dice, ('0%', 1), ('5%', 3), ('25%', 3), ('50%', 3))

    def backoff_jitter(self):
        return self.dice.choice(['0', '0.5', '1'])

    def purge_delay(self):
        return self.dice.choice(['0', '1ms', '50ms', '500ms', '10s'])

    def control(self):
        return often(self.dice, ('on', 6), ('auto', 3), ('off', 1))

    def guard(self):
        return often(self.dice, ('off', 6), ('sample', 3), ('full', 1))

    def stats(self):
        return None  # the soak's own: it reads the figures at exit

    def profile(self):
        return often(self.dice, ('off', 3), ('64k', 1), ('512k', 2), (f'256k:{self.folder}/%p.heap', 1))

    def group(self):
        return often(self.dice, ('none', 2), *((name, 1) for name in groups(self.folder)))

    def only(self):
        return often(self.dice, ('all', 4), (f'{self.program[:3]}*,sh,git*', 2), (f'!{self.program}', 1))

    def verbose(self):
        return self.dice.choice(['0', '1', '2'])
