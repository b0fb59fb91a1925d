"""The encode stage: run a pipeline up to its denoiser and keep what its encoders returned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from .. import loading
from ..errors import AigcError
from ..loading.halves import no_embeddings
from ..payloads import Conditioning, Model
from ..runtime import Runtime
from . import arguments
from .dispatch import by_kind
from .latents import geometry
from .picture_start import stand_in, wants_start
from .pipe import decoder_name, parts_of, skeleton, stage
from .replay import StageDone, recording, shadowed, stopping_at, without_seeded
from .table import ENLARGES, TEXT_IN_SAMPLER

# What a decoder of embeddings asks for, and a prior makes.
PRIOR_INPUTS = ("image_embeds", "negative_image_embeds", "image_embeddings")
IMAGE_INPUTS = ("image", "images", "reference_images", "video", "control_image")


@by_kind
def encode_prompt(
    model: Model,
    prompts: Sequence[str],
    negative_prompts: Sequence[str] = ("",),
    *,
    guided: bool = True,
    images: torch.Tensor | None = None,
    extra: Mapping[str, Any] | None = None,
    embeddings: Mapping[str, Path] | None = None,
    runtime: Runtime | None = None,
) -> Conditioning:
    """Encode one or several prompts; only the text encoders (and, with images, what encodes those) hold weights.

    prompts: one entry a picture of the batch. negative_prompts: one for all, or one each.
    guided: make what guidance needs (negative encodings); without it the sampler runs at cfg 1.
    images: [B, H, W, C] in 0..1, for families that are conditioned on pictures.
    extra: further arguments of the pipeline's call in its own words (a mask as `mask_image`, a second picture); they are
        given to it in the sampler too. Pictures in it are PIL images or what else the pipeline takes.
    embeddings: files of the words "embedding:name" in the texts, by name (loading.find_embeddings).
    Raises AigcError for counts that do not match, for images on a family that takes none, and for arguments it has not.
    """
    runtime = runtime or Runtime()
    texts, negatives = paired(prompts, negative_prompts)
    check_encodable([*texts, *negatives])
    if not hasattr(loading.pipeline_class(model), "encode_prompt"):
        extra = call_arguments(skeleton(model, runtime), images, extra)
        return Conditioning(model.pipeline_class, (), texts, negatives, guided, extra)
    with ExitStack() as stack:
        pipe = stack.enter_context(stage(model, "text", runtime))
        texts, negatives = stack.enter_context(loading.embeddings_laid(pipe, texts, negatives, embeddings or {}))
        extra = call_arguments(pipe, images, extra)
        decoder = None
        if images is not None or any(map(_is_picture, extra.values())):
            decoder = getattr(stack.enter_context(stage(model, "vae", runtime, alongside="text")), decoder_name(model))
            stack.enter_context(shadowed(pipe, decoder_name(model), decoder))
        else:  # Wan VACE encodes an empty video: left to the sampler, which knows its size
            codecs = [module for part in parts_of(pipe, model, "vae") for module in part.modules()]
            stack.enter_context(stopping_at(codecs))
        cfg = arguments.guidance(pipe, encoding_strength(pipe, guided))
        call = {**arguments.prompts(pipe, texts, negatives, guided), **cfg, **_length(pipe, model, extra), **extra}
        if wants_start(pipe, extra):
            call.update(stand_in(pipe))
        calls = stack.enter_context(recording(pipe, decoder))
        stack.enter_context(stopping_at(parts_of(pipe, model, "denoiser")))
        stack.enter_context(without_seeded(pipe))
        try:
            pipe(**call, generator=torch.Generator("cpu").manual_seed(0))
        except StageDone:
            pass
    if not calls and model.pipeline_class not in TEXT_IN_SAMPLER:
        raise AigcError(
            f"Expected {model.pipeline_class} to encode its prompt before denoising, got no encoding: this family "
            "cannot be staged yet; please report its name."
        )
    return Conditioning(model.pipeline_class, tuple(calls), texts, negatives, guided, extra)


def paired(prompts: Sequence[str], negatives: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    texts, negatives = tuple(prompts), tuple(negatives) or ("",)
    if not texts:
        raise AigcError("Expected at least one prompt, got none: an empty text is a prompt too.")
    if len(negatives) == 1:
        negatives = negatives * len(texts)
    if len(negatives) != len(texts):
        raise AigcError(f"Expected 1 or {len(texts)} negative prompts, got {len(negatives)}: one for all or one each.")
    return texts, negatives


def check_encodable(texts: Sequence[str]) -> None:
    """Raise AigcError for text that no tokenizer can read (half of a surrogate pair)."""
    for text in texts:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise AigcError(
                f"Expected a prompt of whole characters, got half a character at position {error.start}: delete it."
            ) from error


def encoding_strength(pipe: Any, guided: bool) -> float:
    """A guidance strength at which this pipeline does, or does not, encode negatives."""
    if not guided:
        return arguments.without_guidance(pipe)
    default = arguments.accepted(pipe).get("guidance_scale")
    value = default.default if default is not None else None
    return value if isinstance(value, float | int) and value > 1 else 5.0


def call_arguments(pipe: Any, images: torch.Tensor | None, extra: Mapping[str, Any] | None) -> dict[str, Any]:
    """The pictures and further arguments as the pipeline's call takes them."""
    extra, names = dict(extra or {}), arguments.accepted(pipe)
    unknown = sorted(set(extra) - set(names))
    if unknown:
        raise AigcError(
            f"Expected arguments of {type(pipe).__name__}, got {', '.join(unknown)}: it takes {', '.join(names)}."
        )
    missing = [n for n in PRIOR_INPUTS if n in names and names[n].default is names[n].empty and extra.get(n) is None]
    if missing:
        raise no_embeddings(type(pipe).__name__, missing[0])
    given = images is None and any(name in extra for name in IMAGE_INPUTS)
    return {**({} if given else image_arguments(pipe, images)), **extra}


def _length(pipe: Any, model: Model, extra: Mapping[str, Any]) -> dict[str, int]:
    """Two latent frames where the pipeline has no length of its own (LTX2 DFR): the text's encodings are the same for any."""
    name = arguments.frames_name(pipe)
    if name is None or arguments.accepted(pipe)[name].default is not None or any(map(_is_picture, extra.values())):
        return {}
    return {name: geometry(pipe, getattr(pipe, decoder_name(model))).temporal + 1}


def _is_picture(value: Any) -> bool:
    from PIL.Image import Image

    return any(map(_is_picture, value)) if isinstance(value, list | tuple) else isinstance(value, Image | torch.Tensor)


def image_arguments(pipe: Any, images: torch.Tensor | None) -> dict[str, Any]:
    """The pictures under the name this family gives them, with the size that they fix."""
    names = arguments.accepted(pipe)
    name = next((n for n in IMAGE_INPUTS if n in names), None)
    if images is None:
        required = name is not None and names[name].default is names[name].empty
        if required:
            raise AigcError(f"Expected images for {type(pipe).__name__}, got none: connect a picture to Encode Prompt.")
        return {}
    if name is None:
        raise AigcError(f"Expected no images for {type(pipe).__name__}, which takes none: disconnect them.")
    pictures = [to_pil(image) for image in images]
    call: dict[str, Any] = {name: pictures if len(pictures) > 1 else pictures[0]}
    if "height" in names and "width" in names and type(pipe).__name__ not in ENLARGES:
        call.update(height=int(images.shape[1]), width=int(images.shape[2]))
    return call


def to_pil(image: torch.Tensor) -> Any:
    from PIL import Image

    pixels = (image[..., :3].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return Image.fromarray(pixels)
