"""Every node is complete: names, texts, help pages, translations; and no change breaks a saved workflow."""

from __future__ import annotations

import json

import pytest

from . import node_schemas
from .node_schemas import Schema, Slot, schemas
from .sources import ROOT, files

AT_LEAST = 10


def each(rule) -> None:
    """Applies `rule(schema) -> list of complaints` to every node and reports all of them at once."""
    found = schemas()
    assert len(found) >= AT_LEAST, f"only {len(found)} nodes were found: the rules would hold nothing"
    broken = [f"{schema.file} {schema.class_name}: {said}" for schema in found for said in rule(schema)]
    assert not broken, "\n" + "\n".join(broken)


def test_ids_are_the_class_name_with_our_prefix() -> None:
    each(lambda s: [] if s.node_id == f"AIGC_{s.class_name}" else [f"node_id {s.node_id!r}"])
    ids = [schema.node_id for schema in schemas()]
    assert len(ids) == len(set(ids)), "two nodes share an id"


def test_every_node_says_what_it_is() -> None:
    def rule(schema: Schema) -> list[str]:
        texts = schema.texts
        missing = [key for key in ("display_name", "category", "description") if not texts.get(key, "").strip()]
        if not texts.get("category", "").startswith("AIGC/"):
            missing.append(f"category {texts.get('category')!r} should be AIGC/<topic>")
        if not texts.get("display_name", "x").isascii() or "AIGC" in texts.get("display_name", ""):
            missing.append("display_name is plain words, without emoji and without the pack's name")
        return missing

    each(rule)


def test_every_input_has_a_tooltip() -> None:
    each(lambda s: [f"input {slot.id}" for slot in s.inputs if not slot.options.get("tooltip", "").strip()])


def test_every_output_has_a_display_name() -> None:
    each(lambda s: [f"output {slot.id}" for slot in s.outputs if not slot.options.get("display_name", "").strip()])


def test_no_output_shares_its_id_with_an_input() -> None:
    """Host 0.3.75 refuses such a schema, and with it the whole pack."""
    each(lambda s: [f"id {i}" for i in {slot.id for slot in s.inputs} & {slot.id for slot in s.outputs}])


def test_every_node_is_registered() -> None:
    listed = (ROOT / "nodes" / "__init__.py").read_text(encoding="utf-8")
    each(lambda s: [] if f'"{s.class_name}"' in listed else ["is not in nodes/__init__.py"])


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_every_node_has_a_help_page(locale: str) -> None:
    def rule(schema: Schema) -> list[str]:
        page = ROOT / "web" / "docs" / schema.node_id / f"{locale}.md"
        return [] if page.is_file() and len(page.read_text(encoding="utf-8")) > 80 else [f"no {page.name}"]

    each(rule)


def test_no_help_page_is_left_over() -> None:
    ids = {schema.node_id for schema in schemas()}
    pages = {name.split("/")[2] for name in files() if name.startswith("web/docs/")}
    assert pages <= ids, f"help for nodes that do not exist: {sorted(pages - ids)}"


def definitions(locale: str) -> dict:
    return json.loads((ROOT / "locales" / locale / "nodeDefs.json").read_text(encoding="utf-8"))


def test_chinese_covers_every_text_of_every_node() -> None:
    said = definitions("zh")

    def rule(schema: Schema) -> list[str]:
        return untranslated(schema, said.get(schema.node_id, {}))

    each(rule)


def untranslated(schema: Schema, said: dict) -> list[str]:
    missing = [key for key in ("display_name", "description") if not said.get(key)]
    for slot in schema.inputs:
        there = said.get("inputs", {}).get(slot.id, {})
        missing += [f"inputs.{slot.id}.{key}" for key in ("name", "tooltip") if not there.get(key)]
    for number, _ in enumerate(schema.outputs):
        if not said.get("outputs", {}).get(str(number), {}).get("name"):
            missing.append(f"outputs.{number}.name")
    return missing


def test_english_is_the_schema() -> None:
    """The host shows the schema's own texts in English; a file that repeats them must say the same."""
    said = definitions("en") if (ROOT / "locales/en/nodeDefs.json").is_file() else {}

    def rule(schema: Schema) -> list[str]:
        there = said.get(schema.node_id, {})
        pairs = [(key, schema.texts.get(key), there.get(key)) for key in ("display_name", "description")]
        for slot in schema.inputs:
            pairs.append(
                (
                    slot.id,
                    slot.options.get("tooltip"),
                    there.get("inputs", {}).get(slot.id, {}).get("tooltip"),
                )
            )
        return [f"{key} differs from the schema" for key, ours, theirs in pairs if theirs and ours != theirs] + (
            untranslated(schema, there) if said else []
        )

    each(rule)


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_no_translation_is_left_over(locale: str) -> None:
    if not (ROOT / "locales" / locale / "nodeDefs.json").is_file():
        assert locale == "en"
        return
    now = {schema.node_id: schema for schema in schemas()}
    for node_id, said in definitions(locale).items():
        assert node_id in now, f"{locale}: {node_id} does not exist"
        unknown = set(said.get("inputs", {})) - {slot.id for slot in now[node_id].inputs}
        assert not unknown, f"{locale}: {node_id} has no inputs {unknown}"


def test_no_saved_workflow_breaks() -> None:
    found = node_schemas.breaks(node_schemas.recorded(), node_schemas.api())
    assert not found, "\n" + "\n".join(found)


def test_the_record_of_the_interface_is_complete() -> None:
    assert len(node_schemas.recorded()) >= AT_LEAST
    assert node_schemas.recorded() == node_schemas.api(), "run: python -m tests.repo.node_schemas"


def test_removal_renaming_and_insertion_are_breaks() -> None:
    old = {"AIGC_A": {"inputs": [["x", "Int"], ["y", "Int"]], "outputs": [["out", "Image"]]}}

    def with_inputs(*inputs: list[str]) -> dict:
        return {"AIGC_A": {"inputs": list(inputs), "outputs": [["out", "Image"]]}}

    assert node_schemas.breaks(old, {})
    assert node_schemas.breaks(old, with_inputs(["x", "Int"], ["z", "Int"]))
    assert node_schemas.breaks(old, with_inputs(["z", "Int"], ["x", "Int"], ["y", "Int"]))
    assert not node_schemas.breaks(old, with_inputs(["x", "Int"], ["y", "Int"], ["z", "Int"]))


def test_slots_are_read_as_written() -> None:
    sample = next(schema for schema in schemas() if schema.node_id == "AIGC_Sample")
    steps = next(slot for slot in sample.inputs if slot.id == "steps")
    assert isinstance(steps, Slot) and steps.type == "Int" and steps.options["tooltip"]
