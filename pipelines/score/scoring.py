"""Scores of pictures, latents and sounds: any number of them, none included, in the host's own formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..errors import AigcError
from ..media.resampling import resampled
from ..payloads import Discriminator, JudgeSpec, Scores
from ..runtime import Runtime
from .frames import over_frames
from .judge import Beside
from .judges import judging

WHAT = {"image": "pictures", "latent": "latents", "video": "frames of a video", "audio": "sound"}


def modality_of(given: Any) -> str:
    """ "image" for an IMAGE or frames, "latent" for a LATENT, "audio" for an AUDIO."""
    if isinstance(given, Mapping):
        return "audio" if "waveform" in given else "latent"
    return "image"


def wanted(spec: JudgeSpec, *, image: Any = None, latent: Any = None, audio: Any = None, video: Any = None) -> Any:
    """Of what is connected, what this judge takes. video: the host's parts of a VIDEO, with `images` and `audio`.

    Raises AigcError when it is not there, or there twice.
    """
    frames, track = (None, None) if video is None else (video.images, video.audio)
    pictures, sound = [x for x in (image, frames) if x is not None], [x for x in (audio, track) if x is not None]
    given = {"image": pictures, "video": pictures, "latent": [latent] if latent is not None else [], "audio": sound}
    found = given[spec.modality]
    if not found:
        came = [WHAT[kind] for kind, values in given.items() if values and kind != "video"]
        raise AigcError(
            f"Expected {WHAT[spec.modality]} for {spec.id}, got {' and '.join(came) or 'nothing'}: connect them, or load a judge "
            "of what you have."
        )
    if len(found) > 1:
        raise AigcError(f"Expected {WHAT[spec.modality]} once, got them and a video: connect one of both.")
    return found[0]


def in_space(spec: JudgeSpec, given: Any) -> torch.Tensor:
    """IMAGE [B, H, W, C] -> [B, 3, H, W]; LATENT -> [B, C, H, W] in the judge's denoiser space; AUDIO -> [B, T] at its rate.

    Raises AigcError when the judge takes another kind.
    """
    came = modality_of(given)
    if came != spec.modality and not (came == "image" and spec.modality == "video"):
        remedy = {"latent": "decode them first", "image": "encode them first, or take a judge of pictures"}.get(
            came, ""
        )
        raise AigcError(
            f"Expected {WHAT[spec.modality]} for {spec.id}, got {WHAT[came]}: {remedy or 'choose a judge of this kind'}."
        )
    if came == "image":
        return given[..., :3].movedim(-1, 1).float()
    if came == "latent":
        return to_space(spec, given["samples"].float())
    return _mono(given, int(spec.space.partition("@")[2] or given["sample_rate"]))


def to_space(spec: JudgeSpec, samples: torch.Tensor) -> torch.Tensor:
    """A LATENT [B, C, ...] in the denoiser's space."""
    scale, shift = (
        torch.tensor(v, dtype=samples.dtype).reshape(-1, *[1] * (samples.ndim - 2)) for v in (spec.scale, spec.shift)
    )
    return (samples - shift.to(samples)) * scale.to(samples)


def _mono(sound: Mapping[str, Any], rate: int) -> torch.Tensor:
    """[B, T] at `rate`, channels averaged."""
    return resampled(sound["waveform"].float().mean(1), int(sound["sample_rate"]), rate)


def score(
    discriminator: Discriminator,
    given: Any,
    *,
    prompts: Sequence[str] = (),
    reference: Any = None,
    seed: int = -1,
    runtime: Runtime,
) -> Scores:
    """Judge every item of an IMAGE, LATENT or AUDIO; frames are one item to a judge of video.

    prompts: one for all or one each; reference: likewise, same format.
    seed: of the batch, where known: item i was made with seed + its batch_index or i.

    Chunked; the interrupt acts between chunks. Raises AigcError when the judge needs what is not there.
    """
    spec = discriminator.spec
    x = in_space(spec, given)
    whole = spec.modality == "video"
    count = min(1, len(x)) if whole else len(x)
    texts = per_item(spec, prompts, count)
    other = in_space(spec, reference) if reference is not None else None
    if spec.needs_reference and other is None:
        raise AigcError(f"Expected a reference for {spec.id}, got none: connect one.")
    if other is not None and not whole and len(other) not in (1, len(x)):
        raise AigcError(
            f"Expected one reference or one an item ({len(x)}), got {len(other)}: connect one picture, or as many as are judged."
        )
    values, raw = [torch.zeros(0)], [torch.zeros(0)]
    with judging(discriminator, runtime) as judge, torch.no_grad():
        for start in range(0, len(x), max(1, len(x)) if whole else judge.chunk):
            runtime.check_interrupt()
            rows = slice(start, len(x) if whole else start + judge.chunk)
            ref = other if other is None or whole or len(other) == 1 else other[rows]
            # A video stays where it is: its judges take what they need of it.
            device = x.device if whole else runtime.device
            beside = Beside(None, texts[rows], None if ref is None else ref.to(device), runtime.check_interrupt)
            found = judge.judged(x[rows].to(device), beside)
            raw.append(judge.raw(found).float().cpu())
            values.append(found.float().cpu())
    return summed_up(discriminator, torch.cat(values), torch.cat(raw), texts, _seeds(seed, given, count))


def score_any(
    discriminator: Discriminator,
    *,
    image: Any = None,
    latents: Any = None,
    audio: Any = None,
    video: Any = None,
    frames: str = "each",
    prompt: str = "",
    reference: Any = None,
    seed: int = -1,
    runtime: Runtime,
) -> Scores:
    """`score` of what is connected and the judge takes, as in `wanted`; frames: "mean" or "worst" make one score of all pictures.

    prompt: one line for all or one each. Raises AigcError when what came does not fit.
    """
    judge = discriminator if frames == "each" else over_frames(discriminator, frames)
    given = wanted(judge.spec, image=image, latent=latents, audio=audio, video=video)
    return score(judge, given, prompts=lines(prompt), reference=reference, seed=seed, runtime=runtime)


def _seeds(seed: int, given: Any, count: int) -> list[int]:
    places = list(given.get("batch_index") or range(count)) if isinstance(given, Mapping) else list(range(count))
    return [(seed + place) % 2**64 if seed >= 0 else -1 for place in places]


def lines(text: str) -> list[str]:
    """The lines of a prompt box that say something."""
    return [line for line in text.splitlines() if line.strip()]


def per_item(spec: JudgeSpec, prompts: Sequence[str], count: int) -> list[str]:
    """One prompt an item. Raises AigcError when their number fits neither one nor all, or one is needed."""
    if spec.needs_prompt and not prompts:
        raise AigcError(
            f"Expected a prompt for {spec.id}, which judges {WHAT[spec.modality]} against their prompt, got none: fill in prompt."
        )
    if len(prompts) not in (0, 1, count) and count:
        raise AigcError(f"Expected one prompt or one a picture ({count}), got {len(prompts)}: one line a picture.")
    return [prompts[0]] * count if len(prompts) == 1 else list(prompts)


def summed_up(
    discriminator: Discriminator, values: torch.Tensor, raw: torch.Tensor, prompts: Sequence[str], seeds: Sequence[int]
) -> Scores:
    """Scores with what the judge's calibration and its real ones say of them."""
    spec, probability, percentile = discriminator.spec, None, None
    if discriminator.calibration is not None:
        a, b = discriminator.calibration
        probability = tuple(torch.sigmoid(a * values.double() + b).tolist())
    if discriminator.real:
        known = torch.tensor(discriminator.real, dtype=torch.float64)
        place = torch.searchsorted(known, values.double(), right=True).double() / len(known)
        percentile = tuple((100 * place).tolist())
    return Scores(
        judge=spec.id,
        values=tuple(values.double().tolist()),
        raw=tuple(raw.double().tolist()),
        unit=spec.unit,
        probability=probability,
        percentile=percentile,
        licence=spec.licence,
        note=spec.note,
        prompts=tuple(prompts) or ("",) * len(values),
        seeds=tuple(seeds),
        version=spec.version,
    )


def heatmap(discriminator: Discriminator, given: Any, *, prompts: Sequence[str] = (), runtime: Runtime) -> torch.Tensor:
    """Where each item looks good: [B, h, w] in the judge's logits, coarse; its mean is the score for judges of patches."""
    spec = discriminator.spec
    x = in_space(spec, given)
    texts = per_item(spec, prompts, len(x))
    maps: list[torch.Tensor] = []
    with judging(discriminator, runtime) as judge:
        for start in range(0, len(x), judge.chunk):
            runtime.check_interrupt()
            rows = slice(start, start + judge.chunk)
            maps.append(judge.heatmap(x[rows].to(runtime.device), prompts=texts[rows]).float().cpu())
    return torch.cat(maps) if maps else torch.zeros(0, 1, 1)
