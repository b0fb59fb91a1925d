"""Choosing by score: the best few, or those over a bar, everything that belongs together staying in step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ..errors import AigcError
from ..motion import Moved
from ..payloads import Scores, Trace
from ..walks import Walk

AXIS_FIELDS = ("values", "raw", "probability", "percentile", "prompts", "seeds", "files")
ON_EMPTY = ("block", "best", "error")
RANGES = {"score": (float("-inf"), float("inf")), "probability": (0.0, 1.0), "percentile": (0.0, 100.0)}


def ranked(scores: Scores) -> list[int]:
    """Places from best to worst; equal scores keep their order, what is not a number comes last."""
    return sorted(range(len(scores.values)), key=lambda i: (scores.values[i] != scores.values[i], -scores.values[i], i))


def best(scores: Scores, keep: int) -> tuple[list[int], list[int]]:
    """The places of the best `keep`, best first, and of the rest. More than there are keeps all; 0 keeps none."""
    if keep < 0:
        raise AigcError(f"Expected to keep 0 or more, got {keep}: set keep to how many you want.")
    order = ranked(scores)
    return order[:keep], order[keep:]


def over(scores: Scores, bar: float, by: str = "score") -> tuple[list[int], list[int]]:
    """The places whose score, "probability" or "percentile" is at least `bar`, and the others, in their own order.

    Raises AigcError when the judge gives no such figure, or never this one.
    """
    low, high = RANGES[by]
    if not low <= bar <= high:
        raise AigcError(f"Expected a {by} of {low:g} to {high:g} as the threshold, got {bar:g}: choose one in between.")
    figures = {"score": scores.values, "probability": scores.probability, "percentile": scores.percentile}.get(by)
    if figures is None:
        raise AigcError(
            f"Expected scores with a {by}, got those of {scores.judge}, which is not calibrated: calibrate it, or go by score."
        )
    passed = [i for i, value in enumerate(figures) if value >= bar]
    return passed, [i for i in range(len(figures)) if i not in set(passed)]


def gated(scores: Scores, bar: float, by: str, on_empty: str) -> tuple[list[int], list[int]]:
    """`over`, and what happens when nothing passes: "block" passes none, "best" the best one, "error" raises AigcError.

    Of no items, or none whose score is a number, there is no best one: none passes.
    """
    passed, rest = over(scores, bar, by)
    if passed or on_empty == "block":
        return passed, rest
    first = next((i for i in ranked(scores) if scores.values[i] == scores.values[i]), None)
    if on_empty == "error":
        highest = "" if first is None else f"; the best has a score of {scores.values[first]:.4g}"
        raise AigcError(
            f"Expected at least one of {len(scores.values)} with a {by} of {bar:g} or more, got none{highest}: lower the "
            "threshold, make more, or set on_empty to best or block."
        )
    best_one = [] if first is None else [first]
    return best_one, [i for i in rest if i not in best_one]


def taken(given: Any, places: Sequence[int], count: int) -> Any:
    """The items at `places` of an IMAGE, MASK, LATENT, AUDIO or Scores of `count` items; nothing that came in is changed.

    A LATENT keeps its noise mask, its batch_index and what else goes by row. Raises AigcError when the numbers differ.
    """
    if given is None:
        return None
    if isinstance(given, Scores):
        return _taken_scores(given, places)
    if isinstance(given, torch.Tensor):
        return _rows(given, places, count, "pictures or masks")
    if "waveform" in given:
        return {**given, "waveform": _rows(given["waveform"], places, count, "sounds")}
    return _taken_latent(given, places, count)


def nothing(given: Any) -> bool:
    """Whether there is nothing in it: not connected, or no item left. Scores of no items are still scores."""
    if given is None:
        return True
    if isinstance(given, Mapping):
        given = given.get("samples", given.get("waveform"))
    return isinstance(given, torch.Tensor) and len(given) == 0


def _rows(x: torch.Tensor, places: Sequence[int], count: int, what: str) -> torch.Tensor:
    if len(x) != count:
        raise AigcError(f"Expected {count} {what}, one a score, got {len(x)}: connect what was scored.")
    return x[list(places)]


def _taken_latent(latent: Mapping[str, Any], places: Sequence[int], count: int) -> dict[str, Any]:
    samples = _rows(latent["samples"], places, count, "latents")
    index = list(latent.get("batch_index") or range(count))
    out = {k: v for k, v in latent.items() if k != "aigc"} | {
        "samples": samples,
        "batch_index": [index[i] for i in places],
    }
    walk = latent.get("aigc_walk")
    if isinstance(walk, Walk) and len(walk) == count:
        out["aigc_walk"] = walk.taken(places)
    moved = latent.get("aigc_motion")
    if isinstance(moved, Moved) and moved.fits(latent["samples"]):
        out["aigc_motion"] = moved.taken(places, samples)
    mask = latent.get("noise_mask")
    if isinstance(mask, torch.Tensor) and len(mask) == count:
        out["noise_mask"] = mask[list(places)]
    trace = latent.get("aigc")
    if isinstance(trace, Trace) and trace.samples is latent["samples"] and isinstance(trace.raw, torch.Tensor):
        # The decoder's own tensor for these rows, so that decoding them is as exact as decoding all.
        sound = None if trace.sound is None else _rows(trace.sound, places, count, "sounds")
        out["aigc"] = replace(trace, samples=samples, raw=_rows(trace.raw, places, count, "latents"), sound=sound)
    return out


def _taken_scores(scores: Scores, places: Sequence[int]) -> Scores:
    def pick(values: Any) -> Any:
        return tuple(values[i] for i in places) if values is not None and len(values) == len(scores.values) else values

    return replace(scores, **{name: pick(getattr(scores, name)) for name in AXIS_FIELDS})


def table(scores: Scores) -> str:
    """The scores as text, best first, a line each."""
    head = f"{scores.judge} ({scores.unit}), higher is better" + (f"; {scores.note}" if scores.note else "")
    lines = [head]
    for rank, i in enumerate(ranked(scores), 1):
        line = f"{rank:>3}. #{i}  {scores.values[i]:.4g}"
        if scores.probability is not None:
            line += f"  {100 * scores.probability[i]:.1f} %"
        if scores.percentile is not None:
            line += f"  better than {scores.percentile[i]:.0f} % of the real ones"
        if scores.seeds[i : i + 1] not in ((), (-1,)):
            line += f"  seed {scores.seeds[i]}"
        texts = [kept[i] for kept in (scores.prompts, scores.files) if kept and kept[i]]
        lines.append("  ".join([line, *texts]))
    return "\n".join(lines)


def rows(scores: Scores) -> list[dict[str, Any]]:
    """The scores as plain rows, in the batch's order, for a log or the command line."""
    found = []
    for i, value in enumerate(scores.values):
        row: dict[str, Any] = {
            "judge": scores.judge,
            "version": scores.version,
            "index": i,
            "score": value,
            "raw": scores.raw[i],
            "unit": scores.unit,
        }
        for name in ("probability", "percentile"):
            figures = getattr(scores, name)
            row |= {name: figures[i]} if figures is not None else {}
        row |= {"seed": scores.seeds[i]} if scores.seeds[i : i + 1] not in ((), (-1,)) else {}
        for name, texts in (("prompt", scores.prompts), ("file", scores.files)):
            row |= {name: texts[i]} if texts and texts[i] else {}
        found.append(row)
    return found
