"""Which pipeline classes are measured: those of the installed diffusers that take a prompt and are not deprecated."""

from __future__ import annotations

import inspect

# What makes neither a picture, a video nor a sound, goes on from what another pipeline kept in memory, or fails in
# diffusers itself.
APART = {
    "DiffusionGemmaPipeline": "writes text",
    "LLaDA2Pipeline": "writes text",
    "FluxPriorReduxPipeline": "makes embeddings for another pipeline",
    "KandinskyPriorPipeline": "makes embeddings for another pipeline",
    "KandinskyV22PriorPipeline": "makes embeddings for another pipeline",
    "KandinskyV22PriorEmb2EmbPipeline": "makes embeddings for another pipeline",
    "EasyAnimateControlPipeline": "diffusers 0.42.1 cannot call it: its __call__ hands encode_prompt a text_encoder_index, "
    "which that method does not take",
    "ShapEPipeline": "makes a 3D shape: its latents are the weights of a field, which it renders from 20 sides",
    "LTX2DFRTemporalRefinePipeline": "takes the latents and keyframes of an LTX2DFR run",
}


def live() -> list[str]:
    """Names of the prompt-taking classes, sorted."""
    import diffusers

    names = (n for n in dir(diffusers) if n.endswith("Pipeline") and not n.startswith(("Flax", "Onnx")))
    return sorted(n for n in names if _counts(getattr(diffusers, n)))


def _counts(cls: object) -> bool:
    import diffusers

    if not isinstance(cls, type) or not issubclass(cls, diffusers.DiffusionPipeline) or "dummy" in cls.__module__:
        return False
    old = "deprecated" in cls.__module__ or getattr(cls, "_last_supported_version", None)
    return not old and "prompt" in inspect.signature(cls.__call__).parameters
