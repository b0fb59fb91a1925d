"""Tunes written by the model: in a kind, metre and mode, of so many bars, after an opening if there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..errors import AigcError
from . import model, tokens
from .tune import Bar, Key, Tune

MOST_BARS = 64


@dataclass(frozen=True)
class Wanted:
    """What is asked of a piece. bars: in all, the opening among them. opening: bars that it begins with, in this key."""

    key: Key
    metre: str = "4/4"
    kind: str = "any"
    bars: int = 16
    opening: tuple[Bar, ...] = ()
    temperature: float = 1.0
    top_p: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.bars <= MOST_BARS:
            raise AigcError(
                f"Expected 1 to {MOST_BARS} bars, got {self.bars}: ask for fewer, and go on from the last ones."
            )
        if len(self.opening) >= self.bars:
            raise AigcError(
                f"Expected more bars than the {len(self.opening)} of the opening, got {self.bars}: ask for more."
            )


def primed(wanted: Wanted) -> list[int]:
    """The tokens that a piece begins with. Raises AigcError for an opening that there are no tokens for."""
    found = tokens.head(wanted.kind, wanted.metre, wanted.key.mode)
    for number, bar in enumerate(wanted.opening):
        some = tokens.encode_bar(bar, wanted.key, number, False)
        if some is None:
            raise AigcError(
                f"Expected notes of 1/48 to a whole one within {tokens.LOWEST} to {tokens.HIGHEST} semitones of the tonic, got "
                f"others in bar {number + 1} of the opening: write them with plain lengths, or an octave nearer."
            )
        found += some
    return found


def compose(
    net: Any,
    wanted: Wanted,
    *,
    on_bar: Callable[[int, int], None] | None = None,
    stops: tuple[type[BaseException], ...] = (),
) -> Tune:
    """A piece; every bar has exactly the metre's length. The same for the same seed.

    on_bar(done, total) is called after each new bar and may raise: one of `stops` then ends the piece after the bars that are
    written, everything else passes through.
    """
    import torch

    prime, grammar = primed(wanted), tokens.Grammar(wanted.metre, wanted.bars, wanted.key.mode)
    for token in prime[tokens.HEAD :]:
        grammar.take(token)
    rng = torch.Generator("cpu").manual_seed(wanted.seed % 2**63)
    name = model.cache_name(net)
    device, written, cache, fresh = next(net.parameters()).device, list(prime), None, prime
    with torch.inference_mode(), suppress(*stops):  # on_bar is called after bars only: what is written is whole
        while written[-1] != tokens.END:
            allowed = grammar.allowed()
            if len(allowed) == 1:  # what is certain is shown together with what comes after it
                token = allowed[0]
            else:
                out = net(input_ids=torch.tensor([fresh], device=device), use_cache=True, **{name: cache})
                cache, fresh = out[name], []
                token = model.chosen(out.logits[0, -1].float().cpu(), allowed, wanted.temperature, wanted.top_p, rng)
            grammar.take(token)
            written.append(token)
            fresh = [*fresh, token]
            if on_bar is not None and not grammar.sound and grammar.at == grammar.full:
                on_bar(grammar.number + 1, wanted.bars)
    return tokens.decode(written, wanted.key)


class Runs:
    """The runs of notes of a corpus, by their steps and lengths, in any key."""

    def __init__(self, corpus: Sequence[Tune]) -> None:
        self.lines = [_moves(tune.bars) for tune in corpus]
        self.known: dict[int, set[tuple[Any, ...]]] = {}

    def of(self, count: int) -> set[tuple[Any, ...]]:
        """All runs of `count` notes."""
        if count not in self.known:
            self.known[count] = {
                tuple(line[i : i + count]) for line in self.lines for i in range(len(line) - count + 1)
            }
        return self.known[count]

    def longest_in(self, tune: Tune, skip: int = 0) -> int:
        """The longest run of a tune, its first `skip` bars apart, that stands so in the corpus."""
        mine, count = _moves(tune.bars[skip:]), 0
        while any(tuple(mine[i : i + count + 1]) in self.of(count + 1) for i in range(len(mine) - count)):
            count += 1
        return count


def _moves(bars: Sequence[Bar]) -> list[tuple[int | None, Any]]:
    """Each note as (semitones from the one before, its length); None for rests."""
    notes = [note for bar in bars for note in bar]
    before: int | None = None
    found: list[tuple[int | None, Any]] = []
    for note in notes:
        step = None if note.pitch is None or before is None else note.pitch - before
        found.append((step, note.length))
        before = note.pitch if note.pitch is not None else before
    return found
