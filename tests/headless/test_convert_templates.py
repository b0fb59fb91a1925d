"""The conversion against the browser's own graphToPrompt, on every bundled workflow template."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from headless.convert import convert
from headless.widgets import input_specs

BUNDLES = ("api", "image", "other", "video")
AT_LEAST = 188


def template_files() -> dict[str, Path]:
    files = {}
    for bundle in BUNDLES:
        spec = find_spec(f"comfyui_workflow_templates_media_{bundle}")
        assert spec and spec.submodule_search_locations, "install ComfyUI's requirements.txt"
        folder = Path(next(iter(spec.submodule_search_locations)))
        files.update({path.stem: path for path in (folder / "templates").glob("*.json")})
    return files


def declared(prompt: dict, object_info: dict) -> dict:
    """Class and declared inputs of each node; of a class that this host lacks, only that the node is there."""
    result = {}
    for id, node in prompt.items():
        name = node.get("class_type")
        if name in object_info:
            specs = input_specs(object_info[name])
            result[id] = (name, {key: value for key, value in node["inputs"].items() if key in specs})
        else:
            result[id] = (None, {})
    return result


def test_templates_convert_as_in_the_browser(oracle):
    files, info = template_files(), oracle["object_info"]
    differing = []
    for name, expected in oracle["prompts"].items():
        workflow = json.loads(files[name].read_text(encoding="utf-8"))
        if declared(convert(workflow, info, allow_unknown=True), info) != declared(expected, info):
            differing.append(name)
    equal = len(oracle["prompts"]) - len(differing)
    print(f"{equal} of {len(oracle['prompts'])} templates equal; differing: {differing}")
    assert len(oracle["prompts"]) >= 187
    assert equal >= AT_LEAST, f"differing: {differing}"


def test_conversion_leaves_the_workflow_alone(oracle):
    path = template_files()["video_wan2_2_14B_animate"]
    workflow, again = (json.loads(path.read_text(encoding="utf-8")) for _ in range(2))
    convert(workflow, oracle["object_info"], allow_unknown=True)
    assert workflow == again
