#!/usr/bin/python3
"""Proves tools/benchlib/instructions.py: what it reads, computes and says, with a callgrind that is none; and that the
report shows what is left after a burst.

    bench_instructions_test.py TOOLS    the directory that benchlib is in
"""
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
instructions = best_report = None  # set by main: where they are, is told by an argument

LOG = "==7== Command: {}\n==7== \n==7== Events    : Ir\n==7== Collected : {}\n==7== \n==7== I   refs:      {:,}\n"


class Callgrind:
    """Runs nothing: a start of 5,000 instructions, and so many for each pair, by what is preloaded."""

    def __init__(self, folder, costs):
        self.inputs = self.programs = pathlib.Path(folder)
        self.costs, self.commands = costs, []

    def run(self, argv, preload):
        assert preload is None, "valgrind itself must not be under the library"
        self.commands.append(argv)
        log = pathlib.Path(next(word for word in argv if word.startswith("--log-file=")).partition("=")[2])
        library = next((word for word in argv if word.startswith("LD_PRELOAD=")), "LD_PRELOAD=").partition("=")[2]
        cost = self.costs[library]
        if cost == "dies":
            log.write_text("==7== Process terminating\n==7== Collected : 12\n", encoding="utf-8")
            return {"error": "ended by SIGABRT", "stderr": "first line\nno address space"}
        if cost == "silent":
            return {"stderr": ""}
        total = 5000 + cost * int(argv[-1])
        log.write_text(LOG.format("env", total, total), encoding="utf-8")
        return {"stderr": "a library's own words: Collected : 3"}


class Counting(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.bench = Callgrind(folder.name, {"": 100, "/a.so": 48, "/b.so": "dies", "/c.so": "silent"})

    def test_the_last_total_is_that_of_the_program(self):
        self.assertEqual(instructions.collected("Collected : 5\nCollected : 17 3\n"), 17)
        self.assertIsNone(instructions.collected("I refs: 17"))

    def test_start_drops_out(self):
        found = instructions.count(self.bench, "/a.so", "same", 1000)
        self.assertEqual(found, {"totals": [53000, 101000], "pair": 48.0})
        self.assertEqual([argv[-1] for argv in self.bench.commands], ["1000", "2000"])

    def test_nothing_is_preloaded_for_the_reference(self):
        self.assertEqual(instructions.count(self.bench, "", "same", 1000)["pair"], 100.0)
        self.assertFalse(any(word.startswith("LD_PRELOAD") for argv in self.bench.commands for word in argv))

    def test_who_dies_is_told_with_the_reason(self):
        self.assertEqual(instructions.count(self.bench, "/b.so", "same", 1000),
                         {"error": "ended by SIGABRT: no address space"})

    def test_the_log_of_the_run_before_is_not_read(self):
        instructions.count(self.bench, "/a.so", "same", 1000)
        self.assertEqual(instructions.count(self.bench, "/c.so", "same", 1000), {"error": "no count"})


class Words(unittest.TestCase):
    def setUp(self):
        self.counts = {"same": {"glibc": {"pair": 139.0}, "b": {"error": "ended"}, "libstealth": {"pair": 45.0}},
                       "100k": {"glibc": {"pair": 329.0}, "b": {"error": "ended"}, "libstealth": {"pair": 80.1}},
                       "remote": {"glibc": {"pair": 218.0}, "b": {"error": "late"}, "libstealth": {"pair": 232.04}}}

    def test_table(self):
        lines = instructions.table(self.counts, ["glibc", "b", "libstealth"])
        self.assertEqual(len(lines), 4)
        self.assertEqual(lines[1].split()[-3:], ["139.0", "fails", "45.0"])
        self.assertEqual(lines[3].split()[-3:], ["218.0", "fails", "232.0"])

    def test_verdicts(self):
        figures = instructions.asked(self.counts, ["libstealth"])  # nothing is asked of remote
        reached, missed = instructions.verdicts(figures)
        self.assertTrue(reached.endswith("45.00  (at most 45)"), reached)
        self.assertTrue(missed.endswith("80.10  (at most 80)  MISSED"), missed)
        self.assertTrue(instructions.is_any_missed(figures))
        self.assertFalse(instructions.is_any_missed(figures[:1]))

    def test_no_verdict_on_what_was_not_counted(self):
        self.assertEqual(instructions.asked(self.counts, ["b", "not there"]), [])

    def test_a_reason_is_told_once(self):
        self.assertEqual(instructions.failures(self.counts), ["b fails in valgrind: ended (same, 100k)",
                                                              "b fails in valgrind: late (remote)"])
        del self.counts["remote"]
        self.assertEqual(instructions.failures(self.counts), ["b fails in valgrind: ended (all cases)"])


class Left(unittest.TestCase):
    def results(self, ratio, memory):
        def one(value):
            return {"ratio": value, "interval": (value, value), "chosen": ["glibc", "glibc"]}
        burst = {"left": {"libstealth": one(ratio), "glibc": one(1.0)}, "left_reference": {"libstealth": one(ratio)},
                 "memory": memory}
        small = {"left": {}, "left_reference": {}, "memory": []}
        return {"peers": {"glibc": "", "libstealth": "/l.so"}, "best": {"means": {}},
                "loads": {"small": {"best": small, "summary": {}},
                          "burst": {"best": burst,
                                    "summary": {"libstealth": {"left_kib": {"median": 2048, "min": 1024}}}}}}

    def test_only_loads_that_tell_are_shown(self):
        lines = best_report.left_table(self.results(1.05, []))
        self.assertEqual(lines[2].split(), ["burst", "glibc", "2.0", "1.0", "1.05", "[1.05", "1.05]", "1.05"])
        self.assertEqual(len(lines), 3)
        self.assertEqual(best_report.ratio_table(self.results(1.05, []), "left", "title")[2].split(),
                         ["burst", "1.00", "1.05"])

    def test_more_than_the_limit_is_marked(self):
        self.assertTrue(best_report.left_table(self.results(1.3, ["left"]))[2].endswith(" LEFT"))

    def test_no_table_without_such_loads(self):
        results = self.results(1.0, [])
        del results["loads"]["burst"]
        self.assertEqual(best_report.left_table(results), [])
        self.assertEqual(best_report.ratio_table(results, "left", "title"), [])


if __name__ == "__main__":
    sys.path.insert(0, sys.argv.pop(1))
    from benchlib import best_report, instructions
    unittest.main()
