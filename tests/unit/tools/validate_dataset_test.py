"""tools/validate_dataset against small datasets, each with one fault."""

import copy
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))

from dataset.line_rules import Lexicon  # noqa: E402
from dataset.load import Item, read_lines  # noqa: E402
from dataset.set_rules import Limits, check_counts, similar_pairs  # noqa: E402
from dataset.text import ban_pattern, fold  # noqa: E402


def entry(word, banned, near, unseen=False, family="one"):
    return {"word": word, "family": family, "valence": -0.5, "arousal": 0.25, "appraisal": "It is.",
            "near": near, "banned": banned, "unseen": unseen}


LEXICON = [
    entry("sad", ["sad$", "sadn", "unhapp"], ["lonely"]),
    entry("lonely", ["lonel", "alone$"], ["sad"], unseen=True),
    entry("at ease", ["ease"], ["sad"]),
    entry("nothing to report", [], [], family="neutral"),
]

TEXTS = [
    "The ferry had gone by the time I found the right pier, and the next one was on Thursday week.",
    "Grandfather's workshop smells of linseed still; nobody has moved the half planed oak since June.",
    "My spreadsheet of the orchard says forty trees, the hillside this morning says thirty one.",
    "Three letters came back unopened today with the same rubber stamp across the blue envelope.",
]


def item(n, **changes):
    fields = {"id": f"i{n}", "messages": [{"role": "user", "content": TEXTS[n]}], "emotion": "sad",
              "holder": "user", "intensity": 3, "topic": "a topic", "register": "chatty",
              "description": "The user feels sad about something that has slipped away.",
              "situation": f"key-{n}", "split": "train"}
    fields.update(changes)
    return {name: value for name, value in fields.items() if value is not None}


def run(items, lexicon=LEXICON, *flags):
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder) / "lexicon.jsonl", Path(folder) / "transcripts.jsonl"
        for path, lines in zip(paths, (lexicon, items)):
            path.write_bytes(b"".join(
                (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n"
                for line in lines))
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools/validate_dataset"), "--lexicon", str(paths[0]),
             "--transcripts", str(paths[1]), *(flags or ["--lines-only"])],
            capture_output=True, text=True, encoding="utf-8", check=False)
        return done.returncode, done.stdout + done.stderr


class LineRules(unittest.TestCase):
    def assert_rule(self, rule, changed, n=1):
        """One fault in line n: exit code 1, and the fault named with line, id and rule."""
        items = [item(0), item(1), item(2)]
        items[n] = changed
        code, output = run(items)
        self.assertEqual(code, 1, output)
        name = changed.get("id") if isinstance(changed, dict) else None
        name = name if isinstance(name, str) else "-"
        self.assertIn(f"transcripts.jsonl:{n + 1}: {name}: {rule}: ", output)
        self.assertNotIn("Traceback", output)

    def test_sound_items_pass(self):
        code, output = run([item(0), item(1), item(2)])
        self.assertEqual(code, 0, output)
        self.assertIn("no violations", output)

    def test_bytes_and_json(self):
        self.assert_rule("utf-8", b'{"id": "\xff"}')
        self.assert_rule("json", b'{"id": ')
        self.assert_rule("json", b"[1, 2]")
        self.assert_rule("json", b'{"id": "a", "id": "b"}')
        self.assert_rule("json", b"[" * 100000)

    def test_fields(self):
        for name in ("id", "topic", "register", "situation", "split", "description", "emotion",
                     "holder"):
            self.assert_rule("schema", item(1, **{name: None}))
            self.assert_rule("schema", item(1, **{name: 7}))
        self.assert_rule("schema", item(1, extra="field"))
        self.assert_rule("schema", item(1, emotion="gloomish"))
        self.assert_rule("schema", item(1, split="validation"))
        self.assert_rule("schema", item(1, hard="very"))
        self.assert_rule("schema", item(1, messages=[{"role": "user", "content": " "}]))
        self.assert_rule("schema", item(1, messages=[{"role": "user"}]))
        self.assert_rule("utf-8", item(1, topic="be\ud800ll"))
        for bad in (None, 0, 6, 2.5, "3", True, [1]):
            self.assert_rule("intensity", item(1, intensity=bad))

    def test_roles_fit_the_holder(self):
        user, reply = ({"role": "user", "content": TEXTS[1]},
                       {"role": "assistant", "content": "Where to?"})
        self.assert_rule("roles", item(1, messages=[user, reply]))
        self.assert_rule("roles", item(1, messages=[reply, user]))
        self.assert_rule("roles", item(1, messages=[user, user]))
        self.assert_rule("roles", item(
            1, holder="character", messages=[user, reply, user],
            description="The character feels sad about something that has slipped away."))
        self.assert_rule("roles", item(
            1, holder="assistant", messages=[user, reply, user],
            description="The assistant feels sad about something that has slipped away."))

    def test_lengths(self):
        self.assert_rule("length", item(1, messages=[{"role": "user", "content": "Too short."}]))
        self.assert_rule("length", item(
            1, messages=[{"role": "user", "content": " ".join(f"w{i}" for i in range(251))}]))
        self.assert_rule("description", item(1, description="The user feels sad."))
        self.assert_rule("description", item(1, description="The user feels sad " + "on " * 17 + "."))

    def test_description_names_holder_and_emotion(self):
        self.assert_rule("description", item(
            1, description="The assistant feels sad about something that has slipped away."))
        self.assert_rule("description", item(
            1, description="The user feels saddened about something that has slipped away."))

    def test_the_emotion_is_never_named(self):
        for text in ("sadness", "Sad", "SADNESS", "(sad)", "un\u00adhappy", "very_sad", "ｓａｄ"):
            self.assert_rule("named", item(
                1, messages=[{"role": "user", "content": TEXTS[1] + " " + text}]))
        for text in ("saddle", "Sadler's crusade", "sadhu"):
            code, output = run([item(1, messages=[
                {"role": "user", "content": TEXTS[1] + " " + text}])])
            self.assertEqual(code, 0, output)

    def test_a_mixed_item_names_none_of_its_emotions(self):
        mixed = item(1, hard="mixed", emotions=["sad", "lonely"], split="unseen",
                     description="The user feels sad about the pier and lonely on the boat.")
        self.assertEqual(run([mixed])[0], 0)
        named = copy.deepcopy(mixed)
        named["messages"][0]["content"] += " I sat alone."
        self.assert_rule("named", named)
        self.assert_rule("schema", item(1, hard="mixed"))
        self.assert_rule("schema", item(1, emotions=["sad", "lonely"]))
        self.assert_rule("schema", {**mixed, "emotions": ["lonely", "sad"]})

    def test_unseen_emotions_stay_out_of_training(self):
        lonely = dict(emotion="lonely",
                      description="The user feels lonely about something that has slipped away.")
        self.assertEqual(run([item(1, split="unseen", **lonely)])[0], 0)
        for split in ("train", "dev", "test"):
            self.assert_rule("unseen", item(1, split=split, **lonely))
        self.assert_rule("unseen", item(1, split="unseen"))

    def test_neutral(self):
        neutral = dict(emotion="nothing to report", intensity=None,
                       description="The user reports nothing of note while waiting for a ferry.")
        self.assertEqual(run([item(1, **neutral)])[0], 0)
        self.assert_rule("intensity", item(1, **{**neutral, "intensity": 1}))
        self.assert_rule("description", item(1, **{
            **neutral, "description": "The user has nothing to report while waiting for a ferry."}))

    def test_repetition(self):
        self.assert_rule("unique-id", item(1, id="i0"))
        self.assert_rule("unique-situation", item(1, situation="key-0"))
        self.assert_rule("opening", item(1, messages=[
            {"role": "user", "content": "the ferry, had gone - BY the " + TEXTS[1]}]))
        again = "Listen: " + TEXTS[0].replace("pier", "quay")
        self.assert_rule("near-duplicate", item(
            1, messages=[{"role": "user", "content": again}], split="test"))

    def test_a_file_that_is_not_there(self):
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools/validate_dataset"), "--transcripts", "/no/such"],
            capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/no/such", done.stderr)


class LexiconRules(unittest.TestCase):
    def assert_rule(self, rule, changes, n=0):
        lexicon = copy.deepcopy(LEXICON)
        lexicon[n].update(changes)
        code, output = run([item(0)], lexicon)
        self.assertEqual(code, 1, output)
        self.assertRegex(output, rf"lexicon.jsonl(:{n + 1})?: .*: {rule}: ")

    def test_entries(self):
        self.assert_rule("lexicon-schema", {"valence": -1.5})
        self.assert_rule("lexicon-schema", {"arousal": "high"})
        self.assert_rule("lexicon-schema", {"family": ""})
        self.assert_rule("lexicon-schema", {"colour": "blue"})
        self.assert_rule("lexicon-unique", {"word": "sad"}, n=1)
        self.assert_rule("lexicon-near", {"near": ["sad"]})
        self.assert_rule("lexicon-near", {"near": ["grim"]})
        self.assert_rule("lexicon-near", {"near": []})
        self.assert_rule("lexicon-banned", {"banned": ["Sad"]})
        self.assert_rule("lexicon-banned", {"banned": []})

    def test_the_whole_lexicon_is_counted(self):
        code, output = run([item(0)], LEXICON, "--all")
        self.assertEqual(code, 1)
        self.assertIn("lexicon-count", output)


class SetRules(unittest.TestCase):
    def setUp(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "lexicon.jsonl"
            path.write_text("".join(json.dumps(line) + "\n" for line in LEXICON))
            self.lexicon = Lexicon(read_lines(path)[0])
        # A sound dataset in miniature: 20 of each word, 6 neutral, 4 hard.
        self.items = []
        for word in ("sad", "lonely", "at ease", "nothing to report"):
            for i in range(6 if word == "nothing to report" else 20):
                split = "unseen" if word == "lonely" else ("train",) * 12 + ("dev",) * 3 + ("test",) * 5
                self.add(word, ("user", "assistant", "character")[i % 3], i % 5 + 1,
                         split if isinstance(split, str) else split[i], (20, 70, 70, 150)[i % 4])
        for i in range(4):
            self.add("sad", "assistant character assistant character".split()[i], i % 5 + 1,
                     "train", 70, hard="denied")
        self.limits = Limits(neutral=6, hard=4, holder_spread=0.1, share_tolerance=0.1)

    def add(self, word, holder, intensity, split, n_words, **more):
        n = len(self.items)
        fields = {"id": f"i{n}", "emotion": word, "holder": holder, "intensity": intensity,
                  "split": split, "messages": [{"role": "user", "content": "w " * n_words}], **more}
        if word == "nothing to report":
            del fields["intensity"]
        self.items.append(Item("t.jsonl", n + 1, fields))

    def rules(self):
        return {(v.rule, v.id) for v in check_counts(self.items, self.lexicon, self.limits)}

    def test_the_miniature_is_sound(self):
        self.assertEqual(self.rules(), set())

    def test_counts(self):
        del self.items[0]
        self.assertIn(("count", "sad"), self.rules())
        self.items = [i for i in self.items if "hard" not in i.fields]
        self.assertIn(("count", "hard"), self.rules())
        self.items.pop()
        self.assertIn(("count", "nothing to report"), self.rules())

    def test_holders(self):
        self.limits.holder_spread = 0.02
        for i in self.items[:3]:
            i.fields["holder"] = "user"
        self.assertIn(("holders", "user"), self.rules())

    def test_splits(self):
        for i in self.items:
            if i.fields["emotion"] == "at ease":
                i.fields["split"] = "train"
        self.assertTrue({("splits", "at ease"), ("splits", "train")} <= self.rules())

    def test_intensities(self):
        for i in self.items:
            if i.fields["emotion"] == "sad":
                i.fields["intensity"] = min(2, i.fields["intensity"])
        self.assertEqual(self.rules(), {("intensity-spread", "sad")})

    def test_lengths(self):
        for i in self.items:
            i.fields["messages"][0]["content"] = "w " * 70
        self.assertEqual(self.rules(), {("length-spread", "")})


class Text(unittest.TestCase):
    def test_bans(self):
        ban = ban_pattern(["hope$", "hoping", "at ease$", "haven$"])
        for text in ("I hope so", "HOPE.", "hope's end", "hopingly", "at\n ease", "haven"):
            self.assertTrue(ban.search(fold(text)), text)
        for text in ("hopeful", "shopping", "at eased", "haven't", "haven’t"):
            self.assertFalse(ban.search(fold(text)), text)

    def test_similarity_is_the_jaccard_index_of_shingles(self):
        def made(n, text):
            return Item("t", n, {"messages": [{"role": "user", "content": text}]})
        first = made(1, "a b c d e f g h")   # 4 shingles
        second = made(2, "A b c, d e f x y")  # 4 shingles, 2 of them shared
        (similarity, _, _), = similar_pairs([first, second], 0.3)
        self.assertAlmostEqual(similarity, 2 / 6)
        self.assertEqual(similar_pairs([first, second], 0.34), [])


if __name__ == "__main__":
    unittest.main()
