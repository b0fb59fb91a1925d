"""Training on the canvas: a GAN, a run that goes on, runs beside one another."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_DATASET, AIGC_DESIGN, AIGC_DISCRIMINATOR, AIGC_GAN, AIGC_MODEL, AIGC_RUN


class TrainGan(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_TrainGan",
            display_name="Train GAN",
            category="AIGC/train",
            description="Trains a generator against its discriminator, with live curves and samples on the node. A stop keeps "
            "everything and hands it on; running again goes on where it stopped.",
            search_aliases=["gan", "generator", "discriminator", "adversarial", "stylegan", "training loop"],
            inputs=[
                inp(
                    io.String.Input, "name", default="my gan",
                    tooltip="The run's name and its folder in output/runs. The same name with the same settings goes on.",
                ),
                inp(AIGC_DATASET.Input, "dataset", tooltip="The pictures. A part is held out to examine with."),
                inp(AIGC_DESIGN.Input, "design", tooltip="From Design GAN."),
                inp(
                    io.Int.Input, "steps", default=5000, min=1, max=100000000,
                    tooltip="In all, over every run of this name.",
                ),
                inp(
                    io.Float.Input, "minutes", default=30.0, min=0.05, max=100000.0, step=1.0,
                    tooltip="It pauses after this time, and goes on when it is run again.",
                ),
                inp(io.Int.Input, "batch", default=32, min=2, max=4096, tooltip="Pictures a step."),
                inp(
                    io.Float.Input, "learning_rate", default=0.001, min=1e-7, max=0.1, step=0.0001, round=False,
                    tooltip="Adam's, of both networks.",
                ),
                inp(
                    io.Combo.Input, "loss", options=list(menus.ADVERSARIAL), default=menus.ADVERSARIAL[0],
                    tooltip="relativistic: each real picture against a generated one. non-saturating: each alone, as in 2014.",
                ),
                inp(
                    io.Float.Input, "penalty", default=0.0, min=0.0, max=10000.0, step=0.1,
                    tooltip="How strongly D's slopes are kept small (R1, R2); 0 chooses. Raise it if samples fall apart.",
                ),
                inp(
                    io.Int.Input, "penalty_every", default=1, min=1, max=64,
                    tooltip="Steps between penalties, each then stronger by as much: more is faster and less safe.",
                ),
                inp(
                    io.Combo.Input, "augmentation", options=list(menus.AUGMENTATIONS), default=menus.AUGMENTATIONS[0],
                    tooltip="Moves and cuts what D sees: a small set is not learned by heart. adaptive: as much as is needed.",
                ),
                inp(io.Boolean.Input, "mirror", default=False, tooltip="Show half of the pictures mirrored."),
                inp(
                    io.Int.Input, "examine_every", default=250, min=0, max=1000000,
                    tooltip="Steps between examinations on held-out pictures; the best weights are kept. 0: only at the end.",
                ),
                inp(
                    io.Int.Input, "training_seed", default=0, min=0, max=0x7FFFFFFF,
                    tooltip="Every draw of the training.",
                ),
                inp(
                    AIGC_DISCRIMINATOR.Input, "judge", optional=True,
                    tooltip="Examine with what this judge sees; without one by colour, edges and spectrum.",
                ),
            ],
            outputs=[
                AIGC_GAN.Output("out_gan", display_name="gan", tooltip="With the weights that examined best."),
                AIGC_DISCRIMINATOR.Output(
                    "out_discriminator", display_name="discriminator",
                    tooltip="Its own D, as a judge.",
                ),
                AIGC_RUN.Output("out_run", display_name="run", tooltip="For Resume Training and Compare Runs."),
                io.Image.Output("out_samples", display_name="samples", tooltip="64 pictures from fixed noise."),
                io.Image.Output(
                    "out_curves", display_name="curves",
                    tooltip="Losses, what D says, held-out figures.",
                ),
                io.String.Output("out_report", display_name="report", tooltip="What it came to."),
            ],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, name: str = "", **_: Any) -> str:
        return _host.run_stamp(name)

    @classmethod
    def execute(cls, name: str, dataset: Any, design: Any, judge: Any = None, **given: Any) -> io.NodeOutput:
        from ..pipelines.train import making, words

        settings, course, mirror = words.of_gan(design, **given)
        made = making.train_gan(
            dataset, design, settings, course, _host.run_folder(name), mirror=mirror, judge=judge, **_host.training()
        )
        return shown(made, *_gan(made))


class ResumeTraining(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_ResumeTraining",
            display_name="Resume Training",
            category="AIGC/train",
            description="Goes on with a run of output/runs with the settings that it was begun with, as if it had never stopped.",
            search_aliases=["continue", "checkpoint", "resume"],
            inputs=[
                inp(io.String.Input, "name", default="my gan", tooltip="The run's name, unless a run is connected."),
                inp(AIGC_DATASET.Input, "dataset", tooltip="The same pictures as before."),
                inp(
                    io.Int.Input, "more_steps", default=0, min=0, max=100000000,
                    tooltip="Steps beyond what it was begun for; 0 to finish what was begun.",
                ),
                inp(
                    io.Float.Input, "minutes", default=30.0, min=0.05, max=100000.0, step=1.0,
                    tooltip="It pauses after this time.",
                ),
                inp(AIGC_RUN.Input, "run", optional=True, tooltip="The run to go on with."),
                inp(
                    AIGC_DISCRIMINATOR.Input, "judge", optional=True,
                    tooltip="The judge it was examined with, if any.",
                ),
                inp(AIGC_MODEL.Input, "model", optional=True, tooltip="Of a LoRA's run: the model it was begun on."),
            ],
            outputs=[
                AIGC_GAN.Output("out_gan", display_name="gan", tooltip="Of a GAN's run, else nothing."),
                AIGC_DISCRIMINATOR.Output(
                    "out_discriminator", display_name="discriminator",
                    tooltip="A GAN's own D, as a judge.",
                ),
                AIGC_RUN.Output("out_run", display_name="run", tooltip="The run, further on."),
                io.Image.Output(
                    "out_samples", display_name="samples",
                    tooltip="Pictures from fixed noise; of a VAE originals and copies.",
                ),
                io.Image.Output(
                    "out_curves", display_name="curves",
                    tooltip="Losses, what D says, held-out figures.",
                ),
                io.String.Output("out_report", display_name="report", tooltip="What it came to."),
                AIGC_MODEL.Output(
                    "out_model", display_name="model",
                    tooltip="Of a diffusion model's or a LoRA's run, else nothing.",
                ),
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
        more_steps: int,
        minutes: float,
        run: Any = None,
        judge: Any = None,
        model: Any = None,
    ) -> io.NodeOutput:
        from ..pipelines.train import making

        folder = _host.run_folder(name) if run is None else run.folder
        more = {"judge": judge, "model": model, "publish": _host.lora_file(folder.name)}
        made = making.resume(folder, dataset, more_steps, minutes, **more, **_host.training())
        model, nothing = getattr(made, "model", None), _host.stop_quietly()
        head = _gan(made) if hasattr(made, "gan") else (nothing, nothing)
        return shown(made, *head, last=(nothing if model is None else _host.keep_while_wired(model),))


class CompareRuns(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_CompareRuns",
            display_name="Compare Runs",
            category="AIGC/train",
            description="Lays the curves of several trainings over one another, and says which is better on held-out data.",
            search_aliases=["learning curves", "training", "ablation"],
            inputs=[
                inp(AIGC_RUN.Input, "run_1", tooltip="A run."),
                inp(AIGC_RUN.Input, "run_2", optional=True, tooltip="Another."),
                inp(AIGC_RUN.Input, "run_3", optional=True, tooltip="Another."),
                inp(AIGC_RUN.Input, "run_4", optional=True, tooltip="Another."),
                inp(
                    io.String.Input, "more", default="", optional=True,
                    tooltip="Names of further runs in output/runs, with commas between.",
                ),
            ],
            outputs=[
                io.Image.Output("out_curves", display_name="curves", tooltip="Each figure of all runs in one chart."),
                io.String.Output("out_report", display_name="report", tooltip="A line a run, the best first."),
            ],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(cls, more: str = "", **runs: Any) -> io.NodeOutput:
        from ..pipelines.train import chart, comparing

        folders = [run.folder for run in runs.values() if run is not None]
        folders += [_host.run_folder(name) for name in more.split(",") if name.strip()]
        compared = comparing.compared(folders)
        text = comparing.told(compared)
        return io.NodeOutput(chart.image(comparing.drawn(compared)), text, ui={"text": (text,)})


def _gan(made: Any) -> tuple[Any, Any]:
    from ..pipelines.gan import judge

    return made.gan, _host.keep_while_wired(judge.discriminator(made.gan))


def shown(made: Any, *first: Any, last: tuple[Any, ...] = (), count: int = 64) -> io.NodeOutput:
    """A training's outputs: what it made, the run, samples, curves, report."""
    from ..pipelines.train import chart, making

    sitting, text = made.sitting, making.told(made)
    pictures, curves = sitting.objective.pictures(count), chart.image(chart.charts(sitting.log.rows))
    return io.NodeOutput(*first, sitting.run, pictures, curves, text, *last, ui={"text": (text,)})
