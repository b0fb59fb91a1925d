"""ABC notation read and written, as much of it as melodies need (the ABC standard 2.1, abcnotation.com/wiki/abc:standard:v2.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from ..errors import AigcError
from .tune import LETTERS, METRES, MODES, NAMES, Bar, Key, Note, Tune, length_of_bar

ACCIDENTALS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}
MODE_WORDS = {"": "major", "maj": "major", "ion": "major", "m": "minor", "min": "minor", "aeo": "minor",
              "dor": "dorian", "mix": "mixolydian"}  # fmt: skip
KIND_WORDS = (
    ("slip", "slip jig"), ("hornpipe", "hornpipe"), ("clog", "hornpipe"), ("strathspey", "strathspey"),
    ("fling", "strathspey"), ("reel", "reel"), ("jig", "jig"), ("waltz", "waltz"), ("march", "march"),
    ("polka", "polka"), ("air", "air"),
)  # fmt: skip
TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}  # p notes in the time of q; 5, 7 and 9 depend on the metre
SKIPPED = re.compile(r'"[^"]*"|![^!]*!|\+[^+]*\+|\{[^}]*\}|\[[A-Za-z]:[^\]]*\]|%.*|`')
TOKEN = re.compile(
    r"\((?P<p>[2-9])(?::(?P<q>\d?))?(?::(?P<r>\d?))?"
    r"|(?P<note>(?:\^\^|__|[\^_=])?[A-Ga-g][,']*|[zxZ])(?P<num>\d*)(?P<slash>/*)(?P<den>\d*)"
    r"|(?P<open>\[)(?=[\^_=A-Ga-g])|(?P<close>\])(?P<cnum>\d*)(?P<cslash>/*)(?P<cden>\d*)"
    r"|(?P<broken>[<>]+)|(?P<tie>-)"
    r"|(?P<bar>(?:\[\||:+\|+:*|\|+:+|\|+\]|\|+|::+)[\d,.-]*|\[\d)"
)


def key_of(text: str) -> Key:
    """Of a K: field. Raises AigcError for one that has no tonic, or a mode that is not of MODES."""
    found = re.match(r"\s*([A-G])\s*([#b]?)\s*([A-Za-z]*)", text)
    mode = MODE_WORDS.get(found.group(3).lower()[:3] if found else "?")
    if not found or mode is None:
        raise AigcError(
            f"Expected a key such as G, Am, D minor, Edor or A mixolydian, got '{text.strip()}': write it so."
        )
    return Key((LETTERS[found.group(1)] + {"#": 1, "b": -1}.get(found.group(2), 0)) % 12, mode)


def metre_of(text: str) -> str:
    """Of an M: field, one of METRES. Raises AigcError."""
    found = {"C": "4/4", "C|": "4/4", "2/2": "4/4"}.get(text.strip(), text.strip())
    if found not in METRES:
        raise AigcError(
            f"Expected a metre of {', '.join(METRES)}, got '{text.strip()}': other metres cannot be composed."
        )
    return found


def kind_of(text: str) -> str:
    """Of an R: field or a title: of TYPES."""
    return next((kind for word, kind in KIND_WORDS if word in text.lower()), "any")


def signature(key: Key) -> dict[str, int]:
    """What the key does to each letter."""
    start = (key.tonic - MODES[key.mode]) % 12  # the major key with the same signature
    sharps = next(n for n in range(-6, 7) if (7 * n) % 12 == start)
    order = "FCGDAEB" if sharps > 0 else "BEADGCF"
    return dict.fromkeys(order[: abs(sharps)], 1 if sharps > 0 else -1)


def length_in(num: str, slash: str, den: str) -> Fraction:
    """The factor that a note's numbers mean."""
    below = int(den) if den else 2 ** len(slash)
    return Fraction(int(num or 1), below if slash else 1)


def read_body(lines: str, key: Key, unit: Fraction, metre: str) -> list[list[Note]]:
    """The measures as they are written, also short ones. Of a chord the highest note counts; grace notes are left out."""
    return _Reader(key, unit, metre).read(SKIPPED.sub("", lines))


class _Reader:
    def __init__(self, key: Key, unit: Fraction, metre: str) -> None:
        self.sign, self.unit, self.metre = signature(key), unit, metre
        self.bars: list[list[Note]] = [[]]
        self.changed: dict[str, int] = {}
        self.chord: list[int] | None = None
        self.lengthen, self.tuplet, self.tied = Fraction(1), [0, Fraction(1)], False

    def read(self, text: str) -> list[list[Note]]:
        for found in TOKEN.finditer(text):
            if found["p"]:
                self._tuplet(found)
            elif found["note"]:
                self._note(found)
            elif found["open"]:
                self.chord = []
            elif found["close"]:
                self._chord(found)
            elif found["broken"]:
                self._broken(found["broken"])
            elif found["tie"]:
                self.tied = True
            elif found["bar"] and self.bars[-1]:
                self.bars.append([])
                self.changed = {}
        return [bar for bar in self.bars if bar]

    def _tuplet(self, found: Any) -> None:
        p = int(found["p"])
        compound = self.metre in ("6/8", "9/8", "3/4")
        q = int(found["q"] or 0) or TUPLETS.get(p, 3 if compound else 2)
        self.tuplet = [int(found["r"] or 0) or p, Fraction(q, p)]

    def _pitch(self, written: str) -> int:
        found = re.match(r"(\^\^|__|[\^_=])?([A-Ga-g])([,']*)", written)
        assert found
        letter, marks = found.group(2), found.group(3)
        octave = (1 if letter.islower() else 0) + marks.count("'") - marks.count(",")
        place = f"{letter.upper()}{octave}"
        if found.group(1):
            self.changed[place] = ACCIDENTALS[found.group(1)]
        turn = self.changed.get(place, self.sign.get(letter.upper(), 0))
        return 60 + LETTERS[letter.upper()] + 12 * octave + turn

    def _note(self, found: Any) -> None:
        pitch = None if found["note"] in "zxZ" else self._pitch(found["note"])
        if self.chord is not None:
            if pitch is not None:
                self.chord.append(pitch)
            return
        self._add(pitch, length_in(found["num"], found["slash"], found["den"]))

    def _chord(self, found: Any) -> None:
        if self.chord:
            self._add(max(self.chord), length_in(found["cnum"], found["cslash"], found["cden"]))
        self.chord = None

    def _add(self, pitch: int | None, factor: Fraction) -> None:
        length = self.unit * factor * self.lengthen
        self.lengthen = Fraction(1)
        if self.tuplet[0]:
            length *= self.tuplet[1]
            self.tuplet[0] -= 1
        before = self.bars[-1][-1] if self.bars[-1] else (self.bars[-2][-1] if len(self.bars) > 1 else None)
        held = self.tied and before is not None and before.pitch == pitch and pitch is not None
        self.tied = False
        self.bars[-1].append(Note(pitch, length, held))

    def _broken(self, marks: str) -> None:
        if not self.bars[-1]:
            return
        step = Fraction(1, 2 ** len(marks))
        longer, shorter = 2 - step, step
        last = self.bars[-1][-1]
        first, self.lengthen = (longer, shorter) if marks[0] == ">" else (shorter, longer)
        self.bars[-1][-1] = Note(last.pitch, last.length * first, last.held)


def whole_bars(bars: list[list[Note]], metre: str) -> list[Bar] | None:
    """Bars of exactly the metre's length, or None when the tune cannot be put so.

    A pickup at the start is left out; two short measures that are a bar together (the end of a part and the next pickup)
    become one; a short last one is filled by its last note.
    """
    full, out, at = length_of_bar(metre), [], 0

    def long(bar: list[Note]) -> Fraction:
        return sum((note.length for note in bar), Fraction())

    if bars and long(bars[0]) < full:
        at = 1
    while at < len(bars):
        bar, length = bars[at], long(bars[at])
        if length == full:
            out.append(tuple(bar))
        elif at + 1 < len(bars) and length + long(bars[at + 1]) == full:
            out.append(tuple(bar + bars[at + 1]))
            at += 1
        elif length < full and at == len(bars) - 1:
            last = bar[-1]
            out.append((*bar[:-1], Note(last.pitch, last.length + full - length, last.held)))
        else:
            return None
        at += 1
    if out:
        head = out[0][0]
        out[0] = (Note(head.pitch, head.length), *out[0][1:])
    return out


def tunes(text: str) -> Iterator[tuple[dict[str, str], str]]:
    """(fields by letter, body) of each tune in a file."""
    for part in re.split(r"(?m)^(?=X:)", text):
        fields: dict[str, str] = {}
        body: list[str] = []
        for line in part.splitlines():
            found = re.match(r"([A-Za-z]):(.*)", line)
            if found and not (body and found.group(1) not in "KML"):
                fields.setdefault(found.group(1), found.group(2).strip())
            elif "K" in fields and not re.match(r"[A-Za-z]:|%", line):
                body.append(line.rstrip("\\"))
        if "K" in fields and body:
            yield fields, "\n".join(body)


def tune_of(fields: dict[str, str], body: str, source: str = "") -> Tune | None:
    """None for one in a metre or mode that is not ours, or whose bars do not come out."""
    try:
        key, metre = key_of(fields["K"]), metre_of(fields.get("M", "4/4").strip('"'))
        unit = Fraction(fields.get("L", "1/8").strip('" '))
    except (AigcError, ValueError):
        return None
    bars = whole_bars(read_body(body, key, unit, metre), metre)
    if not bars:
        return None
    kind = kind_of(fields.get("R", "")) if fields.get("R") else kind_of(fields.get("T", ""))
    return Tune(tuple(bars), key, metre, kind, source)


def opening(text: str, key: Key, metre: str) -> tuple[Bar, ...]:
    """Bars that a user wrote, in eighths, for a piece in this key and metre. Raises AigcError when they are not whole."""
    bars = read_body(text, key, Fraction(1, 8), metre)
    full = length_of_bar(metre)
    for number, bar in enumerate(bars, 1):
        length = sum((note.length for note in bar), Fraction())
        if length != full:
            raise AigcError(
                f"Expected bars of {full * 8} eighths for {metre}, got {length * 8} in bar {number} of the opening: "
                "write whole bars, such as G2 GA BAGB | for 4/4, with | between."
            )
    return tuple(tuple(bar) for bar in bars)


def written(tune: Tune, *, title: str = "", tempo: int = 0, per_line: int = 4) -> str:
    """The tune as a file of ABC."""
    from .tune import beat_of

    mode = {"major": "", "minor": "m", "dorian": "dor", "mixolydian": "mix"}[tune.key.mode]
    head = ["X:1", f"T:{title or tune.kind}", f"M:{tune.metre}", "L:1/8"]
    head += [f"Q:{beat_of(tune.metre)}={tempo}"] if tempo else []
    head += [f"K:{NAMES[tune.key.tonic]}{mode}"]
    sign = signature(tune.key)
    ties = [bool(after and after[0].held) for after in (*tune.bars[1:], ())]
    bars = [_bar(bar, sign) + "-" * tied for bar, tied in zip(tune.bars, ties, strict=True)]
    lines = [" | ".join(bars[i : i + per_line]) + " |" for i in range(0, len(bars), per_line)]
    return "\n".join([*head, *lines]) + "\n"


def _bar(bar: Bar, sign: dict[str, int]) -> str:
    changed: dict[str, int] = {}
    found: list[str] = []
    for note in bar:
        if note.held and found:
            found[-1] += "-"
        length = note.length * 8
        number = "" if length == 1 else f"{length.numerator if length.numerator > 1 else ''}"
        number += f"/{length.denominator}" if length.denominator > 1 else ""
        found.append(("z" if note.pitch is None else _spelt(note.pitch, sign, changed)) + number)
    return " ".join(found)


def _spelt(pitch: int, sign: dict[str, int], changed: dict[str, int]) -> str:
    """A letter of the key where there is one, else with a sharp or a flat, as the key leans."""
    flats = any(turn < 0 for turn in sign.values())
    choices = [
        (letter, turn) for letter in LETTERS for turn in (0, -1, 1) if (LETTERS[letter] + turn - pitch) % 12 == 0
    ]
    choices.sort(key=lambda c: (c[1] != sign.get(c[0], 0), c[1] != 0, (c[1] < 0) != flats))
    letter, turn = choices[0]
    octave = (pitch - turn - LETTERS[letter] - 60) // 12
    place = f"{letter}{octave}"
    mark = ""
    if changed.get(place, sign.get(letter, 0)) != turn:
        mark = {1: "^", -1: "_", 0: "="}[turn]
        changed[place] = turn
    name = letter if octave < 1 else letter.lower()
    return mark + name + ("'" * (octave - 1) if octave > 1 else "," * -octave if octave < 0 else "")
