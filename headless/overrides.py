"""`--set node.input=value`: the node by id, title or class, the value in the type its schema asks for."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .convert import ObjectInfo, Prompt
from .widgets import InputSpec, input_specs

TRUE, FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}


class OverrideError(ValueError):
    """A --set that names nothing, names too much, or carries a value of the wrong type."""


def apply_overrides(prompt: Prompt, settings: Iterable[str], object_info: ObjectInfo) -> set[tuple[str, str]]:
    """Writes the settings into `prompt`; returns the (node id, input) pairs that were set."""
    touched = set()
    for setting in settings:
        target, equals, text = setting.partition("=")
        if not equals or "." not in target:
            raise OverrideError(f"Expected --set node.input=value, got '{setting}': for example --set 3.seed=42.")
        id, name = find_input(prompt, target.strip(), object_info)
        spec = input_specs(object_info[prompt[id]["class_type"]])[name]
        value = typed_value(_text(text), spec, target)
        prompt[id]["inputs"][name] = {"__value__": value} if isinstance(value, list) else value
        touched.add((id, name))
    return touched


def find_input(prompt: Prompt, target: str, object_info: ObjectInfo) -> tuple[str, str]:
    """(node id, input name) for "node.input"; titles and input names may hold dots themselves."""
    found: list[tuple[list[str], str]] = []
    for position in (i for i in range(len(target) - 1, 0, -1) if target[i] == "."):
        ids = find_nodes(prompt, target[:position])
        if ids:
            found.append((ids, target[position + 1 :]))
    if not found:
        raise _unknown_node(prompt, target.rpartition(".")[0])
    for ids, name in found:
        with_input = [id for id in ids if name in input_specs(object_info[prompt[id]["class_type"]])]
        if len(with_input) == 1:
            return with_input[0], name
        if with_input:
            listed = ", ".join(describe(prompt, id) for id in with_input)
            raise OverrideError(f"--set {target}: {len(with_input)} nodes match: {listed}. Use the id.")
    ids, name = found[0]
    declared = sorted({key for id in ids for key in input_specs(object_info[prompt[id]["class_type"]])})
    raise OverrideError(
        f"--set {target}: {describe(prompt, ids[0])} has no input '{name}'. "
        f"{_near(name, declared)}It has: {', '.join(declared) or 'none'}."
    )


def find_nodes(prompt: Prompt, wanted: str) -> list[str]:
    """Ids of the nodes that `wanted` names: an id before a title before a class, exact case before any case."""
    if wanted in prompt:
        return [wanted]
    for fold in (str, str.casefold):
        for label in (_title, _class):
            matches = [id for id, node in prompt.items() if fold(label(node)) == fold(wanted)]
            if matches:
                return matches
    return []


def describe(prompt: Prompt, id: str) -> str:
    """node 4 "Sample" (AIGC_Sample)"""
    node = prompt.get(id, {})
    return f'node {id} "{_title(node)}" ({_class(node)})'


def _title(node: dict[str, Any]) -> str:
    return str((node.get("_meta") or {}).get("title") or _class(node))


def _class(node: dict[str, Any]) -> str:
    return str(node.get("class_type", "?"))


def _unknown_node(prompt: Prompt, wanted: str) -> OverrideError:
    labels = sorted({label for id, node in prompt.items() for label in (id, _title(node), _class(node))})
    everything = ", ".join(describe(prompt, id) for id in list(prompt)[:12])
    rest = f" and {len(prompt) - 12} more" if len(prompt) > 12 else ""
    return OverrideError(
        f"--set: no node has the id, title or class '{wanted}'. {_near(wanted, labels)}"
        f"The workflow has: {everything}{rest}."
    )


def _near(wanted: str, labels: Iterable[str]) -> str:
    by_fold = {label.casefold(): label for label in labels}
    close = difflib.get_close_matches(wanted.casefold(), by_fold, n=4, cutoff=0.5)
    return f"Did you mean {' or '.join(repr(by_fold[entry]) for entry in close)}? " if close else ""


def _text(text: str) -> str:
    """@file reads the value from a text file; @@ is a literal @."""
    if text.startswith("@@"):
        return text[1:]
    if not text.startswith("@"):
        return text
    try:
        content = Path(text[1:]).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OverrideError(
            f"Expected a UTF-8 text file after @, got '{text[1:]}' ({error}): write @@ for a value that starts with @."
        ) from None
    return content[:-1] if content.endswith("\n") else content


def typed_value(text: str, spec: InputSpec, target: str) -> Any:
    """`text` as the type that the schema declares."""
    kind = "LIST" if spec.kind == "MULTICOMBO" or spec.options.get("multi_select") else spec.kind
    if kind == "COMBO":
        return _choice(text, spec, target)
    if kind == "STRING" or (kind in ("MARKDOWN", "COLOR")):
        return text
    try:
        if kind == "INT":
            return int(text.strip(), 10)
        if kind == "FLOAT":
            return float(text)
        if kind == "BOOLEAN":
            return _boolean(text)
        value = json.loads(text)
        if kind == "LIST" and not isinstance(value, list):
            raise ValueError("not a list")
        return value
    except ValueError:
        example = {"INT": "42", "FLOAT": "0.5", "BOOLEAN": "true", "LIST": '["a", "b"] (JSON)'}.get(kind)
        if example is None:
            raise OverrideError(
                f"--set {target}: an input of type {kind} takes a wire, or JSON, got '{text}'."
            ) from None
        raise OverrideError(f"--set {target}: expected {kind}, got '{text}': write for example {example}.") from None


def _boolean(text: str) -> bool:
    word = text.strip().casefold()
    if word not in TRUE | FALSE:
        raise ValueError(word)
    return word in TRUE


def _choice(text: str, spec: InputSpec, target: str) -> Any:
    for choice in spec.choices:
        if str(choice) == text:
            return choice
    if not spec.choices or spec.is_upload:
        return text  # the host knows the choices, or the file is on its way
    listed = ", ".join(map(str, spec.choices[:20])) + (" ..." if len(spec.choices) > 20 else "")
    near = _near(text, map(str, spec.choices))
    raise OverrideError(f"--set {target}: '{text}' is not among the choices. {near}Choices: {listed}.")
