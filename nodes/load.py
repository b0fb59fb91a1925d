"""Models and LoRAs: choose, open, describe. Weights are read later, by the stage that needs them."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_MODEL


class LoadModel(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import sources

        names = sources.list_models(_host.roots())
        return schema(
            node_id="AIGC_LoadModel",
            display_name="Load Model",
            category="AIGC/load",
            description="Opens any diffusers model: the embedded one, a diffusers folder, a checkpoint, or "
            "a hub id. Its weights are read later, each part only by the node that needs it.",
            search_aliases=["diffusers", "checkpoint", "pipeline"],
            inputs=[
                inp(
                    io.Combo.Input,
                    "model",
                    options=names,
                    default=names[0] if names else None,
                    tooltip="The model to open. The embedded one comes with this pack; the others are in "
                    "the host's models/diffusers and models/checkpoints folders.",
                ),
                inp(
                    io.Combo.Input,
                    "dtype",
                    options=["auto", "float32", "bfloat16", "float16"],
                    default="auto",
                    tooltip="The number format to compute in. auto: what suits this machine. float32 is "
                    "exact and slow.",
                ),
                inp(
                    io.Combo.Input,
                    "offload",
                    options=["auto", "keep", "stage"],
                    default="auto",
                    tooltip="keep: parts stay in memory for the next run. stage: each part leaves when the "
                    "next one starts. auto: keep if there is room.",
                ),
                inp(
                    io.String.Input,
                    "path_or_hub_id",
                    default="",
                    optional=True,
                    tooltip="Instead of the list: a folder or file on this machine, or a hub id such as "
                    "owner/name. Wins over the list when filled.",
                ),
                inp(
                    io.String.Input,
                    "revision",
                    default="",
                    optional=True,
                    tooltip="For a hub id: the commit, tag or branch to use. Empty means the hub's default.",
                ),
            ],
            outputs=[AIGC_MODEL.Output("out_model", display_name="model", tooltip="The opened model.")],
        )

    @classmethod
    def fingerprint_inputs(cls, model: str = "", path_or_hub_id: str = "", **_: Any) -> str:
        from ..pipelines import loading

        return loading.fingerprint(path_or_hub_id or model, roots=_host.roots())

    @classmethod
    def execute(
        cls, model: str, dtype: str, offload: str, path_or_hub_id: str = "", revision: str = ""
    ) -> io.NodeOutput:
        from ..pipelines import loading

        opened = loading.open_model(
            path_or_hub_id or model,
            roots=_host.roots(),
            revision=revision,
            dtype=dtype,
            offload=offload,
            watch=_host.watch(),
        )
        return io.NodeOutput(_host.keep_while_wired(opened))


class LoadLora(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import sources

        return schema(
            node_id="AIGC_LoadLora",
            display_name="Load LoRA",
            category="AIGC/load",
            description="Lays a LoRA, LoHa or LoKr over a model. The model before this node stays as it was, so both can "
            "be compared.",
            search_aliases=["adapter", "style"],
            inputs=[
                inp(AIGC_MODEL.Input, "model", tooltip="The model to change."),
                inp(
                    io.Combo.Input,
                    "lora",
                    options=sources.list_loras(_host.roots()) or ["none"],  # an empty drop-down could not be sent
                    tooltip="A LoRA file from the host's models/loras folder or from this pack.",
                ),
                inp(
                    io.Float.Input,
                    "strength",
                    default=1.0,
                    min=-4.0,
                    max=4.0,
                    step=0.05,
                    tooltip="How strongly it acts. 0 is off, 1 as trained, a negative number turns it round.",
                ),
                inp(
                    io.String.Input,
                    "path",
                    default="",
                    optional=True,
                    tooltip="Instead of the list: a .safetensors file on this machine. Wins over the list when filled.",
                ),
                inp(
                    io.String.Input,
                    "blocks",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="Factors by block beside the strength, e.g. down: 0.5, mid: 0, up.1: 1.2, text_encoder: 0. "
                    "Blocks that are not named keep 1. For transformers: double.3, single or transformer_blocks.3.",
                ),
            ],
            outputs=[AIGC_MODEL.Output("out_model", display_name="model", tooltip="The model with this LoRA on it.")],
        )

    @classmethod
    def execute(cls, model: Any, lora: str, strength: float, path: str = "", blocks: str = "") -> io.NodeOutput:
        from ..pipelines import loading

        opened = loading.open_lora(path or lora, roots=_host.roots(), strength=strength, blocks=blocks)
        return io.NodeOutput(_host.keep_while_wired(model.with_lora(opened)))


class ReplacePart(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import sources

        return schema(
            node_id="AIGC_ReplacePart",
            display_name="Replace Part",
            category="AIGC/load",
            description="Takes one part of a model, such as its VAE or a text encoder, from a file of its own. The "
            "model before this node stays as it was.",
            search_aliases=["vae loader", "clip loader", "unet loader", "diffusion model", "text encoder"],
            inputs=[
                inp(AIGC_MODEL.Input, "model", tooltip="The model whose part is replaced."),
                inp(
                    io.Combo.Input,
                    "part",
                    options=[
                        "vae",
                        "text_encoder",
                        "text_encoder_2",
                        "text_encoder_3",
                        "transformer",
                        "unet",
                        "transformer_2",
                        "image_encoder",
                    ],
                    default="vae",
                    tooltip="Which part, by the name that Model Info shows. transformer_2 is the second denoiser, such as "
                    "the low-noise file of Wan 2.2 14B.",
                ),
                inp(
                    io.Combo.Input,
                    "file",
                    options=sources.list_parts(_host.roots()) or ["none"],  # an empty drop-down could not be sent
                    tooltip="A .safetensors file from the host's diffusion_models, vae or text_encoders folder.",
                ),
                inp(
                    io.String.Input,
                    "path",
                    default="",
                    optional=True,
                    tooltip="Instead of the list: a .safetensors file on this machine. Wins over the list when filled.",
                ),
            ],
            outputs=[AIGC_MODEL.Output("out_model", display_name="model", tooltip="The model with this part.")],
        )

    @classmethod
    def execute(cls, model: Any, part: str, file: str, path: str = "") -> io.NodeOutput:
        from ..pipelines import loading

        return io.NodeOutput(_host.keep_while_wired(loading.open_part(model, part, path or file, roots=_host.roots())))


class ModelInfo(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_ModelInfo",
            display_name="Model Info",
            category="AIGC/load",
            description="Shows what a model is: family, parts, parameters, number format, source and licence.",
            is_output_node=True,
            inputs=[inp(AIGC_MODEL.Input, "model", tooltip="The model to describe.")],
            outputs=[io.String.Output("out_text", display_name="text", tooltip="The description shown on the node.")],
        )

    @classmethod
    def execute(cls, model: Any) -> io.NodeOutput:
        from ..pipelines import loading

        text = loading.describe(model)
        return io.NodeOutput(text, ui={"text": (text,)})
