"""Rules that the dataset keeps as a whole: counts, splits, distributions, repetition."""

import collections
import dataclasses

from dataset.load import HOLDERS, NEUTRAL, Item
from dataset.text import shingles, words


@dataclasses.dataclass
class Limits:
    per_emotion: int = 20        # transcripts of each word that are not hard
    neutral: int = 500           # neutral transcripts that are not hard
    hard: int = 150
    holder_spread: float = 0.02  # of a third of the transcripts
    # A quarter is for judging: with so many words, fewer readings would not tell a calibration
    # error of a few hundredths from chance.
    shares: tuple = (("train", 0.61), ("dev", 0.13), ("test", 0.26))
    share_tolerance: float = 0.03
    intensities: int = 3         # different values of each word
    lengths: tuple = ((15, 44, 0.10), (45, 110, 0.35), (111, 250, 0.10))  # from, to, least share
    similarity: float = 0.3      # Jaccard similarity of 5-word shingles from which two are one
    opening: int = 6             # words


def check_unique(items):
    violations = []
    for field in ("id", "situation"):
        first = {}
        for item in items:
            value = item.fields[field]
            if value in first:
                violations.append(item.violation(
                    f"unique-{field}", f"{value!r} is on line {first[value]} already"))
            first.setdefault(value, item.line)
    return violations


def check_openings(items, n_words):
    violations, first = [], {}
    for item in items:
        found = words(item.fields["messages"][0]["content"])[:n_words]
        if len(found) < n_words:
            continue
        opening = " ".join(found)
        if opening in first:
            other = first[opening]
            violations.append(item.violation(
                "opening", f"begins like {other.id} (line {other.line}): \"{opening} …\""))
        first.setdefault(opening, item)
    return violations


def similar_pairs(items, threshold):
    """(similarity, earlier, later) of every pair whose shingles overlap by `threshold` or more.

    Exact, by an inverted index: only pairs that share a shingle are ever looked at, and in prose
    few do.
    """
    sets = [shingles(item.text) for item in items]
    index = collections.defaultdict(list)
    pairs = []
    for later, found in enumerate(sets):
        shared = collections.Counter()
        for shingle in found:
            shared.update(index[shingle])
            index[shingle].append(later)
        for earlier, n in shared.items():
            similarity = n / (len(found) + len(sets[earlier]) - n)
            if similarity >= threshold:
                pairs.append((similarity, items[earlier], items[later]))
    return sorted(pairs, key=lambda pair: (-pair[0], pair[2].line))


def check_repetition(items, threshold):
    violations = []
    for similarity, earlier, later in similar_pairs(items, threshold):
        where = ("within " + later.fields["split"]
                 if earlier.fields["split"] == later.fields["split"]
                 else f"between {earlier.fields['split']} and {later.fields['split']}")
        violations.append(later.violation(
            "near-duplicate",
            f"{similarity:.2f} like {earlier.id} (line {earlier.line}), {where}"))
    return violations


def check_counts(items, lexicon, limits):
    violations = []
    whole = Item(items[0].file if items else "transcripts", 0, {})

    def bad(rule, message, word=""):
        violations.append(Item(whole.file, 0, {"id": word}).violation(rule, message))

    plain = [item for item in items if "hard" not in item.fields]
    n_hard = len(items) - len(plain)
    by_word = collections.defaultdict(list)
    for item in plain:
        by_word[item.fields["emotion"]].append(item)
    for word in lexicon.words:
        if len(by_word[word]) < limits.per_emotion:
            bad("count", f"expected {limits.per_emotion} transcripts at least, found "
                f"{len(by_word[word])}", word)
        missing = set(HOLDERS) - {item.fields["holder"] for item in by_word[word]}
        if missing and by_word[word]:
            bad("count", f"no transcript whose holder is the {' or the '.join(sorted(missing))}",
                word)
        levels = {item.fields["intensity"] for item in by_word[word]}
        if len(levels) < limits.intensities:
            bad("intensity-spread", f"expected {limits.intensities} different intensities at "
                f"least, found {sorted(levels)}", word)
    if len(by_word[NEUTRAL]) < limits.neutral:
        bad("count", f"expected {limits.neutral} neutral transcripts at least, found "
            f"{len(by_word[NEUTRAL])}", NEUTRAL)
    if n_hard < limits.hard:
        bad("count", f"expected {limits.hard} hard transcripts at least, found {n_hard}", "hard")

    holders = collections.Counter(item.fields["holder"] for item in items)
    third = len(items) / 3
    for holder in HOLDERS:
        if abs(holders[holder] - third) > limits.holder_spread * third:
            bad("holders", f"{holders[holder]} transcripts; a third is {third:.0f}, and "
                f"{limits.holder_spread:.0%} more or less are allowed", holder)

    splits = collections.Counter(item.fields["split"] for item in items)
    n_seen = sum(n for split, n in splits.items() if split != "unseen")
    for split, share in limits.shares:
        found = splits[split] / max(1, n_seen)
        if abs(found - share) > limits.share_tolerance:
            bad("splits", f"expected about {share:.0%} of the seen words' transcripts, found "
                f"{found:.1%}", split)
        for word in lexicon.words:
            if by_word[word] and not lexicon[word]["unseen"] and not any(
                    item.fields["split"] == split for item in by_word[word]):
                bad("splits", f"none in {split}", word)

    levels = {item.fields.get("intensity") for item in items}
    if not levels >= {1, 2, 3, 4, 5}:
        bad("intensity-spread", f"levels used: {sorted(level for level in levels if level)}")
    for low, high, share in limits.lengths:
        found = sum(low <= item.n_words <= high for item in items) / max(1, len(items))
        if found < share:
            bad("length-spread", f"expected {share:.0%} at least with {low}–{high} words, found "
                f"{found:.1%}")
    return violations


def check_set(items, lexicon, limits, lines_only=False):
    """Every violation that shows only when the transcripts are looked at together."""
    violations = check_unique(items)
    violations += check_openings(items, limits.opening)
    violations += check_repetition(items, limits.similarity)
    if not lines_only:
        violations += check_counts(items, lexicon, limits)
    return violations
