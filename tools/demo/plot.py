"""Draws the demonstration's two runs by gnuplot: as text for the terminal, and as a PNG. Used by demo.py."""
import os
import subprocess
import sys


def write_samples(run, path):
    with open(path, "w", encoding="ascii") as out:
        out.write("# seconds MiB\n")
        for seconds, mib in run.samples:
            out.write(f"{seconds:.3f} {mib:.2f}\n")


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def script(plain, stealth, limit, capacity, data, terminal, is_text):
    """The commands for one picture. In text every line needs a character of its own, in colour a colour."""
    longest = max(run.seconds for run in (plain, stealth))
    killed = ""
    if plain.killed:
        x, y = plain.samples[-1] if plain.samples else (0, 0)
        said = f"killed after {plain.seconds:.1f} s"
        if is_text:
            killed = f"set label 1 'X {said}' at first {x:.3f}, {y:.1f} front\n"
        else:
            killed = (f"set label 1 '{said}' at first {x:.3f}, {y:.1f} front point pt 2 ps 2.5 lw 3 "
                      f"lc rgb '#c0392b' offset 1.5,-1.2\n")
    styles = (["points pt '.'", "points pt '-'", "points pt '#'", "points pt 'o'"] if is_text else
              ["lines lw 2 dt 2 lc rgb '#c0392b'", "lines lw 2 dt 2 lc rgb '#7f8c8d'", "lines lw 3 lc rgb '#c0392b'",
               "lines lw 3 lc rgb '#2471a3'"])
    return f"""
{terminal}
set encoding utf8
set title 'A fast producer, a slow consumer: resident memory over time'
set xlabel 'time, s'
set ylabel 'resident memory, MiB'
set xrange [0:{longest * 1.02:.2f}]
set yrange [0:{limit * (1.6 if is_text else 1.35):.0f}]
set key top right
set samples {200 if is_text else 500}
{'' if is_text else "set grid lt 1 lw 1 lc rgb '#dddddd'"}
{killed}plot {limit} with {styles[0]} title 'limit, {limit} MiB', \\
  {capacity} with {styles[1]} title 'capacity, {capacity} MiB', \\
  {quoted(os.path.join(data, 'plain.dat'))} with {styles[2]} title 'without libstealth', \\
  {quoted(os.path.join(data, 'stealth.dat'))} with {styles[3]} title 'with libstealth'
"""


def gnuplot(commands):
    """The output of gnuplot, or None after a line that says why not."""
    try:
        done = subprocess.run(["gnuplot"], input=commands, capture_output=True, text=True, timeout=8, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"stealth: no drawing: gnuplot: {error}; try it by hand", file=sys.stderr)
        return None
    if done.returncode != 0:
        print("stealth: no drawing: gnuplot failed; see below\n" + done.stderr, file=sys.stderr)
        return None
    return done.stdout


def draw(plain, stealth, limit, capacity, data, png, columns, colours):
    """Text to stdout, picture to `png`; False where gnuplot could not."""
    write_samples(plain, os.path.join(data, "plain.dat"))
    write_samples(stealth, os.path.join(data, "stealth.dat"))
    text = gnuplot(script(plain, stealth, limit, capacity, data,
                          f"set terminal dumb size {columns},26 {'ansi' if colours else 'mono'}", True))
    if text is None:
        return False
    print(text.strip("\n\f"))
    terminal = f"set terminal pngcairo size 1100,620 font 'sans,12' background '#ffffff'\nset output {quoted(png)}"
    return gnuplot(script(plain, stealth, limit, capacity, data, terminal, False)) is not None
