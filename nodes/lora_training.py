"""Fine-tuning on the canvas: a LoRA, or all weights, of any model whose denoiser can be called as its pipeline does."""

from __future__ import annotations

from typing import Any

from . import _host, runs
from ._api import Node, inp, io, schema
from ._sockets import AIGC_DATASET, AIGC_MODEL, AIGC_RUN


class TrainLora(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_TrainLora",
            display_name="Train LoRA",
            category="AIGC/train",
            description="Teaches a model new pictures: a LoRA, or all its weights. The file is written to models/loras too, where "
            "Load LoRA and ComfyUI's own loader find it. A stop keeps everything; running again goes on.",
            search_aliases=["lora", "fine-tune", "finetune", "dreambooth", "train style", "peft"],
            inputs=[
                inp(
                    io.String.Input, "name", default="my lora",
                    tooltip="The run's name, its folder in output/runs and the LoRA's file. The same name with the same settings "
                    "goes on.",
                ),
                inp(AIGC_DATASET.Input, "dataset", tooltip="Pictures with captions. Of 8 or more some are held out to examine."),
                inp(AIGC_MODEL.Input, "model", tooltip="The model to teach, without a LoRA on it. It stays as it is."),
                inp(io.Int.Input, "rank", default=16, min=1, max=512, tooltip="How much the LoRA can hold, and its size."),
                inp(
                    io.Float.Input, "alpha", default=16.0, min=0.01, max=1024.0, step=1.0,
                    tooltip="The LoRA acts times alpha / rank. Equal to rank: as it is.",
                ),
                inp(io.Int.Input, "steps", default=1000, min=1, max=10000000, tooltip="In all, over every run of this name."),
                inp(
                    io.Float.Input, "minutes", default=30.0, min=0.05, max=100000.0, step=1.0,
                    tooltip="It pauses after this time, and goes on when it is run again.",
                ),
                inp(io.Int.Input, "batch", default=4, min=1, max=1024, tooltip="Pictures a step."),
                inp(
                    io.Float.Input, "learning_rate", default=0.0001, min=1e-8, max=0.1, step=0.0001, round=False,
                    tooltip="AdamW's. Large models: 0.0001. Small ones, such as pictogram: 0.002.",
                ),
                inp(
                    io.Combo.Input, "targets", options=list(menus.LORA_TARGETS), default=menus.LORA_TARGETS[0],
                    tooltip="Which layers of the denoiser learn: those of attention, all linear ones, or convolutions as well.",
                ),
                inp(
                    io.Float.Input, "caption_dropout", default=0.1, min=0.0, max=1.0, step=0.05,
                    tooltip="The share of pictures shown without their caption, which guidance needs.",
                ),
                inp(
                    io.Int.Input, "resolution", default=0, min=0, max=4096, step=8,
                    tooltip="Side of the square that pictures are trained at; 0: as their buckets say.",
                ),
                inp(
                    io.Boolean.Input, "full", default=False,
                    tooltip="Train all weights of the denoiser instead of a LoRA. Takes four times the model's size in float32.",
                ),
                inp(
                    io.Float.Input, "min_snr", default=0.0, min=0.0, max=100.0, step=0.5,
                    tooltip="Caps the weight of nearly clean pictures (5 is usual), for models that predict noise or v; 0: off.",
                ),
                inp(
                    io.Combo.Input, "levels", options=list(menus.LEVEL_DENSITIES), default=menus.LEVEL_DENSITIES[0],
                    tooltip="How noisy pictures are shown: evenly along the model's schedule, or more often at its middle.",
                ),
                inp(
                    io.Int.Input, "average", default=0, min=0, max=1000000,
                    tooltip="Keep the average of the weights over about so many pictures, and hand that on; 0: off.",
                ),
                inp(
                    io.Float.Input, "weight_decay", default=0.0, min=0.0, max=1.0, step=0.001,
                    tooltip="AdamW's pull towards zero.",
                ),
                inp(
                    io.Int.Input, "passes", default=1, min=1, max=1024,
                    tooltip="Show a step's batch in so many parts: less memory, the same step.",
                ),
                inp(
                    io.Boolean.Input, "checkpointing", default=False,
                    tooltip="Compute activations twice instead of keeping them: less memory, more time.",
                ),
                inp(
                    io.Int.Input, "examine_every", default=250, min=0, max=1000000,
                    tooltip="Steps between examinations and samples; the best weights are kept. 0: only at the end.",
                ),
                inp(io.Int.Input, "training_seed", default=0, min=0, max=0x7FFFFFFF, tooltip="Every draw of the training."),
            ],
            outputs=[
                AIGC_MODEL.Output("out_model", display_name="model", tooltip="With the weights that examined best."),
                AIGC_RUN.Output("out_run", display_name="run", tooltip="For Resume Training and Compare Runs."),
                io.Image.Output("out_samples", display_name="samples", tooltip="Pictures of the first captions, from fixed noise."),
                io.Image.Output("out_curves", display_name="curves", tooltip="The loss, and that on held-out pictures."),
                io.String.Output("out_report", display_name="report", tooltip="What it came to, and where the file is."),
            ],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, name: str = "", **_: Any) -> str:
        return _host.run_stamp(name)

    @classmethod
    def execute(cls, name: str, dataset: Any, model: Any, resolution: int, **given: Any) -> io.NodeOutput:
        from ..pipelines.train import tuning, words

        settings, course = words.of_lora(**given)
        folder, publish = _host.run_folder(name), _host.lora_file(name)
        tuned = tuning.train_lora(
            dataset, model, settings, course, folder, resolution=resolution, publish=publish, **_host.training()
        )
        return runs.shown(tuned, _host.keep_while_wired(tuned.model), count=settings.samples)
