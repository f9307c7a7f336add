#!/usr/bin/python3 -B
"""The pictures of the documents that show real programs under libstealth being looked at.

  tools/demo/pictures.py top         docs/top.svg: the screen of `stealth top` while a program waits, and is given more
  tools/demo/pictures.py dashboard   docs/dashboard.svg: the Grafana dashboard's queries, as a Prometheus answers them

Builds what it needs, or takes a build directory as it is (--build). Everything that is started runs on this machine
alone, and is ended again. How the dashboard comes about stands in dashboard.py.
"""
import argparse
import html
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[1:1] = [str(ROOT / 'tools'), str(ROOT / 'tests/command/support'), str(ROOT / 'tests/fleet')]

from benchlib import progress, tree  # noqa: E402

# Eight threads make messages in bursts as fast as they can, four take 200 MiB a second off an unbounded queue.
LOAD, MESSAGES = 'tests/loads/load-backpressure', ['many', 'total=1000000', 'deadline=170']
COLUMNS, ROWS = 80, 24
FIRST, THEN = '64m', '96m'  # the capacity at first, and what is typed into the screen
SECONDS = 40, 28            # of each; a character of the history is two seconds
WAITING = 8                 # threads that wait when the picture is taken

# The terminal's own colours and those of its escape sequences, chosen to be read on the panel.
CELL, LINE, SIZE, EDGE = 8.4, 18, 14, 16
PAPER, INK, FRAME = '#1b1f27', '#d5dae2', '#4a5160'
COLOURS = {31: '#ff7b72', 32: '#5fd38d', 33: '#e8b64c'}
EIGHTHS = {block: step / 8 for step, block in enumerate('▁▂▃▄▅▆▇█', 1)}


def said(text):
    """One line of a screen as [(character, colour, bold, dim, reverse)]. All that `top` uses of SGR."""
    cells, colour, marks = [], None, set()
    for sequence, character in re.findall(r'\x1b\[([\d;]*)m|(.)', text):
        if character:
            cells.append((character, colour, 1 in marks, 2 in marks, 7 in marks))
            continue
        for code in [int(part or 0) for part in sequence.split(';')]:
            if code in (0, 39):
                colour = None
            if code == 0:
                marks.clear()
            elif code in (1, 2, 7):
                marks.add(code)
            elif code in COLOURS:
                colour = code
            elif code not in (39, 49):
                raise ValueError(f'the screen has an escape sequence that is not drawn: {sequence}')
    return cells


def same_look(cells):
    """[(column, text, colour, bold, dim, reverse)], each as long as the look stays."""
    runs = []
    for column, (character, *look) in enumerate(cells):
        if runs and runs[-1][2:] == look:
            runs[-1][1] += character
        else:
            runs.append([column, character, *look])
    return runs


def rectangle(column, y, cells, height, colour, more=''):
    return (f'<rect x="{EDGE + column * CELL:.1f}" y="{y:.1f}" width="{cells * CELL:.1f}" height="{height:.1f}" '
            f'fill="{colour}"{more}/>')


def blocks(column, row, text, colour):
    """Block characters are drawn, since fonts disagree on how they fill a cell. A little lower than the line, so that
    what stands below another does not run together."""
    room, bottom, found = LINE - 4, EDGE + row * LINE + LINE - 2, []
    for part in re.finditer(r'█+|░+|([▁-▇┃])\1*', text):
        kind, at, cells = part[0][0], column + part.start(), len(part[0])
        if kind == '┃':
            found.append(rectangle(at + 0.3, bottom - room - 1, 0.4, room + 2, colour))
        elif kind == '░':
            found.append(rectangle(at, bottom - room, cells, room, colour, ' opacity="0.28"'))
        else:
            height = room * EIGHTHS[kind]
            found.append(rectangle(at, bottom - height, cells, height, colour))
    return found


def words(column, row, text, style):
    """Every group of words at its column and as wide as its cells, whatever font there is."""
    found = []
    for part in re.finditer(r'[^ █░▁-▇┃]+(?: [^ █░▁-▇┃]+)*', text):
        found.append(f'<text x="{EDGE + (column + part.start()) * CELL:.1f}" y="{EDGE + row * LINE + 13.5:.1f}" '
                     f'textLength="{len(part[0]) * CELL:.1f}"{style}>{html.escape(part[0])}</text>')
    return found


def screen_svg(lines, title, about):
    width, height = 2 * EDGE + COLUMNS * CELL, 2 * EDGE + len(lines) * LINE
    behind, front = [], []
    for row, line in enumerate(lines):
        for column, text, code, bold, dim, reverse in same_look(said(line)):
            colour = COLOURS.get(code, INK)
            if reverse:
                behind.append(rectangle(column, EDGE + row * LINE, len(text), LINE, colour))
                colour = PAPER
            style = ('' if colour == INK else f' fill="{colour}"') + (' font-weight="bold"' if bold else '') + \
                (' opacity="0.62"' if dim else '')
            front += words(column, row, text, style) + blocks(column, row, text, colour)
    return '\n'.join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" role="img" aria-labelledby="title about">',
        f'<title id="title">{html.escape(title)}</title>', f'<desc id="about">{html.escape(about)}</desc>',
        f'<rect x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1}" rx="8" fill="{PAPER}" '
        f'stroke="{FRAME}"/>', *behind,
        f'<g font-family="ui-monospace, \'DejaVu Sans Mono\', Menlo, Consolas, monospace" font-size="{SIZE}" '
        f'fill="{INK}">', *front, '</g>', '</svg>']) + '\n'


def waiting(lines):
    """How many threads do; None where the figures are not quite new, so that the times beside them are older."""
    text = re.sub(r'\x1b\[[\d;]*m', '', '\n'.join(lines))
    found = re.search(r'figures \d?\d(\.\d+)? (ms|us) old(.|\n)*waiting +(\d+)', text)
    return int(found[4]) if found else None


def top(build, path):
    from command import LIBRARY, until  # pylint: disable=import-outside-toplevel
    from terminal import Terminal, top as top_line  # pylint: disable=import-outside-toplevel
    environment = {name: value for name, value in os.environ.items() if not name.startswith('STEALTH_')}
    environment |= {'LD_PRELOAD': LIBRARY, 'STEALTH_CAPACITY': FIRST, 'STEALTH_CONTROL': 'on'}
    with subprocess.Popen([str(build / LOAD), *MESSAGES], env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL) as program:
        try:
            exe = pathlib.Path(f'/proc/{program.pid}/exe')
            until(lambda: exe.resolve().name == pathlib.Path(LOAD).name, 'the load')
            with Terminal(top_line('--interval', '100ms', program.pid), COLUMNS, ROWS) as terminal:
                terminal.sees(r'c: capacity')
                progress.say(f'pictures: {sum(SECONDS)} s of stealth top {program.pid}')
                time.sleep(SECONDS[0])
                terminal.keys('c', *THEN, 'Enter')
                terminal.sees(rf'STEALTH_CAPACITY is {THEN} now')
                time.sleep(SECONDS[1])
                # -N: with the blanks at the ends of lines, which a reversed line has.
                lines = until(lambda: waiting(seen := terminal.lines('-e', '-N')) == WAITING and seen,
                              'threads that wait')
        finally:
            program.kill()
    about = (f'The screen of `stealth top` for a program with eight threads that make messages faster than four others '
             f'take them off. Its capacity was {FIRST}; after {SECONDS[0]} seconds {THEN} was typed into the screen. '
             f'{WAITING} threads wait for memory. Taken from a terminal of {COLUMNS} columns and {ROWS} lines by '
             'tools/demo/pictures.py top.')
    path.write_text(screen_svg(lines, 'stealth top: a program that waits for memory', about), encoding='utf-8')


def dashboard(build, path):
    from dashboard import draw, run  # pylint: disable=import-outside-toplevel
    path.write_text(draw(*run([build / LOAD, *MESSAGES])), encoding='utf-8')


# What makes it, and what must be installed for it: commands and the packages that bring them.
PICTURES = {'top': (top, ['tmux=tmux']),
            'dashboard': (dashboard, ['prometheus=prometheus', 'redis-server=redis-server', 'redis-cli=redis-tools'])}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0], allow_abbrev=False)
    parser.add_argument('picture', choices=PICTURES)
    parser.add_argument('--svg', metavar='FILE', type=pathlib.Path, help='where it goes; default docs/PICTURE.svg')
    parser.add_argument('--build', metavar='DIR',
                        help='a build directory to take as it is; default build/, made and kept fresh')
    return parser.parse_args()


def main():
    chosen = arguments()
    make, commands = PICTURES[chosen.picture]
    packages = [line for line in (ROOT / 'tests/command/packages.txt').read_text(encoding='utf-8').split('\n')
                if line.endswith('-dev') or line == 'protobuf-compiler']
    build = tree.build(chosen.build, f'to-run tools/stealth {LOAD}', commands, packages, configure='again')
    command, library = build / 'tools/stealth', build / 'preload/libstealth.so.0'
    for file in (command, library, build / LOAD):
        if not file.exists():
            tree.fail(1, f'{file}: no such file; build the tree first: ninja -C {build}')
    os.environ |= {'STEALTH': str(command), 'STEALTH_LIB': str(library)}  # by which the tests' modules know them
    path = chosen.svg or ROOT / f'docs/{chosen.picture}.svg'
    make(build, path)
    progress.say(f'pictures: {path}: {path.stat().st_size // 1024} KiB')


if __name__ == '__main__':
    main()
