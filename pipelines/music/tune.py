"""A tune as numbers: notes with exact lengths in whole bars, and what is known of it. No file, no model."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

METRES = ("4/4", "3/4", "6/8", "2/4", "9/8")
MODES = {"major": 0, "minor": 9, "dorian": 2, "mixolydian": 7}  # the tonic's place in its major scale
TYPES = ("any", "reel", "hornpipe", "jig", "slip jig", "strathspey", "waltz", "march", "polka", "air")
LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
MAJOR = (0, 2, 4, 5, 7, 9, 11)
NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


@dataclass(frozen=True)
class Note:
    """pitch: MIDI number, None for a rest. length: in whole notes. held: it goes on from the note before."""

    pitch: int | None
    length: Fraction
    held: bool = False


Bar = tuple[Note, ...]


@dataclass(frozen=True)
class Key:
    """tonic: pitch class 0..11, C is 0. mode: of MODES."""

    tonic: int
    mode: str = "major"

    @property
    def scale(self) -> tuple[int, ...]:
        """The seven pitch classes, the tonic first."""
        turn = MAJOR.index(MODES[self.mode])
        start = MAJOR[turn]
        return tuple((self.tonic + MAJOR[(turn + i) % 7] - start) % 12 for i in range(7))

    def __str__(self) -> str:
        return f"{NAMES[self.tonic]} {self.mode}"


@dataclass(frozen=True)
class Tune:
    """Whole bars of one metre. kind: of TYPES."""

    bars: tuple[Bar, ...]
    key: Key
    metre: str
    kind: str = "any"
    source: str = field(default="", compare=False)

    @property
    def bar_length(self) -> Fraction:
        return length_of_bar(self.metre)


def keys() -> list[str]:
    """What a menu offers."""
    return ["auto", *(str(Key(tonic, mode)) for mode in MODES for tonic in range(12))]


def length_of_bar(metre: str) -> Fraction:
    """In whole notes."""
    above, below = metre.split("/")
    return Fraction(int(above), int(below))


def beat_of(metre: str) -> Fraction:
    """What a tempo counts, in whole notes: a dotted quarter in compound metres, else a quarter."""
    above, below = metre.split("/")
    return Fraction(3, 8) if below == "8" and int(above) % 3 == 0 else Fraction(1, 4)


def exact(tune: Tune) -> bool:
    """Whether every bar has the metre's length."""
    return all(sum((note.length for note in bar), Fraction()) == tune.bar_length for bar in tune.bars)
