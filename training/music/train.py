"""Train the model that writes tunes.

    python -m training.music.train --work build/music --out models/music --epochs 7

Reads ``tunes.json``. Next-token cross-entropy over whole tunes; the weights of the epoch that does best on the held-out tunes are
kept, averaged over steps. Run again to start anew: it takes minutes. Seeds are fixed: on one thread the same weights come out.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from pipelines.music import model, tokens

from .data import HELD

BATCH, RATE, WARM_UP, DECAY = 16, 2e-3, 100, 0.995


def batches(rows: list[list[int]], dice: random.Random) -> Iterator[torch.Tensor]:
    """[B, L] of tunes of like length, padded; in a drawn order."""
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i]) + dice.random() * 40, i))
    groups = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    dice.shuffle(groups)
    for group in groups:
        longest = max(len(rows[i]) for i in group)
        yield torch.tensor([rows[i] + [tokens.PAD] * (longest - len(rows[i])) for i in group])


def anyhow(row: list[int], dice: random.Random) -> list[int]:
    """The tune, now and then without its kind, so that "any" means something."""
    return [row[0], tokens.KIND, *row[2:]] if dice.random() < 0.15 else row


def loss_of(net: Any, ids: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats a token, of what comes after the head."""
    logits = net(input_ids=ids[:, :-1], attention_mask=(ids[:, :-1] != tokens.PAD).long()).logits
    wanted = ids[:, 1:].clone()
    wanted[:, : tokens.HEAD - 1] = tokens.PAD
    return F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=tokens.PAD)


def examine(net: Any, rows: list[list[int]]) -> float:
    net.eval()
    with torch.no_grad():
        found = [float(loss_of(net, ids)) for ids in batches(rows, random.Random(0))]
    net.train()
    return sum(found) / len(found)


def train(work: Path, out: Path, epochs: int) -> None:
    rows = [row["tokens"] for row in json.loads((work / "tunes.json").read_text("utf-8"))]
    held, learned = rows[::HELD], [row for at, row in enumerate(rows) if at % HELD]
    torch.manual_seed(0)
    dice, net = random.Random(0), model.build(dropout=0.1).train()
    average: Any = copy.deepcopy(net).eval()
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.1)
    total, step, best, begun = epochs * math.ceil(len(learned) / BATCH), 0, math.inf, time.process_time()
    for epoch in range(epochs):
        mean = 0.0
        for ids in batches([anyhow(row, dice) for row in learned], dice):
            rate = RATE * min((step + 1) / WARM_UP, 0.5 + 0.5 * math.cos(math.pi * step / total))
            optimizer.param_groups[0]["lr"] = rate
            loss = loss_of(net, ids)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            step, mean = step + 1, mean + float(loss.detach())
            decay = min(DECAY, (1 + step) / (10 + step))
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - decay)
        found = examine(average, held)
        row = {"epoch": epoch + 1, "loss": round(mean * BATCH / len(learned), 4), "held_out": round(found, 4)}
        row["cpu_seconds"] = round(time.process_time() - begun)
        print(json.dumps(row), flush=True)
        if found < best:
            best = found
            copy.deepcopy(average).half().save_pretrained(out)
            (out / "figures.json").write_text(json.dumps(row) + "\n", "utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/music"))
    parser.add_argument("--out", type=Path, default=Path("models/music"))
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    train(given.work, given.out, given.epochs)


if __name__ == "__main__":
    main()
