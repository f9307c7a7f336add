#!/usr/bin/python3
"""stealth stat --format prometheus is what Prometheus accepts, and has what the dashboard and the manual name."""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import pages
from command import QUIET, Case, Program, main, stealth, until

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs")
NAME = re.compile(r"\bstealth_[a-z_]+")


def samples(text):
    """{name: [(labels, value)]}"""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = re.fullmatch(r'(\w+)(?:\{(.*)\})? (\S+)', line).groups()
            pairs = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ""))
            found.setdefault(name, []).append((pairs, float(value)))
    return found


class Format(Case):
    def promtool(self, text):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_one(self):
        with pages.Sleeper() as one:
            text = self.succeeds("stat", one.pid, "--format", "prometheus")
        self.promtool(text)
        found = samples(text)
        figures = one.page.snapshots[1].figures
        labels = {"pid": str(one.pid), "program": "queue"}
        for name, value in (("held_bytes", figures.held), ("capacity_bytes", figures.capacity),
                            ("live_bytes", figures.live), ("purged_bytes_total", figures.purged),
                            ("grants_total", 2), ("waiting_threads", 1), ("longest_wait_seconds", 0.009)):
            self.assertEqual(found[f"stealth_{name}"], [(labels, value)])
        self.assertGreaterEqual(found["stealth_longest_waiting_seconds"][0][1], 2)
        self.assertIn((dict(labels, size="4096"), 5000 * 4096), found["stealth_class_in_use_bytes"])

    def test_histogram(self):
        with pages.Sleeper() as one:
            found = samples(self.succeeds("stat", one.pid, "--format", "prometheus"))
        buckets = [(labels["le"], value) for labels, value in found["stealth_wait_seconds_bucket"]]
        self.assertEqual(len(buckets), pages.BUCKETS)
        self.assertEqual(buckets[0], ("0.000001", 0))
        self.assertEqual([value for _, value in buckets], sorted(value for _, value in buckets))
        by_bound = dict(buckets)
        self.assertEqual((by_bound["0.000512"], by_bound["0.001024"], by_bound["0.016384"], by_bound["+Inf"]),
                         (0, 2, 3, 3))
        self.assertEqual(found["stealth_wait_seconds_count"][0][1], 3)
        self.assertEqual(found["stealth_wait_seconds_sum"][0][1], 0.012)

    def test_several_with_odd_names(self):
        with pages.Sleeper(program=b'a"b\\c\nd') as one, pages.Sleeper() as two:
            text = self.lists("--format", "prometheus")
        self.promtool(text)
        pids = {labels["pid"] for labels, _ in samples(text)["stealth_held_bytes"]}
        self.assertLessEqual({str(one.pid), str(two.pid)}, pids)
        self.assertIn(r'program="a\"b\\c\\x0ad"', text)

    def test_a_class_that_comes_twice(self):
        def change(page):
            page.snapshots[1].class_rows[1].size = 64
        with pages.Sleeper(change) as one:
            self.promtool(self.succeeds("stat", one.pid, "--format", "prometheus"))

    def test_real_process(self):
        with Program(QUIET, STEALTH_CAPACITY="1g") as one:
            one.child.stdout.readline()
            until(lambda: stealth("stat", one.pid).returncode == 0, "the page")
            self.promtool(self.succeeds("stat", one.pid, "--format", "prometheus"))

    def test_textfile_is_never_half(self):
        path = f"/tmp/stealth-test-{os.getpid()}.prom"
        try:
            for _ in range(3):
                self.assertEqual(stealth("stat", "--format", "prometheus", "--output", path).returncode, 0)
                with open(path, encoding="utf-8") as text:
                    self.promtool(text.read())
            self.assertEqual([name for name in os.listdir("/tmp") if name.startswith(os.path.basename(path) + ".")], [])
        finally:
            os.unlink(path)


class Names(Case):
    @classmethod
    def setUpClass(cls):
        with pages.Sleeper() as one:
            cls.text = stealth("stat", one.pid, "--format", "prometheus").stdout
        cls.names = set(samples(cls.text))

    def test_dashboard(self):
        with open(os.path.join(DOCS, "grafana-dashboard.json"), encoding="utf-8") as text:
            dashboard = json.load(text)
        expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        expressions += [variable["query"]["query"] for variable in dashboard["templating"]["list"]]
        used = {name for expression in expressions for name in NAME.findall(expression)}
        self.assertGreater(len(used), 15)
        self.assertEqual(used - self.names, set())
        # As an import wants it: a source to choose, no two panels in one place or of one number.
        self.assertEqual([one["name"] for one in dashboard["__inputs"]], ["DS_PROMETHEUS"])
        self.assertIsNone(dashboard["id"])
        self.assertEqual(len({panel["id"] for panel in dashboard["panels"]}), len(dashboard["panels"]))
        cells = [(x, y) for panel in dashboard["panels"] for place in [panel["gridPos"]]
                 for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])]
        self.assertEqual(len(cells), len(set(cells)))
        self.assertLess(max(x for x, _ in cells), 24)

    def test_expressions_are_promql(self):
        with open(os.path.join(DOCS, "grafana-dashboard.json"), encoding="utf-8") as text:
            dashboard = json.load(text)
        rules = [{"record": f"check:{panel['id']}:{target['refId']}".lower(),
                  "expr": target["expr"].replace("$__rate_interval", "5m")}
                 for panel in dashboard["panels"] for target in panel["targets"]]
        path = f"/tmp/stealth-test-rules-{os.getpid()}.json"
        try:
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)  # JSON is YAML
            done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True,
                                  check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        finally:
            os.unlink(path)

    def test_manual_names_them_all(self):
        with open(os.path.join(DOCS, "operations.md"), encoding="utf-8") as text:
            manual = set(NAME.findall(text.read()))
        written = set(re.findall(r"(?m)^# TYPE (\w+)", self.text))
        self.assertEqual(written - manual, set())


if __name__ == "__main__":
    main()
