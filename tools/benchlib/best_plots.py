"""The pictures of tools/bench, by gnuplot, each as PNG and SVG: every peer's time and peak RSS, load by load, as a
multiple of the best one's (best.py), and the geometric means."""
import pathlib
import tempfile

from demo.plot import gnuplot, quoted

from .peers import SUBJECT

COLOURS = ['#2471a3', '#d68910', '#1e8449', '#7d3c98', '#117a65', '#7f8c8d', '#5d4037', '#ad1457', '#0097a7', '#827717']
OURS = '#c0392b'
POINTS = [7, 5, 9, 11, 13, 15, 6, 4, 8, 10]
LEAST, MOST = 0.4, 4.0  # where the axis of ratios ends: what is beyond is drawn at its edge
TERMINALS = {'png': "pngcairo size {0},{1} font 'sans,10' background '#ffffff'",
             'svg': "svg size {0},{1} font 'sans,10' background '#ffffff'"}


def styles(peers):
    """{peer: (colour, point type)}: the same in all pictures; libstealth's stands out."""
    others = [peer for peer in peers if peer != SUBJECT]
    found = {peer: (COLOURS[i % len(COLOURS)], POINTS[i % len(POINTS)]) for i, peer in enumerate(others)}
    return {peer: found.get(peer, (OURS, 3)) for peer in peers}


def clipped(ratio):
    return min(max(ratio, LEAST), MOST)


def head(title, size, picture, kind):
    return f"""
set terminal {TERMINALS[kind].format(*size)}
set encoding utf8
set output {quoted(str(picture))}
set title {quoted(title)} noenhanced
set grid lt 1 lw 1 lc rgb '#dddddd'
set key outside top center horizontal noenhanced
"""


def dots(results, what, title, folder):
    """A row for each load, a dot for each peer; libstealth's with its 95 % interval. (commands after the head, size)"""
    rows = [(name, load['best'][what]) for name, load in results['loads'].items() if load['best']]
    plots = []
    for i, (peer, (colour, point)) in enumerate(styles(results['peers']).items()):
        data = folder / f'{what}.{i}.dat'
        lines = []
        for row, (_, by_peer) in enumerate(rows):
            if peer in by_peer:
                one = by_peer[peer]
                low, high = one['interval'] or (one['ratio'], one['ratio'])
                lines.append(f"{clipped(one['ratio'])} {len(rows) - row} {clipped(low)} {clipped(high)}\n")
        if not lines:
            continue
        data.write_text(''.join(lines), encoding='ascii')
        ours = peer == SUBJECT
        plots.append(f"{quoted(str(data))} using 1:2 with points pt {7 if ours else point} ps {1.6 if ours else 1} "
                     f"lc rgb '{colour}' title {quoted(peer)}")
        if ours:
            plots.append(f"{quoted(str(data))} using 1:2:3:4 with xerrorbars pt 0 lw 2 lc rgb '{colour}' notitle")
    tics = ', '.join(f'{quoted(name)} {len(rows) - row}' for row, (name, _) in enumerate(rows))
    return title, (1000, 160 + 24 * len(rows)), f"""
set logscale x 2
set xrange [{LEAST}:{MOST}]
set xtics ('0.5' 0.5, '0.7' 0.7, '0.8' 0.8, '0.9' 0.9, '1' 1, '1.1' 1.1, '1.2' 1.2, '1.5' 1.5, '2' 2, '3' 3, '≥ 4' 4)
set yrange [0:{len(rows) + 1}]
set ytics ({tics}) noenhanced
set arrow from 1, 0 to 1, {len(rows) + 1} nohead lw 2 dt 2 lc rgb '#7f8c8d'
plot {', '.join(plots)}
"""


def bars(results, folder):
    """Two bars for each peer: the geometric means of time and of peak RSS, the quickest peer at the top."""
    means = sorted(results['best']['means'].items(), key=lambda item: -item[1]['time']['ratio'])
    plots, labels = [], []
    for what, title, shift, colour in (('time', 'time', 0.2, '#2471a3'), ('rss', 'peak RSS', -0.2, '#d68910')):
        data = folder / f'means.{what}.dat'
        lines = []
        for row, (_, mean) in enumerate(means, 1):
            ratio, at = mean[what]['ratio'], row + shift
            lines.append(f'{ratio / 2} {at} {ratio / 2} 0.18\n')
            labels.append(f"set label '{ratio:.2f}' at {ratio}, {at} offset 0.5,0 front")
        data.write_text(''.join(lines), encoding='ascii')
        plots.append(f"{quoted(str(data))} with boxxyerror fs solid 0.8 noborder lc rgb '{colour}' title '{title}'")
    tics = ', '.join(f'{quoted(peer)} {row}' for row, (peer, _) in enumerate(means, 1))
    widest = max(mean[what]['ratio'] for _, mean in means for what in ('time', 'rss'))
    return ("geometric means over all loads, each load's best peer as 1: less is better", (900, 140 + 44 * len(means)),
            f"""
set xrange [0:{widest * 1.1}]
set yrange [0.4:{len(means) + 0.6}]
set ytics ({tics}) noenhanced
set arrow from 1, 0.4 to 1, {len(means) + 0.6} nohead lw 2 dt 2 lc rgb '#7f8c8d' front
{chr(10).join(labels)}
plot {', '.join(plots)}
""")


def draw(results, where):
    """time, rss and means, each .png and .svg, into `where`; False where there was nothing to draw, or gnuplot could
    not."""
    if not results['best']['means']:
        return False
    with tempfile.TemporaryDirectory(prefix='stealth-bench-') as name:
        folder = pathlib.Path(name)
        time, rss = "time, each load's quickest peer as 1", "peak RSS, each load's leanest quick peer as 1"
        pictures = {'time': dots(results, 'time', f'{time}: left is better', folder),
                    'rss': dots(results, 'rss', f'{rss}: left is better', folder), 'means': bars(results, folder)}
        return all([gnuplot(head(title, size, where / f'{picture}.{kind}', kind) + commands) is not None
                    for picture, (title, size, commands) in pictures.items() for kind in TERMINALS])
