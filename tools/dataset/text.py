"""Words, stems and shingles: how the rules look at a text."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
# No letter follows, and no contraction; a genitive's 's may.
_WORD_END = r"(?![^\W\d_])(?!['’](?!s(?![^\W\d_]))[^\W\d_])"
# Characters that show nothing and would let a banned word slip through in two halves.
_INVISIBLE = dict.fromkeys([0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF])


def fold(text):
    """Case, compatibility forms, invisible characters and runs of white space made alike."""
    text = unicodedata.normalize("NFKC", text).translate(_INVISIBLE).casefold()
    return " ".join(text.split())


def words(text):
    """The words of a text, folded: letters and digits, with apostrophes inside them."""
    return _WORD.findall(fold(text))


def shingles(text, size=5):
    """The set of all runs of `size` words."""
    found = words(text)
    return {" ".join(found[i:i + size]) for i in range(len(found) - size + 1)}


def ban_pattern(entries):
    """One regular expression for a list of banned entries, for text that went through fold().

    An entry bans every word that begins with it; an entry that ends in `$` bans that exact word or
    phrase alone (`haven$`: a haven, not haven't). A word begins after anything that is not a letter, so that `re-scared`, `fear_1`
    and `(fear)` are found and `unafraid` is not taken for `afraid`.
    """
    parts = []
    for entry in entries:
        exact = entry.endswith("$")
        stem = re.escape(fold(entry[:-1] if exact else entry))
        parts.append(stem + _WORD_END if exact else stem)
    return re.compile(r"(?<![^\W\d_])(?:" + "|".join(parts) + ")")
