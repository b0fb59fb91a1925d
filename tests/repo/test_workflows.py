"""Every shared workflow has its picture, names only nodes that exist, and every node is shown in one."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

from .node_schemas import schemas
from .sources import ROOT, files


def stems(suffix: str) -> set[str]:
    paths = [PurePosixPath(name) for name in files() if name.startswith("workflows/")]
    return {path.stem for path in paths if path.suffix == suffix and path.parent.name == "workflows"}


def test_every_workflow_has_a_picture_and_every_picture_a_workflow() -> None:
    """The host's template browser shows <name>.jpg, and no other ending."""
    assert "text_to_image" in stems(".json")
    assert stems(".json") == stems(".jpg")


def test_workflows_name_only_nodes_that_exist() -> None:
    ids = {schema.node_id for schema in schemas()}
    for stem in stems(".json"):
        graph = json.loads((ROOT / "workflows" / f"{stem}.json").read_text(encoding="utf-8"))
        ours = {node["type"] for node in nodes_of(graph) if str(node["type"]).startswith("AIGC_")}
        assert ours, f"{stem} shows none of our nodes"
        assert ours <= ids, f"{stem} uses {ours - ids}"


def test_workflows_are_saved_with_every_input_that_their_nodes_have() -> None:
    """An older one opens too, but its picture and its widgets then show another node than the canvas does."""
    inputs = {schema.node_id: {slot.id for slot in schema.inputs} for schema in schemas()}
    old = []
    for stem in sorted(stems(".json")):
        graph = json.loads((ROOT / "workflows" / f"{stem}.json").read_text(encoding="utf-8"))
        for node in nodes_of(graph):
            missing = inputs.get(node["type"], set()) - {slot["name"] for slot in node["inputs"]}
            old += [f"{stem}: {node['title']} lacks {', '.join(sorted(missing))}"] if missing else []
    assert not old, "open each on the canvas and save it again\n" + "\n".join(old)


def test_every_node_is_shown_in_a_workflow() -> None:
    used = set()
    for stem in stems(".json"):
        graph = json.loads((ROOT / "workflows" / f"{stem}.json").read_text(encoding="utf-8"))
        used |= {node["type"] for node in nodes_of(graph)}
    hidden = {schema.node_id for schema in schemas()} - used
    assert not hidden, f"no shared workflow shows {sorted(hidden)}"


def nodes_of(graph: dict) -> list[dict]:
    inner = graph.get("definitions", {}).get("subgraphs", [])
    return [*graph["nodes"], *(node for subgraph in inner for node in nodes_of(subgraph))]
