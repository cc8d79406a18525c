"""tools/blind_reading: what is drawn, what readers get to see, and the scores of given answers."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def entry(word, family, near):
    return {"word": word, "family": family, "valence": 0, "arousal": 0, "appraisal": "It is.",
            "near": near, "banned": [word], "unseen": False}


LEXICON = [entry("sad", "sadness", ["gloomy"]), entry("gloomy", "sadness", ["weary"]),
           entry("weary", "fatigue", ["sad"]), entry("happy", "joy", []), entry("calm", "peace", []),
           entry("nothing to report", "neutral", [])]


def item(n, emotion, holder):
    return {"id": f"{emotion}-{holder}-{n}", "emotion": emotion, "holder": holder,
            "messages": [{"role": "user", "content": f"text of {n}"}],
            "description": f"The {holder} feels {emotion}.", "situation": f"key-{n}"}


class BlindReading(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.items = [item(n, emotion, holder)
                      for n, (emotion, holder) in enumerate(
                          [(e, h) for e in ("sad", "happy", "nothing to report")
                           for h in ("user", "assistant", "character") for _ in range(7)])]
        self.files = []
        for name, lines in (("lexicon", LEXICON), ("transcripts", self.items)):
            path = self.folder / f"{name}.jsonl"
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
            self.files += [f"--{name}", str(path)]

    def run_tool(self, *arguments):
        return subprocess.run([sys.executable, str(ROOT / "tools/blind_reading"), *arguments,
                               *self.files], capture_output=True, text=True, check=False)

    def draw(self, name, seed=1):
        done = self.run_tool("sample", "--output", str(self.folder / name), "--batch", "6",
                             "--seed", str(seed))
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads((self.folder / name / "key.json").read_text())["ids"]

    def test_the_draw_is_even_and_repeatable(self):
        key = self.draw("a")
        cells = [identity.rsplit("-", 1)[0] for identity in key.values()]
        self.assertEqual({cell: cells.count(cell) for cell in cells},
                         {f"{e}-{h}": 2 for e in ("sad", "happy", "nothing to report")
                          for h in ("user", "assistant", "character")})
        self.assertEqual(len(set(key.values())), 18)
        self.assertEqual(key, self.draw("b"))
        self.assertNotEqual(key, self.draw("c", seed=2))

    def test_readers_see_no_label(self):
        key = self.draw("a")
        batches = sorted((self.folder / "a").glob("batch-*.txt"))
        self.assertEqual(len(batches), 3)
        for batch in batches:
            body = batch.read_text().split("### ", 1)[1]
            for hidden in ("sad", "happy", "key-", "nothing to report", "feels"):
                self.assertNotIn(hidden, body)
        self.assertEqual(sum(batch.read_text().count("### ") for batch in batches), len(key))

    def score(self, *readers):
        key = self.draw("a")
        paths = []
        for i, answer in enumerate(readers):
            path = self.folder / f"answers-{i}.txt"
            path.write_text("\n".join(f"{n}: {answer(identity)}" for n, identity in key.items()))
            paths.append(str(path))
        done = self.run_tool("score", "--key", str(self.folder / "a/key.json"), "--answers", *paths,
                             "--output", str(self.folder / "agreement.json"))
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads((self.folder / "agreement.json").read_text())

    def test_right_answers(self):
        result = self.score(lambda identity: identity.split("-")[0])
        for metric in ("top1", "top5", "top1_or_near_miss", "family", "recognised"):
            self.assertEqual(result["all"][metric]["rate"], 1)
        self.assertEqual(result["unrecognised"], [])
        self.assertEqual((result["feelings"]["n"], result["neutral"]["n"], result["user"]["n"]),
                         (12, 6, 4))

    def test_degrees_of_agreement(self):
        sad = self.score(lambda _: "Gloomy, calm, sad")["by_emotion"]["sad"]
        self.assertEqual([sad[m]["rate"] for m in ("top1", "top5", "top1_or_near_miss", "family")],
                         [0, 1, 1, 1])
        # Near either way round: `weary` names `sad`.
        sad = self.score(lambda _: "weary")["by_emotion"]["sad"]
        self.assertEqual([sad[m]["rate"] for m in ("top1", "top1_or_near_miss", "family")],
                         [0, 1, 0])

    def test_an_item_is_unrecognised_where_every_reader_missed_it(self):
        result = self.score(lambda _: "calm", lambda identity: identity.split("-")[0])
        self.assertEqual(result["unrecognised"], [])
        result = self.score(lambda _: "calm, happy", lambda _: "unheard-of")
        self.assertEqual({one["labels"][0] for one in result["unrecognised"]},
                         {"sad", "nothing to report"})
        self.assertEqual(len(result["unrecognised"]), 12)

    def test_answers_that_are_none(self):
        self.draw("a")
        path = self.folder / "bad.txt"
        for line in ("nonsense", "999: sad", "1: a, b, c, d, e, f", "1: sad\n1: sad"):
            path.write_text(line + "\n")
            done = self.run_tool("score", "--key", str(self.folder / "a/key.json"), "--answers",
                                 str(path), "--output", str(self.folder / "agreement.json"))
            self.assertEqual(done.returncode, 1)
            self.assertIn("bad.txt:", done.stderr)
            self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main()
