"""Tunes as token numbers and back, and which token may come next so that every bar has its exact length."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from .tune import METRES, MODES, TYPES, Bar, Key, Note, Tune, length_of_bar

TICK = Fraction(1, 96)  # of a whole note
LENGTHS = (2, 4, 6, 8, 3, 9, 12, 18, 24, 36, 48, 72, 96)  # ticks of a note: 1/48 to a whole one
LOWEST, HIGHEST = -14, 28  # semitones from the tonic above middle C
PHRASE = 8  # bars; the model counts in them

PAD, START, END, LAST = 0, 1, 2, 3  # LAST: the bar that ends the tune
KIND = LAST + 1
METRE = KIND + len(TYPES)
MODE = METRE + len(METRES)
BAR = MODE + len(MODES)
REST = BAR + PHRASE
HOLD = REST + 1
PITCH = HOLD + 1
LENGTH = PITCH + HIGHEST - LOWEST + 1
COUNT = LENGTH + len(LENGTHS)
HEAD = 4  # START, kind, metre, mode


def reference(key: Key) -> int:
    """The MIDI number that pitches are counted from: the tonic at or above middle C."""
    return 60 + key.tonic


def tonic_chord(mode: str) -> tuple[int, ...]:
    """Semitones above the tonic of its triad."""
    scale = Key(0, mode).scale
    return scale[0], scale[2], scale[4]


def head(kind: str, metre: str, mode: str) -> list[int]:
    return [START, KIND + TYPES.index(kind), METRE + METRES.index(metre), MODE + list(MODES).index(mode)]


def encode_bar(bar: Bar, key: Key, number: int, last: bool) -> list[int] | None:
    """A bar's tokens; None for a length or pitch that there is no token for."""
    found = [LAST if last else BAR + number % PHRASE]
    for note in bar:
        ticks = note.length / TICK
        if ticks not in LENGTHS:
            return None
        if note.held:
            sound = HOLD
        elif note.pitch is None:
            sound = REST
        else:
            steps = note.pitch - reference(key)
            if not LOWEST <= steps <= HIGHEST:
                return None
            sound = PITCH + steps - LOWEST
        found += [sound, LENGTH + LENGTHS.index(int(ticks))]
    return found


def encode(tune: Tune) -> list[int] | None:
    """The whole tune, with START and END; None when there is no token for something in it."""
    found = head(tune.kind, tune.metre, tune.key.mode)
    for number, bar in enumerate(tune.bars):
        some = encode_bar(bar, tune.key, number, number == len(tune.bars) - 1)
        if some is None:
            return None
        found += some
    return [*found, END]


def decode(tokens: Sequence[int], key: Key) -> Tune:
    """What `encode` wrote, or a model did, in a key; the mode is the tokens' own."""
    kind, metre = TYPES[tokens[1] - KIND], METRES[tokens[2] - METRE]
    key = Key(key.tonic, list(MODES)[tokens[3] - MODE])
    bars: list[list[Note]] = []
    before: int | None = None
    for at in range(HEAD, len(tokens)):
        token = tokens[at]
        if token == LAST or BAR <= token < REST:
            bars.append([])
        elif token >= LENGTH:
            sound, length = tokens[at - 1], LENGTHS[token - LENGTH] * TICK
            held = sound == HOLD
            pitch = before if held else None if sound == REST else reference(key) + sound - PITCH + LOWEST
            bars[-1].append(Note(pitch, length, held and pitch is not None))
            before = pitch
    return Tune(tuple(tuple(bar) for bar in bars), key, metre, kind)


@lru_cache(maxsize=len(METRES))
def endings(metre: str) -> tuple[frozenset[int], ...]:
    """By the ticks that have passed of a bar: the lengths after which it can still be filled exactly.

    After a part of a triplet only parts of triplets come until the beat is even again.
    """
    full = int(length_of_bar(metre) / TICK)
    reachable, allowed = [False] * full + [True], [frozenset[int]()] * (full + 1)
    for at in range(full - 1, -1, -1):
        fitting = (n for n in LENGTHS if at + n <= full and (at % 3 == 0 or n % 3) and reachable[at + n])
        allowed[at] = frozenset(fitting)
        reachable[at] = bool(allowed[at])
    return tuple(allowed)


class Grammar:
    """What may follow, while a tune of `bars` bars is written token by token; its last note is one of the tonic chord."""

    def __init__(self, metre: str, bars: int, mode: str = "major") -> None:
        self.closing = {
            PITCH + steps - LOWEST for steps in range(LOWEST, HIGHEST + 1) if steps % 12 in tonic_chord(mode)
        }
        self.last = 0  # the sound whose length comes next
        self.full, self.allowed_lengths = int(length_of_bar(metre) / TICK), endings(metre)
        self.bars, self.number, self.at, self.sound, self.sounding = bars, -1, self.full, False, False

    def allowed(self) -> list[int]:
        if self.sound:
            fitting = self.allowed_lengths[self.at] if self.last in self.closing else self._before_the_end()
            return [LENGTH + LENGTHS.index(n) for n in LENGTHS if n in fitting]
        if self.at == self.full:
            coming = self.number + 1
            return [END] if coming == self.bars else [LAST if coming == self.bars - 1 else BAR + coming % PHRASE]
        if not self._before_the_end():
            return sorted(self.closing)
        return [REST, *((HOLD,) if self.sounding else ()), *range(PITCH, LENGTH)]

    def _before_the_end(self) -> frozenset[int]:
        """The lengths after which the tune goes on."""
        fitting = self.allowed_lengths[self.at]
        if self.number < self.bars - 1:
            return fitting
        return frozenset(n for n in fitting if self.at + n < self.full)

    def take(self, token: int) -> None:
        """Go on by one token, which must be allowed."""
        if token not in self.allowed():
            raise ValueError(f"token {token} cannot stand here")
        if self.sound:
            self.at += LENGTHS[token - LENGTH]
            self.sound = False
        elif self.at == self.full and token != END:
            self.number, self.at = self.number + 1, 0
        elif token != END:
            self.sound, self.sounding, self.last = True, token != REST, token
