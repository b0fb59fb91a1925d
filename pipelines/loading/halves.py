"""Models of two pipelines: a prior makes embeddings of the prompt, a decoder paints them; a combined class holds both."""

from __future__ import annotations

from ..errors import AigcError

# Priors, and the class that holds one with its decoder; "" where diffusers has none.
PRIORS = {
    "KandinskyPriorPipeline": "KandinskyCombinedPipeline",
    "KandinskyV22PriorPipeline": "KandinskyV22CombinedPipeline",
    "KandinskyV22PriorEmb2EmbPipeline": "KandinskyV22CombinedPipeline",
    "StableCascadePriorPipeline": "StableCascadeCombinedPipeline",
    "WuerstchenPriorPipeline": "WuerstchenCombinedPipeline",
    "FluxPriorReduxPipeline": "",
}
# Decoders likewise.
DECODERS = {
    "KandinskyPipeline": "KandinskyCombinedPipeline",
    "KandinskyImg2ImgPipeline": "KandinskyImg2ImgCombinedPipeline",
    "KandinskyInpaintPipeline": "KandinskyInpaintCombinedPipeline",
    "KandinskyV22Pipeline": "KandinskyV22CombinedPipeline",
    "KandinskyV22Img2ImgPipeline": "KandinskyV22Img2ImgCombinedPipeline",
    "KandinskyV22InpaintPipeline": "KandinskyV22InpaintCombinedPipeline",
    "StableCascadeDecoderPipeline": "StableCascadeCombinedPipeline",
    "WuerstchenDecoderPipeline": "WuerstchenCombinedPipeline",
}


def check_makes_pictures(pipeline_class: str) -> None:
    """Raise AigcError for a prior, which has nothing to show."""
    if pipeline_class in PRIORS:
        raise AigcError(
            f"Expected a model that makes pictures, video or sound, got {pipeline_class}: it only makes embeddings, from "
            f"which another pipeline makes the picture. {_instead(PRIORS[pipeline_class])}"
        )


def no_embeddings(pipeline_class: str, missing: str) -> AigcError:
    """What to raise for a decoder that was given no embeddings under the name `missing`."""
    return AigcError(
        f"Expected {missing} for {pipeline_class}, got none: it paints what a prior, a pipeline of its own, has made of the "
        f"prompt. {_instead(DECODERS.get(pipeline_class, ''))}"
    )


def _instead(combined: str) -> str:
    return f"Use a folder of {combined}, which holds both." if combined else "Use a model that holds both."
