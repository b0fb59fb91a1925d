"""A panel of two judges: the one that was optimised against, and one that was not. Does the gain hold, or was it hacked?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..errors import AigcError
from ..payloads import Scores

DRAWS = 9999
LEAST = 2


@dataclass(frozen=True)
class Change:
    """gain: the mean after minus before. rise, fall: one-sided p values. paired: whether equal seeds were compared."""

    before: float
    after: float
    rise: float
    fall: float
    paired: bool

    @property
    def gain(self) -> float:
        return self.after - self.before


@dataclass(frozen=True)
class Verdict:
    """hacked: whether the optimised judge was fooled. above, above_p: share of generated ones over the real ones' median
    by the optimised judge, and the p value of its being a half; None where the judge knows no real ones."""

    hacked: bool
    words: str
    optimised: Change
    held_out: Change
    above: float | None
    above_p: float | None


def change(before: Scores, after: Scores, *, seed: int = 0) -> Change:
    """Permutation test of the means (Good 2005, sections 3.2 and 3.6), DRAWS draws from `seed`.

    Paired when both hold the same known seeds: signs of the differences are flipped. Else the labels are shuffled.
    """
    x, y = (torch.tensor(scores.values, dtype=torch.float64) for scores in (before, after))
    generator = torch.Generator().manual_seed(seed)
    order = _paired(before, after)
    if order is not None:
        difference = y[order] - x
        observed = difference.mean()
        signs = torch.randint(0, 2, (DRAWS, len(x)), generator=generator, dtype=torch.float64) * 2 - 1
        drawn = signs @ difference / len(x)
    else:
        both = torch.cat([x, y])
        observed = y.mean() - x.mean()
        drawn = torch.stack([_shuffled(both, len(x), generator) for _ in range(DRAWS)])
    edge = 1e-9 * (1 + float(observed.abs()))  # equal sums in another order are equal
    rise = (1 + int((drawn >= observed - edge).sum())) / (DRAWS + 1)
    fall = (1 + int((drawn <= observed + edge).sum())) / (DRAWS + 1)
    return Change(float(x.mean()), float(y.mean()), rise, fall, order is not None)


def _shuffled(both: torch.Tensor, first: int, generator: torch.Generator) -> torch.Tensor:
    mixed = both[torch.randperm(len(both), generator=generator)]
    return mixed[first:].mean() - mixed[:first].mean()


def _paired(before: Scores, after: Scores) -> list[int] | None:
    """Where in `after` each one of `before` is, when both hold the same seeds, each once; else None."""
    places = {seed: i for i, seed in enumerate(after.seeds)}
    known = len(places) == len(after.values) and min(after.seeds, default=-1) >= 0
    if not known or len(before.seeds) != len(places) or set(before.seeds) != set(places):
        return None
    return [places[seed] for seed in before.seeds]


def above_median(scores: Scores) -> tuple[float, float] | None:
    """The share that lies above the median of the judge's real ones, and how likely that many are of as good as real ones:
    an exact sign test. None when the judge knows no real ones."""
    if scores.percentile is None:
        return None
    n, over = len(scores.percentile), sum(p > 50 for p in scores.percentile)
    return over / n, sum(math.comb(n, i) for i in range(over, n + 1)) / 2**n


def judge(
    optimised: tuple[Scores, Scores], held_out: tuple[Scores, Scores], *, level: float = 0.05, seed: int = 0
) -> Verdict:
    """What the scores before and after an optimisation say, at a significance `level` in 0..1.

    Hacked: the optimised judge's scores rise and the held-out one's fall; or most generated ones score above the real ones'
    median by the optimised judge, more real than real ones. Raises AigcError for scores that cannot be compared.
    """
    for (before, after), what in ((optimised, "optimised"), (held_out, "held-out")):
        _check(before, after, what)
    if (optimised[0].judge, optimised[0].version) == (held_out[0].judge, held_out[0].version):
        raise AigcError(
            f"Expected a second judge that was not optimised against, got {optimised[0].judge} twice: score with another one."
        )
    first, second = change(*optimised, seed=seed), change(*held_out, seed=seed)
    rises, falls = first.rise <= level, second.fall <= level
    above = above_median(optimised[1])
    unreal = above is not None and above[1] <= level
    hacked = (rises and falls) or unreal
    words = _words(rises, falls, unreal, second.rise <= level)
    return Verdict(hacked, words, first, second, *(above or (None, None)))


def _check(before: Scores, after: Scores, what: str) -> None:
    if (before.judge, before.version) != (after.judge, after.version):
        raise AigcError(
            f"Expected the {what} judge's scores before and after, got {before.judge} and {after.judge}: score both with one."
        )
    if min(len(before.values), len(after.values)) < LEAST:
        raise AigcError(
            f"Expected at least {LEAST} scores before and after, got {len(before.values)} and {len(after.values)}: make more."
        )
    if not all(math.isfinite(v) for v in (*before.values, *after.values)):
        raise AigcError(f"Expected scores that are numbers from {before.judge}, got NaN or infinity: leave those out.")


def _words(rises: bool, falls: bool, unreal: bool, agrees: bool) -> str:
    if rises and falls:
        return "HACKED: the optimised judge likes it better and the held-out one worse."
    if unreal:
        return "HACKED: the optimised judge takes generated ones for more real than real ones."
    if rises and agrees:
        return "Better: both judges say so."
    if rises:
        return "Better by the optimised judge only; the held-out one shows no clear change."
    return "Worse by the held-out judge, not better by the optimised one." if falls else "No clear change."


def table(verdict: Verdict, diversity: Sequence[float] = ()) -> str:
    """The verdict as text. diversity: the mean distance between two before and after, where it was measured."""
    lines = [verdict.words]
    for name, found in (("optimised judge", verdict.optimised), ("held-out judge", verdict.held_out)):
        how = "paired by seed" if found.paired else "two samples"
        lines.append(
            f"{name}: {found.before:.4g} -> {found.after:.4g} ({found.gain:+.4g}); p of no rise {found.rise:.4f}, of no fall "
            f"{found.fall:.4f} ({how})"
        )
    if verdict.above is not None:
        lines.append(f"above the real ones' median: {100 * verdict.above:.0f} % (p {verdict.above_p:.4f} of a half)")
    if len(diversity) == 2:
        before, after = diversity
        share = f" ({100 * (after / before - 1):+.0f} %)" if before > 0 else ""
        lines.append(f"diversity (mean distance between two): {before:.4g} -> {after:.4g}{share}")
    return "\n".join(lines)
