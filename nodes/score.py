"""Judges: choose one, score with it, see where, keep the best."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_DISCRIMINATOR, AIGC_SCORES

PROMPT = "What the pictures were made from, for judges that compare with it: one line for all, or one a picture."


class LoadDiscriminator(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.score import judges

        names = judges.names(_host.roots())
        return schema(
            node_id="AIGC_LoadDiscriminator",
            display_name="Load Discriminator",
            category="AIGC/score",
            description="Opens a judge: of pictures, latents, sound or video, or one that you trained. Higher is better, always.",
            search_aliases=["judge", "critic", "scorer", "quality", "aesthetic"],
            inputs=[
                inp(
                    io.Combo.Input,
                    "discriminator",
                    options=names,
                    default="pictogram" if "pictogram" in names else names[0],
                    tooltip="The judge. Files in models/judges are trained ones or a GAN's own; the last have weights on a hub.",
                ),
            ],
            outputs=[
                AIGC_DISCRIMINATOR.Output(
                    "out_discriminator",
                    display_name="discriminator",
                    tooltip="For Score, Score Heatmap and the guide input of Sample.",
                ),
                io.String.Output("out_info", display_name="info", tooltip="What it judges, how well, and its licence."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, discriminator: str = "", **_: Any) -> str:
        from ..pipelines.score import judges

        return judges.fingerprint(discriminator, roots=_host.roots())

    @classmethod
    def execute(cls, discriminator: str) -> io.NodeOutput:
        from ..pipelines.score import judges

        judge = _host.keep_while_wired(judges.open_discriminator(discriminator, roots=_host.roots()))
        return io.NodeOutput(judge, judges.describe(judge))


class Score(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_Score",
            display_name="Score",
            category="AIGC/score",
            description="Judges every picture, latent or sound of a batch, or a video, and shows the scores, best first.",
            search_aliases=["judge", "rate", "quality", "discriminator"],
            is_output_node=True,
            inputs=[
                inp(AIGC_DISCRIMINATOR.Input, "discriminator", tooltip="The judge, from Load Discriminator."),
                inp(io.Image.Input, "image", optional=True, tooltip="Pictures, for a judge of pictures."),
                inp(io.Latent.Input, "latents", optional=True, tooltip="Latents, for a judge of latents."),
                inp(io.Audio.Input, "audio", optional=True, tooltip="Sounds, for a judge of sound."),
                inp(io.String.Input, "prompt", default="", multiline=True, optional=True, tooltip=PROMPT),
                inp(
                    io.Image.Input,
                    "reference",
                    optional=True,
                    tooltip="For judges that compare: one picture for all, or one a picture.",
                ),
                inp(
                    io.Int.Input,
                    "batch_seed",
                    default=-1,
                    min=-1,
                    max=0xFFFFFFFFFFFFFFFF,
                    optional=True,
                    tooltip="The seed that the batch was sampled with, to be named beside each score; -1 names none.",
                ),
                inp(
                    io.Video.Input,
                    "video",
                    optional=True,
                    tooltip="A video: its frames for judges of video or pictures, its sound for judges of sound.",
                ),
                inp(
                    io.Combo.Input,
                    "frames",
                    options=["each", "mean", "worst"],
                    default="each",
                    optional=True,
                    tooltip="For a judge of pictures: a score for each one, or one for all as frames of a video.",
                ),
            ],
            outputs=[
                AIGC_SCORES.Output("out_scores", display_name="scores", tooltip="One score an item, for Rank."),
                io.Float.Output("out_best", display_name="best", tooltip="The highest score; minus infinity for none."),
                io.String.Output("out_table", display_name="table", tooltip="The scores as text, best first."),
            ],
        )

    @classmethod
    def execute(
        cls,
        discriminator: Any,
        image: Any = None,
        latents: Any = None,
        audio: Any = None,
        prompt: str = "",
        reference: Any = None,
        batch_seed: int = -1,
        video: Any = None,
        frames: str = "each",
    ) -> io.NodeOutput:
        from ..pipelines.score import choosing, scoring

        kinds = {"image": image, "latents": latents, "audio": audio}
        kinds["video"] = None if video is None else video.get_components()
        about = {"prompt": prompt, "reference": reference, "seed": batch_seed, "frames": frames}
        scores = scoring.score_any(discriminator, **kinds, **about, runtime=_host.runtime())
        table = choosing.table(scores)
        shown = {"text": (table,), "aigc_scores": choosing.rows(scores)}
        return io.NodeOutput(scores, max(scores.values, default=float("-inf")), table, ui=shown)


class ScoreHeatmap(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_ScoreHeatmap",
            display_name="Score Heatmap",
            category="AIGC/score",
            description="Shows where a judge finds fault: red over the picture, and as a mask for inpainting.",
            search_aliases=["attention", "saliency", "where", "fake", "repair"],
            inputs=[
                inp(AIGC_DISCRIMINATOR.Input, "discriminator", tooltip="The judge, from Load Discriminator."),
                inp(io.Image.Input, "image", tooltip="The pictures to draw on, and to judge unless latents are given."),
                inp(
                    io.Latent.Input,
                    "latents",
                    optional=True,
                    tooltip="The latents of these pictures, for a judge of latents.",
                ),
                inp(io.String.Input, "prompt", default="", multiline=True, optional=True, tooltip=PROMPT),
                inp(
                    io.Float.Input,
                    "share",
                    default=0.25,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="How much of the picture the mask covers: its worst part.",
                ),
            ],
            outputs=[
                io.Image.Output("out_image", display_name="image", tooltip="The pictures, red where they look worst."),
                io.Mask.Output("out_mask", display_name="mask", tooltip="The worst part, for inpainting."),
            ],
        )

    @classmethod
    def execute(
        cls, discriminator: Any, image: Any, latents: Any = None, prompt: str = "", share: float = 0.25
    ) -> io.NodeOutput:
        from ..pipelines.score import heat, scoring

        given = scoring.wanted(discriminator.spec, image=image, latent=latents)
        coarse = scoring.heatmap(discriminator, given, prompts=scoring.lines(prompt), runtime=_host.runtime())
        return io.NodeOutput(*heat.shown(coarse, image, share))


class Rank(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_Rank",
            display_name="Rank",
            category="AIGC/score",
            description="Keeps the best of a batch by score: pictures, latents, masks and sounds stay in step.",
            search_aliases=["best of n", "sort", "select", "top k", "filter"],
            inputs=[
                inp(AIGC_SCORES.Input, "scores", tooltip="From Score."),
                inp(io.Int.Input, "keep", default=1, min=0, max=4096, tooltip="How many to keep, best first."),
                inp(
                    io.Image.Input,
                    "image",
                    optional=True,
                    tooltip="The pictures that were scored, or belong to what was.",
                ),
                inp(
                    io.Latent.Input, "latents", optional=True, tooltip="The latents that were scored, or belong to it."
                ),
                inp(io.Mask.Input, "mask", optional=True, tooltip="One mask an item."),
                inp(io.Audio.Input, "audio", optional=True, tooltip="The sounds that were scored, or belong to it."),
            ],
            outputs=[
                AIGC_SCORES.Output("out_scores", display_name="scores", tooltip="The scores of the kept, best first."),
                io.Image.Output("out_image", display_name="image", tooltip="The kept pictures, best first."),
                io.Latent.Output("out_latents", display_name="latents", tooltip="The kept latents, best first."),
                io.Mask.Output("out_mask", display_name="mask", tooltip="The kept masks, best first."),
                io.Audio.Output("out_audio", display_name="audio", tooltip="The kept sounds, best first."),
                io.Image.Output("out_rest_image", display_name="rest of image", tooltip="The other pictures."),
                io.Latent.Output("out_rest_latents", display_name="rest of latents", tooltip="The other latents."),
                io.String.Output("out_indices", display_name="indices", tooltip="The places of the kept, from 0."),
                io.String.Output("out_seeds", display_name="seeds", tooltip="The seeds of the kept, where known."),
            ],
        )

    @classmethod
    def execute(
        cls, scores: Any, keep: int, image: Any = None, latents: Any = None, mask: Any = None, audio: Any = None
    ) -> io.NodeOutput:
        from ..pipelines.score import choosing

        best, rest = choosing.best(scores, keep)
        count = len(scores.values)
        kept = [choosing.taken(x, best, count) for x in (scores, image, latents, mask, audio)]
        others = [choosing.taken(x, rest, count) for x in (image, latents)]
        # What did not come in, or is empty, stops quietly what hangs on it.
        wires = [_host.stop_quietly() if choosing.nothing(x) else x for x in (*kept, *others)]
        words = (", ".join(map(str, best)), ", ".join(str(s) for s in kept[0].seeds if s >= 0))
        return io.NodeOutput(*wires, *words)
