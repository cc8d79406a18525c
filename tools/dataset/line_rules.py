"""Rules that one line keeps or breaks by itself: lexicon entries and transcripts."""

from dataset.load import HARD_KINDS, HOLDERS, NEUTRAL, NEUTRAL_PHRASE, SPLITS
from dataset.text import ban_pattern, fold

MIN_WORDS, MAX_WORDS = 15, 250  # of a transcript, over all turns
MIN_DESCRIPTION, MAX_DESCRIPTION = 8, 20

_LEXICON_FIELDS = ("word", "family", "valence", "arousal", "appraisal", "near", "banned", "unseen")
_TEXT_FIELDS = ("id", "emotion", "holder", "description", "topic", "register", "situation", "split")
_FIELDS = {*_TEXT_FIELDS, "messages", "intensity", "emotions", "hard"}


def _is_text(value):
    return isinstance(value, str) and value != "" and value == value.strip()


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _control_character(text):
    """The first character that no transcript should hold, or None."""
    for c in text:
        code = ord(c)
        if (code < 32 and c not in "\n\t") or 127 <= code < 160 or 0xD800 <= code < 0xE000:
            return f"U+{code:04X}"
    return None


class Lexicon:
    """The entries by word, with their bans compiled. Built from entries that passed the check."""

    def __init__(self, items):
        self.entries = {item.fields["word"]: item.fields for item in items}
        self.patterns = {
            word: ban_pattern([*entry["banned"], word + "$"])
            for word, entry in self.entries.items() if word != NEUTRAL
        }

    def __contains__(self, word):
        return isinstance(word, str) and word in self.entries

    def __getitem__(self, word):
        return self.entries[word]

    def near(self, word):
        """The words that count as a near miss of `word`: named by either of the two."""
        return set(self.entries[word]["near"]) | {
            other for other, entry in self.entries.items() if word in entry["near"]}

    @property
    def words(self):
        """Every emotion, without the neutral class."""
        return [word for word in self.entries if word != NEUTRAL]

    @property
    def unseen(self):
        return {word for word in self.words if self.entries[word]["unseen"]}


def check_lexicon(items, n_words=171, n_unseen=17):
    """Violations of the lexicon. Where there are any, no Lexicon can be built."""
    violations = []
    seen = {}
    known = {item.fields.get("word") for item in items if _is_text(item.fields.get("word"))}
    for item in items:
        fields = item.fields

        def bad(rule, message, item=item):
            named = item.fields.get("word")
            item = type(item)(item.file, item.line, {"id": named if _is_text(named) else ""})
            violations.append(item.violation(rule, message))

        missing = [name for name in _LEXICON_FIELDS if name not in fields]
        if missing or len(fields) != len(_LEXICON_FIELDS):
            extra = sorted(set(fields) - set(_LEXICON_FIELDS))
            bad("lexicon-schema", f"missing fields {missing}, unknown fields {extra}")
            if missing:
                continue
        for name in ("word", "family", "appraisal"):
            if not _is_text(fields[name]):
                bad("lexicon-schema", f"{name}: expected a text, found {fields[name]!r}")
        for name in ("valence", "arousal"):
            if not _is_number(fields[name]) or not -1 <= fields[name] <= 1:
                bad("lexicon-schema", f"{name}: expected -1 … 1, found {fields[name]!r}")
        if not isinstance(fields["unseen"], bool):
            bad("lexicon-schema", f"unseen: expected true or false, found {fields['unseen']!r}")
        word = fields["word"]
        if not isinstance(word, str):
            continue
        if word in seen:
            bad("lexicon-unique", f"{word!r} is there already, on line {seen[word]}")
        seen.setdefault(word, item.line)
        neutral = word == NEUTRAL
        near, banned = fields["near"], fields["banned"]
        if not isinstance(near, list) or not all(_is_text(n) for n in near):
            bad("lexicon-schema", f"near: expected a list of words, found {near!r}")
        else:
            if not neutral and not near:
                bad("lexicon-near", "no near miss is named")
            for other in near:
                if other not in known or other in (word, NEUTRAL):
                    bad("lexicon-near", f"near: {other!r} is not another word of the lexicon")
        if not isinstance(banned, list) or not all(_is_text(b) and b != "$" for b in banned):
            bad("lexicon-schema", f"banned: expected a list of stems, found {banned!r}")
        else:
            if not neutral and not banned:
                bad("lexicon-banned", "no banned stem is named")
            for stem in banned:
                if stem != fold(stem):
                    bad("lexicon-banned", f"banned: {stem!r} is not lower case")
    n = len(seen) - (NEUTRAL in seen)
    n_held_out = sum(item.fields.get("unseen") is True for item in items)
    file = type(items[0])(items[0].file, 0, {}) if items else None
    if file and (NEUTRAL not in seen or (n_words and n != n_words)):
        violations.append(file.violation(
            "lexicon-count", f"expected {n_words} words and {NEUTRAL!r}, found {n} words"))
    if file and n_words and n_held_out != n_unseen:
        violations.append(file.violation(
            "lexicon-count", f"expected {n_unseen} unseen words, found {n_held_out}"))
    return violations


def check_messages(item):
    """Violations of `messages`: its shape, its roles against the holder, its length."""
    messages, holder = item.fields.get("messages"), item.fields.get("holder")
    if not isinstance(messages, list) or not messages:
        return [item.violation("schema", f"messages: expected a list, found {messages!r:.60}")]
    violations = []
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            violations.append(item.violation(
                "schema", f"messages[{i}]: expected role and content, found {message!r:.60}"))
        elif not _is_text(message["content"]):
            violations.append(item.violation(
                "schema", f"messages[{i}].content: empty, or white space around it"))
        elif _control_character(message["content"]):
            violations.append(item.violation(
                "utf-8", f"messages[{i}].content holds {_control_character(message['content'])}"))
    if violations:
        return violations
    roles = [message["role"] for message in messages]
    if roles != [("user", "assistant")[i % 2] for i in range(len(roles))]:
        return [item.violation("roles", f"roles must alternate and begin with user: {roles}")]
    if holder == "user" and roles[-1] != "user" or holder == "assistant" and roles[-1] != holder:
        violations.append(item.violation(
            "roles", f"the holder is the {holder}, the last turn the {roles[-1]}'s"))
    if holder == "character" and len(roles) != 1:
        violations.append(item.violation(
            "roles", f"a character's scene is one user turn, found {len(roles)} turns"))
    if not MIN_WORDS <= item.n_words <= MAX_WORDS:
        violations.append(item.violation(
            "length", f"expected {MIN_WORDS}–{MAX_WORDS} words, found {item.n_words}"))
    return violations


def check_description(item, lexicon):
    fields, violations = item.fields, []
    description = fields["description"]
    n = len(description.split())
    if not MIN_DESCRIPTION <= n <= MAX_DESCRIPTION:
        violations.append(item.violation(
            "description", f"expected {MIN_DESCRIPTION}–{MAX_DESCRIPTION} words, found {n}"))
    if not description.startswith(f"The {fields['holder']} "):
        violations.append(item.violation(
            "description", f"must begin \"The {fields['holder']} \": {description!r}"))
    for label in item.labels:
        if label not in lexicon:
            continue
        wanted = NEUTRAL_PHRASE if label == NEUTRAL else label
        if not ban_pattern([wanted + "$"]).search(fold(description)):
            violations.append(item.violation(
                "description", f"does not hold {wanted!r}: {description!r}"))
    return violations


def check_ban(item, lexicon):
    """A transcript never names what it carries."""
    violations = []
    text = fold(item.text)
    for label in item.labels:
        if label not in lexicon or label == NEUTRAL:
            continue
        for match in lexicon.patterns[label].finditer(text):
            around = text[max(0, match.start() - 30):match.end() + 20]
            violations.append(item.violation(
                "named", f"{label}: {match.group()!r} in \"…{around}…\""))
    return violations


def check_labels(item, lexicon):
    fields, violations = item.fields, []

    def bad(rule, message):
        violations.append(item.violation(rule, message))

    emotion, intensity = fields.get("emotion"), fields.get("intensity")
    if emotion not in lexicon:
        bad("schema", f"emotion: {emotion!r} is not in the lexicon")
    if fields.get("holder") not in HOLDERS:
        bad("schema", f"holder: expected one of {HOLDERS}, found {fields.get('holder')!r}")
    if fields.get("split") not in SPLITS:
        bad("schema", f"split: expected one of {SPLITS}, found {fields.get('split')!r}")
    if emotion == NEUTRAL:
        if "intensity" in fields:
            bad("intensity", "a neutral transcript has none")
    elif not (isinstance(intensity, int) and not isinstance(intensity, bool)
              and 1 <= intensity <= 5):
        bad("intensity", f"expected 1 … 5, found {intensity!r}")
    hard, several = fields.get("hard"), fields.get("emotions")
    if "hard" in fields and hard not in HARD_KINDS:
        bad("schema", f"hard: expected one of {HARD_KINDS}, found {hard!r}")
    if "emotions" in fields and (
            not isinstance(several, list) or len(several) < 2 or several[0] != emotion
            or not all(label in lexicon for label in several)
            or len(set(several)) != len(several)):
        bad("schema", "emotions: expected two or more different words of the lexicon, the main "
            f"one first, found {several!r}")
    if (hard == "mixed") != ("emotions" in fields):
        bad("schema", "`emotions` belongs to hard items of the kind mixed, and to no others")
    held_out = [label for label in item.labels if label in lexicon.unseen] if not violations else []
    if held_out and fields["split"] != "unseen":
        bad("unseen", f"{', '.join(held_out)} is kept out of training, split is {fields['split']}")
    if not violations and not held_out and fields["split"] == "unseen":
        bad("unseen", f"{emotion} is not an unseen word, but the split is unseen")
    return violations


def check_item(item, lexicon):
    """Every violation of one transcript that can be seen without the others."""
    fields, violations = item.fields, []
    unknown = sorted(set(fields) - _FIELDS)
    if unknown:
        violations.append(item.violation("schema", f"unknown fields {unknown}"))
    for name in _TEXT_FIELDS:
        if not _is_text(fields.get(name)):
            violations.append(item.violation(
                "schema", f"{name}: expected a text without white space around it, found "
                f"{fields.get(name)!r:.60}"))
        elif _control_character(fields[name]) or "\n" in fields[name]:
            violations.append(item.violation("utf-8", f"{name} holds a control character"))
    violations += check_messages(item)
    if any(v.rule in ("schema", "utf-8") for v in violations):
        return violations  # the rest could not be read
    violations += check_labels(item, lexicon)
    violations += check_description(item, lexicon)
    violations += check_ban(item, lexicon)
    return violations
