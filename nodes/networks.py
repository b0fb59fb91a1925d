"""Autoencoders and diffusion models on the canvas: designed, trained."""

from __future__ import annotations

from typing import Any

from . import _host, runs
from ._api import Node, inp, io, schema
from ._sockets import AIGC_DATASET, AIGC_DESIGN, AIGC_DISCRIMINATOR, AIGC_MODEL, AIGC_RUN


class DesignVae(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_DesignVae",
            display_name="Design VAE",
            category="AIGC/train",
            description="Chooses an autoencoder: how far it shrinks pictures, and how large it is. Train VAE then trains it.",
            search_aliases=["architecture", "autoencoder", "latent space", "compression"],
            inputs=[
                inp(
                    io.Combo.Input, "kind", options=list(menus.VAES), default=menus.VAES[0],
                    tooltip="tiny: small and fast, nothing is drawn. kl: a variational one, with the two terms of its bound.",
                ),
                inp(
                    io.Int.Input, "resolution", default=64, min=16, max=2048, step=8,
                    tooltip="Pixels a side of what it is trained on.",
                ),
                inp(
                    io.Int.Input, "latent_channels", default=16, min=1, max=256,
                    tooltip="Numbers that a cell of the latents holds.",
                ),
                inp(
                    io.Combo.Input, "factor", options=[str(factor) for factor in menus.FACTORS], default="8",
                    tooltip="Pixels a side that one cell stands for.",
                ),
                inp(
                    io.Int.Input, "width", default=0, min=0, max=1024,
                    tooltip="Channels at the full resolution; 0 for 32. A multiple of 8 is best.",
                ),
                inp(
                    io.Boolean.Input, "linear_encoder", default=True,
                    tooltip="Of tiny: the encoder is computed from principal components, and only the decoder is trained. Fast.",
                ),
            ],
            outputs=[
                AIGC_DESIGN.Output("out_design", display_name="design", tooltip="For Train VAE."),
                io.String.Output("out_report", display_name="report", tooltip="Shape of the latents, weights."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, kind: str, resolution: int, latent_channels: int, factor: str, width: int, linear_encoder: bool
    ) -> io.NodeOutput:
        from ..pipelines.train import designs

        design = designs.vae(kind, resolution, latent_channels, int(factor), width, linear_encoder)
        return io.NodeOutput(design, designs.sizes(design))


class TrainVae(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_TrainVae",
            display_name="Train VAE",
            category="AIGC/train",
            description="Trains an autoencoder, with both terms of its bound and pictures beside their copies on the node. A stop "
            "keeps everything and hands it on; running again goes on where it stopped.",
            search_aliases=["autoencoder", "elbo", "latent space", "reconstruction", "training loop"],
            inputs=[
                inp(
                    io.String.Input, "name", default="my vae",
                    tooltip="The run's name and its folder in output/runs. The same name with the same settings goes on.",
                ),
                inp(AIGC_DATASET.Input, "dataset", tooltip="The pictures. A part is held out to examine with."),
                inp(AIGC_DESIGN.Input, "design", tooltip="From Design VAE."),
                inp(
                    io.Int.Input, "steps", default=3000, min=1, max=100000000,
                    tooltip="In all, over every run of this name.",
                ),
                inp(
                    io.Float.Input, "minutes", default=30.0, min=0.05, max=100000.0, step=1.0,
                    tooltip="It pauses after this time, and goes on when it is run again.",
                ),
                inp(io.Int.Input, "batch", default=8, min=1, max=4096, tooltip="Pictures a step."),
                inp(
                    io.Float.Input, "learning_rate", default=0.002, min=1e-7, max=0.1, step=0.0001, round=False,
                    tooltip="AdamW's.",
                ),
                inp(
                    io.Float.Input, "anneal", default=0.7, min=0.0, max=1.0, step=0.05,
                    tooltip="The last share of the steps, in which the rate falls to nothing. With it the steps are fixed.",
                ),
                inp(
                    io.Float.Input, "beta", default=1.0, min=0.0, max=1000.0, step=0.01, round=False,
                    tooltip="Of kl: the weight of the KL term. 1 is the bound itself; less keeps more detail.",
                ),
                inp(
                    io.Float.Input, "edges", default=0.5, min=0.0, max=100.0, step=0.1,
                    tooltip="The weight of errors in slopes.",
                ),
                inp(
                    io.Float.Input, "adversarial", default=0.0, min=0.0, max=10.0, step=0.05,
                    tooltip="The weight of a small discriminator of patches, for sharpness; 0 for none.",
                ),
                inp(
                    io.Int.Input, "adversarial_from", default=1000, min=0, max=100000000,
                    tooltip="The step from which it counts.",
                ),
                inp(
                    io.Float.Input, "noise", default=0.1, min=0.0, max=2.0, step=0.01,
                    tooltip="Of tiny: noise on the latents in training, so that the decoder forgives what a sampler leaves.",
                ),
                inp(io.Boolean.Input, "mirror", default=False, tooltip="Show half of the pictures mirrored."),
                inp(
                    io.Int.Input, "examine_every", default=500, min=0, max=1000000,
                    tooltip="Steps between examinations on held-out pictures; the best weights are kept. 0: only at the end.",
                ),
                inp(
                    io.Int.Input, "training_seed", default=0, min=0, max=0x7FFFFFFF,
                    tooltip="Every draw of the training.",
                ),
            ],
            outputs=[
                AIGC_RUN.Output(
                    "out_run", display_name="run",
                    tooltip="For Train Diffusion; its folder holds the VAE.",
                ),
                io.Image.Output(
                    "out_samples", display_name="samples",
                    tooltip="Held-out pictures, each beside its copy.",
                ),
                io.Image.Output("out_curves", display_name="curves", tooltip="The terms, and held-out figures."),
                io.String.Output("out_report", display_name="report", tooltip="What it came to."),
            ],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, name: str = "", **_: Any) -> str:
        return _host.run_stamp(name)

    @classmethod
    def execute(cls, name: str, dataset: Any, design: Any, **given: Any) -> io.NodeOutput:
        from ..pipelines.train import making_vae, words

        settings, course, mirror = words.of_vae(**given)
        folder, host = _host.run_folder(name), _host.training()
        return runs.shown(making_vae.train_vae(dataset, design, settings, course, folder, mirror=mirror, **host))


class DesignDiffusion(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_DesignDiffusion",
            display_name="Design Diffusion",
            category="AIGC/train",
            description="Chooses a denoiser of latents, its text encoder and how many words its own tokenizer learns.",
            search_aliases=["architecture", "unet", "text to image", "latent diffusion"],
            inputs=[
                inp(
                    io.Combo.Input, "kind", options=list(menus.DENOISERS), default=menus.DENOISERS[0],
                    tooltip="unet: run by StableDiffusionPipeline. dit: a transformer, run by AuraFlowPipeline; for GPUs.",
                ),
                inp(
                    io.Int.Input, "resolution", default=64, min=16, max=2048, step=8,
                    tooltip="Pixels a side of what it draws.",
                ),
                inp(
                    io.String.Input, "widths", default="64, 128",
                    tooltip="Channels of each level, each half the size of the one before. dit: one number.",
                ),
                inp(io.Int.Input, "layers", default=1, min=1, max=8, tooltip="Residual blocks a level; of dit all blocks."),
                inp(
                    io.Int.Input, "heads", default=4, min=1, max=64,
                    tooltip="Heads of every attention; widths are multiples of twice this.",
                ),
                inp(
                    io.Int.Input, "text_width", default=128, min=8, max=4096, step=8,
                    tooltip="Numbers a word becomes.",
                ),
                inp(io.Int.Input, "text_layers", default=2, min=1, max=24, tooltip="Layers of the text encoder."),
                inp(
                    io.Int.Input, "vocabulary", default=6000, min=300, max=100000,
                    tooltip="Pieces of words that the tokenizer knows, at most.",
                ),
                inp(
                    io.Int.Input, "length", default=24, min=4, max=512,
                    tooltip="Pieces of words in a prompt, at most; 256 for dit.",
                ),
            ],
            outputs=[
                AIGC_DESIGN.Output("out_design", display_name="design", tooltip="For Train Diffusion."),
                io.String.Output("out_report", display_name="report", tooltip="Weights of the networks."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, kind: str, resolution: int, widths: str, **given: int) -> io.NodeOutput:
        from ..pipelines.train import designs

        design = designs.diffusion(kind, resolution, widths, **given)
        return io.NodeOutput(design, designs.sizes(design))


class TrainDiffusion(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_TrainDiffusion",
            display_name="Train Diffusion",
            category="AIGC/train",
            description="Trains a text-to-image model from nothing on pictures with captions, with live curves and samples. What "
            "comes out runs like any loaded model. A stop keeps everything; running again goes on where it stopped.",
            search_aliases=["text to image", "latent diffusion", "flow matching", "from scratch", "training loop"],
            inputs=[
                inp(
                    io.String.Input, "name", default="my model",
                    tooltip="The run's name and its folder in output/runs. The same name with the same settings goes on.",
                ),
                inp(
                    AIGC_DATASET.Input, "dataset",
                    tooltip="Pictures with captions; | separates several captions of one picture.",
                ),
                inp(AIGC_DESIGN.Input, "design", tooltip="From Design Diffusion."),
                inp(
                    io.Int.Input, "steps", default=20000, min=1, max=100000000,
                    tooltip="In all, over every run of this name.",
                ),
                inp(
                    io.Float.Input, "minutes", default=60.0, min=0.05, max=100000.0, step=1.0,
                    tooltip="It pauses after this time, and goes on when it is run again.",
                ),
                inp(io.Int.Input, "batch", default=16, min=1, max=4096, tooltip="Pictures a step."),
                inp(
                    io.Float.Input, "learning_rate", default=0.0015, min=1e-7, max=0.1, step=0.0001, round=False,
                    tooltip="AdamW's, of the denoiser.",
                ),
                inp(
                    io.Float.Input, "anneal", default=0.7, min=0.0, max=1.0, step=0.05,
                    tooltip="The last share of the steps, in which the rate falls to nothing. With it the steps are fixed.",
                ),
                inp(
                    io.Combo.Input, "objective", options=list(menus.OBJECTIVES), default=menus.OBJECTIVES[0],
                    tooltip="What is predicted: flow (the straight way from noise to picture), v, or epsilon (the noise).",
                ),
                inp(
                    io.Float.Input, "shift", default=2.5, min=1.0, max=20.0, step=0.1,
                    tooltip="Of flow: more training at high noise, where it is decided what is drawn.",
                ),
                inp(
                    io.Float.Input, "min_snr", default=5.0, min=0.0, max=100.0, step=0.5,
                    tooltip="Of v and epsilon: caps the weight of easy levels; 0 for none.",
                ),
                inp(
                    io.Float.Input, "caption_dropout", default=0.1, min=0.0, max=1.0, step=0.05,
                    tooltip="The share of pictures that are shown without caption, so that cfg works.",
                ),
                inp(
                    io.Int.Input, "naming_steps", default=1000, min=0, max=100000000,
                    tooltip="Of the steps, those in which the text encoder first learns to name captions. 0: it is trained along.",
                ),
                inp(
                    io.Float.Input, "guidance", default=3.0, min=1.0, max=30.0, step=0.1,
                    tooltip="cfg of the samples.",
                ),
                inp(io.Boolean.Input, "mirror", default=False, tooltip="Show half of the pictures mirrored."),
                inp(
                    io.Boolean.Input, "half_precision", default=False,
                    tooltip="Compute in bfloat16; faster where the device has it.",
                ),
                inp(
                    io.Int.Input, "examine_every", default=1000, min=0, max=1000000,
                    tooltip="Steps between examinations on held-out pictures; the best weights are kept. 0: only at the end.",
                ),
                inp(
                    io.Int.Input, "training_seed", default=0, min=0, max=0x7FFFFFFF,
                    tooltip="Every draw of the training.",
                ),
                inp(
                    AIGC_RUN.Input, "vae_run", optional=True,
                    tooltip="From Train VAE; without it the embedded model's autoencoder.",
                ),
                inp(
                    AIGC_DISCRIMINATOR.Input, "judge", optional=True,
                    tooltip="Measure the distance of samples with what this judge sees; without one by colour, edges and spectrum.",
                ),
                inp(
                    io.Float.Input, "held_out", default=0.15, min=0.0, max=0.5, step=0.01, optional=True,
                    tooltip="The share of pictures kept to examine with. 0 trains on all: for a closed set to be known whole.",
                ),
            ],
            outputs=[
                AIGC_MODEL.Output(
                    "out_model", display_name="model",
                    tooltip="With the weights that examined best; for Encode Prompt, Sample.",
                ),
                AIGC_RUN.Output("out_run", display_name="run", tooltip="For Resume Training and Compare Runs."),
                io.Image.Output(
                    "out_samples", display_name="samples",
                    tooltip="16 pictures of fixed captions and seeds.",
                ),
                io.Image.Output("out_curves", display_name="curves", tooltip="Loss, and held-out figures."),
                io.String.Output("out_report", display_name="report", tooltip="What it came to."),
            ],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, name: str = "", **_: Any) -> str:
        return _host.run_stamp(name)

    @classmethod
    def execute(
        cls,
        name: str,
        dataset: Any,
        design: Any,
        vae_run: Any = None,
        judge: Any = None,
        held_out: float = 0.15,
        **given: Any,
    ) -> io.NodeOutput:
        from ..pipelines.train import making_diffusion, words

        settings, course, mirror = words.of_diffusion(**given)
        made = making_diffusion.train_diffusion(
            dataset, design, settings, course, _host.run_folder(name), mirror=mirror, judge=judge, held_out=held_out,
            autoencoder=making_diffusion.autoencoder_of(vae_run, _host.shipped_autoencoder()), **_host.training(),
        )  # fmt: skip
        return runs.shown(made, _host.keep_while_wired(made.model), count=16)
