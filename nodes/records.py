"""Scores and files: kept in tables and pictures, and made of whole folders."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_DISCRIMINATOR, AIGC_SCORES


class SaveScores(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_SaveScores",
            display_name="Save Scores",
            category="AIGC/score",
            description="Adds a row a picture to a csv or jsonl file in ComfyUI's output folder. With pictures connected, saves "
            "them too, each with its score in the PNG's text beside the workflow.",
            search_aliases=["csv", "jsonl", "log", "metadata", "png"],
            is_output_node=True,
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            inputs=[
                inp(AIGC_SCORES.Input, "scores", tooltip="From Score, Rank, Gate or Score Folder."),
                inp(
                    io.String.Input,
                    "filename_prefix",
                    default="aigc/scores",
                    tooltip="As in Save Image: folder/name. The table is name.csv, the pictures name_00001_.png and so on.",
                ),
                inp(
                    io.Combo.Input,
                    "table",
                    options=["csv", "jsonl", "csv and jsonl", "none"],
                    default="csv",
                    tooltip="The file that rows are added to: for spreadsheets, one JSON object a line, both, or none.",
                ),
                inp(
                    io.Image.Input, "image", optional=True, tooltip="The pictures of these scores, to be saved as well."
                ),
            ],
            outputs=[
                io.String.Output("out_files", display_name="files", tooltip="What was written, a path a line."),
            ],
        )

    @classmethod
    def execute(cls, scores: Any, filename_prefix: str, table: str, image: Any = None) -> io.NodeOutput:
        from ..pipelines.score import choosing, records

        size = (0, 0) if image is None else (image.shape[2], image.shape[1])
        place = _host.save_place(filename_prefix, *size)
        rows, names = choosing.rows(scores), []
        if image is not None:
            names = place.names(len(image))
            rows = records.save_pictures(image, scores, place.folder, names, _host.picture_texts(cls.hidden))
        written = records.write(rows, place.folder / place.stem, table)
        shown = {"images": [place.shown(name) for name in names], "aigc_scores": rows}
        return io.NodeOutput("\n".join(map(str, [*written, *(place.folder / name for name in names)])), ui=shown)


class ScoreFolder(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_ScoreFolder",
            display_name="Score Folder",
            category="AIGC/score",
            description="Scores every picture of a folder, however many: they are read a few at a time, and the table is kept, so "
            "that a second run scores only what is new. Nothing is moved or deleted.",
            search_aliases=["batch", "directory", "curate", "sort folder"],
            is_output_node=True,
            inputs=[
                inp(AIGC_DISCRIMINATOR.Input, "discriminator", tooltip="A judge of single pictures."),
                inp(
                    io.String.Input,
                    "folder",
                    default="",
                    tooltip="The folder, or a pattern such as folder/*.png. A relative one starts at ComfyUI's input folder.",
                ),
                inp(io.Boolean.Input, "subfolders", default=False, tooltip="Look into the folders inside as well."),
                inp(
                    io.Int.Input,
                    "keep",
                    default=8,
                    min=0,
                    max=256,
                    tooltip="How many of the best pictures to put out, scaled into the best one's size, black around.",
                ),
                inp(
                    io.String.Input,
                    "table_prefix",
                    default="aigc/score_folder",
                    tooltip="Where the table is, below ComfyUI's output folder: folder/name gives name.csv.",
                ),
                inp(
                    io.String.Input,
                    "prompt",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="One line for all pictures, for judges that compare with a prompt.",
                ),
            ],
            outputs=[
                AIGC_SCORES.Output("out_scores", display_name="scores", tooltip="One score a file, in their order."),
                io.Image.Output("out_image", display_name="image", tooltip="The best pictures, best first."),
                io.String.Output("out_table", display_name="table", tooltip="The path of the csv file."),
                io.String.Output(
                    "out_report", display_name="report", tooltip="The best by name, and what was left out."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, folder: str = "", subfolders: bool = False, **_: Any) -> str:
        return _host.pictures_stamp(folder, below=subfolders)

    @classmethod
    def execute(
        cls, discriminator: Any, folder: str, subfolders: bool, keep: int, table_prefix: str, prompt: str = ""
    ) -> io.NodeOutput:
        from ..pipelines.score import choosing, pictures, scoring
        from ..pipelines.score import folder as folders

        place = _host.save_place(table_prefix)
        table = place.folder / f"{place.stem}.csv"
        found = folders.score(
            discriminator,
            pictures.listed(folder, _host.input_folder(), below=subfolders),
            table,
            prompts=scoring.lines(prompt),
            on_picture=_host.counter(),
            runtime=_host.runtime(),
        )
        best = folders.best_pictures(found.scores, keep)
        report = folders.report(found)
        image = _host.stop_quietly() if choosing.nothing(best) else best
        return io.NodeOutput(found.scores, image, str(table), report, ui={"text": (report,)})
