"""Training on the canvas: a judge of your own."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_CONDITIONING, AIGC_DISCRIMINATOR, AIGC_MODEL


class TrainDiscriminator(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_TrainDiscriminator",
            display_name="Train Discriminator",
            category="AIGC/train",
            description="Trains a judge to tell real pictures from generated ones, and says how well it does on ones it never saw. "
            "With a model connected it can learn every noise level, and then guide that model.",
            search_aliases=["discriminator", "critic", "reward model", "judge", "real or fake", "gan"],
            inputs=[
                inp(
                    io.String.Input,
                    "name",
                    default="my judge",
                    tooltip="The judge's name and its file's, in ComfyUI's models/judges; a name that is taken gets a number.",
                ),
                inp(
                    io.String.Input,
                    "real_folder",
                    default="",
                    tooltip="A folder of real pictures, the more the better, 200 at least. Leave it empty to connect them.",
                ),
                inp(
                    io.Float.Input, "minutes", default=4.0, min=0.05, max=10000.0, step=0.5,
                    tooltip="The training ends after this time, or after `steps`, whichever is first.",
                ),
                inp(io.Int.Input, "steps", default=2000, min=1, max=10000000, tooltip="The most steps to train."),
                inp(
                    io.Boolean.Input,
                    "noise_aware",
                    default=True,
                    tooltip="Learn noisy latents as well, for guiding a sampler. Judges of pictures know clean ones only.",
                ),
                inp(
                    io.Int.Input, "size", default=256, min=32, max=4096, step=8,
                    tooltip="The side to which pictures are brought: the shorter side is scaled, the middle cut out.",
                ),
                inp(
                    io.Int.Input, "training_seed", default=0, min=0, max=0x7FFFFFFF,
                    tooltip="Which ones are held out, and every draw of the training.",
                ),
                inp(io.Image.Input, "real_image", optional=True, tooltip="Real pictures, beside or instead of a folder."),
                inp(io.Latent.Input, "real_latents", optional=True, tooltip="Latents of real pictures."),
                inp(io.Image.Input, "image", optional=True, tooltip="Generated pictures, for a judge of pictures."),
                inp(io.Latent.Input, "latents", optional=True, tooltip="Generated latents, for a judge of latents."),
                inp(
                    AIGC_MODEL.Input,
                    "model",
                    optional=True,
                    tooltip="The model that is to be judged: it encodes the real pictures, and without generated latents it makes "
                    "its own.",
                ),
                inp(
                    AIGC_CONDITIONING.Input,
                    "conditioning",
                    optional=True,
                    tooltip="Prompts for the model's own generations: as many different ones as the real pictures show.",
                ),
                inp(
                    io.Int.Input, "count", default=400, min=20, max=1000000, optional=True,
                    tooltip="How many the model generates, when no generated latents are connected.",
                ),
                inp(
                    io.Int.Input, "sample_steps", default=15, min=1, max=1000, optional=True,
                    tooltip="Steps of each generation, as you would sample.",
                ),
                inp(
                    io.Float.Input, "cfg", default=3.0, min=0.0, max=100.0, step=0.1, optional=True,
                    tooltip="Guidance of each generation, as you would sample.",
                ),
                inp(
                    io.Model.Input,
                    "host_model",
                    optional=True,
                    tooltip="ComfyUI's MODEL that made the latents: the judge can then guide it through Guide Model.",
                ),
            ],
            outputs=[
                AIGC_DISCRIMINATOR.Output(
                    "out_discriminator", display_name="discriminator", tooltip="The judge, calibrated."
                ),
                io.String.Output("out_report", display_name="report", tooltip="How well it tells them apart."),
                io.Image.Output("out_curve", display_name="curve", tooltip="Loss, and held-out AUC by noise."),
            ],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, real_folder: str = "", **_: Any) -> str:
        return _host.pictures_stamp(real_folder, below=True)

    @classmethod
    def execute(
        cls,
        name: str,
        real_folder: str,
        minutes: float,
        steps: int,
        noise_aware: bool,
        training_seed: int,
        sample_steps: int = 15,
        host_model: Any = None,
        **given: Any,
    ) -> io.NodeOutput:
        from ..pipelines.score import curve, learning, material

        path, runtime = learning.free_path(_host.judge_folder(), name), _host.runtime()
        space = None if host_model is None else _host.space_of(host_model)
        sources = material.Sources(
            real_folder, _host.input_folder(), steps=sample_steps, seed=training_seed, space=space, **given
        )
        found = material.gathered(sources, on_item=_host.counter(), runtime=runtime)
        aware = noise_aware and found.space.modality == "latent"
        course = learning.Course(steps, minutes, aware, seed=training_seed)
        judge, report = learning.learn(
            found.spec(name.strip()),
            found.real,
            found.fake,
            course,
            path,
            on_step=_host.charter(),
            device=runtime.device,
        )
        text = "\n".join([learning.told(judge, report), *(f"left out {line}" for line in found.skipped)])
        picture = curve.image(report)
        return io.NodeOutput(_host.keep_while_wired(judge), text, picture, ui={"text": (text,)})
