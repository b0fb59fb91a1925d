"""The shipped model's pictures: nearest concept, Chinese against English names, obedience to colour words."""

from __future__ import annotations

from collections.abc import Iterator

from ..figures import Absent, Figure
from ..models import pictogram

EVERY = 1  # every concept: about two minutes on one core


def measure() -> Iterator[Figure]:
    folder = pictogram()
    if folder is None:
        raise Absent("models/pictogram has no weights here")
    import torch

    from training.pictogram import evaluate

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = evaluate.evaluate(folder, EVERY)
    finally:
        torch.set_num_threads(threads)
    about = f"the {found['concepts']} concepts it was trained on, by name"
    yield Figure("pictogram: nearest concept, top-1", found["top1_en"], "%", bar=90, at_least=True, detail=about)
    yield Figure("pictogram: nearest concept, top-5", found["top5_en"], "%", bar=95, at_least=True, detail=about)
    yield Figure(
        "pictogram: Chinese names below English, top-1", found["top1_en"] - found["top1_zh"], "points", bar=3,
        detail=f"top-1 {found['top1_zh']} %, top-5 {found['top5_zh']} % from Chinese",
    )  # fmt: skip
    pairs = f"{found['held_out_pairs']} pairs of colour and object that training never saw"
    yield Figure("pictogram: colour word obeyed", found["colour_obeyed"], "%", bar=95, at_least=True, detail=pairs)
    yield Figure(
        "pictogram: colour obeyed, object top-1", found["colour_object_top1"], "%", bar=70, at_least=True, detail=pairs
    )
    yield Figure(
        "pictogram: an unknown word in front, top-1", min(found["top1_unknown_word_en"], found["top1_unknown_word_zh"]), "%",
        detail=f"English {found['top1_unknown_word_en']} %, Chinese {found['top1_unknown_word_zh']} %, every second concept",
    )  # fmt: skip
    yield Figure(
        "pictogram: seeds of one prompt differ by", found["between_seeds"], "levels",
        detail=f"prompts by {found['between_prompts']}, root mean square of 255",
    )  # fmt: skip
