"""Reads lexicon.jsonl and transcripts.jsonl, and keeps what is wrong with a line for later.

Nothing here stops at the first bad line: a validator that names one fault at a time is no help to
somebody with four thousand lines.
"""

import dataclasses
import json
from pathlib import Path

NEUTRAL = "nothing to report"
NEUTRAL_PHRASE = "nothing of note"  # what the description of a neutral transcript says instead
HOLDERS = ("user", "assistant", "character")
SPLITS = ("train", "dev", "test", "unseen")
HARD_KINDS = ("mixed", "denied", "other", "masked")


@dataclasses.dataclass(frozen=True)
class Violation:
    """One broken rule. `line` counts from 1; 0 means the file as a whole."""

    file: str
    line: int
    id: str
    rule: str
    message: str

    def __str__(self):
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.id or '-'}: {self.rule}: {self.message}"


@dataclasses.dataclass
class Item:
    """One line that is a JSON object; nothing else about it is certain before it is checked."""

    file: str
    line: int
    fields: dict

    @property
    def id(self):
        value = self.fields.get("id")
        return value if isinstance(value, str) else ""

    @property
    def labels(self):
        """Every emotion of the item: `emotions` where there are several, else `emotion` alone."""
        several = self.fields.get("emotions")
        return several if isinstance(several, list) else [self.fields.get("emotion")]

    @property
    def text(self):
        return "\n".join(message["content"] for message in self.fields["messages"])

    @property
    def n_words(self):
        return len(self.text.split())

    def violation(self, rule, message):
        return Violation(self.file, self.line, self.id, rule, message)


def _reject_twice(pairs):
    fields = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f"the field {name!r} stands there twice")
        fields[name] = value
    return fields


def _reject_constant(name):
    raise ValueError(f"{name} is not JSON")


def read_lines(path):
    """The lines of a JSONL file as Items, and a Violation for each that is not a JSON object."""
    path = Path(path)
    items, violations = [], []
    data = path.read_bytes()
    lines = data.split(b"\n")
    if lines[-1]:
        violations.append(Violation(str(path), len(lines), "", "utf-8", "no newline at the end"))
    else:
        lines.pop()
    for number, raw in enumerate(lines, 1):
        def bad(rule, message, number=number):
            violations.append(Violation(str(path), number, "", rule, message))

        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            bad("utf-8", f"byte {error.start} of the line is not UTF-8")
            continue
        try:
            fields = json.loads(
                text, object_pairs_hook=_reject_twice, parse_constant=_reject_constant)
        except (ValueError, RecursionError) as error:
            bad("json", str(error))
            continue
        if not isinstance(fields, dict):
            bad("json", f"expected an object, found {type(fields).__name__}")
            continue
        items.append(Item(str(path), number, fields))
    return items, violations
