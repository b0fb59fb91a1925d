"""200 pieces of the shipped music model: exact bars, key, openings kept, runs copied from its corpus, time for 30 seconds."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from headless.install import cache_root

from ..figures import ROOT, Absent, Figure

PIECES, METRES = 200, ("4/4", "3/4", "6/8", "2/4")
FOLDER = ROOT / "models" / "music"
IN_SCALE = 0.9  # share of the sounding time that must lie in the asked scale


def corpus() -> list[Any]:
    """The tunes that the model learned from, downloaded once."""
    from pipelines.music import tokens
    from pipelines.music.tune import Key
    from training.music import data

    place = Path(os.environ.get("AIGC_BENCH_MUSIC") or cache_root() / "bench-music")
    if not (place / "tunes.json").exists():
        kept = data.distinct(data.read(data.archive(place)))
        rows = [{"tonic": tune.key.tonic, "tokens": tokens.encode(tune)} for tune in kept]
        (place / "tunes.json").write_text(json.dumps(rows), "utf-8")
    rows = json.loads((place / "tunes.json").read_text("utf-8"))
    learned = [row for at, row in enumerate(rows) if at % data.HELD]
    return [tokens.decode(row["tokens"], Key(row["tonic"])) for row in learned]


class Runs:
    """The runs of notes of a corpus, by their steps and lengths, in any key."""

    def __init__(self, corpus: Sequence[Any]) -> None:
        from pipelines.music.quoting import moves

        self.moves, self.lines = moves, [moves(tune.bars) for tune in corpus]
        self.known: dict[int, set[tuple[Any, ...]]] = {}

    def of(self, count: int) -> set[tuple[Any, ...]]:
        """All runs of `count` notes."""
        if count not in self.known:
            self.known[count] = {
                tuple(line[i : i + count]) for line in self.lines for i in range(len(line) - count + 1)
            }
        return self.known[count]

    def longest_in(self, tune: Any, skip: int = 0) -> int:
        """The longest run of a tune, its first `skip` bars apart, that stands so in the corpus."""
        mine, count = self.moves(tune.bars[skip:]), 0
        while any(tuple(mine[i : i + count + 1]) in self.of(count + 1) for i in range(len(mine) - count)):
            count += 1
        return count


def holds_key(tune: Any) -> bool:
    """It ends on a note of the tonic chord, and IN_SCALE of its time lies in the scale; of minor in its melodic form too."""
    from pipelines.music import performance

    notes = [note for bar in tune.bars for note in bar if note.pitch is not None]
    raised = {(tune.key.tonic + steps) % 12 for steps in (9, 11)} if tune.key.mode == "minor" else set()
    inside = sum(note.length for note in notes if note.pitch % 12 in {*tune.key.scale, *raised})
    ends = notes[-1].pitch % 12 in performance.triad(tune.key, 0)
    return ends and float(inside / sum(note.length for note in notes)) >= IN_SCALE


def measure() -> Iterator[Figure]:
    if not (FOLDER / "model.safetensors").exists():
        raise Absent("models/music is not in this checkout")
    from pipelines.music import compose, model, quoting, words
    from pipelines.music.tune import MODES, Key

    net, known = model.load(FOLDER), corpus()
    runs, quoted = Runs(known), quoting.load(FOLDER)
    kinds = {metre: next(k for k, (m, _) in words.DANCES.items() if m == metre) for metre in METRES}
    modes = [m for m in MODES for _ in range(3 if m in ("major", "minor") else 1)]
    tunes, kept, copied = [], 0, []
    for seed in range(PIECES):
        metre, key = METRES[seed % 4], Key(seed * 5 % 12, modes[seed % len(modes)])
        opening: tuple[Any, ...] = ()
        if seed % 2:
            like = [tune for tune in known if tune.metre == metre]
            other = like[seed * 11 % len(like)]
            opening, key = other.bars[:2], other.key
        wanted = compose.Wanted(key, metre, kinds[metre], 16, opening, seed=seed)
        tune = compose.compose(net, wanted, known=quoted)
        tunes.append(tune)
        kept += tune.bars[: len(opening)] == opening
        copied.append(runs.longest_in(tune, skip=len(opening)))
    bars = [bar for tune in tunes for bar in tune.bars]
    good = sum(sum(note.length for note in bar) == tune.bar_length for tune in tunes for bar in tune.bars)
    told = f"{len(bars)} bars of {PIECES} pieces in {', '.join(METRES)}"
    yield Figure("music: bars of exactly the metre's length", 100 * good / len(bars), "%", 95, True, told)
    share = sum(map(holds_key, tunes)) / PIECES
    told = "end on the tonic chord, 90 % of the time in the scale (minor: natural or melodic)"
    yield Figure("music: pieces in the asked key", 100 * share, "%", 95, True, told)
    told = "half of the pieces begin with two bars"
    yield Figure("music: openings kept to the note", 100 * kept / PIECES, "%", 100, True, told)
    told = f"longest {max(copied)}, of steps and lengths, in any key; corpus of {len(known)} tunes"
    yield Figure("music: longest copied run, median of notes", statistics.median(copied), "notes", 8, detail=told)
    yield from _speed()


def _speed() -> Iterator[Figure]:
    from pipelines.music import model, piece, quoting

    net, known = model.load(FOLDER), quoting.load(FOLDER)
    piece.made(net, piece.Asked("a reel", seconds=4), None, known=known)
    begun = time.process_time()
    made = piece.made(net, piece.Asked("a happy reel on the fiddle", seconds=30), None, known=known)
    spent = time.process_time() - begun
    seconds = made.sound.shape[1] / 44_100
    told = f"{seconds:.1f} s made, strings by formula, {len(made.tune.bars)} bars"
    yield Figure("music: 30 s of sound", spent * 30 / seconds, "CPU s", 6, detail=told)
