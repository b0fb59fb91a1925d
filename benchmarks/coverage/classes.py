"""Which pipeline classes are measured: those of the installed diffusers that take a prompt and are not deprecated."""

from __future__ import annotations

import inspect
import pkgutil

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


def is_modular(name: str) -> bool:
    """Whether a class is one of Modular Diffusers, by its name."""
    return name.endswith("ModularPipeline")


def modular_only() -> list[str]:
    """Names of the modular classes whose family, a package of diffusers, has no classic pipeline; sorted."""
    import diffusers

    classic = {module.name for module in pkgutil.iter_modules(diffusers.pipelines.__path__)}
    names = (n for n in dir(diffusers) if is_modular(n))
    families = {n: getattr(diffusers, n).__module__.split(".")[2:3] for n in names}
    return sorted(n for n, f in families.items() if f and f[0] not in {*classic, "modular_pipeline"})


def _counts(cls: object) -> bool:
    import diffusers

    if not isinstance(cls, type) or not issubclass(cls, diffusers.DiffusionPipeline) or "dummy" in cls.__module__:
        return False
    old = "deprecated" in cls.__module__ or getattr(cls, "_last_supported_version", None)
    return not old and "prompt" in inspect.signature(cls.__call__).parameters
