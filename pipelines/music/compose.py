"""Tunes written by the model: in a kind, metre and mode, of so many bars, after an opening if there is one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..errors import AigcError
from . import model, quoting, tokens
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
    temperature: float = 0.9
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
    known: quoting.Known | None = None,
    on_bar: Callable[[int, int], None] | None = None,
    stops: tuple[type[BaseException], ...] = (),
) -> Tune:
    """A piece; every bar has exactly the metre's length. The same for the same seed.

    known: runs of the corpus; the piece follows none of them for more than quoting.RUN notes where another note fits.
    on_bar(done, total) is called after each new bar and may raise: one of `stops` then ends the piece after the bars that are
    written, everything else passes through.
    """
    import torch

    prime, grammar = primed(wanted), tokens.Grammar(wanted.metre, wanted.bars, wanted.key.mode)
    for token in prime[tokens.HEAD :]:
        grammar.take(token)
    trail = quoting.Trail(prime)
    rng = torch.Generator("cpu").manual_seed(wanted.seed % 2**63)
    name = model.cache_name(net)
    device, written, cache, fresh = next(net.parameters()).device, list(prime), None, prime
    with torch.inference_mode(), suppress(*stops):  # on_bar is called after bars only: what is written is whole
        while written[-1] != tokens.END:
            allowed = grammar.allowed()
            if known is not None and allowed[0] < tokens.LENGTH and len(allowed) > 1:
                allowed = trail.free(allowed, known)
            if len(allowed) == 1:  # what is certain is shown together with what comes after it
                token = allowed[0]
            else:
                out = net(input_ids=torch.tensor([fresh], device=device), use_cache=True, **{name: cache})
                cache, fresh = out[name], []
                token = model.chosen(out.logits[0, -1].float().cpu(), allowed, wanted.temperature, wanted.top_p, rng)
            grammar.take(token)
            trail.take(token)
            written.append(token)
            fresh = [*fresh, token]
            if on_bar is not None and not grammar.sound and grammar.at == grammar.full:
                on_bar(grammar.number + 1, wanted.bars)
    return tokens.decode(written, wanted.key)
