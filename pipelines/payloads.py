"""The frozen dataclasses that travel on our sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .walks import Walk


@dataclass(frozen=True)
class Lora:
    """One LoRA file and its strength (any real number; 0 is off). blocks: further factors by block, e.g. ("up.1", 0.5)."""

    path: Path
    strength: float = 1.0
    blocks: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class PartFile:
    """A part whose weights are read from a .safetensors file of their own, e.g. ("vae", ae.safetensors)."""

    name: str
    path: Path


@dataclass(frozen=True)
class Model:
    """AIGC_MODEL: where a model is and how to run it. Holds no weights: stages load what they need.

    path: a diffusers folder or a single .safetensors checkpoint.
    config: the diffusers folder that has model_index.json and the configs; equal to `path` for a folder.
    pipeline_class: the diffusers class of model_index.json, e.g. "StableDiffusionPipeline".
    dtype: "auto" (the device's best), "float32", "bfloat16" or "float16".
    offload: "auto", "keep" (stages stay loaded) or "stage" (a stage's weights leave when the next stage starts).
    parts: files that replace parts of the model; of two for the same part the last one counts.
    source, revision, licence: where it came from, as far as known; "" when unknown.
    """

    path: Path
    config: Path
    pipeline_class: str
    dtype: str = "auto"
    offload: str = "auto"
    loras: tuple[Lora, ...] = ()
    parts: tuple[PartFile, ...] = ()
    source: str = ""
    revision: str = ""
    licence: str = ""

    @property
    def single_file(self) -> bool:
        return self.path.is_file()

    def with_lora(self, lora: Lora) -> Model:
        """A copy of this model with one LoRA more; the original stays as it was."""
        return replace(self, loras=(*self.loras, lora))

    def with_part(self, part: PartFile) -> Model:
        """A copy of this model with one part read from another file; the original stays as it was."""
        return replace(self, parts=(*self.parts, part))


@dataclass(frozen=True)
class Recorded:
    """One recorded call of a pipeline method: its name, the prompt it was asked for, what it returned, and for which size."""

    method: str
    prompt: Any
    result: Any
    size: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Control:
    """A control net, or a T2I-Adapter, and the picture that it follows.

    path: a diffusers folder or a .safetensors file. image: [B, H, W, C] in 0..1; one picture, or one a row of the batch.
    strength: any real number of 0 or more; 0 is off. start, end: the part of the steps in which it acts, in 0..1.
    mode: the number of the kind of picture for control nets of many kinds; -1 for control nets of one kind.
    """

    path: Path
    image: Any
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mode: int = -1


@dataclass(frozen=True)
class Reference:
    """An IP-Adapter and the picture whose content or style it takes over.

    path: the adapter's .safetensors file. picture: a PIL image. strength: 0 is off, 1 as trained.
    seen: what the model's `encode_image` made of the picture, and under "black" of a black one, by its last argument.
    """

    path: Path
    picture: Any
    strength: float
    seen: Mapping[tuple[str, bool | None], Any]


@dataclass(frozen=True)
class Conditioning:
    """AIGC_CONDITIONING: what a pipeline's own encoders returned, ready to be replayed by the sampler.

    pipeline_class: the class that recorded it; a sampler of another class refuses it.
    calls: every recorded encoder call in order (`encode_prompt` may be called two or three times).
    prompts, negative_prompts: one entry a picture; equal length.
    guided: whether negative encodings were made, so that guidance can be used.
    arguments: further call arguments that the encoding used (images, their size), replayed by the sampler.
    controls: control nets and their pictures, at work together. references: IP-Adapters and theirs.
    walk: of a walk between prompts, whose calls hold what no encoder returned; None otherwise.
    """

    pipeline_class: str
    calls: tuple[Recorded, ...]
    prompts: tuple[str, ...]
    negative_prompts: tuple[str, ...]
    guided: bool
    arguments: Mapping[str, Any] = field(default_factory=dict)
    controls: tuple[Control, ...] = ()
    references: tuple[Reference, ...] = ()
    walk: Walk | None = None

    def with_control(self, control: Control) -> Conditioning:
        """A copy with one control more; the original stays as it was."""
        return replace(self, controls=(*self.controls, control))

    def with_reference(self, reference: Reference) -> Conditioning:
        """A copy with one reference more; the original stays as it was."""
        return replace(self, references=(*self.references, reference))


@dataclass(frozen=True)
class Trace:
    """What the sampler knows and the decoder needs beside the LATENT itself; rides in the LATENT dict under "aigc".

    samples: the LATENT tensor this trace belongs to; a decoder uses `raw` only while the LATENT is unchanged.
    raw: the tensor(s) that the pipeline handed to `vae.decode`, and the call's other arguments.
    sound: latents of the sound that was made along with a video, a row each, as their own decoder takes them.
    """

    pipeline_class: str
    samples: Any
    raw: Any = None
    decode_arguments: tuple[tuple[Any, ...], Mapping[str, Any]] = field(default_factory=lambda: ((), {}))
    arguments: Mapping[str, Any] = field(default_factory=dict)
    conditioning: Conditioning | None = None
    sound: Any = None


@dataclass(frozen=True)
class JudgeSpec:
    """What a judge is and can do; checked before anything runs.

    modality: "image", "latent", "video" or "audio". space: what it takes: "rgb01" (pictures [B, 3, H, W] in 0..1),
    "latent:<name>" (latents [B, C, H, W] in a model's denoiser space) or "wav@<rate>".
    unit: of the raw value. classes: how many it tells apart, 0 for none.
    sigma_range: the noise it can judge, as sigma of x0 + sigma eps; None: clean ones only.
    auc: (sigma, held-out AUC) pairs of its training. scale, shift: a LATENT z is (z - shift) * scale in the denoiser's space,
    one value or one a channel. note: what a user should know.
    """

    id: str
    version: str = "1"
    licence: str = ""
    modality: str = "image"
    space: str = "rgb01"
    unit: str = "logit"
    needs_prompt: bool = False
    needs_reference: bool = False
    differentiable: bool = True
    sigma_range: tuple[float, float] | None = None
    auc: tuple[tuple[float, float], ...] = ()
    classes: int = 0
    scale: float | tuple[float, ...] = 1.0
    shift: float | tuple[float, ...] = 0.0
    note: str = ""


@dataclass(frozen=True)
class Discriminator:
    """AIGC_DISCRIMINATOR: a judge that is not open yet; holds no weights.

    kind: the row of `score.judges` that opens it. path: its weights, where it has a file.
    calibration: (a, b), so that sigmoid(a score + b) is the probability of "real"; None when not calibrated.
    real: scores of real ones at evenly spaced shares, for percentiles.
    parts, prior: for a combination: judges and their weights, and the logit before anything is seen.
    files: what a judge from a hub needs beside its weights, e.g. ("tokenizer", .../vocab.json).
    """

    spec: JudgeSpec
    kind: str
    path: Path | None = None
    calibration: tuple[float, float] | None = None
    real: tuple[float, ...] = ()
    parts: tuple[tuple[Discriminator, float], ...] = ()
    prior: float = 0.0
    files: tuple[tuple[str, Path], ...] = ()

    @property
    def calibrated(self) -> bool:
        return self.calibration is not None


@dataclass(frozen=True)
class Guide:
    """A judge that steers a sampler, and how strongly: any real number; 0 is off, 1 as the theory has it."""

    discriminator: Discriminator
    weight: float = 1.0


@dataclass(frozen=True)
class Scores:
    """AIGC_SCORES: one score an item, higher is better; rides beside IMAGE, LATENT, MASK or AUDIO in the same order.

    raw: the same in the judge's unit. probability: of "real", if the judge is calibrated. percentile: 0..100 among real ones.
    prompts, seeds: of the items, "" and -1 where unknown. version: of the judge. files: that the items came from, if any.
    """

    judge: str
    values: tuple[float, ...]
    raw: tuple[float, ...] = ()
    unit: str = "logit"
    probability: tuple[float, ...] | None = None
    percentile: tuple[float, ...] | None = None
    licence: str = ""
    note: str = ""
    prompts: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    version: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """One picture of a dataset; its pixels stay where they are.

    path: a picture, a zip or a video. member: the picture's name inside a zip. frame: its number in a video, else -1.
    width, height: upright, in pixels. caption: "" when there is none. bucket: (width, height) that it is trained at, if
    that was chosen. label: its class, -1 for none.
    """

    path: Path
    width: int
    height: int
    member: str = ""
    frame: int = -1
    caption: str = ""
    bucket: tuple[int, int] | None = None
    label: int = -1

    @property
    def name(self) -> str:
        """What a report calls it."""
        inside = self.member or (f"frame {self.frame}" if self.frame >= 0 else "")
        return f"{self.path.name}/{inside}" if inside else self.path.name

    @property
    def short_name(self) -> str:
        """The same for where there is little room: without the zip and its folders."""
        return self.member.rpartition("/")[2] or self.name


@dataclass(frozen=True)
class Rejected:
    """A picture that was left out of a dataset, and why; the file itself is untouched."""

    item: Item
    reason: str


@dataclass(frozen=True)
class Dataset:
    """AIGC_DATASET: which pictures, with which captions and sizes. labels: the names of the classes, by `Item.label`."""

    items: tuple[Item, ...]
    rejected: tuple[Rejected, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Design:
    """AIGC_DESIGN: networks that are not built yet.

    purpose: "gan", "vae", "diffusion" or "lora" (fine-tuning). kind: a row of the table of that purpose, e.g. "stylegan2"; the
    pipeline's class for "lora".
    options: the arguments of its classes, in JSON's types, so that a checkpoint can name them.
    """

    purpose: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Gan:
    """AIGC_GAN: a generator, and its discriminator when the file has one; holds no weights.

    path: a .safetensors file of ours, or a foreign file that `gan.files` reads. kind, options: as in a Design.
    parts: the networks in it, of "generator", "average" (the generator's moving average) and "discriminator".
    """

    path: Path
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[str, ...] = ("generator",)
    licence: str = ""


@dataclass(frozen=True)
class Style:
    """AIGC_STYLE: what a generator makes pictures from, one row a picture.

    z: noise [B, z_dim]. w: [B, layers, w_dim] once mapped; None before, and for generators without a mapping network.
    labels: [B] classes, -1 for none. seeds: -1 where unknown.
    """

    z: Any
    w: Any = None
    labels: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Run:
    """AIGC_RUN: a training that can be resumed. folder: metrics.jsonl, checkpoints and what it made.

    design: of what is trained. step: how far it is. best: the step that examined best on held-out data, -1 before.
    """

    folder: Path
    design: Design
    step: int = 0
    best: int = -1
