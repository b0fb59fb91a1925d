"""Data for training: pictures collected, cleaned, captioned and sorted into buckets; their files stay as they are."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_DATASET, AIGC_DISCRIMINATOR


class CollectImages(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_CollectImages",
            display_name="Collect Images",
            category="AIGC/data",
            description="Makes a dataset of folders, zips, videos and pictures on a wire. Only headers are read: pixels are "
            "decoded when they are needed, so that any number fits.",
            search_aliases=["dataset", "load folder", "training data", "zip", "frames"],
            is_output_node=True,
            inputs=[
                inp(
                    io.String.Input,
                    "folder",
                    default="pictograms",
                    multiline=True,
                    tooltip="A folder, zip, video or pattern such as folder/*.png, one a line. A relative one starts at ComfyUI's "
                    "input folder; pictograms and faces are shipped sets.",
                ),
                inp(io.Boolean.Input, "subfolders", default=True, tooltip="Look into the folders inside as well."),
                inp(
                    io.Boolean.Input,
                    "folder_labels",
                    default=False,
                    tooltip="The name of the folder that a picture lies in is its class.",
                ),
                inp(
                    io.Int.Input, "every_nth_frame", default=10, min=1, max=1000000,
                    tooltip="Of a video every n-th frame is a picture.",
                ),
                inp(
                    io.Image.Input,
                    "image",
                    optional=True,
                    tooltip="Pictures to add; each is written once as PNG below output/aigc/collected.",
                ),
                inp(AIGC_DATASET.Input, "dataset", optional=True, tooltip="A dataset to put in front."),
            ],
            outputs=[
                AIGC_DATASET.Output("out_dataset", display_name="dataset", tooltip="For Clean Images or a training."),
                io.String.Output("out_report", display_name="report", tooltip="How many, how large, what was left out."),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, folder: str = "", subfolders: bool = True, **_: Any) -> str:
        return _host.dataset_stamp(folder, below=subfolders)

    @classmethod
    def execute(
        cls,
        folder: str,
        subfolders: bool,
        folder_labels: bool,
        every_nth_frame: int,
        image: Any = None,
        dataset: Any = None,
    ) -> io.NodeOutput:
        from ..pipelines.data import collecting

        found = collecting.collect(
            collecting.places(folder),
            _host.input_folder(),
            named=_host.example_sets(),
            below=subfolders,
            every=every_nth_frame,
            labelled=folder_labels,
            on_item=_host.counter(),
        )
        if image is not None:
            found = collecting.joined(found, collecting.stored(image, _host.collected_folder(), _host.counter()))
        found = found if dataset is None else collecting.joined(dataset, found)
        report = collecting.told(found)
        return io.NodeOutput(found, report, ui={"text": (report,)})


class CleanImages(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_CleanImages",
            display_name="Clean Images",
            category="AIGC/data",
            description="Leaves out what harms a training: broken, small, long, blurred, black or white pictures, near-duplicates, "
            "and what a judge scores low. Says why for each; no file is changed or deleted.",
            search_aliases=["dataset", "duplicates", "dedupe", "filter", "quality", "curate"],
            is_output_node=True,
            inputs=[
                inp(AIGC_DATASET.Input, "dataset", tooltip="From Collect Images."),
                inp(
                    io.Int.Input, "min_side", default=64, min=0, max=65536,
                    tooltip="The shorter side has at least this many pixels; 0 is off.",
                ),
                inp(
                    io.Float.Input, "max_aspect", default=3.0, min=0.0, max=1000.0, step=0.1,
                    tooltip="The longer side is at most this many times the shorter one; 0 is off.",
                ),
                inp(
                    io.Int.Input, "duplicate_bits", default=4, min=-1, max=16,
                    tooltip="Pictures whose hashes differ in up to this many of 64 bits count as one, the largest stays; "
                    "-1 is off.",
                ),
                inp(
                    io.Float.Input, "min_sharpness", default=10.0, min=0.0, max=1000000.0, step=1.0,
                    tooltip="Variance of the Laplacian at 256 px; photographs have some hundreds, blurred ones few tens; 0 is off.",
                ),
                inp(
                    io.Float.Input, "max_clipped", default=0.98, min=0.0, max=1.0, step=0.01,
                    tooltip="The share of the picture that may be black, or white; 0 is off.",
                ),
                inp(
                    io.Float.Input, "min_spread", default=3.0, min=0.0, max=127.0, step=0.5,
                    tooltip="Standard deviation of brightness, of 255: flat pictures have less; 0 is off.",
                ),
                inp(
                    AIGC_DISCRIMINATOR.Input,
                    "discriminator",
                    optional=True,
                    tooltip="A judge of single pictures. One that wants a prompt gets a picture's caption.",
                ),
                inp(
                    io.Float.Input, "min_score", default=0.0, min=-1000000.0, max=1000000.0, step=0.1, optional=True,
                    tooltip="The judge's score that a picture needs.",
                ),
            ],
            outputs=[
                AIGC_DATASET.Output("out_dataset", display_name="dataset", tooltip="What stays, in its order."),
                io.String.Output("out_report", display_name="report", tooltip="Each one left out, and why."),
                io.Image.Output("out_kept", display_name="kept", tooltip="A contact sheet of what stays."),
                io.Image.Output("out_left_out", display_name="left out", tooltip="One of the others, reasons below."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        dataset: Any,
        min_side: int,
        max_aspect: float,
        duplicate_bits: int,
        min_sharpness: float,
        max_clipped: float,
        min_spread: float,
        discriminator: Any = None,
        min_score: float = 0.0,
    ) -> io.NodeOutput:
        from ..pipelines.data import cleaning, sheets

        limits = cleaning.Limits(
            min_side, max_aspect, duplicate_bits, min_sharpness, max_clipped, min_spread, min_score
        )
        runtime = _host.runtime()
        found = cleaning.clean(dataset, limits, judge=discriminator, on_item=_host.counter(), runtime=runtime)
        report = cleaning.report(dataset, found)
        check = runtime.check_interrupt
        pictures = sheets.kept(found, check=check), sheets.left_out(found.rejected, check=check)
        return io.NodeOutput(found, report, *pictures, ui={"text": (report,)})


class CaptionImages(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.menus import CAPTION_SOURCES

        return schema(
            node_id="AIGC_CaptionImages",
            display_name="Caption Images",
            category="AIGC/data",
            description="Gives every picture its caption: from a file beside it, its name, its folder, lines of text, or a model "
            "that looks at it.",
            search_aliases=["tags", "blip", "trigger word", "sidecar", "dataset"],
            is_output_node=True,
            inputs=[
                inp(AIGC_DATASET.Input, "dataset", tooltip="From Collect Images or Clean Images."),
                inp(
                    io.Combo.Input,
                    "source",
                    options=list(CAPTION_SOURCES),
                    default="sidecar or name",
                    tooltip="Sidecar: .txt, .caption, .json beside it, or a table of its folder. Label: its folder's name. Keep: "
                    "the caption that it has.",
                ),
                inp(
                    io.String.Input,
                    "template",
                    default="{caption}",
                    tooltip="What a caption is made of: text with {caption}, {name} and {label} in it.",
                ),
                inp(
                    io.String.Input,
                    "trigger_word",
                    default="",
                    tooltip="Put in front with a comma, such as the word that a LoRA is to answer to.",
                ),
                inp(io.String.Input, "prefix", default="", tooltip="Put right in front of the filled template."),
                inp(io.String.Input, "suffix", default="", tooltip="Put right behind the filled template."),
                inp(
                    io.Boolean.Input,
                    "keep_existing",
                    default=False,
                    tooltip="Pictures that have a caption already stay as they are.",
                ),
                inp(
                    io.String.Input,
                    "lines",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="For source lines: one a picture, in their order, or one for all.",
                ),
                inp(
                    io.String.Input,
                    "captioner",
                    default="Salesforce/blip-image-captioning-base",
                    optional=True,
                    tooltip="For source model: a folder below models/judges, a path, or a hub id that is on this machine.",
                ),
                inp(
                    io.Int.Input, "max_tokens", default=40, min=1, max=2048, optional=True,
                    tooltip="For source model: the longest caption, in tokens.",
                ),
            ],
            outputs=[
                AIGC_DATASET.Output("out_dataset", display_name="dataset", tooltip="The pictures with captions."),
                io.String.Output("out_report", display_name="report", tooltip="How many have one, and the first."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        dataset: Any,
        source: str,
        template: str,
        trigger_word: str,
        prefix: str,
        suffix: str,
        keep_existing: bool,
        lines: str = "",
        captioner: str = "",
        max_tokens: int = 40,
    ) -> io.NodeOutput:
        from ..pipelines.data import captioner as writing
        from ..pipelines.data import captions

        found = writing.captioned(
            dataset,
            source,
            captions.Form(template, prefix, suffix, trigger_word),
            captioner,
            roots=_host.roots(),
            runtime=_host.runtime(),
            most=max_tokens,
            lines=captions.lines_of(lines),
            keep=keep_existing,
            on_item=_host.counter(),
        )
        report = captions.report(found)
        return io.NodeOutput(found, report, ui={"text": (report,)})


class BucketImages(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_BucketImages",
            display_name="Bucket Images",
            category="AIGC/data",
            description="Chooses the size that each picture is trained at: of sizes with about the same area, the one nearest to "
            "its shape. Each batch of a training has one size.",
            search_aliases=["aspect ratio", "resolution", "crop", "dataset"],
            is_output_node=True,
            inputs=[
                inp(AIGC_DATASET.Input, "dataset", tooltip="From Collect, Clean or Caption Images."),
                inp(
                    io.Int.Input, "size", default=512, min=8, max=8192, step=8,
                    tooltip="The side of the square bucket, a multiple of step; the others have up to its area.",
                ),
                inp(
                    io.Int.Input, "step", default=64, min=1, max=1024,
                    tooltip="Sides are multiples of this: 64 for Stable Diffusion, 8 for small models.",
                ),
                inp(
                    io.Float.Input, "max_aspect", default=2.0, min=1.0, max=8.0, step=0.1,
                    tooltip="The longest bucket, longer by shorter side; 1 gives the square only.",
                ),
                inp(
                    io.Float.Input, "max_upscale", default=1.0, min=0.0, max=64.0, step=0.05,
                    tooltip="By how much a picture may be enlarged; those that need more are left out.",
                ),
            ],
            outputs=[
                AIGC_DATASET.Output("out_dataset", display_name="dataset", tooltip="Ready for a training."),
                io.String.Output("out_report", display_name="report", tooltip="What each bucket has, what is cut off."),
                io.Image.Output("out_sheet", display_name="sheet", tooltip="Some pictures of each bucket, as trained."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, dataset: Any, size: int, step: int, max_aspect: float, max_upscale: float) -> io.NodeOutput:
        from ..pipelines.data import bucketing, sheets

        found = bucketing.bucketed(dataset, size, step, max_aspect, max_upscale)
        report = bucketing.report(dataset, found)
        sheet = sheets.by_bucket(found, check=_host.runtime().check_interrupt)
        return io.NodeOutput(found, report, sheet, ui={"text": (report,)})
