"""Prompts to conditioning: what the model's own encoders return, recorded for the sampler."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_CONDITIONING, AIGC_MODEL


def split_prompts(prompt: str, negative_prompt: str, one_per_line: bool) -> tuple[list[str], list[str]]:
    """The prompts of a batch and their negatives: equal in number, a single negative serving every prompt."""
    if not one_per_line:
        return [prompt], [negative_prompt]
    prompts = [line.strip() for line in prompt.splitlines() if line.strip()] or [""]
    negatives = [line.strip() for line in negative_prompt.splitlines() if line.strip()] or [""]
    return prompts, negatives * len(prompts) if len(negatives) == 1 else negatives


class EncodePrompt(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_EncodePrompt",
            display_name="Encode Prompt",
            category="AIGC/condition",
            description="Turns text (and a picture, for models that want one) into conditioning, with the "
            "model's own encoders. Only those are loaded.",
            search_aliases=["text encode", "clip", "positive", "negative"],
            inputs=[
                inp(AIGC_MODEL.Input, "model", tooltip="The model whose encoders read the prompt."),
                inp(
                    io.String.Input,
                    "prompt",
                    multiline=True,
                    dynamic_prompts=True,
                    default="a red heart",
                    tooltip="What to make. {red|blue} picks one of the words at random for each run; embedding:name takes a "
                    "textual inversion from models/embeddings.",
                ),
                inp(
                    io.String.Input,
                    "negative_prompt",
                    multiline=True,
                    default="",
                    tooltip="What to keep away from. Only used when guided is on. Takes embedding:name as well.",
                ),
                inp(
                    io.Boolean.Input,
                    "guided",
                    default=True,
                    tooltip="Also encode the negative prompt, so that the sampler can use cfg. Turn it off "
                    "for distilled models that run without guidance.",
                ),
                inp(
                    io.Boolean.Input,
                    "one_per_line",
                    default=False,
                    tooltip="Read each line as a prompt of its own; all of them are made in one batch.",
                ),
                inp(
                    io.Image.Input,
                    "images",
                    optional=True,
                    tooltip="The picture for models that start from one, such as image-to-video or editing models.",
                ),
            ],
            outputs=[
                AIGC_CONDITIONING.Output(
                    "out_conditioning", display_name="conditioning", tooltip="The encoded prompt, for Sample."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        prompt: str,
        negative_prompt: str,
        guided: bool,
        one_per_line: bool,
        images: Any = None,
    ) -> io.NodeOutput:
        from ..pipelines import loading, stages

        prompts, negatives = split_prompts(prompt, negative_prompt, one_per_line)
        words = loading.find_embeddings(model, [*prompts, *negatives], roots=_host.roots())
        more = {"embeddings": words} if words else {}
        return io.NodeOutput(
            stages.encode_prompt(
                model, prompts, negatives, guided=guided, images=images, runtime=_host.runtime(), **more
            )
        )
