"""A real host loads the pack and shows the nodes that the source declares."""

from __future__ import annotations

import json
import urllib.request

import pytest

from .node_schemas import schemas


@pytest.fixture(scope="module")
def registry(host) -> dict:
    with urllib.request.urlopen(f"{host.url}/object_info", timeout=60) as answer:
        return json.load(answer)


def test_the_host_has_every_node_of_the_source(registry: dict) -> None:
    declared = {schema.node_id for schema in schemas()}
    assert len(declared) >= 10
    assert {name for name in registry if name.startswith("AIGC_")} == declared


def test_the_host_shows_the_slots_that_the_source_declares(registry: dict) -> None:
    """This also holds node_schemas to the truth: the house rules are only as good as what it reads."""
    for schema in schemas():
        shown = registry[schema.node_id]
        inputs = [*shown["input"].get("required", {}), *shown["input"].get("optional", {})]
        assert sorted(inputs) == sorted(slot.id for slot in schema.inputs), schema.node_id
        assert shown["output_name"] == [slot.options["display_name"] for slot in schema.outputs], schema.node_id
        assert shown["display_name"] == schema.texts["display_name"], schema.node_id


def test_the_host_serves_the_help_pages_and_the_web_code(host) -> None:
    for path in ("aigc.js", "docs/AIGC_Sample/en.md", "docs/AIGC_Sample/zh.md"):
        with urllib.request.urlopen(f"{host.url}/extensions/aigc-nodes/{path}", timeout=60) as answer:
            assert answer.read(), path
