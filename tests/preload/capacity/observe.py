#!/usr/bin/python3
"""observe.py PROGRAM ARG…: runs the program twice at a capacity of 32 MiB, enforced and observed.

What `observe` says would be waited must be what `enforce` waits, within a factor of two; and nobody may wait for it.
Both depend on how much of the processor producers and consumers get, each in its own run: where others want it, too, a
pair of runs says little, and another pair is asked. A wrong prediction is wrong in all of them.
"""
import json
import os
import subprocess
import sys
import tempfile


def run(mode, folder):
    """The statistics, and what was said."""
    path = os.path.join(folder, mode)
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("STEALTH_", "LD_", "MALLOC_"))}
    environment |= {"LD_PRELOAD": os.path.abspath(os.environ["STEALTH_LIB"]), "STEALTH_MODE": mode,
                    "STEALTH_CAPACITY": "32m", "STEALTH_STATS": "exit:json:" + path}
    result = subprocess.run(sys.argv[1:], env=environment, capture_output=True, text=True, timeout=150, check=False)
    if result.returncode != 0:
        sys.exit(f"FAULT: {mode}: status {result.returncode}: {result.stdout}{result.stderr}")
    with open(path, encoding="utf-8") as file:
        return json.load(file)["waits"], [line for line in result.stderr.splitlines() if line.startswith("stealth: ")]


PAIRS = 6


def compare():
    """Whether the prediction was right, and the faults that are faults in any case."""
    with tempfile.TemporaryDirectory(prefix="stealth-test-") as folder:
        enforced, _ = run("enforce", folder)
        observed, lines = run("observe", folder)
    waited, predicted = enforced["total_us"], observed["observed_us"]
    print(f"waited {waited} us, predicted {predicted} us")
    if waited == 0 or predicted == 0:
        return False
    faults = []
    if enforced["observed_us"] != 0:
        faults.append("something was observed when it was enforced")
    if observed["count"] != 0 or observed["longest_sleep_us"] != 0 or observed["grants"] != 0:
        faults.append("somebody was delayed or granted something though it was only observed")
    if len(lines) != 1 or "would slow down; nothing is delayed" not in lines[0]:
        faults.append("that it was only observed was not said, or not once")
    if faults:
        sys.exit("\n".join("FAULT: " + fault for fault in faults) + f"\n{enforced}\n{observed}\n{lines}")
    return waited / 2 <= predicted <= waited * 2


def main():
    if not any(compare() for _ in range(PAIRS)):
        sys.exit(f"FAULT: the prediction is off by more than a factor of two, {PAIRS} times")


if __name__ == "__main__":
    main()
