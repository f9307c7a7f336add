"""What the documents show: the pictures that they name are there, those in SVG are sound, load nothing from elsewhere
and say what they show; and what tools/demo/pictures.py draws from a screen and from answers is what stands in them.

    pictures_test.py SOURCE_ROOT
"""
import json
import os
import pathlib
import re
import sys
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
ROOT = pathlib.Path(sys.argv.pop(1))
sys.path[:0] = [str(ROOT / "tools/demo")]
os.environ |= {"STEALTH": "", "STEALTH_LIB": ""}  # nothing is run here
import pictures  # noqa: E402
import dashboard  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


def words_of(svg):
    return [text.text for text in xml.etree.ElementTree.fromstring(svg).iter(SVG + "text")]


class Documents(unittest.TestCase):
    def test_pictures_are_there(self):
        named = [(page.parent / name, page) for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
                 for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))]
        self.assertIn((ROOT / "docs/top.svg", ROOT / "README.md"), named)
        for picture, page in named:
            self.assertTrue(picture.is_file(), f"{page}: {picture}")

    def test_vectors_are_sound(self):
        for picture in (ROOT / "docs").glob("*.svg"):
            tree = xml.etree.ElementTree.parse(picture)
            for node in tree.iter():
                self.assertNotIn(node.tag, (SVG + "script", SVG + "image", SVG + "foreignObject"), picture)
                self.assertFalse([name for name in node.attrib if name.endswith("href")], picture)
        for name in pictures.PICTURES:
            tree = xml.etree.ElementTree.parse(ROOT / f"docs/{name}.svg")
            self.assertIn(f"tools/demo/pictures.py {name}", tree.find(SVG + "desc").text)


class Screen(unittest.TestCase):
    def test_words_and_blocks(self):
        lines = ["\x1b[7m one <two>  \x1b[0m",
                 "\x1b[1mfill\x1b[0m \x1b[33m██\x1b[1m\x1b[39m┃\x1b[0m\x1b[33m░\x1b[39m 5%"]
        svg = pictures.screen_svg(lines, "a title", "about")
        self.assertEqual(words_of(svg), ["one <two>", "fill", "5%"])
        rectangles = [(float(r.get("width")), r.get("fill")) for r in
                      xml.etree.ElementTree.fromstring(svg).iter(SVG + "rect")][1:]
        cell, yellow = pictures.CELL, pictures.COLOURS[33]
        self.assertEqual(rectangles, [(round(12 * cell, 1), pictures.INK), (round(2 * cell, 1), yellow),
                                      (round(0.4 * cell, 1), pictures.INK), (cell, yellow)])

    def test_nothing_is_left_out_in_silence(self):
        with self.assertRaises(ValueError):
            pictures.screen_svg(["\x1b[45mpurple"], "a title", "about")


class Panels(unittest.TestCase):
    source = json.loads((ROOT / "docs/grafana-dashboard.json").read_text(encoding="utf-8"))

    def drawn(self, rows):
        answers = {(panel["title"], target["refId"]): rows for panel in self.source["panels"]
                   for target in panel["targets"]}
        return words_of(dashboard.draw(self.source, answers, 120.0))

    def test_every_panel(self):
        points = [(float(at), 0.5 * at) for at in range(120)]
        words = self.drawn([({"program": "a&b", "pid": "7", "size": "64"}, points)])
        for panel in self.source["panels"]:
            self.assertIn(panel["title"], words)
            for target in panel["targets"]:
                self.assertIn(dashboard.named(target["legendFormat"], {"program": "a&b", "pid": "7", "size": "64"}),
                              words)
        self.assertNotIn("no data", words)

    def test_nothing_was_answered(self):
        lines = [panel for panel in self.source["panels"] if panel["type"] == "timeseries"]
        self.assertEqual(self.drawn([]).count("no data"), len(lines))

    def test_amounts(self):
        self.assertEqual([dashboard.shown(value, unit) for value, unit in (
            (0.909, "percentunit"), (64 << 20, "bytes"), (2e8, "Bps"), (0.0042, "s"), (0, "s"), (1500, "ops"),
            (3, "short"))], ["90.9 %", "64 MiB", "200 MB/s", "4.2 ms", "0 s", "1.5k ops/s", "3"])
        self.assertEqual([mark >> 20 for mark in map(int, dashboard.steps(140 << 20, "bytes"))], [0, 50, 100])
        self.assertEqual(dashboard.stacked([("a", [(0, 1), (1, 1)]), ("b", [(1, 2)])]),
                         [("a", [(0, 1), (1, 1)]), ("b", [(0, 1), (1, 3)])])


if __name__ == "__main__":
    unittest.main()
