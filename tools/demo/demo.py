#!/usr/bin/python3 -B
"""The demonstration: demo-queue under a memory limit, once plain, once with libstealth; called by tools/run.

Both runs are sampled and drawn, in the terminal and as a PNG. Progress goes to stderr, the result to stdout; the last
line has the figures. Exit status 0 where the plain run was killed and the other one finished with nothing lost.
It ends by itself, and leaves no process and no cgroup behind, whatever happens.
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

import limit as limits
import plot

MIB = 1 << 20
TOTAL_MIB, PRODUCER_MIB_S, CONSUMER_MIB_S = 480, 200, 60
LIMIT_MIB = 256
CAPACITY_MIB = 192
SAMPLE_SECONDS = 0.01
LONGEST_RUN_SECONDS = 13  # two of them, and the drawing, stay under half a minute


@dataclass
class Run:
    """What was seen of one run. Memory in MiB, times in seconds since its start."""
    samples: list = field(default_factory=list)
    seconds: float = 0
    status: int = 0
    timed_out: bool = False
    figures: dict = field(default_factory=dict)

    @property
    def peak(self):
        return max((mib for _, mib in self.samples), default=0)

    @property
    def killed(self):
        return self.status == -signal.SIGKILL and not self.timed_out

    @property
    def lost(self):
        return int(self.figures["produced"]) - int(self.figures["consumed"]) + int(self.figures["damaged"])

    @property
    def finished(self):
        return self.status == 0 and "consumed" in self.figures


class Progress:
    """One line on stderr that moves on a terminal, and comes once every two seconds elsewhere."""

    def __init__(self, what):
        self.what = what
        self.moving = sys.stderr.isatty()
        self.next = 0.0

    def show(self, seconds, mib):
        if seconds < self.next:
            return
        self.next = seconds + (0.1 if self.moving else 2)
        bar = ("#" * round(30 * mib / LIMIT_MIB)).ljust(30, ".")[:30]
        line = f"stealth: {self.what}: {seconds:4.1f} s, {mib:3.0f} of {LIMIT_MIB} MiB [{bar}]"
        print("\r\033[K" + line if self.moving else line, end="" if self.moving else "\n", file=sys.stderr, flush=True)

    def end(self, result):
        print(("\r\033[K" if self.moving else "") + f"stealth: {self.what}: {result}", file=sys.stderr, flush=True)


def resident_mib(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return None  # gone, or already without memory


def run_once(what, program, limit, environment, error_path):
    run = Run()
    progress = Progress(what)
    arguments = [program, str(TOTAL_MIB), str(PRODUCER_MIB_S), str(CONSUMER_MIB_S)]
    with open(error_path, "w+", encoding="utf-8", errors="replace") as errors:
        start = time.monotonic()
        process = subprocess.Popen(arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=errors, text=True, preexec_fn=limit.enter)
        try:
            while process.poll() is None:
                run.seconds = time.monotonic() - start
                mib = resident_mib(process.pid)
                if mib is not None:
                    run.samples.append((run.seconds, mib))
                    progress.show(run.seconds, mib)
                    if limit.exceeded(mib * MIB):
                        process.kill()
                if run.seconds > LONGEST_RUN_SECONDS:
                    run.timed_out = True
                    process.kill()
                time.sleep(SAMPLE_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
            output = process.communicate()[0]
        errors.seek(0)
        said = errors.read()
    run.status = process.returncode
    run.figures = dict(pair.split("=", 1) for pair in output.split() if "=" in pair)
    progress.end(outcome(run))
    sys.stderr.write("".join(f"  | {line}\n" for line in said.splitlines()[:10]))
    return run


def outcome(run):
    """One run in words, as the last line has it."""
    if run.killed:
        return f"killed after {run.seconds:.1f} s at {run.peak:.0f} MiB"
    if run.timed_out:
        return f"did not finish within {LONGEST_RUN_SECONDS} s, peak {run.peak:.0f} MiB"
    if not run.finished:
        return f"failed with status {run.status} after {run.seconds:.1f} s, peak {run.peak:.0f} MiB"
    kept = 100 * float(run.figures["consumer_mib_per_s"]) / CONSUMER_MIB_S
    return (f"finished in {run.seconds:.1f} s, peak {run.peak:.0f} MiB, consumer kept {kept:.1f} % of its rate, "
            f"messages lost {run.lost}")


def environments(library):
    """Those of the plain run and of the other: equal but for libstealth. Whatever else is preloaded stays."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("STEALTH_")}
    others = [path for path in plain.pop("LD_PRELOAD", "").replace(":", " ").split()
              if not os.path.basename(path).startswith("libstealth.so")]
    stealth = {**os.environ, "LD_PRELOAD": ":".join([library] + others), "STEALTH_CAPACITY": f"{CAPACITY_MIB}m"}
    if others:
        plain["LD_PRELOAD"] = ":".join(others)
    return plain, stealth


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", required=True, help="libstealth.so")
    parser.add_argument("--program", required=True, help="the built demo-queue")
    parser.add_argument("--data", required=True, help="an existing directory for samples and messages")
    parser.add_argument("--png", required=True, help="where the picture goes")
    return parser.parse_args()


def main():
    options = parse_arguments()
    where = os.path.dirname(os.path.abspath(options.png))
    if not os.path.isdir(where) or not os.access(where, os.W_OK):
        print(f"stealth: {options.png}: cannot be written: {where} is no directory that you may write to; "
              "choose another with --png", file=sys.stderr)
        return 2
    # A polite end from outside unwinds like an error, so that nothing is left behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))

    plain_environment, stealth_environment = environments(options.library)
    runs = []
    for number, name, environment in ((1, "without libstealth", plain_environment),
                                      (2, "with libstealth", stealth_environment)):
        with limits.make(LIMIT_MIB * MIB) as limit:
            errors = os.path.join(options.data, f"stderr.{number}")
            runs.append(run_once(f"{number}/2, {name}", options.program, limit, environment, errors))
            held_by = limit.name
    plain, stealth = runs

    print(f"A producer at {PRODUCER_MIB_S} MiB/s, a consumer at {CONSUMER_MIB_S} MiB/s, an unbounded queue between "
          f"them,\nunder a limit of {LIMIT_MIB} MiB ({held_by}); libstealth's capacity is {CAPACITY_MIB} MiB.")
    columns = shutil.get_terminal_size((100, 30)).columns
    drawn = plot.draw(plain, stealth, LIMIT_MIB, CAPACITY_MIB, options.data, options.png,
                      min(max(columns, 60), 120), colours=sys.stdout.isatty())
    if drawn:
        print(f"picture: {options.png}")
    print(f"plain: {outcome(plain)}; with libstealth: {outcome(stealth)}")
    return 0 if drawn and plain.killed and stealth.finished and stealth.lost == 0 else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstealth: demonstration: ended by you", file=sys.stderr)
        sys.exit(130)
