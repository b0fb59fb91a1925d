"""Walks: the frames of a clip between prompts, or between seeds, by a model of pictures."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_CONDITIONING, AIGC_MODEL

FRAMES = "How many frames the whole walk has; as many for each leg."
LOOP = (
    "Go back to the first at the end, so that the clip can repeat without a jump. Off: the last frame is the last one."
)
AT_ONCE = "How many frames are sampled and decoded together. Less takes less memory."


def numbers(text: str) -> list[int]:
    """Whole numbers between commas. Raises AigcError for anything else."""
    from ..pipelines.errors import AigcError

    try:
        return [int(part) for part in text.replace("，", ",").split(",") if part.strip()]
    except ValueError as error:
        raise AigcError(
            f"Expected whole numbers such as 0, 1, 2, got '{text}': write them so, with commas between."
        ) from error


class WalkPrompts(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_WalkPrompts",
            display_name="Walk Prompts",
            category="AIGC/video",
            description="Goes from prompt to prompt in a clip's number of frames, by what lies between their encodings. That is "
            "interpolation: pictures that turn into one another, not motion.",
            search_aliases=["interpolation", "morph", "prompt travel", "latent walk", "slerp", "video", "loop"],
            inputs=[
                inp(
                    AIGC_CONDITIONING.Input, "conditioning",
                    tooltip="Two prompts or more in their order: Encode Prompt with one_per_line.",
                ),
                inp(io.Int.Input, "frames", default=36, min=2, max=100000, tooltip=FRAMES),
                inp(io.Boolean.Input, "loop", default=True, tooltip=LOOP),
                inp(
                    io.Float.Input, "middle", default=2.0, min=1.0, max=10.0, step=0.1,
                    tooltip="How much slower to go half-way between two prompts, where pictures change most. 1: one speed.",
                ),
                inp(
                    io.Combo.Input, "method", options=list(menus.WAYS), default=menus.WAYS[0],
                    tooltip="straight: the mean of both encodings half-way. sphere: around, so that each token keeps its length.",
                ),
                inp(io.Int.Input, "at_once", default=8, min=1, max=1024, tooltip=AT_ONCE),
            ],
            outputs=[
                AIGC_CONDITIONING.Output(
                    "out_conditioning", display_name="conditioning",
                    tooltip="A conditioning a frame, for Sample with latents of batch 1; all frames begin with the same noise.",
                )
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, conditioning: Any, frames: int, loop: bool, middle: float, method: str, at_once: int
    ) -> io.NodeOutput:
        from ..pipelines import stages

        walked = stages.walk_prompts(
            conditioning, frames=frames, loop=loop, middle=middle, method=method, at_once=at_once
        )
        return io.NodeOutput(walked)


class WalkLatents(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_WalkLatents",
            display_name="Walk Latents",
            category="AIGC/video",
            description="Goes from seed to seed in a clip's number of frames: every frame is sampled from noise between theirs. "
            "That is interpolation, not motion.",
            search_aliases=["interpolation", "morph", "seed travel", "latent walk", "slerp", "noise", "video", "loop"],
            inputs=[
                inp(AIGC_MODEL.Input, "model", tooltip="The model that the latents are for, one of pictures or sound."),
                inp(
                    io.Latent.Input, "latents",
                    tooltip="Empty Latents with batch_size 1, or a picture; with one row a key, these are walked between as well.",
                ),
                inp(
                    io.String.Input, "keys", default="0, 1, 2",
                    tooltip="Which noises, in their order: 0 is that of Sample's seed, 1 that of seed + 1, as in a batch. One "
                    "number: every frame has that noise.",
                ),
                inp(io.Int.Input, "frames", default=36, min=2, max=100000, tooltip=FRAMES),
                inp(io.Boolean.Input, "loop", default=True, tooltip=LOOP),
                inp(io.Int.Input, "at_once", default=8, min=1, max=1024, tooltip=AT_ONCE),
            ],
            outputs=[
                io.Latent.Output(
                    "out_latents", display_name="latents", tooltip="A latent a frame, for Sample; its scheduler may draw no noise."
                )
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model: Any, latents: dict[str, Any], keys: str, frames: int, loop: bool, at_once: int
    ) -> io.NodeOutput:
        from ..pipelines import stages

        walked = stages.walk_latents(
            model, latents, numbers(keys), frames=frames, loop=loop, at_once=at_once, runtime=_host.runtime()
        )
        return io.NodeOutput(walked)
