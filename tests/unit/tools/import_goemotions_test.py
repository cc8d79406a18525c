"""tools/import_goemotions on a few made-up comments."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

LABELS = "joy\nanger\nneutral"
TRAIN = ["What a day!\t0\ta1",
         "Joy,\u2028and rage\t1,0\ta2",  # not the end of a line
         "It is Tuesday.\t2\ta3",
         "\"Quoted\" \\ as it is\t1\ta4",
         "Fine, I suppose\t0,2\ta5"]
DEV = ["Leave me alone\t1\tb1", "A table\t2\tb2"]


def run(train=TRAIN, dev=DEV, labels=LABELS, flags=()):
    """The finished process, and the lines of its output (None: there is no file)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "labels.txt").write_bytes(labels.encode())
        (folder / "train.tsv").write_bytes("\n".join([*train, ""]).encode())
        (folder / "dev.tsv").write_bytes("\r\n".join(dev).encode())
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools/import_goemotions"), "--folder", name,
             "--output", str(folder / "out.jsonl"), *flags],
            capture_output=True, text=True, encoding="utf-8", check=False)
        path = folder / "out.jsonl"
        text = path.read_bytes().decode("utf-8") if path.exists() else None
        left = {file.name for file in folder.iterdir()}
    assert "out.jsonl.partial" not in left
    return done, None if text is None else [json.loads(line) for line in text.split("\n")[:-1]]


class ImportGoemotions(unittest.TestCase):
    def test_single_labels_without_neutral(self):
        done, items = run(flags=["--dev-share", "0"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(items, [
            {"id": "a1", "text": "What a day!", "emotion": "joy", "split": "train"},
            {"id": "a4", "text": "\"Quoted\" \\ as it is", "emotion": "anger", "split": "train"},
            {"id": "b1", "text": "Leave me alone", "emotion": "anger", "split": "test"}])
        self.assertIn("2 train, 0 dev, 1 test", done.stdout)

    def test_chat(self):
        _, items = run(flags=["--chat"])
        self.assertEqual(items[0]["messages"], [{"role": "user", "content": "What a day!"}])
        self.assertNotIn("text", items[0])

    def test_several_labels_and_neutral(self):
        _, items = run(flags=["--multi-label"])
        self.assertEqual([item["id"] for item in items], ["a1", "a2", "a4", "b1"])
        self.assertEqual(items[1]["text"], "Joy,\u2028and rage")
        self.assertEqual((items[1]["emotion"], items[1]["emotions"]), ("anger", ["anger", "joy"]))
        _, items = run(flags=["--neutral"])
        self.assertEqual([item["id"] for item in items], ["a1", "a3", "a4", "b1", "b2"])
        self.assertEqual(items[1]["emotion"], "nothing to report")
        _, items = run(flags=["--neutral", "--multi-label"])
        self.assertEqual(len(items), 7)
        self.assertEqual(items[4]["emotions"], ["joy", "nothing to report"])

    def test_splits(self):
        train = [f"Comment {i}\t{i % 2}\tc{i}" for i in range(2000)]
        _, items = run(train)
        splits = {item["id"]: item["split"] for item in items}
        dev = sum(split == "dev" for split in splits.values())
        self.assertTrue(150 < dev < 250, dev)
        # dev.tsv is what results are judged by, and nothing else is.
        self.assertEqual([name for name, split in splits.items() if split == "test"], ["b1"])
        # A comment's part does not depend on what else there is.
        _, fewer = run(train[::7])
        for item in fewer:
            self.assertEqual(item["split"], splits[item["id"]])

    def test_bad_input_is_named_and_leaves_no_file(self):
        for train, place in ((["x\t0"], "train.tsv:1"), (["x\t0\ta", "x\t3\tb"], "train.tsv:2"),
                             (["x\tjoy\ta"], "train.tsv:1"), (["x\t-1\ta"], "train.tsv:1"),
                             (["x\t0\tb1"], "b1")):
            done, items = run(train)
            self.assertEqual(done.returncode, 1)
            self.assertIn(place, done.stderr)
            self.assertNotIn("Traceback", done.stderr)
            self.assertIsNone(items)


if __name__ == "__main__":
    unittest.main()
