"""GANs in the open: load, make pictures, find a picture's style, choose by the discriminator, save."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_DISCRIMINATOR, AIGC_GAN, AIGC_STYLE

GAN = "From Load GAN."
STYLE = "The styles, one a picture."
NOISE = (
    "const: the same fine detail for all, so that only the style counts. random: its own for each seed. none: without."
)


class LoadGan(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import sources

        return schema(
            node_id="AIGC_LoadGan",
            display_name="Load GAN",
            category="AIGC/gan",
            description="Opens a GAN: one that was trained here, a StyleGAN2 (NVIDIA's .pkl, rosinality's .pt), or a DCGAN's .pth "
            "of any naming. Files are read for their tensors only; nothing in them can run.",
            search_aliases=["stylegan", "dcgan", "r3gan", "pkl", "generator"],
            inputs=[
                inp(
                    io.Combo.Input,
                    "gan",
                    options=sources.list_gans(_host.roots()) or ["none"],  # an empty drop-down could not be sent
                    tooltip="A file in ComfyUI's models/gan, or one that this pack brings.",
                ),
                inp(
                    io.Int.Input, "classes", default=-1, min=-1, max=10000, optional=True,
                    tooltip="For a DCGAN's file whose first layer takes a class beside the noise: how many classes. -1 infers it.",
                ),
            ],
            outputs=[
                AIGC_GAN.Output("out_gan", display_name="gan", tooltip="For the other nodes of this group."),
                AIGC_DISCRIMINATOR.Output(
                    "out_discriminator",
                    display_name="discriminator",
                    tooltip="Its own discriminator as a judge, if the file has it; otherwise what hangs on it stops quietly.",
                ),
                io.String.Output("out_info", display_name="info", tooltip="What it is, what was inferred, and its licence."),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, gan: str = "", classes: int = -1) -> str:
        from ..pipelines.sources import stamp_of_gan

        return f"{stamp_of_gan(gan, _host.roots())} {classes}"

    @classmethod
    def execute(cls, gan: str, classes: int = -1) -> io.NodeOutput:
        from ..pipelines.gan import files, judge
        from ..pipelines.sources import find_gan

        found, notes = files.describe(find_gan(gan, _host.roots()), classes)
        own = judge.discriminator(found) if "discriminator" in found.parts else _host.stop_quietly()
        return io.NodeOutput(_host.keep_while_wired(found), own, files.told(found, notes))


class GenerateGan(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_GenerateGan",
            display_name="Generate GAN",
            category="AIGC/gan",
            description="Makes a picture of each style, in one pass of the generator.",
            search_aliases=["stylegan", "generate", "synthesize"],
            inputs=[
                inp(AIGC_GAN.Input, "gan", tooltip=GAN),
                inp(AIGC_STYLE.Input, "style", tooltip=STYLE),
                inp(io.Combo.Input, "noise", options=list(menus.NOISES), default="const", tooltip=NOISE),
            ],
            outputs=[
                io.Image.Output("out_image", display_name="image", tooltip="A picture a style, in the same order.")
            ],
        )

    @classmethod
    def execute(cls, gan: Any, style: Any, noise: str) -> io.NodeOutput:
        from ..pipelines.gan import generate

        image = generate.images(gan, style, noise=noise, runtime=_host.runtime(), on_picture=_host.counter())
        return io.NodeOutput(image)


class ProjectImage(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_ProjectImage",
            display_name="Project Image",
            category="AIGC/gan",
            description="Finds the style with which the GAN comes closest to a picture, to edit, mix and walk from there. Stopping "
            "it keeps the best so far.",
            search_aliases=["inversion", "invert", "projection", "encode", "stylegan"],
            inputs=[
                inp(AIGC_GAN.Input, "gan", tooltip=GAN),
                inp(io.Image.Input, "image", tooltip="The pictures; of each the middle square, at the GAN's size."),
                inp(
                    io.Combo.Input,
                    "space",
                    options=list(menus.SPACES),
                    default=menus.SPACES[0],
                    tooltip="w+: a style of its own for each layer, the closest. w: one for all, the best to edit. z: the noise; "
                    "for GANs without a mapping network it is always z.",
                ),
                inp(io.Int.Input, "steps", default=200, min=1, max=100000, tooltip="Steps of the search; more come closer."),
                inp(
                    io.Float.Input, "rate", default=0.1, min=0.001, max=10.0, step=0.01,
                    tooltip="The longest step, in the spread of the styles.",
                ),
                inp(
                    io.Int.Input, "label", default=-1, min=-1, max=100000,
                    tooltip="The pictures' class, for a GAN with classes; -1 for one without.",
                ),
                inp(
                    io.Int.Input, "search_seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF,
                    tooltip="Where the search begins and how it shakes.",
                ),
            ],
            outputs=[
                AIGC_STYLE.Output("out_style", display_name="style", tooltip="The style found, one a picture."),
                io.Image.Output("out_image", display_name="image", tooltip="What the GAN makes of it."),
                io.String.Output("out_report", display_name="report", tooltip="PSNR of each, in dB: above 22 is close."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, gan: Any, image: Any, space: str, steps: int, rate: float, label: int, search_seed: int
    ) -> io.NodeOutput:
        from ..pipelines.gan import project

        found = project.project(
            gan,
            image,
            space=space,
            steps=steps,
            highest=rate,
            label=label,
            seed=search_seed,
            **_host.searching(),
        )
        report = project.told(found, space)
        return io.NodeOutput(found.style, found.image, report, ui={"text": (report,)})


class RejectByDiscriminator(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_RejectByDiscriminator",
            display_name="Reject By Discriminator",
            category="AIGC/gan",
            description="Draws pictures and keeps each with the probability that the discriminator gives it, so that the kept ones "
            "follow the real ones more closely. For GANs without truncation too.",
            search_aliases=["rejection sampling", "drs", "discriminator", "best of n"],
            inputs=[
                inp(AIGC_GAN.Input, "gan", tooltip=GAN),
                inp(
                    io.Int.Input, "seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
                    tooltip="Candidate i is drawn from seed + i.",
                ),
                inp(io.Int.Input, "keep", default=8, min=1, max=4096, tooltip="How many to keep."),
                inp(
                    io.Float.Input, "percentile", default=80.0, min=0.0, max=100.0, step=1.0,
                    tooltip="How strict: the candidate at this percentile is accepted every second time. 0 is exact rejection, "
                    "which seldom accepts.",
                ),
                inp(
                    io.Int.Input, "label", default=-1, min=-1, max=100000,
                    tooltip="The class of all, for a GAN with classes; -1 draws each.",
                ),
                inp(
                    io.Float.Input, "truncation", default=1.0, min=0.0, max=2.0, step=0.05,
                    tooltip="As in Map Styles: 1 is off, 0 the average for every seed.",
                ),
                inp(
                    io.Int.Input, "tries", default=0, min=0, max=1000000,
                    tooltip="The most candidates; then the ones with the largest logits fill up. 0: 50 for each to keep.",
                ),
                inp(
                    AIGC_DISCRIMINATOR.Input,
                    "discriminator",
                    optional=True,
                    tooltip="Another judge of pictures. Without one the GAN's own discriminator, which its file must have.",
                ),
            ],
            outputs=[
                AIGC_STYLE.Output("out_style", display_name="style", tooltip="The styles of the kept, with their seeds."),
                io.Image.Output("out_image", display_name="image", tooltip="The kept pictures."),
                io.Float.Output("out_rate", display_name="rate", tooltip="The share of the tried ones that was accepted."),
                io.String.Output("out_report", display_name="report", tooltip="How many were tried, accepted and filled up."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, gan: Any, seed: int, keep: int, percentile: float, tries: int, **given: Any) -> io.NodeOutput:
        from ..pipelines.gan import rejection

        found = rejection.reject(
            gan,
            seed=seed,
            keep=keep,
            percentile=percentile,
            most=tries,
            runtime=_host.runtime(),
            on_picture=_host.counter(),
            **given,
        )
        report = rejection.told(found)
        return io.NodeOutput(found.style, found.image, found.rate, report, ui={"text": (report,)})


class SaveGan(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_SaveGan",
            display_name="Save GAN",
            category="AIGC/gan",
            description="Writes a GAN to ComfyUI's models/gan as one .safetensors file, with its architecture and licence in it; "
            "converts a foreign file for good.",
            search_aliases=["convert", "export", "safetensors", "pkl"],
            is_output_node=True,
            inputs=[
                inp(AIGC_GAN.Input, "gan", tooltip=GAN),
                inp(
                    io.String.Input,
                    "name",
                    default="my gan",
                    tooltip="The file's name in models/gan; a name that is taken gets a number.",
                ),
                inp(
                    io.String.Input,
                    "licence",
                    default="",
                    tooltip="Under which terms the weights may be used, such as CC-BY-4.0. Empty keeps what the file says.",
                ),
            ],
            outputs=[
                AIGC_GAN.Output("out_gan", display_name="gan", tooltip="The GAN from its new file."),
                io.String.Output("out_file", display_name="file", tooltip="The file's name in models/gan."),
            ],
        )

    @classmethod
    def execute(cls, gan: Any, name: str, licence: str) -> io.NodeOutput:
        from ..pipelines.gan import files

        saved = files.copied(gan, _host.gan_folder(), name, licence)
        return io.NodeOutput(_host.keep_while_wired(saved), saved.path.name, ui={"text": (saved.path.name,)})
