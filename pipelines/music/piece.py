"""From a prompt to a piece: planned, composed, played."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from . import abc, performance, quoting, synth, transcribe, words
from .compose import MOST_BARS, Wanted, compose
from .tune import Bar, Tune

OnBar = Callable[[int, int], None]
SECTION = 32  # bars that are composed in one go; a longer piece goes on from the last ones
CARRIED = 4  # of these


@dataclass(frozen=True)
class Asked:
    """prompt and settings as `words.plan` takes them. seconds: about how long; bars: exactly, 0 for by seconds.

    opening: bars in ABC. heard: a melody [T] at transcribe.RATE that the piece goes on from, None for none.
    """

    prompt: str
    seconds: float = 30.0
    bars: int = 0
    key: str = words.AUTO
    metre: str = words.AUTO
    tempo: float = 0
    instrument: str = words.AUTO
    accompanied: bool = True
    opening: str = ""
    heard: np.ndarray | None = None
    temperature: float = 0.9
    seed: int = 0


@dataclass(frozen=True)
class Piece:
    """sound: float32 [2, T] at synth.RATE. opened: bars that were given. missing: bars that a stop left out."""

    tune: Tune
    plan: words.Plan
    sound: np.ndarray
    opened: int
    played_by: str
    missing: int = 0


def made(
    net: Any,
    asked: Asked,
    font: Path | None,
    *,
    known: quoting.Known | None = None,
    on_bar: OnBar | None = None,
    stops: tuple[type[BaseException], ...] = (),
) -> Piece:
    """The whole piece, or as much of it as is written when on_bar raises one of `stops`. known: as `compose` takes it.

    Raises AigcError for an opening that does not fit.
    """
    plan, opening = planned(asked)
    count = asked.bars or bars_for(asked.seconds, plan)
    count = max(count, len(opening) + 1)
    tune = composed(net, plan, count, opening, asked, known=known, on_bar=on_bar, stops=stops)
    program = performance.INSTRUMENTS[plan.instrument]
    parts = [performance.melody(tune, plan.tempo, program)]
    if asked.accompanied:
        parts.append(performance.accompaniment(tune, plan.tempo, program))
    sound = synth.played(parts, font)
    by = font.name if font else "plucked strings by formula"
    return Piece(tune, plan, sound, len(opening), by, count - len(tune.bars))


def planned(asked: Asked) -> tuple[words.Plan, tuple[Bar, ...]]:
    """The plan, and the bars that the piece begins with."""
    plan = words.plan(
        asked.prompt, key=asked.key, metre=asked.metre, tempo=asked.tempo, instrument=asked.instrument, seed=asked.seed
    )
    if asked.heard is not None:
        bars, key, tempo = transcribe.heard(asked.heard, plan.metre, asked.tempo)
        return replace(plan, key=key if asked.key == words.AUTO else plan.key, tempo=tempo), bars
    if not asked.opening.strip():
        return plan, ()
    fields = dict(line.split(":", 1) for line in asked.opening.splitlines() if line[1:2] == ":" and line[0].isalpha())
    body = "\n".join(line for line in asked.opening.splitlines() if line[1:2] != ":")
    if "K" in fields:
        plan = replace(plan, key=abc.key_of(fields["K"]))
    if "M" in fields:
        plan = replace(plan, metre=abc.metre_of(fields["M"]))
    return plan, abc.opening(body, plan.key, plan.metre)


def bars_for(seconds: float, plan: words.Plan) -> int:
    """Whole phrases of four bars that come nearest, one at least."""
    return max(4, 4 * round(seconds / performance.seconds_of_bar(plan.metre, plan.tempo) / 4))


def composed(
    net: Any,
    plan: words.Plan,
    count: int,
    opening: Sequence[Bar],
    asked: Asked,
    *,
    known: quoting.Known | None = None,
    on_bar: OnBar | None = None,
    stops: tuple[type[BaseException], ...] = (),
) -> Tune:
    """`count` bars; more than SECTION in sections, each of which goes on from the last bars of the one before."""
    done: list[Bar] = list(opening)
    tune: Tune | None = None
    section = 0
    while tune is None or len(done) < count:
        carried = done[-CARRIED:] if tune is not None else done
        fresh = count - len(done) if tune is not None or not opening else count - len(opening)
        size = min(MOST_BARS, len(carried) + min(fresh, SECTION))
        wanted = Wanted(
            plan.key,
            plan.metre,
            plan.kind,
            size,
            tuple(_loose(carried)),
            asked.temperature,
            seed=asked.seed + 7919 * section,
        )
        further = _further(on_bar, len(done) - len(carried), count)
        tune = compose(net, wanted, known=known, on_bar=further, stops=stops)
        done += tune.bars[len(carried) :]
        if len(tune.bars) < size:
            break
        section += 1
    return replace(tune, bars=tuple(done[:count]))


def _further(on_bar: OnBar | None, before: int, count: int) -> OnBar | None:
    """`on_bar` for a section that begins after `before` bars of `count`."""
    if on_bar is None:
        return None
    return lambda done, total: on_bar(min(count, before + done), count)


def _loose(bars: Sequence[Bar]) -> list[Bar]:
    """The bars with nothing held over into the first one."""
    if not bars or not bars[0] or not bars[0][0].held:
        return list(bars)
    return [(replace(bars[0][0], held=False), *bars[0][1:]), *bars[1:]]


def told(piece: Piece, why: str = "") -> str:
    """What was made, a line each. why: there was no soundfont."""
    plan, tune = piece.plan, piece.tune
    seconds = piece.sound.shape[1] / synth.RATE
    lines = [
        f"{plan.kind} in {plan.key}, {tune.metre}, {plan.tempo:.0f} beats a minute, {len(tune.bars)} bars, {seconds:.1f} s",
        f"{plan.instrument}, played by {piece.played_by}",
    ]
    if piece.missing:
        lines.append(f"stopped: {piece.missing} bars were not written")
    if piece.opened:
        lines.append(f"the first {piece.opened} bars are those that were given")
    return "\n".join([*lines, why] if why else lines)


__all__ = ["Asked", "Piece", "bars_for", "composed", "made", "planned", "told"]
