"""Messages of the host: previews, outputs, scores, progress and errors as a person reads them."""

from __future__ import annotations

import io
import json
import struct

from headless.convert import UnknownNodes
from headless.events import Event, Run, output_files, output_scores, preview_event
from headless.progress import Progress
from headless.run import Report, execution_error_line, node_error_lines

PROMPT = {
    "4": {"class_type": "AIGC_Sample", "inputs": {}, "_meta": {"title": "Sample"}},
    "5": {"class_type": "Save", "inputs": {}},
}


def test_both_kinds_of_preview_are_read():
    bare = preview_event(struct.pack(">II", 1, 2) + b"png", "4")
    assert bare and (bare.image, bare.suffix, bare.data["node"]) == (b"png", ".png", "4")
    meta = json.dumps({"node_id": "7", "image_type": "image/jpeg", "prompt_id": "p"}).encode()
    rich = preview_event(struct.pack(">II", 4, len(meta)) + meta + b"jpg", "4")
    assert rich and (rich.image, rich.suffix, rich.data) == (b"jpg", ".jpg", {"node": "7", "prompt_id": "p"})
    assert preview_event(struct.pack(">II", 3, 1) + b"4text", "4") is None
    assert preview_event(b"", "4") is None


def test_outputs_are_listed_once_and_inputs_left_out():
    image = {"filename": "a.png", "subfolder": "", "type": "output"}
    outputs = {"1": {"images": [image, image], "animated": [False]}, "2": {"images": [{**image, "type": "input"}]}}
    run = Run("p", outputs={**outputs, "3": {"scores": [0.5, 1.0]}, "4": {"aigc_scores": [{"p": 1}]}})
    assert output_files(run) == [image]
    assert output_scores(run) == [0.5, 1.0, {"p": 1}]


def test_node_errors_are_one_line_each():
    error = {
        "type": "value_smaller_than_min", "message": "Value 0 smaller than min of 1", "details": "steps",
        "extra_info": {"input_name": "steps", "received_value": 0},
    }  # fmt: skip
    lines = node_error_lines(PROMPT, {"4": {"errors": [error, error], "class_type": "AIGC_Sample"}})
    assert lines == ['node 4 "Sample" (AIGC_Sample): steps: value 0 smaller than min 1']


def test_execution_errors_name_the_node():
    error = {"node_id": "4", "node_type": "AIGC_Sample", "exception_type": "ValueError", "exception_message": "no\n"}
    assert execution_error_line(PROMPT, error) == 'node 4 "Sample" (AIGC_Sample) failed: ValueError: no'


def test_progress_is_plain_lines_without_a_terminal():
    stream = io.StringIO()
    progress = Progress(PROMPT, stream)
    progress(Event("executing", {"node": "4"}))
    for value in (1, 2):
        progress(Event("progress", {"node": "4", "value": value, "max": 2}))
    progress(Event("executing", {"node": "5"}))
    assert stream.getvalue().splitlines() == ["  0% Sample", " 50% Sample 2/2", " 50% Save"]
    assert "\r" not in stream.getvalue()


def test_unknown_nodes_of_the_core_ask_for_a_newer_host():
    assert "update the host" in str(UnknownNodes([("New", "comfy-core")]))


def test_scores_are_a_line_a_judge():
    rows = [
        {"judge": "pictogram", "unit": "logit", "index": 0, "score": -7.6312},
        {"judge": "sharpness", "unit": "", "index": 0, "score": 0.5},
        {"judge": "pictogram", "unit": "logit", "index": 1, "score": 12},
        {"steps": 3},
    ]
    told = Report(scores=rows).told()
    assert told == ["pictogram, logit, higher is better: -7.631 12", "sharpness, higher is better: 0.5"]
