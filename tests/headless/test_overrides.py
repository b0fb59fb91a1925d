"""--set finds the one node that is meant and gives the value its type."""

from __future__ import annotations

import pytest

from headless.overrides import OverrideError, apply_overrides

INFO = {
    "Sampler": {"input": {"required": {
        "steps": ["INT", {}], "cfg": ["FLOAT", {}], "tile": ["BOOLEAN", {}], "name": [["euler", "heun"], {}],
        "text": ["STRING", {}], "words": ["COMBO", {"multi_select": True, "options": ["a"]}], "model": ["MODEL", {}],
        "a.b": ["INT", {}],
    }}},
}  # fmt: skip


def prompt():
    return {
        "1": {"class_type": "Sampler", "inputs": {"model": ["9", 0]}, "_meta": {"title": "v1.5 first"}},
        "2": {"class_type": "Sampler", "inputs": {}, "_meta": {"title": "Second"}},
        "3:1": {"class_type": "Sampler", "inputs": {}, "_meta": {"title": "Inner"}},
    }


def set_one(setting):
    changed = prompt()
    ((id, name),) = apply_overrides(changed, [setting], INFO)
    return id, name, changed[id]["inputs"][name]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("1.steps=7", ("1", "steps", 7)),
        ("Second.cfg=1e-1", ("2", "cfg", 0.1)),
        ("second.tile=No", ("2", "tile", False)),
        ("v1.5 first.name=heun", ("1", "name", "heun")),
        ("3:1.text=a=b", ("3:1", "text", "a=b")),
        ("2.text=", ("2", "text", "")),
        ("2.text=@@home", ("2", "text", "@home")),
        ('2.words=["a"]', ("2", "words", {"__value__": ["a"]})),
        ("2.a.b=4", ("2", "a.b", 4)),
    ],
)
def test_values_arrive_typed(setting, expected):
    assert set_one(setting) == expected


def test_a_file_gives_the_text(tmp_path):
    (tmp_path / "p.txt").write_text("two\nlines\n", encoding="utf-8")
    assert set_one(f"2.text=@{tmp_path / 'p.txt'}")[2] == "two\nlines"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("steps=3", "Expected --set node.input=value"),
        ("1.steps", "Expected --set node.input=value"),
        ("1.steps=3.5", "expected INT, got '3.5'"),
        ("1.cfg=high", "expected FLOAT"),
        ("1.tile=maybe", "expected BOOLEAN"),
        ("1.words=a", "expected LIST"),
        ("1.words=3", "expected LIST"),
        ("1.name=eular", "Did you mean 'euler'"),
        ("1.model=x", "takes a wire"),
        ("1.stepz=3", "Did you mean 'steps'"),
        ("Secnd.steps=3", "Did you mean 'Second'"),
        ("Sampler.steps=3", '3 nodes match: node 1 "v1.5 first"'),
        ("1.text=@/no/such/file", "Expected a UTF-8 text file"),
    ],
)
def test_mistakes_are_explained(setting, message):
    with pytest.raises(OverrideError) as caught:
        set_one(setting)
    assert message in str(caught.value)
