"""A tune as sounding parts: who plays what when. Chords under a melody by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .tune import Bar, Key, Tune, beat_of

# General MIDI's numbers, from 0.
INSTRUMENTS = {
    "piano": 0, "music box": 10, "marimba": 12, "organ": 19, "accordion": 21, "guitar": 24, "bass": 32, "violin": 40,
    "cello": 42, "harp": 46, "strings": 48, "trumpet": 56, "clarinet": 71, "flute": 73, "whistle": 78, "banjo": 105,
    "bagpipe": 109,
}  # fmt: skip
SOUNDS = ("auto", "soundfont", "strings by formula")
STRONG, WEAK, SOFT = 96, 80, 58  # velocities: of a bar's first note, of others, of chords
# Where chords are struck in a bar, in eighths: (bass at, chords at).
PATTERNS = {
    "4/4": ((0, 4), (2, 6)), "2/4": ((0,), (2,)), "3/4": ((0,), (2, 4)), "6/8": ((0, 3), (2, 5)), "9/8": ((0, 3, 6), (2, 5, 8)),
}  # fmt: skip
# How readily one degree's chord follows another (tonic, subdominant, dominant, submediant); common-practice cadences.
DEGREES = (0, 3, 4, 5)
FOLLOWS = {(4, 0): 0.8, (3, 4): 0.5, (0, 3): 0.3, (0, 4): 0.3, (5, 3): 0.4, (3, 0): 0.3, (0, 5): 0.1, (4, 5): 0.1}


@dataclass(frozen=True)
class Sound:
    """start, length: seconds. pitch: MIDI number. velocity: 1..127."""

    start: float
    length: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Part:
    """What one instrument plays. program: General MIDI's number. share: of the loudness."""

    program: int
    sounds: tuple[Sound, ...]
    share: float = 1.0


def melody(tune: Tune, tempo: float, program: int) -> Part:
    """tempo: beats a minute, of `beat_of` the metre. Held notes are joined; a note ends a little before the next."""
    whole = 60 / tempo / float(beat_of(tune.metre))
    sounds: list[Sound] = []
    at = Fraction()
    for bar in tune.bars:
        for place, note in enumerate(bar):
            start, length = float(at) * whole, float(note.length) * whole
            if note.held and sounds:
                last = sounds[-1]
                sounds[-1] = Sound(last.start, last.length + length, last.pitch, last.velocity)
            elif note.pitch is not None:
                sounds.append(Sound(start, length, note.pitch, WEAK if place else STRONG))
            at += note.length
    return Part(program, tuple(Sound(s.start, s.length * 0.95, s.pitch, s.velocity) for s in sounds))


def triad(key: Key, degree: int) -> tuple[int, int, int]:
    """Pitch classes of the chord on a degree of the key, the root first; the dominant of a minor key with its leading note."""
    scale = key.scale
    root, third, fifth = (scale[(degree + step) % 7] for step in (0, 2, 4))
    if key.mode == "minor" and degree == 4:
        third = (root + 4) % 12
    return root, third, fifth


def chords(bars: Sequence[Bar], key: Key) -> list[int]:
    """A degree of DEGREES for each bar: the likeliest way through them (Viterbi 1967), tonic at the end."""
    fits = []
    for bar in bars:
        total = float(sum(note.length for note in bar)) or 1.0
        row = []
        for degree in DEGREES:
            tones = triad(key, degree)
            row.append(sum(float(n.length) for n in bar if n.pitch is not None and n.pitch % 12 in tones) / total)
        fits.append([2 * fit + 0.1 * (degree == 0) for fit, degree in zip(row, DEGREES)])
    fits[-1][0] += 1.0
    best, back = fits[0], []
    for row in fits[1:]:
        choices = [
            max(range(len(DEGREES)), key=lambda i: best[i] + FOLLOWS.get((DEGREES[i], DEGREES[j]), 0.0))
            for j in range(len(DEGREES))
        ]
        best = [best[i] + FOLLOWS.get((DEGREES[i], DEGREES[j]), 0.0) + row[j] for j, i in enumerate(choices)]
        back.append(choices)
    at = max(range(len(DEGREES)), key=lambda i: best[i])
    found = [at]
    for choices in reversed(back):
        at = choices[at]
        found.append(at)
    return [DEGREES[i] for i in reversed(found)]


def accompaniment(tune: Tune, tempo: float, program: int) -> Part:
    """Bass and chords, in the pattern of the metre; the last bar one long chord."""
    eighth = 60 / tempo / float(beat_of(tune.metre)) / 8
    long, found = float(tune.bar_length) * 8, list[Sound]()
    low, high = PATTERNS[tune.metre]
    for number, degree in enumerate(chords(tune.bars, tune.key)):
        start = number * long
        root, *_ = tones = triad(tune.key, degree)
        bass = 36 + (root + 12 - 4) % 12 + 4
        last = number == len(tune.bars) - 1
        for at in (0,) if last else low:
            found.append(Sound((start + at) * eighth, (long if last else 2) * eighth * 0.95, bass, SOFT + 8))
        for at in (0,) if last else high:
            for tone in tones:
                pitch = 55 + (tone - 55) % 12
                found.append(Sound((start + at) * eighth, (long if last else 1) * eighth * 0.95, pitch, SOFT))
    return Part(program, tuple(found), 0.6)


def seconds_of_bar(metre: str, tempo: float) -> float:
    """Of a bar."""
    above, below = metre.split("/")
    return 60 / tempo * float(Fraction(int(above), int(below)) / beat_of(metre))
