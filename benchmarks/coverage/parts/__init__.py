"""What the miniatures are made of: one row a class where shrinking by names is not enough, few rows by pipeline.

`shrink` has made small what it knows by name; a class's row is laid over that, a pipeline's rows over its class's.
"""

from __future__ import annotations

from typing import Any

from . import (
    autoencoders,
    encoders,
    pipelines_a_k,
    pipelines_k_z,
    pipelines_modular,
    pipelines_shared,
    schedulers,
    transformers,
    unets,
)
from .pieces import Row

_KINDS = (autoencoders, unets, transformers, encoders, schedulers)
CLASSES: dict[str, dict[str, Any]] = {name: row for kind in _KINDS for name, row in kind.CLASSES.items()}
# Later rows are laid over earlier ones.
PIPELINES: list[Row] = [
    *pipelines_shared.PIPELINES,
    *pipelines_a_k.PIPELINES,
    *pipelines_k_z.PIPELINES,
    *pipelines_modular.PIPELINES,
]

# What an annotation leaves open, by its class or word.
STANDS_FOR: dict[str, str] = {
    "KarrasDiffusionSchedulers": "DDIMScheduler",
    "SchedulerMixin": "FlowMatchEulerDiscreteScheduler",
    "Gemma2PreTrainedModel": "Gemma2Model",
    "GemmaPreTrainedModel": "GemmaModel",
    "PreTrainedTokenizerBase": "T5Tokenizer",
    "TokenizersBackend": "Qwen2Tokenizer",
    "PythonBackend": "BertTokenizer",
    "AutoTokenizer": "Qwen2Tokenizer",
    "AutoProcessor": "PixtralProcessor",
    "ProcessorMixin": "PixtralProcessor",
    "BaseGuidance": "ClassifierFreeGuidance",
}

# What a pipeline imports from a package that is not public, and what takes its place: it lets everything pass.
STAND_INS = {"Cosmos": ("CosmosSafetyChecker",)}
