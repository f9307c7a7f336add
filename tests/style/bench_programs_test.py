"""Programs that the caller of tools/bench names: when their output is compared, and when a number in it decides; and
settings that are for one build alone.

    bench_programs_test.py TOOLS_DIRECTORY
"""
import pathlib
import re
import shutil
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv.pop(1))
from benchlib import loads, runner, session, tree  # noqa: E402
from benchlib.peers import REFERENCE, SUBJECT  # noqa: E402

PEERS = {REFERENCE: None, SUBJECT: "ours.so"}


class Bench:
    """In a Bench's place: what it is told to give, output by output."""

    def __init__(self, outputs):
        self.outputs = outputs
        self.given = []

    def run(self, argv, preload, stdin, env, metric):
        self.given.append((preload, env))
        return {"output": self.outputs[preload].pop(0), "stderr": "", "wall": 1.0, "cpu": 1.0, "user": 1.0,
                "system": 0.0, "rss_kib": 1000, "faults": 10, "preempted": 0, "metrics": {}}


def measure(load, outputs, rounds=1):
    runs = session.Session(Bench(outputs), PEERS, [load], 1.0)

    class Dice:
        @staticmethod
        def sample(things, count):
            return list(things)[:count]
    runs.measure(rounds, Dice)
    return runs.results()["loads"]["mine"]


class Outputs(unittest.TestCase):
    def test_the_same_each_time_is_what_all_must_print(self):
        found = measure(loads.given("mine", "true"), {None: ["a", "a", "a"], "ours.so": ["b"]})
        self.assertIn("wrong output", found["errors"][SUBJECT])

    def test_another_each_time_is_not_compared(self):
        found = measure(loads.given("mine", "true"), {None: ["a", "b", "c"], "ours.so": ["d"]})
        self.assertEqual(found["errors"], {})

    def test_a_load_of_the_table_runs_once_before_and_is_always_compared(self):
        load = loads.Load("mine", "", True, lambda b, s: ["true"])
        found = measure(load, {None: ["a", "b"], "ours.so": ["a"]})
        self.assertIn("wrong output", found["errors"][REFERENCE])


class Settings(unittest.TestCase):
    def test_are_for_the_build_that_they_name_alone(self):
        bench = Bench({None: ["a"] * 3, "ours.so": ["a"]})
        load = loads.Load("mine", "", True, lambda b, s: ["true"], env={"X": "1"})
        runs = session.Session(bench, PEERS, [load], 1.0, own_env={SUBJECT: {"STEALTH_GUARD": "full"}})
        runs.measure(1, type("Dice", (), {"sample": staticmethod(lambda things, count: list(things)[:count])}))
        self.assertIn(("ours.so", {"X": "1", "STEALTH_GUARD": "full"}), bench.given)
        self.assertIn((None, {"X": "1"}), bench.given)
        self.assertNotIn((None, {"X": "1", "STEALTH_GUARD": "full"}), bench.given)

    def test_are_read_as_name_variable_value(self):
        self.assertEqual(tree.named_settings(["full=A=b=c", "full=D="], {"full": "x.so"}),
                         {"full": {"A": "b=c", "D": ""}})
        for wrong in ("full", "full=A", "other=A=b", "full==b"):
            with self.assertRaises(SystemExit):
                tree.named_settings([wrong], {"full": "x.so"})


class Numbers(unittest.TestCase):
    """With the real runner, and a starter that runs nothing but says that all went well."""

    def run_once(self, text, expression):
        with tempfile.TemporaryDirectory() as folder:
            programs = pathlib.Path(folder) / "tests" / "loads"
            programs.mkdir(parents=True)
            starter = programs / "launch"
            starter.write_text(f"#!/bin/sh\necho '0 1000000000 500000 0 1000 10 0 1 1' >&$1\necho '{text}'\n")
            starter.chmod(0o755)
            bench = runner.Bench(folder, folder, 10)
            return bench.run(["true"], None, metric=re.compile(expression))

    def test_more_is_better(self):
        less = self.run_once("Throughput = 1000 per second", "Throughput = ([0-9]+)")
        more = self.run_once("Throughput = 4000 per second", "Throughput = ([0-9]+)")
        self.assertAlmostEqual(less["work"] / more["work"], 4)

    def test_no_number_is_an_error(self):
        self.assertIn("no number", self.run_once("nothing", "([0-9]+) per second")["error"])
        self.assertIn("no number", self.run_once("0 per second", "([0-9]+) per second")["error"])


if __name__ == "__main__":
    assert shutil.which("true")
    unittest.main()
