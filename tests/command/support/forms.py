"""Calls of `stealth profile`, and what reads what it writes: the forms as their own readers have them (protoc, google-pprof,
what speedscope's published schema requires). For the tests of made-up dumps and for those of real programs.

The command comes by STEALTH, the directory of profile.proto by PROFILE_PROTO.
"""
import gzip
import json
import os
import re
import shutil
import subprocess

SECONDS = 120  # for one call; CI machines are slow


def fail(why):
    raise SystemExit(f'FAIL: {why}')


def check(good, why):
    if not good:
        fail(why)


def equal(what, found, wanted):
    if found != wanted:
        fail(f'{what}:\nfound  {found}\nwanted {wanted}')


def need(name):
    found = shutil.which(name)
    check(found, f'{name} is not installed; its package is listed in tests/command/packages.txt')
    return found


def command(*args, status=0):
    """The command's stdout (bytes) and stderr (text), after its status was looked at."""
    done = subprocess.run([os.environ['STEALTH'], *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=SECONDS)
    errors = done.stderr.decode(errors='replace')
    check(done.returncode == status, f'{args}: status {done.returncode}, not {status}: {errors}')
    return done.stdout, errors


def run(*args, status=0):
    return command('profile', *args, status=status)


def quiet(*args):
    """stdout of a call that has nothing to complain of."""
    out, errors = run(*args)
    check(errors == '', f'profile {args} said on stderr: {errors}')
    return out


def one_line(errors):
    check(errors.startswith('stealth: ') and errors.endswith('\n') and errors.count('\n') == 1,
          f'not one line of the form `stealth: …`: {errors!r}')
    return errors


def folded(text):
    """Lines "a;b;c NUMBER" as {(a, b, c): NUMBER}."""
    result = {}
    for line in text.decode().splitlines():
        stack, number = line.rsplit(' ', 1)
        check(tuple(stack.split(';')) not in result, f'a stack twice: {line}')
        result[tuple(stack.split(';'))] = int(number)
    return result


def speedscope(data, units):
    """Looked at by what its published schema requires of the sampled kind: keys, types, ranges. The file's content."""
    file = json.loads(data)
    equal('$schema', file['$schema'], 'https://www.speedscope.app/file-format-schema.json')
    check(set(file) <= {'$schema', 'shared', 'profiles', 'name', 'activeProfileIndex', 'exporter'}, 'unknown keys')
    check(0 <= file['activeProfileIndex'] < len(file['profiles']), 'activeProfileIndex')
    equal('keys of shared', set(file['shared']), {'frames'})
    frames = file['shared']['frames']
    for frame in frames:
        check(set(frame) <= {'name', 'file', 'line', 'col'} and isinstance(frame['name'], str), f'frame {frame}')
        check(isinstance(frame.get('line', 1), int) and isinstance(frame.get('file', ''), str), f'frame {frame}')
    check(len({json.dumps(frame) for frame in frames}) == len(frames), 'a frame twice')
    equal('units', [profile['unit'] for profile in file['profiles']], units)
    for profile in file['profiles']:
        equal('keys of a profile', set(profile), {'type', 'name', 'unit', 'startValue', 'endValue', 'samples', 'weights'})
        equal('type', profile['type'], 'sampled')
        equal('as many weights', len(profile['weights']), len(profile['samples']))
        equal('range', profile['endValue'] - profile['startValue'], sum(profile['weights']))
        check(all(w >= 0 for w in profile['weights']), 'a weight below zero')
        check(all(0 <= f < len(frames) for s in profile['samples'] for f in s), 'a frame that is not there')
    return file


def decoded(data):
    """protoc's text of a file in pprof's format, as dictionaries: {field: [values]}."""
    text = subprocess.run([need('protoc'), f'--proto_path={os.environ["PROFILE_PROTO"]}', '--decode=stealth.pprof.File', 'profile.proto'],
                          input=gzip.decompress(data), stdout=subprocess.PIPE, check=True).stdout.decode()
    stack = [{}]
    for line in text.splitlines():
        if message := re.fullmatch(r' *(\w+) \{', line):
            inner = {}
            stack[-1].setdefault(message[1], []).append(inner)
            stack.append(inner)
        elif line.strip() == '}':
            stack.pop()
        else:
            field = re.fullmatch(r' *(\w+): (.*)', line)
            check(field, f'protoc wrote {line!r}')
            value = field[2]
            value = json.loads(value.replace("\\'", "'")) if value[0] == '"' else value == 'true' or int(value)
            stack[-1].setdefault(field[1], []).append(value)
    check(len(stack) == 1, 'protoc wrote an open message')
    return stack[0]


def quantities(file):
    """What the values of a decoded file are, in their order: (type, unit)."""
    texts = file['texts']
    return [(texts[q['type'][0]], texts[q['unit'][0]]) for q in file['sample_quantities']]


def google_pprof(program, path):
    """google-pprof's total and {function: cumulative}, as it writes them: in MB or seconds."""
    done = subprocess.run([need('google-pprof'), '--text', program, str(path)], stdin=subprocess.DEVNULL,
                          capture_output=True, check=True, timeout=SECONDS)
    lines = done.stdout.decode().splitlines()
    total = next(re.fullmatch(r'Total: ([\d.]+) .*', line)[1] for line in lines if line.startswith('Total:'))
    found = {}
    for line in lines:
        row = re.fullmatch(r' *[\d.]+ +[\d.]+% +[\d.]+% +([\d.]+) +[\d.]+% (.*)', line)
        if row:
            found[re.sub(r'( \[clone .*)', '', row[2])] = float(row[1])
    return float(total), found
