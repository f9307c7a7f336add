"""The picture of docs/grafana-dashboard.json, for pictures.py: a redis and a program of many threads run under
libstealth, each at a capacity; a real Prometheus scrapes what `stealth stat` writes of them, and is asked every query
of the dashboard. What it answers is drawn here, panel for panel at its place. Grafana itself is not needed: it is in no
Debian, and the panels are drawn in its manner, by fewer rules.

Servers, scraping and the dashboard's variables are those of tests/fleet.
"""
import html
import math
import re
import threading
import time

from benchlib import progress
from fleet import Pressure, answers, fail, free_port, need, seen, settings, stealth, until
from scraped import Dashboard, Exporter, Prometheus

WARM_UP, SECONDS = 16, 120    # rates look back 15 s; then so much is drawn
REDIS, LOAD = '64m', ('96m', '128m', '96m')  # the capacities; the load's is changed twice, at each third of the time
STEPS, SMALL = 14, 13_000     # of keys that take 40 MiB together, and a while to be freed
SETS = 13_000                 # of 4,000 bytes, which come meanwhile

WIDTH, UNIT, GAP, TOP = 960, 30, 6, 34  # UNIT: of the grid's height
PAGE, PANEL, FRAME, INK, DIM = '#111217', '#181b1f', '#2c3036', '#d0d2da', '#8e929c'
PALETTE = ['#73bf69', '#f2cc0c', '#5794f2', '#ff780a', '#b877d9', '#f2495c', '#8ab8ff', '#fa99c8', '#37872d', '#c4a000',
           '#56a64b', '#e0752d']
CENTRED = ' text-anchor="middle"'
LEVELS = {'green': '#73bf69', 'yellow': '#f2cc0c', 'red': '#f2495c'}


# --- the programs, and what Prometheus answers ---

class Filling(threading.Thread):
    """Redis is filled step by step; then all keys are freed by a thread of its own, while new ones come in from all
    sides; then it is emptied. Again and again."""

    def __init__(self, side, port):
        super().__init__(daemon=True)
        self.side, self.port, self.over = side, port, threading.Event()

    def client(self, *words):
        self.side.run([need('/usr/bin/redis-cli'), '-p', self.port, *words], record=False)

    def run(self):
        while not self.over.is_set():
            for step in range(STEPS):
                self.client('DEBUG', 'POPULATE', SMALL, f'old{step}', '120')
                self.over.wait(1)
            self.client('FLUSHALL', 'ASYNC')
            self.side.run([need('/usr/bin/redis-benchmark'), '-p', self.port, '-q', '-P', '16', '-c', '6', '-n', SETS,
                           '-r', '1000000000', '-d', '4000', '-t', 'set'], record=False)
            self.over.wait(5)
            self.client('FLUSHALL', 'SYNC')
            self.over.wait(2)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


def run(load):
    """(the dashboard, {(title, letter): [(labels, [(second, value)])]}, seconds)."""
    with Pressure() as trial, trial.scene('dashboard') as side, Exporter(side.dir) as exporter:
        port = free_port()
        prometheus = Prometheus(side, exporter.port)
        redis = side.serve([need('/usr/bin/redis-server'), '--port', port, '--bind', '127.0.0.1', '--save', '', '--dir',
                            side.dir, '--enable-debug-command', 'yes'], lambda: answers(port),
                           env=settings(trial, side, capacity=REDIS))
        flow = side.serve(load, lambda: True, env=settings(trial, side, capacity=LOAD[0]))
        pids = [str(redis.pid), str(flow.pid)]
        until(lambda: all(map(seen, pids)), 'their figures')
        until(lambda: {labels['pid'] for labels, _ in prometheus.now('stealth_info')} >= set(pids), 'the first scrape')
        progress.say(f'pictures: {WARM_UP + SECONDS} s of redis and {load[0].name}')
        with Filling(side, port) as filling:
            time.sleep(WARM_UP)
            begin = time.time()
            for number, capacity in enumerate(LOAD):
                if number and stealth('set', flow.pid, f'capacity={capacity}').returncode:
                    fail(f'stealth set {flow.pid} capacity={capacity} failed')
                time.sleep(max(0, begin + (number + 1) * SECONDS / len(LOAD) - time.time()))
            if not filling.is_alive():
                fail('redis was not filled to the end')
            source, panels = asked(prometheus, begin, [redis.argv[0].rpartition('/')[2], load[0].name], pids)
            passed = time.time() - begin
        for server in (flow, redis, prometheus.server):
            server.end()
        stealth('stat')  # which takes away the pages of processes that were killed
    return source, panels, passed


def asked(prometheus, begin, programs, pids):
    """The dashboard, and the answers to its queries."""
    dashboard = Dashboard(prometheus, program=programs, pid=pids)
    prometheus.history = lambda query: numbers(prometheus, query, begin)
    return dashboard.source, dashboard.panels()


def numbers(prometheus, query, begin):
    """As Prometheus.history, with the seconds since the start."""
    rows = prometheus.ask('query_range', query=query, start=begin, end=time.time(), step=1)['result']
    found = [(row['metric'], [(at - begin, float(value)) for at, value in row['values'] if value != 'NaN'])
             for row in rows]
    return [(labels, points) for labels, points in found if points]


# --- numbers with units, and axes ---

def shown(value, unit):
    def scaled(step, names):
        power = 0 if value < step else min(len(names) - 1, int(math.log(value, step) + 1e-9))
        return f'{value / step ** power:.3g}{names[power]}'
    if unit == 'percentunit':
        return f'{value * 100:.3g} %'
    if unit == 'bytes':
        return scaled(1024, [' B', ' KiB', ' MiB', ' GiB'])
    if unit == 'Bps':
        return scaled(1000, [' B/s', ' kB/s', ' MB/s', ' GB/s'])
    if unit == 's':
        return '0 s' if value == 0 else f'{value:.3g} s' if value >= 1 else f'{value * 1e3:.3g} ms' \
            if value >= 1e-3 else f'{value * 1e6:.3g} µs'
    return scaled(1000, ['', 'k', 'M']) + (' ops/s' if unit == 'ops' else '')


def steps(most, unit):
    """The marks of an axis from 0: about five, at round numbers."""
    base = 1024 ** int(math.log(most, 1024)) if unit == 'bytes' and most >= 1 else 1
    rough = most / base / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough - 1e-12)
    return [i * step * base for i in range(math.floor(most / base / step + 1e-9) + 1)]


# --- drawing ---

def text(x, y, content, size=11, colour=INK, more=''):
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{colour}"{more}>{html.escape(str(content))}</text>'


def named(form, labels):
    """Grafana's legendFormat."""
    return re.sub(r'{{\s*(\w+)\s*}}', lambda found: labels.get(found[1], ''), form)


def series_of(panel, answers_of):
    """[(name, points)], those that are there."""
    return [(named(target['legendFormat'], labels), points) for target in panel['targets']
            for labels, points in answers_of[panel['title'], target['refId']]]


def path(points):
    """Whole pixels, and only the way from each to the next: small."""
    found, last = [], None
    for x, y in ((round(x), round(y)) for x, y in points):
        found.append(f'M{x} {y}' if last is None else f'l{x - last[0]} {y - last[1]}')
        last = x, y
    return ''.join(found)


def stacked(series):
    """Each upon those before it; who is not there at a time, as not among the ten largest, has nothing."""
    below, found = dict.fromkeys(sorted({at for _, points in series for at, _ in points}), 0), []
    for name, points in series:
        here = dict(points)
        below = {at: value + here.get(at, 0) for at, value in below.items()}
        found.append((name, list(below.items())))
    return found


def legend(names, x, y, width):
    """In columns as wide as the longest name; (what is drawn, how high)."""
    column = max(map(len, names), default=0) * 5.9 + 24
    across = max(1, min(len(names), int(width / column)))
    found = []
    for i, name in enumerate(names):
        at, row = x + i % across * column, y + i // across * 14
        found += [f'<rect x="{at:.0f}" y="{row - 5}" width="11" height="3" fill="{PALETTE[i % len(PALETTE)]}"/>',
                  text(at + 15, row, name, 10.5, DIM)]
    return found, (len(names) + across - 1) // max(1, across) * 14


def look_of(panel, name):
    """As all of the panel, but for what it says of such names."""
    custom = panel['fieldConfig']['defaults']['custom']
    for override in panel['fieldConfig']['overrides']:
        if re.search(override['matcher']['options'].strip('/'), name):
            custom = custom | {one['id'].removeprefix('custom.'): one['value'] for one in override['properties']}
    return custom


def timeseries(panel, series, box, seconds):
    x, y, width, height = box
    unit = panel['fieldConfig']['defaults']['unit']
    names = [name for name, _ in series]
    drawn = stacked(series) if look_of(panel, '')['stacking']['mode'] == 'normal' else series
    _, legend_height = legend(names, 0, 0, width - 20)
    left, right, top, bottom = x + 66, x + width - 14, y + 32, y + height - legend_height - 26
    most = max((value for _, points in drawn for _, value in points), default=0) * 1.08 or 1
    across = lambda at: left + at / seconds * (right - left)  # noqa: E731
    up = lambda value: bottom - value / most * (bottom - top)  # noqa: E731
    found = []
    for mark in steps(most, unit):
        found += [f'<path d="M{left} {up(mark):.0f}H{right}" stroke="{FRAME}"/>',
                  text(left - 6, up(mark) + 4, shown(mark, unit), 10, DIM, ' text-anchor="end"')]
    for at in range(0, int(seconds) + 1, 20):
        found += [f'<path d="M{across(at):.0f} {top}V{bottom}" stroke="{FRAME}"/>',
                  text(across(at), bottom + 14, f'{at // 60}:{at % 60:02}', 10, DIM, CENTRED)]
    if not series:
        found.append(text((left + right) / 2, (top + bottom) / 2, 'no data', 12, DIM, CENTRED))
    for i, (name, points) in reversed(list(enumerate(drawn))):
        colour, look = PALETTE[i % len(PALETTE)], look_of(panel, name)
        line = path([(across(at), up(value)) for at, value in points])
        first, last = round(across(points[0][0])), round(across(points[-1][0]))
        if look['fillOpacity'] and last > first:
            found.append(f'<path d="{line}V{bottom}H{first}z" fill="{colour}" '
                         f'fill-opacity="{look["fillOpacity"] / 100}"/>')
        dash = f' stroke-dasharray="{" ".join(map(str, look["lineStyle"]["dash"]))}"' if 'lineStyle' in look else ''
        found.append(f'<path d="{line}" fill="none" stroke="{colour}" stroke-width="1.3"{dash}/>')
    return found + legend(names, x + 14, bottom + 32, width - 20)[0]


def shares(count, box, least):
    """The places of so many values in a panel: beside one another, or below where that is too narrow."""
    x, y, width, height = box
    across = max(1, min(count, int(width / least)))
    down = math.ceil(count / across)
    return [(x + i % across * width / across, y + 24 + i // across * (height - 26) / down, width / across,
             (height - 26) / down) for i in range(count)]


def stat(panel, series, box, seconds):
    """The last value, large, with what it was before behind it."""
    found, unit = [], panel['fieldConfig']['defaults']['unit']
    for (name, points), (x, y, width, height) in zip(series, shares(len(series), box, 120)):
        most, base = max(value for _, value in points) or 1, y + height
        middle, below = y + height * 0.45, height * 0.25
        line = [(x + 2 + at / seconds * (width - 4), base - value / most * below) for at, value in points]
        found += [f'<path d="{path(line)}V{base:.0f}H{round(line[0][0])}z" fill="{LEVELS["green"]}" '
                  'fill-opacity="0.2"/>',
                  text(x + width / 2, middle, shown(points[-1][1], unit), 22, LEVELS['green'],
                       CENTRED + ' font-weight="bold"'),
                  text(x + width / 2, middle + 16, name, 10.5, DIM, CENTRED)]
    return found


def gauge(panel, series, box, _):
    """The last value on an arc, whose rim tells the thresholds."""
    options = panel['fieldConfig']['defaults']
    limits = [(step['value'] or 0, LEVELS[step['color']]) for step in options['thresholds']['steps']]
    found = []
    for (name, points), (x, y, width, height) in zip(series, shares(len(series), box, 140)):
        radius = min(width / 2 - 14, height - 54)
        middle, base = x + width / 2, y + (height + radius) / 2 - 14

        def arc(begin, end, size, thick, colour):
            ends = []
            for share in (begin, end):
                angle = math.pi * (1 - min(1, share / options['max']))
                ends.append(f'{middle + size * math.cos(angle):.1f} {base - size * math.sin(angle):.1f}')
            return (f'<path d="M{ends[0]}A{size:.1f} {size:.1f} 0 0 1 {ends[1]}" fill="none" stroke="{colour}" '
                    f'stroke-width="{thick}"/>')
        last = points[-1][1]
        colour = [shade for least, shade in limits if last >= least][-1]
        found += [arc(0, options['max'], radius - 10, 14, FRAME), arc(0, last, radius - 10, 14, colour)]
        found += [arc(least, upper, radius, 3, shade) for (least, shade), (upper, _) in
                  zip(limits, limits[1:] + [(options['max'], '')])]
        found += [text(middle, base, shown(last, options['unit']), 20, colour, CENTRED + ' font-weight="bold"'),
                  text(middle, base + 20, name, 10.5, DIM, CENTRED)]
    return found


def draw(source, answers_of, seconds):
    unit = (WIDTH - GAP) / 24
    height = TOP + GAP + max(p['gridPos']['y'] + p['gridPos']['h'] for p in source['panels']) * UNIT
    about = (f'The panels of docs/grafana-dashboard.json over {seconds:.0f} seconds, drawn by tools/demo/pictures.py '
             'dashboard from what a real Prometheus answered to their queries; no Grafana was there. A redis of '
             f'{REDIS} is filled and emptied by turns; load-backpressure makes messages faster than it uses them '
             f'up, at a capacity of {", then ".join(LOAD)}. Time is in minutes and seconds since the start.')
    found = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
             f'viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title about" stroke-linejoin="round" '
             'font-family="system-ui, \'DejaVu Sans\', Helvetica, Arial, sans-serif">',
             '<title id="title">The dashboard of libstealth</title>', f'<desc id="about">{html.escape(about)}</desc>',
             f'<rect width="{WIDTH}" height="{height}" rx="8" fill="{PAGE}"/>',
             text(GAP + 8, 23, source['title'], 15, INK, ' font-weight="bold"'),
             text(WIDTH - GAP - 8, 23, f'drawn from the answers of Prometheus, {seconds:.0f} s', 11, DIM,
                  ' text-anchor="end"')]
    for panel in source['panels']:
        place = panel['gridPos']
        box = (round(GAP + place['x'] * unit), TOP + place['y'] * UNIT, round(place['w'] * unit) - GAP,
               place['h'] * UNIT - GAP)
        x, y, width, tall = box
        found += [f'<rect x="{x}" y="{y}" width="{width}" height="{tall}" rx="3" fill="{PANEL}" stroke="{FRAME}"/>',
                  text(x + 10, y + 19, panel['title'], 12, INK, ' font-weight="bold"')]
        kind = {'timeseries': timeseries, 'stat': stat, 'gauge': gauge}[panel['type']]
        found += kind(panel, series_of(panel, answers_of), box, seconds)
    return '\n'.join(found) + '\n</svg>\n'
