"""tools/bench law: draws the law of waiting (docs/backpressure.md), from the library's own functions.

tests/loads/law.cpp prints the curves; here they become a picture. Measures nothing.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

from demo.plot import gnuplot, quoted

from . import tree

PROGRAM = 'tests/loads/law'
COLOURS = ['#c0392b', '#d68910', '#1e8449', '#2471a3']


def arguments(argv):
    parser = argparse.ArgumentParser(prog='tools/bench law', description=__doc__.split('\n', maxsplit=1)[0],
                                     allow_abbrev=False)
    parser.add_argument('--png', metavar='FILE', help='draw the curves there')
    parser.add_argument('--json', metavar='FILE', help='write them there; - for stdout')
    parser.add_argument('--build', metavar='DIR',
                        help='a build directory to take as it is; default build/, made and kept fresh')
    chosen = parser.parse_args(argv)
    if not chosen.png and not chosen.json:
        parser.error('nothing to do: --png FILE draws the curves, --json FILE writes them')
    return chosen


def curves(build):
    program = tree.build(build, PROGRAM, ['gnuplot=gnuplot-nox']) / PROGRAM
    if not program.exists():
        tree.fail(1, f'{program}: no such file; build the tree first: ninja -C {program.parents[2]} {PROGRAM}')
    return subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout


def panel(lines, folder, name):
    """lines: [(title, points, style)]. The files that gnuplot reads, and its list of plots."""
    plots = []
    for i, (title, points, style) in enumerate(lines):
        data = folder / f'{name}.{i}.dat'
        data.write_text(''.join(f'{x} {y}\n' for x, y in points), encoding='ascii')
        plots.append(f"{quoted(str(data))} with {style} " + (f'title {quoted(title)}' if title else 'notitle'))
    return ', \\\n  '.join(plots)


def approach_lines(law):
    found = []
    unfaded = [curve for curve in law['approach_ms_per_mib'] if not curve['fruitless']]
    for curve in law['approach_ms_per_mib']:
        colour = COLOURS[[c['released_mib_s'] for c in unfaded].index(curve['released_mib_s'])]
        if curve['fruitless']:
            title = f"{curve['released_mib_s']} MiB/s, after {curve['fruitless']} fruitless sleeps"
            found.append((title, curve['points'], f"lines lw 2 dt 3 lc rgb '{colour}'"))
        else:
            found.append((f"{curve['released_mib_s']} MiB/s are released", curve['points'],
                          f"lines lw 2 lc rgb '{colour}'"))
    return found


def patience_lines(law):
    found = []
    for colour, curve in zip(COLOURS, law['patience_ms']):
        title = 'nobody else releases' if curve['alone'] else f"trust {curve['trust']}"
        style = f"lines lw 2 {'dt 3 ' if curve['alone'] else ''}lc rgb '{colour}'"
        found.append((title, curve['points'], style))
    return found


def script(law, folder, png):
    capacity, soft = law['capacity_mib'], law['soft_percent']
    overdraft = [('', law['overdraft_ms_per_mib']['points'], f"lines lw 2 lc rgb '{COLOURS[0]}'")]
    return f"""
set terminal pngcairo size 1100,900 font 'sans,11' background '#ffffff'
set encoding utf8
set output {quoted(str(png))}
set grid lt 1 lw 1 lc rgb '#dddddd'
set key top left Left reverse noenhanced opaque samplen 2
set multiplot
set lmargin 9
set rmargin 4
set origin 0,0.48
set size 1,0.52
set title 'Between soft point and capacity ({capacity} MiB): the sleep for each MiB that is asked for'
set xlabel 'used, percent of the capacity'
set ylabel 'ms for a MiB, before jitter'
set logscale y
set xrange [85:101]
set yrange [0.3:3000]
set arrow 1 from {soft}, graph 0 to {soft}, graph 1 nohead lw 2 dt 2 lc rgb '#7f8c8d'
set arrow 2 from 100, graph 0 to 100, graph 1 nohead lw 2 dt 2 lc rgb '#7f8c8d'
set label 1 'no sleep' at {soft - 0.2:.1f}, graph 0.06 right textcolor rgb '#7f8c8d'
set label 2 'in order of arrival' at 100.6, graph 0.06 left rotate by 90 textcolor rgb '#7f8c8d'
plot {panel(approach_lines(law), folder, 'approach')}
unset arrow
unset label
unset logscale
set origin 0,0
set size 0.5,0.48
set title 'At the capacity (grant): how long a call hopes'
set xlabel 'over the capacity, percent of it'
set ylabel 'ms'
set xrange [0:10]
set yrange [0:240]
plot {panel(patience_lines(law), folder, 'patience')}
set origin 0.5,0
set title 'Over it, where nobody can release: the price'
set xlabel 'used, percent of the capacity'
set ylabel 'ms for a MiB, before jitter'
set xrange [100:200]
set yrange [0:80]
plot {panel(overdraft, folder, 'overdraft')}
unset multiplot
"""


def main(argv):
    chosen = arguments(argv)
    text = curves(chosen.build)
    if chosen.json == '-':
        print(text, end='')
    elif chosen.json:
        pathlib.Path(chosen.json).write_text(text, encoding='utf-8')
    if not chosen.png:
        return 0
    with tempfile.TemporaryDirectory(prefix='stealth-bench-') as folder:
        png = pathlib.Path(chosen.png).resolve()
        return 0 if gnuplot(script(json.loads(text), pathlib.Path(folder), png)) is not None else 1
