"""Prompts for image models, and short lines for marketing and games."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema


class WritePrompt(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.text import finding, writing

        return schema(
            node_id="AIGC_WritePrompt",
            display_name="Write Prompt",
            category="AIGC/text",
            description="Makes a prompt of a few words: they stay in front as they are, and what the chosen kind of image model "
            "reads well is added behind them, by a language model or by tables.",
            search_aliases=["expand prompt", "prompt enhancer", "magic prompt", "negative prompt"],
            is_output_node=True,
            inputs=[
                inp(
                    io.String.Input,
                    "words",
                    default="a red fox in the snow",
                    multiline=True,
                    tooltip="What the picture shows, in English or Chinese. Kept to the letter.",
                ),
                inp(
                    io.Combo.Input,
                    "kind",
                    options=list(writing.KINDS),
                    default="pictogram",
                    tooltip="The image model. sd15, sdxl: a list of tags. flux, sd3, qwen, wan: sentences. pictogram: the shipped "
                    "model, which draws one thing of its vocabulary; nothing beyond that is added.",
                ),
                inp(
                    io.Combo.Input,
                    "style",
                    options=list(writing.STYLES),
                    default="photo",
                    tooltip="What kind of picture. none: only what the language model adds. Not used for pictogram.",
                ),
                inp(
                    io.Combo.Input,
                    "writer",
                    options=["model", "tables"],
                    default="model",
                    tooltip="model: the language model goes on from the words, the tables add the style, and write all of it when "
                    "the model cannot. tables: the same at once, without any model.",
                ),
                inp(
                    io.Int.Input,
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="The same seed writes the same prompt.",
                ),
                inp(
                    io.Combo.Input,
                    "model",
                    options=finding.names(_host.roots()),
                    default=finding.DEFAULT,
                    tooltip="The language model, as in Generate Text. SmolLM2-135M-Instruct is fetched at the first run (98 MB).",
                ),
                inp(
                    io.String.Input,
                    "model_name",
                    default="",
                    optional=True,
                    tooltip="Instead of the list: a folder, a hub id, or with an endpoint the name that the server knows.",
                ),
                inp(
                    io.String.Input,
                    "endpoint",
                    default="",
                    optional=True,
                    tooltip="Empty: on this machine. Else the address of a server with OpenAI's interface.",
                ),
            ],
            outputs=[
                io.String.Output("out_prompt", display_name="prompt", tooltip="The words, and what was added."),
                io.String.Output(
                    "out_negative", display_name="negative", tooltip="Empty where the model takes no negative prompt."
                ),
                io.String.Output(
                    "out_report", display_name="report", tooltip="Who wrote it, and what could not be done."
                ),
            ],
        )

    @classmethod
    def execute(cls, words: str, kind: str, style: str, writer: str, seed: int, **asked: str) -> io.NodeOutput:
        from ..pipelines.text import writing

        ask = _asker(**asked) if writer == "model" else None
        found = writing.write(words, kind, style, seed=seed, ask=ask, vocabulary=_host.pictogram_folder())
        shown = "\n\n".join(part for part in (found.prompt, found.negative, found.report) if part)
        return io.NodeOutput(found.prompt, found.negative, found.report, ui={"text": (shown,)})


class WriteCopy(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.text import finding, writing

        return schema(
            node_id="AIGC_WriteCopy",
            display_name="Write Copy",
            category="AIGC/text",
            description="Writes a slogan, a product line, what a character of a game says, or the scenes of a story, a clean line "
            "each: by a language model, or by tables where it cannot.",
            search_aliases=["slogan", "marketing", "dialogue", "npc", "storyboard", "scenes"],
            is_output_node=True,
            inputs=[
                inp(
                    io.Combo.Input,
                    "task",
                    options=list(writing.TASKS),
                    default="slogan",
                    tooltip="slogan, product line: of a product. character line: spoken by a character. scenes: a story in "
                    "pictures, each line a prompt of its own.",
                ),
                inp(
                    io.String.Input,
                    "about",
                    default="a small coffee shop by the harbour",
                    multiline=True,
                    tooltip="The product, the character or the story, in a few words, in English or Chinese.",
                ),
                inp(
                    io.Int.Input,
                    "count",
                    default=1,
                    min=1,
                    max=24,
                    tooltip="How many lines.",
                ),
                inp(
                    io.Combo.Input,
                    "writer",
                    options=["model", "tables"],
                    default="model",
                    tooltip="model: the language model, and the tables for what it does not write. tables: without any model.",
                ),
                inp(
                    io.Int.Input,
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="The same seed writes the same lines.",
                ),
                inp(
                    io.Combo.Input,
                    "model",
                    options=finding.names(_host.roots()),
                    default=finding.DEFAULT,
                    tooltip="The language model, as in Generate Text. SmolLM2-135M-Instruct is fetched at the first run (98 MB).",
                ),
                inp(
                    io.String.Input,
                    "model_name",
                    default="",
                    optional=True,
                    tooltip="Instead of the list: a folder, a hub id, or with an endpoint the name that the server knows.",
                ),
                inp(
                    io.String.Input,
                    "endpoint",
                    default="",
                    optional=True,
                    tooltip="Empty: on this machine. Else the address of a server with OpenAI's interface.",
                ),
            ],
            outputs=[
                io.String.Output("out_text", display_name="text", tooltip="The lines, one below the other."),
                io.String.Output("out_report", display_name="report", tooltip="Who wrote how many of them."),
            ],
        )

    @classmethod
    def execute(cls, task: str, about: str, count: int, writer: str, seed: int, **asked: str) -> io.NodeOutput:
        from ..pipelines.text.writing import copy

        ask = _asker(**asked) if writer == "model" else None
        lines, report = copy.write(task, about, count=count, seed=seed, ask=ask)
        return io.NodeOutput(lines, report, ui={"text": (f"{lines}\n\n{report}",)})


def _asker(model: str, model_name: str = "", endpoint: str = "") -> Any:
    """The language model, its words shown on the node that runs."""
    from ..pipelines.text import generating

    given = {"roots": _host.roots(), "runtime": _host.runtime(), "watch": _host.watch(), "on_text": _host.writer()}
    return generating.asker(model_name.strip() or model, endpoint=endpoint, **given)
