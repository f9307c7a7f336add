"""Reads the exit statistics that the preloaded processes wrote, and judges from them who served their memory. A
process that ends by exit() or by returning from main writes one file; one that ends by _exit(), exec or a signal writes
none."""
import collections
import json

# Requests that no class serves go to the next allocator. By default none should; the share leaves room for rare ones.
PASSED_ON_SHARE = 0.01


def size(text):
    return int(float(text[:-1]) * {'k': 1 << 10, 'm': 1 << 20, 'g': 1 << 30}[text[-1]])


def read_all(directory, fail):
    found = []
    for file in sorted(directory.glob('*.json')):
        try:
            found.append(json.loads(file.read_text()))
        except ValueError as error:
            fail(f'exit statistics {file.name} are not JSON: {error}: {file.read_text()[:200]!r}')
    return found


def sound(process):
    """What must hold for any process and does not, as a sentence; or None."""
    truths = {
        'held <= peak_held': process['held'] <= process['peak_held'],
        'live <= held': process['live'] <= process['held'],
        'in_use <= blocks in every class': all(c['in_use'] <= c['blocks'] for c in process['classes']),
        'nobody waits without a capacity': process['capacity'] > 0 or process['waits']['count'] == 0,
        'next to nothing was passed on': process['passed_on']['bytes'] <= PASSED_ON_SHARE * process['peak_held'],
    }
    return next((sentence for sentence, true in truths.items() if not true), None)


def check(directory, program, *, fail, peak, at_least=1, exactly=None):
    """At least that many processes of that name wrote statistics; the largest held at least `peak` ('4m') at its peak,
    carved from our blocks or mapped as our spans; next to nothing of anybody's went to the next allocator."""
    everyone = read_all(directory, fail)
    for process in everyone:
        if wrong := sound(process):
            fail(f'{process["program"]} [{process["pid"]}]: by its statistics it is not true that {wrong}: {process}')
    names = collections.Counter(p['program'] for p in everyone)
    ours = [p for p in everyone if p['program'] == program]
    if len(ours) < at_least or (exactly is not None and len(ours) != exactly):
        fail(f'{len(ours)} processes named {program} wrote statistics, '
             f'expected {exactly or f"{at_least} or more"}; all that did: {dict(names)}')
    for process in ours:
        if not any(c['blocks'] > 0 for c in process['classes']):
            fail(f'{program} [{process["pid"]}] never got a block from any class: {process}')
    most = max(ours, key=lambda p: p['peak_held'])
    if most['peak_held'] < size(peak):
        fail(f'{program} held {most["peak_held"]} bytes at its peak, expected {peak} or more')
    print(f'{program}: {len(ours)} wrote statistics; the largest held {most["peak_held"] >> 10} KiB at its peak, '
          f'{len(most["classes"])} classes, {most["large"]["calls"]} large requests, passed on {most["passed_on"]}')
    return ours
