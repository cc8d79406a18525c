"""tools/audit_dataset: finds a cue that was planted, and nothing where there is none."""

import json
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))

from dataset.bag_of_words import NaiveBayes, auroc, telling_words, wilson  # noqa: E402

WORDS = [f"w{i}" for i in range(60)]
EMOTIONS = {"sad": "sadness", "gloomy": "sadness", "happy": "joy", "calm": "peace",
            "nothing to report": "neutral"}


def audit(cue):
    """The audit of 500 random texts, each with cue(emotion) among its words."""
    stream = random.Random(5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open(folder / "lexicon.jsonl", "w", encoding="utf-8") as out:
            for word, family in EMOTIONS.items():
                out.write(json.dumps({"word": word, "family": family, "near": [], "banned": ["x"],
                                      "unseen": False}) + "\n")
        with open(folder / "transcripts.jsonl", "w", encoding="utf-8") as out:
            for n in range(500):
                emotion = list(EMOTIONS)[n % 5]
                text = " ".join(stream.sample(WORDS, 20) + [cue(emotion)])
                out.write(json.dumps({
                    "id": f"i{n}", "emotion": emotion, "holder": ["user", "assistant"][n % 2],
                    "split": ["train", "train", "dev", "test"][n // 5 % 4],
                    "messages": [{"role": "user", "content": text}]}) + "\n")
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools/audit_dataset"),
             "--lexicon", str(folder / "lexicon.jsonl"),
             "--transcripts", str(folder / "transcripts.jsonl"),
             "--output", str(folder / "audit.json")], capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(done.stderr)
        return json.loads((folder / "audit.json").read_text())


class Audit(unittest.TestCase):
    def test_a_planted_word_is_found(self):
        result = audit(lambda emotion: "cue" + emotion.replace(" ", ""))
        self.assertEqual(result["emotion"]["all"]["top1"]["rate"], 1)
        self.assertEqual(result["any_feeling"]["auroc"], 1)
        self.assertEqual(result["telling_words"]["emotion"]["gloomy"][0][0], "cuegloomy")

    def test_random_words_give_nothing_away(self):
        result = audit(lambda emotion: "same")
        low, high = result["emotion"]["all"]["top1"]["interval"]
        self.assertEqual(result["emotion"]["chance"]["top1"], 0.25)
        self.assertTrue(low <= 0.25 <= high, (low, high))
        self.assertLess(abs(result["any_feeling"]["auroc"] - 0.5), 0.2)

    def test_a_family_cue_is_no_emotion_cue(self):
        result = audit(lambda emotion: "cue" + EMOTIONS[emotion])
        self.assertEqual(result["emotion"]["all"]["family"]["rate"], 1)
        self.assertLess(result["emotion"]["all"]["top1"]["rate"], 0.9)


class Numbers(unittest.TestCase):
    def test_naive_bayes_by_hand(self):
        model = NaiveBayes([["a", "b"], ["b", "b"]], ["x", "y"], alpha=1)
        # p(a|x) = 2/4, p(a|y) = 1/3; the unknown word says nothing.
        x, _ = model.log_p(["a", "unknown"])
        self.assertAlmostEqual(2.718281828459045 ** x, (1 / 2) / (1 / 2 + 1 / 3))

    def test_auroc(self):
        self.assertEqual(auroc([2, 3], [0, 1]), 1)
        self.assertEqual(auroc([1], [1]), 0.5)
        self.assertEqual(auroc([0, 2], [1, 1]), 0.5)

    def test_wilson(self):
        self.assertEqual(wilson(0, 100), [0, 0.037])
        self.assertEqual(wilson(50, 100), [0.4038, 0.5962])

    def test_telling_words_need_some_texts(self):
        found = telling_words([["a"], ["a"], ["a"], ["b"]], ["x", "x", "x", "y"], 5)
        self.assertEqual([row[0] for row in found["x"]], ["a"])
        self.assertEqual(found["y"], [])


if __name__ == "__main__":
    unittest.main()
