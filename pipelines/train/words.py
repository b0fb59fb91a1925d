"""What a user sets, as the engine's settings."""

from __future__ import annotations

from typing import Any

from ..payloads import Design
from . import diffusion, lora, making, vae
from .gan import Settings
from .objective import Course

AUGMENT = {
    "adaptive": (("translation", "cutout", "colour"), -1.0),
    "always": (("translation", "cutout"), 1.0),
    "none": ((), 0.0),
}


def of_gan(
    design: Design,
    *,
    steps: int,
    minutes: float,
    batch: int,
    learning_rate: float,
    loss: str,
    penalty: float,
    penalty_every: int,
    augmentation: str,
    mirror: bool,
    examine_every: int,
    training_seed: int,
) -> tuple[Settings, Course, bool]:
    """Settings of the objective, the course of the run, and whether pictures are mirrored."""
    policies, chance = AUGMENT[augmentation]
    settings = Settings(
        loss=loss,
        penalty=penalty or making.penalty_for(int(design.options.get("resolution", 64))),
        penalty_every=penalty_every,
        augment=policies,
        chance=chance,
        rate_generator=learning_rate,
        rate_discriminator=learning_rate,
    )
    course = Course(steps, minutes, batch, training_seed, examine_every=examine_every)
    return settings, course, mirror


def of_lora(
    *,
    rank: int,
    alpha: float,
    steps: int,
    minutes: float,
    batch: int,
    learning_rate: float,
    targets: str,
    caption_dropout: float,
    full: bool,
    min_snr: float,
    levels: str,
    average: int,
    weight_decay: float,
    passes: int,
    checkpointing: bool,
    examine_every: int,
    training_seed: int,
) -> tuple[lora.Settings, Course]:
    """Settings of the objective, and the course of the run."""
    settings = lora.Settings(
        rank=rank,
        alpha=alpha,
        targets=targets,
        full=full,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        caption_dropout=caption_dropout,
        min_snr=min_snr,
        density=levels,
        half_life=float(average),
        accumulate=passes,
        checkpointing=checkpointing,
    )
    return settings, Course(steps, minutes, batch, training_seed, examine_every=examine_every)


def _course(given: dict[str, Any]) -> Course:
    """Takes the course's words out of what is given."""
    names = ("steps", "minutes", "batch", "anneal", "examine_every")
    return Course(seed=given.pop("training_seed"), **{name: given.pop(name) for name in names})


def of_vae(*, learning_rate: float, mirror: bool, **given: Any) -> tuple[vae.Settings, Course, bool]:
    """As `of_gan`; what is left of the words are names of the objective's settings."""
    course = _course(given)
    return vae.Settings(rate=learning_rate, **given), course, mirror


def of_diffusion(
    *, learning_rate: float, mirror: bool, naming_steps: int, half_precision: bool, **given: Any
) -> tuple[diffusion.Settings, Course, bool]:
    """As `of_vae`."""
    course = _course(given)
    settings = diffusion.Settings(rate=learning_rate, naming=naming_steps, bfloat16=half_precision, **given)
    return settings, course, mirror
