"""From a dataset, a design and an autoencoder to a trained text-to-image model, saved as a whole diffusers folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from .. import loading
from ..data import batches
from ..errors import AigcError
from ..payloads import Dataset, Design, Discriminator, Item, Model, Run
from ..runtime import Runtime
from . import autoencoders, checkpoint, denoisers, making, run, tokenizing
from .diffusion import DiffusionObjective, Encoded, Settings
from .gan import kid_distance
from .objective import Course

FOLDER, PARTS = "model", "parts"  # what is exported; what a run keeps: its autoencoder and tokenizer
KEPT_BYTES = 1 << 30  # latents beyond this are encoded as they are shown
MOST_EXAMINED = 128
APART = ","  # between the names of a class


@dataclass(frozen=True)
class MadeModel:
    """model: a diffusers folder, with the weights that examined best. sitting: the run, as it ended."""

    model: Model
    sitting: run.Sitting


def autoencoder_of(made: Run | None, otherwise: Path) -> Path:
    """The folder of a VAE's run, or another. Raises AigcError for a run of something else, or one that saved none yet."""
    if made is None:
        return otherwise
    folder = made.folder / autoencoders.FOLDER
    if made.design.purpose != "vae" or not folder.is_dir():
        raise AigcError(
            f"Expected the run of a VAE that has saved one, got {made.folder.name} ({made.design.purpose}): connect Train VAE."
        )
    return folder


def fingerprint(folder: Path) -> str:
    """Of an autoencoder's weights and config: a run goes on with the same one only."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("*")):
        if path.suffix in (".safetensors", ".json"):
            found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()[:16]


def numbers(names: Sequence[str]) -> tuple[tuple[int, ...], list[list[int]]]:
    """How many there are to name in each place, and the number of each item's: "cat, blue" is two names, one a place.

    A name with fewer places than others has nothing in the rest, which is a name too.
    """
    split = [[part.strip() for part in name.split(APART)] for name in names]
    places = max(map(len, split), default=1)
    split = [[*parts, *[""] * (places - len(parts))] for parts in split]
    known = [{part: number for number, part in enumerate(dict.fromkeys(column))} for column in zip(*split)]
    return tuple(map(len, known)), [[one[part] for one, part in zip(known, parts)] for parts in split]


def to_name(dataset: Dataset) -> tuple[tuple[int, ...], list[list[int]]]:
    """`numbers` of the labels, which may be named apart, or else of the distinct captions, which are not."""
    if dataset.labels:
        return numbers([dataset.labels[item.label] if item.label >= 0 else "" for item in dataset.items])
    known: dict[str, int] = {}
    found = [[known.setdefault(item.caption, len(known))] for item in dataset.items]
    return (len(known),), found


class Latents:
    """Batch k of latents. Of a set that fits they are encoded once and kept, mirrored ones beside them."""

    def __init__(
        self,
        dataset: Dataset,
        seed: int,
        size: int,
        view: batches.View,
        vae: Any,
        runtime: Runtime,
        number: Sequence[Sequence[int]],
    ) -> None:
        self.dataset, self.seed, self.size, self.view = dataset, seed, size, view
        self.vae, self.runtime, self.number = vae, runtime, list(number)
        self.ahead: making.Ahead | None = None
        self.kept = self._kept()
        if self.kept is None:
            self.ahead = making.Ahead(dataset, seed, size, view)

    def encoded(self, pixels: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            found = autoencoders.encoded(self.vae, pixels.to(self.runtime.device))
        return (found * self.vae.config.scaling_factor).float().cpu()

    def _kept(self) -> torch.Tensor | None:
        """[N, 1 or 2, C, H, W]: of each picture, and of it mirrored."""
        assert self.view.size is not None
        width, height = (side // autoencoders.factor_of(self.vae) for side in self.view.size)
        ways = 2 if self.view.mirror else 1
        bytes_each = 4 * ways * width * height * int(self.vae.config.latent_channels)
        if len(self.dataset.items) * bytes_each > KEPT_BYTES:
            return None
        parts = []
        for start in range(0, len(self.dataset.items), 32):
            self.runtime.check_interrupt()
            x = in_order(self.dataset, start, 32, self.view)
            parts.append(torch.stack([self.encoded(x), self.encoded(x.flip(-1))][:ways], 1))
        return torch.cat(parts)

    def __call__(self, k: int) -> Encoded:
        places = batches.indices(self.dataset, self.seed, k, self.size, self.view)
        captions = tuple(self.dataset.items[place].caption for place in places)
        number = torch.tensor([self.number[place] for place in places])
        if self.ahead is not None:
            return Encoded(self.encoded(self.ahead(k).pixels), captions, number)
        assert self.kept is not None
        rng = torch.Generator().manual_seed(run.mixed(self.seed + 1, k))
        way = torch.randint(self.kept.shape[1], (len(places),), generator=rng)
        return Encoded(self.kept[torch.tensor(places), way], captions, number)

    def close(self) -> None:
        if self.ahead is not None:
            self.ahead.close()


def in_order(dataset: Dataset, start: int, count: int, view: batches.View) -> torch.Tensor:
    """Pictures start to start + count [N, 3, H, W] in -1..1, as they are listed."""
    some = replace(dataset, items=dataset.items[start : start + count])
    order = batches.indices(some, 0, 0, len(some.items), view)
    pixels = batches.batch(some, 0, 0, len(some.items), replace(view, mirror=False)).pixels
    return pixels[torch.tensor(order).argsort()]


def train_diffusion(
    dataset: Dataset,
    design: Design,
    settings: Settings,
    course: Course,
    folder: Path,
    *,
    autoencoder: Path,
    mirror: bool = False,
    held_out: float = making.HELD_OUT,
    judge: Discriminator | None = None,
    runtime: Runtime,
    on_step: run.OnStep | None = None,
    stops: tuple[type[BaseException], ...] = (KeyboardInterrupt,),
) -> MadeModel:
    """Train a model in a run's folder, or go on with it, and save it there as `model`; the run keeps the autoencoder.

    held_out: the share of the pictures that is kept to examine with; 0 trains on all and examines with some of them.
    A stop keeps everything and still returns it. Raises AigcError as `run.train` does, for too few pictures, and for captions or
    an autoencoder that do not fit.
    """
    with torch.inference_mode(False), torch.enable_grad(), making.examined_by(judge, runtime) as points:
        train, held = making.split(dataset, course.seed, held_out)
        classes, number = to_name(train)
        checked(train, settings, max(classes))
        vae = autoencoders.load(autoencoder).to(runtime.device)
        design = fitted(design, vae)
        objectives = denoisers.KINDS[design.kind].objectives
        if settings.objective not in objectives:
            raise AigcError(
                f"Expected an objective of {', '.join(objectives)} for {design.kind}, got '{settings.objective}': change it."
            )
        about = {"settings": settings.known(), "mirror": mirror, "pictures": len(train.items)}
        about |= {"judge": judge.spec.id if judge else "", "autoencoder": fingerprint(autoencoder)}
        about |= {} if held_out == making.HELD_OUT else {"held_out": held_out}
        tokenizer = prepared(folder, autoencoder, train, design, settings)
        side = int(design.options["resolution"])
        view = batches.View((side, side), mirror=mirror)
        feed = Latents(train, course.seed, course.batch, view, vae, runtime, number)
        try:
            objective = _objective(held, train, design, settings, course, classes, tokenizer, feed, points)
            sitting = run.train(objective, feed, course, folder, design, about=about, on_step=on_step, stops=stops)
        finally:
            feed.close()
        return MadeModel(_saved(sitting, objective), sitting)


def _objective(
    held: Dataset,
    train: Dataset,
    design: Design,
    settings: Settings,
    course: Course,
    classes: tuple[int, ...],
    tokenizer: Any,
    feed: Latents,
    points: Any,
) -> DiffusionObjective:
    few = replace(held, items=held.items[:MOST_EXAMINED])
    real = in_order(few, 0, MOST_EXAMINED, feed.view)
    captions = tuple(item.caption for item in few.items)
    latents = torch.cat([feed.encoded(x) for x in real.split(32)])
    vae = feed.vae

    def pipeline(denoiser: Any, text: Any) -> Any:
        return assembled(design.kind, denoiser, text, tokenizer, vae, settings)

    return DiffusionObjective(
        *denoisers.build(design, tokenizer, seed=course.seed),
        tokenizer,
        settings,
        classes=classes,
        held_out=Encoded(latents, captions, torch.zeros(len(captions), 1, dtype=torch.long)),
        distance=kid_distance([((x + 1) / 2) for x in real.split(32)], points),
        prompts=_first(train.items[:: max(1, len(train.items) // 64)], settings.separator),
        held_prompts=_first(few.items, settings.separator),
        pipeline=pipeline,
        kind=denoisers.KINDS[design.kind],
        device=feed.runtime.device,
        check=feed.runtime.check_interrupt,
    )


def _first(items: Sequence[Item], separator: str) -> list[str]:
    """The first caption of each picture."""
    return [(item.caption.split(separator)[0] if separator else item.caption).strip() for item in items]


def checked(dataset: Dataset, settings: Settings, classes: int) -> None:
    """Raises AigcError for pictures without captions, or too many of them to name."""
    bare = sum(not item.caption.strip() for item in dataset.items)
    if bare == len(dataset.items):
        raise AigcError(
            "Expected pictures with captions, got none that has one: put Caption Images before the training."
        )
    if settings.naming and classes > 100_000:
        raise AigcError(
            f"Expected 100,000 different captions at most to name, got {classes}: set the steps of naming to 0."
        )


def fitted(design: Design, vae: Any) -> Design:
    """The design, complete, for an autoencoder's latents. Raises AigcError when they do not fit."""
    known = denoisers.options(design)
    factor, halvings = autoencoders.factor_of(vae), 2 ** (len(known["widths"]) - 1)
    side = int(known["resolution"]) // factor
    if int(known["resolution"]) % (factor * halvings):
        raise AigcError(
            f"Expected a resolution that {factor * halvings} divides ({factor} pixels a latent, {len(known['widths'])} levels), "
            f"got {known['resolution']}: change the resolution or the widths."
        )
    known |= {"latent_channels": int(vae.config.latent_channels), "latent_side": side}
    return replace(design, options=known)


def prepared(folder: Path, autoencoder: Path, dataset: Dataset, design: Design, settings: Settings) -> Any:
    """The tokenizer; it and the autoencoder are put into the run's folder once, so that the run needs nothing else."""
    from transformers import PreTrainedTokenizerFast

    parts, options = folder / PARTS, design.options
    if not (folder / run.LAST).exists():
        shutil.rmtree(parts, ignore_errors=True)
        shutil.copytree(autoencoder, parts / "vae", ignore=shutil.ignore_patterns(".*", "*.md"))
        separator = settings.separator or "\n"
        lines = [part.strip() for item in dataset.items for part in item.caption.split(separator)]
        tokenizing.train_tokenizer(
            lines, parts / "tokenizer", vocabulary=int(options["vocabulary"]), length=denoisers.length_of(design)
        )
    return PreTrainedTokenizerFast.from_pretrained(str(parts / "tokenizer"))


def assembled(kind: str, denoiser: Any, text: Any, tokenizer: Any, vae: Any, settings: Settings) -> Any:
    """The plain pipeline around the parts as they are."""
    import diffusers

    known = denoisers.KINDS[kind]
    parts: dict[str, Any] = {"vae": vae, "text_encoder": text, "tokenizer": tokenizer, known.part: denoiser}
    parts["scheduler"] = denoisers.scheduler(settings.objective, settings.shift, kind)
    if kind == "unet":
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipe = getattr(diffusers, known.pipeline)(**parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def go_on(about: dict[str, Any], course: Course, folder: Path, dataset: Dataset, **host: Any) -> MadeModel:
    """The model in `folder` further, with its own autoencoder."""
    known, design = about["about"], Design(**about["design"])
    settings, vae = Settings(**known["settings"]), folder / PARTS / "vae"
    host |= {"mirror": known["mirror"], "held_out": known.get("held_out", making.HELD_OUT)}
    return train_diffusion(dataset, design, settings, course, folder, autoencoder=vae, **host)


def _saved(sitting: run.Sitting, objective: DiffusionObjective) -> Model:
    parts, s, kind = sitting.folder / PARTS, objective.settings, sitting.design.kind

    def rest(folder: Path) -> None:
        for name in ("vae", "tokenizer"):
            shutil.copytree(parts / name, folder / name)
        (folder / "model_index.json").write_text(json.dumps(index(kind, parts / "vae"), indent=2) + "\n")

    with checkpoint.best(sitting.folder / run.BEST, {"average": objective.average}):
        made = {objective.kind.part: objective.average.denoiser, "text_encoder": objective.average.text}
        made["scheduler"] = denoisers.scheduler(s.objective, s.shift, kind)
        folder = autoencoders.save(sitting.folder / FOLDER, made, rest)
    return loading.open_model(str(folder.resolve()), roots=loading.Roots())


def index(kind: str, vae: Path) -> dict[str, Any]:
    """model_index.json. The tokenizer's class is named as both transformers 4 and 5 export it."""
    known = denoisers.KINDS[kind]
    found: dict[str, Any] = {
        "_class_name": known.pipeline,
        "_diffusers_version": "0.35.0",
        "scheduler": ["diffusers", type(denoisers.scheduler("flow", 1.0, kind)).__name__],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        known.part: ["diffusers", known.network],
        "vae": ["diffusers", json.loads((vae / "config.json").read_text("utf-8"))["_class_name"]],
    }
    if kind == "unet":
        nothing = [None, None]
        found |= {"feature_extractor": nothing, "image_encoder": nothing, "safety_checker": nothing}
        found["requires_safety_checker"] = False
    return found


def figures(made: MadeModel) -> Iterator[str]:
    """What the examinations say, a line each."""
    rows = [row for row in made.sitting.log.rows if "examined" in row]
    whose = "held-out" if run.about(made.sitting.folder)["about"].get("held_out", 1) else "trained pictures'"
    for name in ("denoising loss", "KID"):
        found = [(row["step"], row["examined"][name]) for row in rows if name in row["examined"]]
        if found:
            (first, begun), (last, now) = found[0], found[-1]
            yield f"{whose} {name} {begun:.4g} at step {first}, {now:.4g} at step {last}; lower is better"
