"""Conversion rules one by one, on workflows small enough to read."""

from __future__ import annotations

import pytest

from headless.convert import UnknownNodes, WorkflowError, convert
from headless.widgets import input_specs, prompt_text, widget_values

SUB, INNER = "11111111-aaaa", "22222222-bbbb"


def socket(name, link=None, kind="IMAGE"):
    return {"name": name, "type": kind, "link": link}


def node(id, kind, inputs=(), values=None, mode=0, outputs=("IMAGE",), **more):
    outs = [{"name": name, "type": name} for name in outputs]
    return {
        "id": id,
        "type": kind,
        "mode": mode,
        "inputs": list(inputs),
        "outputs": outs,
        "widgets_values": values,
        **more,
    }


def empty(id=1, **more):
    return node(id, "EmptyImage", values=[64, 32, 1, 0], **more)


def invert(id, link, **more):
    return node(id, "ImageInvert", [socket("image", link)], **more)


def preview(id, link):
    return node(id, "PreviewImage", [socket("images", link)], outputs=())


def test_values_follow_the_schema_and_wires_the_links(object_info):
    prompt = convert({"nodes": [empty(), preview(2, 7)], "links": [[7, 1, 0, 2, 0, "IMAGE"]]}, object_info)
    assert prompt["1"]["inputs"] == {"width": 64, "height": 32, "batch_size": 1, "color": 0}
    assert prompt["2"] == {
        "inputs": {"images": ["1", 0]}, "class_type": "PreviewImage", "_meta": {"title": "Preview Image"}
    }  # fmt: skip


def test_bypass_passes_through_and_mute_cuts(object_info):
    links = [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]]
    for mode, expected in ((4, {"images": ["1", 0]}), (2, {})):
        prompt = convert({"nodes": [empty(), invert(2, 1, mode=mode), preview(3, 2)], "links": links}, object_info)
        assert set(prompt) == {"1", "3"}
        assert prompt["3"]["inputs"] == expected


def test_bypass_takes_the_input_of_the_same_type(object_info):
    nodes = [
        empty(),
        node(2, "VAEDecode", [socket("samples", None, "LATENT"), socket("vae", None, "VAE")]),
        node(3, "ImageCompositeMasked", [socket("destination", None), socket("source", 1)], mode=4),
        node(4, "MaskToImage", [socket("mask", None, "MASK")], mode=4),
        preview(5, 2),
    ]
    prompt = convert({"nodes": nodes, "links": [[1, 1, 0, 3, 1, "IMAGE"], [2, 3, 0, 5, 0, "IMAGE"]]}, object_info)
    assert prompt["5"]["inputs"] == {}  # the browser takes the first of the type, wired or not


def test_reroutes_notes_and_primitives_exist_on_the_canvas_alone(object_info):
    nodes = [
        empty() | {"inputs": [{**socket("width", 1, "INT"), "widget": {"name": "width"}}]},
        node(2, "PrimitiveNode", values=[96, "fixed"], outputs=("INT",)),
        node(3, "Reroute", [socket("", 2, "*")], outputs=("IMAGE",)),
        preview(4, 3),
        node(5, "Note", values=["hello"]),
        node(6, "MarkdownNote", values=["# hello"]),
    ]
    links = [[1, 2, 0, 1, 0, "INT"], [2, 1, 0, 3, 0, "IMAGE"], [3, 3, 0, 4, 0, "IMAGE"]]
    prompt = convert({"nodes": nodes, "links": links}, object_info)
    assert set(prompt) == {"1", "4"}
    assert prompt["1"]["inputs"]["width"] == 96
    assert prompt["4"]["inputs"]["images"] == ["1", 0]


def link(id, origin, origin_slot, target, target_slot):
    return {"id": id, "origin_id": origin, "origin_slot": origin_slot, "target_id": target,
            "target_slot": target_slot, "type": "IMAGE"}  # fmt: skip


def nested():
    inner = {
        "id": INNER, "nodes": [invert(7, 1)],
        "inputs": [{"name": "picture", "linkIds": [1]}], "outputs": [{"name": "out", "linkIds": [2]}],
        "links": [link(1, -10, 0, 7, 0), link(2, 7, 0, -20, 0)],
    }  # fmt: skip
    outer = {
        "id": SUB, "nodes": [node(5, INNER, [socket("picture", 1)], outputs=("out",)), node(6, "ImageScale", [
            socket("image", 3), {**socket("width", 4, "INT"), "widget": {"name": "width"}},
        ], values=["nearest-exact", 8, 8, "disabled"])],
        "inputs": [{"name": "unused", "linkIds": []}, {"name": "picture", "linkIds": [1]},
                   {"name": "width", "linkIds": [4]}],
        "outputs": [{"name": "other", "linkIds": []}, {"name": "IMAGE", "linkIds": [2]}],
        "links": [link(1, -10, 1, 5, 0), link(3, 5, 0, 6, 0), link(4, -10, 2, 6, 1), link(2, 6, 0, -20, 1)],
    }  # fmt: skip
    # The instance leaves "unused" and "other" out: its slots count differently from the definition's.
    top = [empty(), node(3, SUB, [socket("picture", 1)], values=[24]), preview(4, 2)]
    links = [[1, 1, 0, 3, 0, "IMAGE"], [2, 3, 0, 4, 0, "IMAGE"]]
    return {"nodes": top, "links": links, "definitions": {"subgraphs": [outer, inner]}}


def test_nested_subgraphs_are_flattened_and_slots_matched_by_name(object_info):
    prompt = convert(nested(), object_info)
    assert set(prompt) == {"1", "3:5:7", "3:6", "4"}
    assert prompt["3:5:7"]["inputs"] == {"image": ["1", 0]}
    assert prompt["3:6"]["inputs"]["image"] == ["3:5:7", 0]
    assert prompt["4"]["inputs"] == {"images": ["3:6", 0]}


def test_each_instance_of_a_subgraph_has_its_own_promoted_values(object_info):
    workflow = nested()
    workflow["nodes"] += [node(9, SUB, values=[48]), node(10, SUB, values=[1], widgets_values_named={"width": 72})]
    prompt = convert(workflow, object_info)
    assert [prompt[id]["inputs"]["width"] for id in ("3:6", "9:6", "10:6")] == [24, 48, 72]
    assert "image" not in prompt["9:5:7"]["inputs"]


@pytest.mark.parametrize(("mode", "source"), [(4, ["1", 0]), (2, None)])
def test_a_subgraph_can_be_bypassed_and_muted_as_a_whole(object_info, mode, source):
    workflow = nested()
    workflow["nodes"][1]["mode"] = mode
    prompt = convert(workflow, object_info)
    assert set(prompt) == {"1", "4"}
    assert prompt["4"]["inputs"].get("images") == source


def test_a_subgraph_inside_itself_is_an_error(object_info):
    workflow = nested()
    workflow["definitions"]["subgraphs"][1]["nodes"].append(node(8, SUB))
    with pytest.raises(WorkflowError, match="contains itself"):
        convert(workflow, object_info)


def test_control_after_generate_is_skipped_and_survived_when_absent(object_info):
    info = object_info["KSampler"]
    with_control = [5, "randomize", 20, 8.0, "euler", "normal", 0.5]
    for values in (with_control, [value for value in with_control if value != "randomize"]):
        read = widget_values({"widgets_values": values}, info)
        assert read == {
            "seed": 5,
            "steps": 20,
            "cfg": 8.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 0.5,
        }


def test_values_by_name_win_and_dictionaries_are_read(object_info):
    info = object_info["EmptyImage"]
    assert widget_values({"widgets_values": {"width": 3, "button": None}}, info)["width"] == 3
    named = {"widgets_values": [1, 2, 3, 4], "widgets_values_named": {"height": 9}}
    assert widget_values(named, info) == {"width": 1, "height": 9, "batch_size": 3, "color": 4}
    assert widget_values({}, info)["batch_size"] == 1


def test_lists_are_wrapped_so_that_the_host_does_not_read_them_as_wires():
    info = {
        "Pick": {
            "name": "Pick",
            "input": {"required": {"words": ["COMBO", {"multi_select": True, "options": ["a", "b"]}]}},
        }
    }
    prompt = convert({"nodes": [node(1, "Pick", values=[["a", "b"]])], "links": []}, info)
    assert prompt["1"]["inputs"] == {"words": {"__value__": ["a", "b"]}}


def test_forced_inputs_are_not_widgets():
    info = {"input": {"required": {"a": ["INT", {"forceInput": True}], "b": ["INT", {}]}}}
    assert not input_specs(info)["a"].is_widget
    assert widget_values({"widgets_values": [7]}, info) == {"b": 7}
    assert widget_values({"widgets_values": [0, 7]}, info) == {"b": 7}  # older files keep a dummy for "a"


def test_dynamic_prompts_choose_and_drop_comments():
    assert prompt_text("a /* b */ c // d") == "a  c "
    assert prompt_text("{x|{y|z}} w") in {"x w", "y w", "z w"}
    assert prompt_text(r"\{kept\}") == "{kept}"
    assert prompt_text("plain {") == "plain {"


def test_an_api_file_passes_through(object_info):
    prompt = {"1": {"class_type": "EmptyImage", "inputs": {"width": 5}}}
    assert convert(prompt, object_info) == prompt
    assert convert({"prompt": prompt}, object_info) == prompt


def test_unknown_nodes_name_their_pack(object_info):
    stranger = node(2, "Fancy", [socket("x", 1)], properties={"cnr_id": "fancy-pack"})
    workflow = {"nodes": [empty(), stranger], "links": [[1, 1, 0, 2, 0, "IMAGE"]]}
    with pytest.raises(UnknownNodes, match=r"^unknown node Fancy: install the pack 'fancy-pack'"):
        convert(workflow, object_info)
    with pytest.raises(UnknownNodes, match="unknown node Nope"):
        convert({"1": {"class_type": "Nope", "inputs": {}}}, object_info)


@pytest.mark.parametrize(
    "damaged", [[], "x", {}, {"nodes": 3}, {"nodes": [{}]}, {"nodes": [], "links": [3]}, {"a": 1}, None]
)
def test_files_that_are_no_workflow_say_so(object_info, damaged):
    with pytest.raises(WorkflowError, match="save"):
        convert(damaged, object_info)
