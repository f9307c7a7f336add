"""The pictures of tools/bench backpressure, by gnuplot: memory over time for each case, and an overview of figures."""
import pathlib
import tempfile

from demo.plot import gnuplot, quoted

from . import pressure_cases

MIB = 1 << 20
COLOURS = ['#2471a3', '#d68910', '#1e8449', '#7d3c98', '#117a65', '#943126']
GOOD, BAD = '#1e8449', '#c0392b'
WIDEST = 3.0  # where the overview's axis ends; what is beyond is written beside its bar


def over_time(run):
    """[(second, MiB)]: what the load itself saw of its children, or else what was sampled of it."""
    series = run['told'].get('series')
    return list(zip(series[::2], series[1::2])) if series else run['samples']


def lines_of(name, results):
    """The last round's runs of a case: [(title, points, style)]."""
    found, by_library = [], results['cases'][name]
    for i, (library, by_arm) in enumerate(by_library.items()):
        for arm, runs in by_arm.items():
            if not runs or arm == 'observe' or (arm != 'with' and i > 0):
                continue
            title = library if arm == 'with' else {'none': 'without a capacity', 'plain': 'without libstealth'}[arm]
            style = f"lw 2 lc rgb '{COLOURS[i % len(COLOURS)]}'" if arm == 'with' else "lw 2 lc rgb '#c0392b'"
            found.append((title, over_time(runs[-1]), style))
    return found


def size_mib(text):
    units = {'k': 1 / 1024, 'm': 1, 'g': 1024}
    return float(text[:-1]) * units[text[-1]] if text[-1] in units else float(text) / MIB


def levels_of(case, results):
    """The capacity, and the cgroup's limit: [(title, MiB)]."""
    runs = [run for by_arm in results['cases'][case.name].values() for run in by_arm.get('with', [])]
    capacity = runs[-1]['settings'].get('STEALTH_CAPACITY') if runs else None
    found = [(f'capacity, {size_mib(capacity):.0f} MiB', size_mib(capacity))] if capacity else []
    return found + ([(f'limit, {case.cgroup_mib} MiB', case.cgroup_mib)] if case.cgroup_mib else [])


def memory_script(case, results, folder, png):
    plots = []
    for i, (title, points, style) in enumerate(lines_of(case.name, results)):
        data = folder / f'{case.name}.{i}.dat'
        data.write_text(''.join(f'{at} {mib}\n' for at, mib in points) or '0 0\n', encoding='ascii')
        plots.append(f'{quoted(str(data))} with lines {style} title {quoted(title)}')
    for title, level in levels_of(case, results):
        plots.append(f"{level} with lines lw 2 dt 2 lc rgb '#7f8c8d' title {quoted(title)}")
    return f"""
set terminal pngcairo size 1000,520 font 'sans,11' background '#ffffff'
set encoding utf8
set output {quoted(str(png))}
set title {quoted(f'{case.name}: {case.about}')} noenhanced
set xlabel 'time, s'
set ylabel 'resident memory, MiB'
set yrange [0:*]
set key outside top center horizontal noenhanced
set grid lt 1 lw 1 lc rgb '#dddddd'
plot {', '.join(plots)}
"""


def overview_script(rows, libraries, folder, png):
    """A bar for each figure: how far it is from what is asked (1). Reached ones are green. What is no number has its
    text alone."""
    bars = [(f'{figure.case}: {figure.asked}' + (f' ({name})' if len(libraries) > 1 else ''), values[name])
            for figure, values in rows for name in libraries if name in values]
    if not bars:
        return None
    plots, labels = [], []
    lengths = [min(value.score or 0, WIDEST) for _, value in bars]
    for reached in (True, False):
        data = folder / f'overview.{int(reached)}.dat'
        found = [(len(bars) - i, lengths[i]) for i, (_, value) in enumerate(bars) if value.reached == reached]
        data.write_text(''.join(f'{score / 2} {row} {score / 2} 0.35\n' for row, score in found), encoding='ascii')
        if found:
            plots.append(f"{quoted(str(data))} with boxxyerror fs solid 0.8 noborder "
                         f"lc rgb '{GOOD if reached else BAD}' title '{'reached' if reached else 'missed'}'")
    for i, (title, value) in enumerate(bars):
        # No tic: those are formats, and gnuplot cuts one off at 50 bytes where there is a % in it.
        labels.append(f'set label {quoted(title)} at graph 0, first {len(bars) - i} right offset -1,0 noenhanced')
        labels.append(f"set label {quoted(value.text)} at first {lengths[i]}, {len(bars) - i} offset 0.5,0 font ',9' "
                      f"textcolor rgb '{GOOD if value.reached else BAD}' noenhanced front")
    return f"""
set terminal pngcairo size 1100,{120 + 22 * len(bars)} font 'sans,10' background '#ffffff'
set encoding utf8
set output {quoted(str(png))}
set title 'figures as a share of what is asked: left of 1 is reached'
set xrange [0:{WIDEST * 1.3}]
set yrange [0:{len(bars) + 1}]
unset ytics
set lmargin {max(len(title) for title, _ in bars) + 2}
set arrow from 1, 0 to 1, {len(bars) + 1} nohead lw 2 dt 2 lc rgb '#7f8c8d' front
set key outside bottom center horizontal
set grid xtics lt 1 lw 1 lc rgb '#dddddd'
{chr(10).join(labels)}
plot {', '.join(plots)}
"""


def draw(results, rows, where):
    """memory-CASE.png for each case and figures.png, into `where`; False where gnuplot could not."""
    where.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='stealth-bench-') as name:
        folder = pathlib.Path(name)
        scripts = [memory_script(case, results, folder, where / f'memory-{case.name}.png')
                   for case in pressure_cases.TABLE
                   if case.name in results['cases'] and lines_of(case.name, results)]
        scripts.append(overview_script(rows, list(results['libraries']), folder, where / 'figures.png'))
        return all(gnuplot(script) is not None for script in scripts if script)
