"""Widget values of one saved node, by input name: what the browser would put into the prompt.

A workflow file stores widget values as a bare list, in an order that only the node's schema explains. The
schema is what /object_info answers for the node's class.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

WIDGET_TYPES = {
    "INT",
    "FLOAT",
    "STRING",
    "BOOLEAN",
    "COMBO",
    "MULTICOMBO",
    "MARKDOWN",
    "COLOR",
    "AUDIO_RECORD",
}
CONTROL_VALUES = {"fixed", "increment", "decrement", "randomize", "increment-wrap"}
UPLOAD_OPTIONS = ("image_upload", "animated_image_upload", "video_upload", "audio_upload")
# Widgets without an input of their own, which the browser puts before the upload button of these classes.
PLAYER_CLASSES = {"LoadAudio"}


@dataclass(frozen=True)
class InputSpec:
    """One declared input of a node class."""

    name: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    choices: tuple[Any, ...] = ()
    required: bool = True

    @property
    def is_widget(self) -> bool:
        return self.kind in WIDGET_TYPES and not self.options.get("forceInput")

    @property
    def has_control(self) -> bool:
        """Whether the browser adds a control_after_generate widget behind this one."""
        if "control_after_generate" in self.options:
            return bool(self.options["control_after_generate"])
        return self.kind == "INT" and self.name in ("seed", "noise_seed")

    @property
    def is_upload(self) -> bool:
        return any(self.options.get(option) for option in UPLOAD_OPTIONS)

    @property
    def default(self) -> Any:
        """The value of a widget that nobody touched."""
        if "default" in self.options:
            return self.options["default"]
        if self.kind in ("COMBO", "MULTICOMBO"):
            if self.kind == "MULTICOMBO" or self.options.get("multi_select"):
                return []
            return self.choices[0] if self.choices else None
        return {"INT": 0, "FLOAT": 0, "BOOLEAN": False}.get(self.kind, "")


def input_specs(info: dict[str, Any]) -> dict[str, InputSpec]:
    """The declared inputs of one /object_info entry, in the order in which the browser lays them out."""
    specs: dict[str, InputSpec] = {}
    for group in ("required", "optional"):
        declared = (info.get("input") or {}).get(group) or {}
        order = (info.get("input_order") or {}).get(group) or list(declared)
        for name in [*order, *(name for name in declared if name not in order)]:
            if name in declared:
                specs[name] = _input_spec(name, declared[name], group == "required")
    return specs


def _input_spec(name: str, declared: Any, required: bool) -> InputSpec:
    parts = declared if isinstance(declared, list) and declared else [declared]
    kind = parts[0]
    options = parts[1] if len(parts) > 1 and isinstance(parts[1], dict) else {}
    if isinstance(kind, list):
        return InputSpec(name, "COMBO", options, tuple(kind), required)
    return InputSpec(name, str(kind), options, tuple(options.get("options") or ()), required)


def widget_values(node: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """{input name: value} for every widget of a saved node; defaults where the file is silent."""
    specs = input_specs(info)
    widgets = [spec for spec in specs.values() if spec.is_widget]
    values = {spec.name: spec.default for spec in widgets}
    saved = node.get("widgets_values")
    if isinstance(saved, dict):
        values.update({name: value for name, value in saved.items() if name in values})
    elif isinstance(saved, list):
        values.update(_positional(saved, info, specs))
    named = node.get("widgets_values_named")
    if isinstance(named, dict):
        values.update({name: value for name, value in named.items() if name in values})
    return values


def _positional(saved: list[Any], info: dict[str, Any], specs: dict[str, InputSpec]) -> Iterator[tuple[str, Any]]:
    saved = _without_forced(saved, specs)
    position = 0
    slots = list(_slots(info, specs))
    for spec, role in slots:
        if position >= len(saved):
            return
        value = saved[position]
        if role == "control" and not (value is None or value in CONTROL_VALUES):
            continue  # written by a tool or an age that knew no such widget
        position += 1
        if role == "value" and spec is not None:
            yield spec.name, value


def _slots(info: dict[str, Any], specs: dict[str, InputSpec]) -> Iterator[tuple[InputSpec | None, str]]:
    """What each position of widgets_values means: a value, a control or a button."""
    ordered = [spec for spec in specs.values() if spec.is_widget]
    uploads = any(spec.is_upload for spec in ordered)
    for required in (True, False):
        for spec in ordered:
            if spec.required is not required:
                continue
            yield spec, "value"
            if spec.has_control:
                yield None, "control"
                if spec.kind == "COMBO":
                    yield None, "filter"
        if required and uploads:
            if info.get("name") in PLAYER_CLASSES:
                yield None, "player"
            yield None, "button"


def _without_forced(saved: list[Any], specs: dict[str, InputSpec]) -> list[Any]:
    """Drop the dummy values that old frontends stored for inputs which can only be wired."""
    forced: list[bool] = []
    for spec in specs.values():
        if spec.is_widget or (spec.kind in WIDGET_TYPES and spec.options.get("forceInput")):
            forced.append(not spec.is_widget)
            if spec.has_control:
                forced.append(False)
    if any(forced) and len(forced) == len(saved):
        return [value for value, drop in zip(saved, forced) if not drop]
    return saved


def prompt_text(text: str, choose: random.Random | None = None) -> str:
    """Text of a dynamicPrompts widget as the browser sends it: comments removed, one of {a|b} chosen."""
    text = re.sub(r"/\*[\s\S]*?\*/|//.*", "", text)
    chooser = choose or random.Random()
    innermost = re.compile(r"(?<!\\)\{((?:[^{}\\]|\\.)*)(?<!\\)\}")
    while match := innermost.search(text):
        options = re.split(r"(?<!\\)\|", match[1])
        text = text[: match.start()] + chooser.choice(options) + text[match.end() :]
    return re.sub(r"\\([{}|])", r"\1", text)
