"""The runs of notes of the corpus as a small filter, so that Compose Music does not write its tunes down.

python -m training.music.known --work build/music --out models/music
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pipelines.music import quoting, tokens
from pipelines.music.tune import Key


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/music"))
    parser.add_argument("--out", type=Path, default=Path("models/music"))
    options = parser.parse_args()
    rows = json.loads((options.work / "tunes.json").read_text("utf-8"))
    lines = [quoting.moves(tokens.decode(row["tokens"], Key(row["tonic"])).bars) for row in rows]
    known = quoting.Known.of(key for line in lines for key in quoting.keys(line))
    quoting.save(known, options.out)
    print(f"{len(lines)} tunes, {len(known.bits)} bytes in {options.out / quoting.FILE}")


if __name__ == "__main__":
    main()
