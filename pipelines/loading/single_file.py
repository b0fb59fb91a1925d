"""Single-file checkpoints in the original layout (placeholder until the next commit)."""

from __future__ import annotations

from ..errors import AigcError


def load_weights(model, name, cls, dtype):
    raise AigcError("Single-file checkpoints are not read yet.")


def load_tokenizer(model, cls, folder):
    raise AigcError("Single-file checkpoints are not read yet.")


def part_tensors(model, name):
    raise AigcError("Single-file checkpoints are not read yet.")
