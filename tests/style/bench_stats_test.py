#!/usr/bin/python3
"""Proves tools/benchlib/stats.py and best.py: what the bench concludes, on figures whose truth is known.

    bench_stats_test.py TOOLS    the directory that benchlib is in
"""
import random
import statistics
import sys
import unittest

sys.dont_write_bytecode = True
stats = best = None  # set by main: where they are, is told by an argument

PEERS = [f"p{number}" for number in range(9)]
TRIALS = 1000


def runs_of(values, rss=1000):
    return [{"round": number, "wall": value, "rss_kib": rss} for number, value in enumerate(values, 1)]


def session(dice, truth, rounds=9, noise=0.05):
    """{name: runs} of peers that take truth[name] seconds, with noise of their own and a drift that all share."""
    drift = [dice.lognormvariate(0, 0.3) for _ in range(rounds)]
    return {name: runs_of([value * slow * dice.lognormvariate(0, noise) for slow in drift])
            for name, value in truth.items()}


def by_wall(runs):
    return stats.quickest(runs, "wall")


class Interval(unittest.TestCase):
    def test_too_few_values_have_none(self):
        self.assertIsNone(stats.interval([1.0] * (stats.FEWEST_ROUNDS - 1)))

    def test_six_values_give_their_range(self):
        self.assertEqual(stats.interval([3, 1, 2, 6, 5, 4]), (1, 6))

    def test_holds_the_median_as_often_as_it_says(self):
        dice = random.Random(1)
        for count in (6, 9, 15):
            held = 0
            for _ in range(TRIALS):
                low, high = stats.interval([dice.lognormvariate(0, 0.1) for _ in range(count)])
                held += low <= 1 <= high
            self.assertGreaterEqual(held / TRIALS, 0.94, count)


class Pairs(unittest.TestCase):
    def test_ratios_are_of_the_same_round(self):
        mine, base = runs_of([2.0, 4.0, 6.0]), runs_of([1.0, 2.0, 3.0])
        self.assertEqual(stats.ratios(mine[1:], base, "wall"), [2.0, 2.0])

    def test_without_common_rounds_nothing_is_said(self):
        self.assertIsNone(stats.compare(runs_of([1.0, 1.0])[:1], runs_of([1.0, 1.0])[1:], "wall"))

    def test_drift_of_the_machine_cancels_out(self):
        found = session(random.Random(2), {"a": 1.1, "b": 1.0}, noise=0.0)
        self.assertAlmostEqual(stats.compare(found["a"], found["b"], "wall")["ratio"], 1.1)


class Standing(unittest.TestCase):
    def test_words(self):
        for bounds, word in ((None, "too few rounds"), ((1.03, 1.2), "lost"), ((0.8, 1.0), "reached"),
                             ((0.99, 1.02), "reached"), ((1.0, 1.03), "not resolved"), ((0.7, 1.5), "not resolved")):
            self.assertEqual(stats.standing(bounds), word, bounds)

    def test_another_limit(self):
        self.assertEqual(stats.standing((0.85, 0.95), 0.90), "not resolved")
        self.assertEqual(stats.standing((0.92, 0.95), 0.90), "lost")


class Choice(unittest.TestCase):
    def test_the_leanest_is_one_of_the_quick(self):
        runs = {"quick": runs_of([1.0, 1.0], rss=300), "near": runs_of([1.4, 1.4], rss=200),
                "slow": runs_of([1.6, 1.6], rss=100)}
        quick = stats.quick(runs, "wall")
        self.assertEqual(quick, ["quick", "near"])
        self.assertEqual(stats.leanest({peer: runs[peer] for peer in quick}), "near")

    def test_a_round_that_one_lacks_is_no_round(self):
        runs = {"mine": runs_of([1.0] * 4), "a": runs_of([1.0] * 4), "b": runs_of([1.0] * 3)}
        self.assertEqual(len(stats.against_best(runs, "mine", ["a", "b"], by_wall, "wall")["ratios"]), 3)

    def test_a_clear_leader_is_chosen_by_both_halves(self):
        found = session(random.Random(3), {"mine": 1.2, "a": 1.0, "b": 1.5})
        judged = stats.against_best(found, "mine", ["a", "b"], by_wall, "wall")
        self.assertEqual(judged["chosen"], ["a", "a"])
        self.assertEqual(sorted(judged["ratios"]), sorted(stats.compare(found["mine"], found["a"], "wall")["ratios"]))
        self.assertEqual(stats.standing(judged["interval"]), "lost")

    def test_a_slow_spell_does_not_choose(self):
        # b is quicker in four rounds of five; its median time is of the fifth
        runs = {"a": runs_of([1.0, 2.0, 3.0, 4.0, 5.0]), "b": runs_of([0.9, 1.8, 3.2, 3.6, 4.5])}
        self.assertEqual(stats.quickest(runs, "wall"), "b")

    def test_no_round_is_compared_that_chose(self):
        # a leads the odd rounds, b the even ones: each is met where it is slow
        runs = {"mine": runs_of([1.0] * 8), "a": runs_of([0.5, 2.0] * 4), "b": runs_of([2.0, 0.5] * 4)}
        judged = stats.against_best(runs, "mine", ["a", "b"], by_wall, "wall")
        self.assertEqual(judged["chosen"], ["a", "b"])
        self.assertEqual(judged["ratios"], [0.5] * 8)

    def test_one_round_is_not_enough(self):
        runs = {"mine": runs_of([1.0]), "a": runs_of([1.0])}
        self.assertIsNone(stats.against_best(runs, "mine", ["a"], by_wall, "wall"))

    def test_the_best_peer_is_1_against_itself(self):
        found = session(random.Random(4), {"a": 1.0, "b": 2.0})
        self.assertEqual(stats.against_best(found, "a", ["a", "b"], by_wall, "wall")["ratio"], 1.0)


class Luck(unittest.TestCase):
    """One more peer that is exactly as quick as nine others, which are alike."""

    def setUp(self):
        dice = random.Random(5)
        self.sessions = [session(dice, {"mine": 1.0, **dict.fromkeys(PEERS, 1.0)}) for _ in range(TRIALS)]
        self.halves = [stats.against_best(found, "mine", PEERS, by_wall, "wall") for found in self.sessions]

    def test_the_least_of_all_peers_is_biased(self):
        naive = [stats.compare(found["mine"], found[by_wall({peer: found[peer] for peer in PEERS})], "wall")
                 for found in self.sessions]
        self.assertGreater(statistics.fmean(one["ratio"] for one in naive), 1.02)

    def test_choosing_on_one_half_is_not(self):
        mean = statistics.fmean(one["ratio"] for one in self.halves)
        self.assertLess(abs(mean - 1), 0.005)

    def test_its_interval_holds_the_truth(self):
        held = sum(low <= 1 <= high for low, high in (one["interval"] for one in self.halves))
        self.assertGreaterEqual(held / TRIALS, 0.94)

    def test_hardly_any_is_lost(self):
        lost = sum(stats.standing(one["interval"]) == "lost" for one in self.halves)
        self.assertLess(lost / TRIALS, 0.02)


class Noise(unittest.TestCase):
    def test_who_is_slower_is_not_said_to_have_reached_the_best(self):
        dice = random.Random(8)
        truth = {"mine": 1.06, "a": 1.0, "b": 1.03, "c": 1.06, "d": 1.1, "e": 1.2, "f": 1.3}
        for noise in (0.01, 0.03, 0.08, 0.2):
            reached = 0
            for _ in range(TRIALS):
                judged = stats.against_best(session(dice, truth, noise=noise), "mine", list(truth)[1:], by_wall, "wall")
                reached += stats.standing(judged["interval"]) == "reached"
            self.assertLess(reached / TRIALS, 0.04, noise)


class Best(unittest.TestCase):
    def setUp(self):
        truth = {"libstealth": 1.0, "new": 0.5, "glibc": 2.0, "a": 1.0, "broken": 0.1}
        self.runs = session(random.Random(7), truth, noise=0.002)

    def of_load(self):
        return best.of_load(self.runs, {"broken": "wrong output"}, "wall", ["new"])

    def test_who_failed_or_is_our_own_is_no_rival(self):
        found = self.of_load()
        self.assertEqual(found["time"]["libstealth"]["chosen"], ["a", "a"])
        self.assertEqual(found["verdict"], "reached")
        self.assertNotIn("broken", found["time"])
        self.assertAlmostEqual(found["time"]["new"]["ratio"], 0.5, delta=0.01)

    def test_memory_is_marked(self):
        self.assertEqual(self.of_load()["memory"], [])
        for run in self.runs["libstealth"]:
            run["rss_kib"] = 1200
        self.assertEqual(self.of_load()["memory"], ["rss"])
        for run in self.runs["libstealth"]:
            run["rss_kib"] = 1300
        self.assertEqual(self.of_load()["memory"], ["rss", "rss_reference"])

    def test_a_load_without_a_burst_tells_nothing_of_what_is_left(self):
        self.assertEqual(self.of_load()["left"], {})

    def leaves(self, **kib):
        for name, runs in self.runs.items():
            for run in runs:
                run["metrics"] = {"left_kib": kib[name]}

    def test_what_is_left_is_compared_with_the_leanest_however_slow(self):
        self.leaves(libstealth=105, new=50, glibc=100, a=400, broken=1)  # glibc takes twice the time of a
        found = self.of_load()
        self.assertEqual(found["left"]["libstealth"]["chosen"], ["glibc", "glibc"])
        self.assertAlmostEqual(found["left"]["libstealth"]["ratio"], 1.05)
        self.assertAlmostEqual(found["left"]["a"]["ratio"], 4.0)
        self.assertAlmostEqual(found["left_reference"]["libstealth"]["ratio"], 1.05)
        self.assertEqual(found["memory"], [])
        self.leaves(libstealth=120, new=50, glibc=100, a=400, broken=1)
        self.assertEqual(self.of_load()["memory"], ["left"])

    def test_the_single_best_served_all_loads(self):
        loads = {name: {"runs": self.runs, "by": "wall", "best": self.of_load()} for name in ("one", "two")}
        two = {peer: runs for peer, runs in self.runs.items() if peer != "a"}
        loads["three"] = {"runs": two, "by": "wall", "best": best.of_load(two, {}, "wall", ["new"])}
        single = best.overall(loads, list(self.runs), ["new"])["single"]
        self.assertEqual(single["peer"], "glibc")
        self.assertEqual(single["verdict"], "reached")


class Means(unittest.TestCase):
    def test_geometric(self):
        self.assertAlmostEqual(stats.geometric_mean([0.5, 2.0]), 1.0)

    def test_overall_holds_the_truth(self):
        dice = random.Random(6)
        loads = [session(dice, {"mine": 0.8, "a": 1.0}) for _ in range(20)]
        found = stats.overall([stats.compare(load["mine"], load["a"], "wall") for load in loads])
        low, high = found["interval"]
        self.assertTrue(low <= 0.8 <= high and high - low < 0.05, found)

    def test_nothing_has_no_mean(self):
        self.assertIsNone(stats.overall([]))


if __name__ == "__main__":
    sys.path.insert(0, sys.argv.pop(1))
    from benchlib import best, stats
    unittest.main()
