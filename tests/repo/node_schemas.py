"""Reads the nodes' schemas from the source, without a host, and keeps node_api.json, which workflows rely on.

python -m tests.repo.node_schemas     adds new nodes, inputs and outputs to node_api.json; never removes one
"""

from __future__ import annotations

import ast
import json
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from .sources import ROOT, python_files, tree

API_FILE = ROOT / "tests" / "repo" / "node_api.json"


class Unreadable(Exception):
    """A schema that is not written out, so that neither this file nor a reader can tell what it says."""


@dataclass(frozen=True)
class Slot:
    """An input or an output."""

    id: str
    type: str  # as written: "Image", "AIGC_MODEL"
    options: dict[str, str] = field(default_factory=dict)  # the texts among its keyword arguments


@dataclass(frozen=True)
class Schema:
    class_name: str
    file: str
    texts: dict[str, str]
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]

    @property
    def node_id(self) -> str:
        return self.texts.get("node_id", "")


@cache
def schemas() -> tuple[Schema, ...]:
    """Every node of the pack: each class in nodes/ with a define_schema."""
    found = []
    for name in python_files("nodes"):
        for node in tree(name).body:
            if isinstance(node, ast.ClassDef) and (define := _method(node, "define_schema")):
                found.append(_schema(node.name, name, define))
    return tuple(found)


def _method(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == name), None)


def _schema(class_name: str, file: str, define: ast.FunctionDef) -> Schema:
    returned = [node.value for node in ast.walk(define) if isinstance(node, ast.Return)]
    if len(returned) != 1 or not isinstance(returned[0], ast.Call):
        raise Unreadable(f"{file}: {class_name}.define_schema should end in one 'return schema(...)'")
    texts, lists = {}, {"inputs": (), "outputs": ()}
    for keyword in returned[0].keywords:
        if keyword.arg in lists:
            where = f"{file}: {class_name}.{keyword.arg}"
            lists[keyword.arg] = tuple(_slot(item, file, where) for item in _items(keyword.value, file, where))
        elif keyword.arg and (said := _text(keyword.value, file)) is not None:
            texts[keyword.arg] = said
    return Schema(class_name, file, texts, lists["inputs"], lists["outputs"])


def _items(node: ast.expr, file: str, where: str) -> list[ast.expr]:
    """The elements of a list; `*NAME` and `*function()` of the same file are looked up."""
    if isinstance(node, ast.List | ast.Tuple):
        items = []
        for element in node.elts:
            items += _items(element.value, file, where) if isinstance(element, ast.Starred) else [element]
        return items
    name = node.func if isinstance(node, ast.Call) else node
    if isinstance(name, ast.Name) and (there := _definition(name.id, file)) is not None:
        return _items(there, file, where)
    raise Unreadable(f"{where}: write the list out, or star a list of the same file: {ast.unparse(node)}")


def _definition(name: str, file: str) -> ast.expr | None:
    """The value of a module constant, or what a module function returns."""
    for node in tree(file).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return node.value
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            return node.value
        if isinstance(node, ast.FunctionDef) and node.name == name and isinstance(node.body[-1], ast.Return):
            return node.body[-1].value
    return None


def _slot(node: ast.expr, file: str, where: str) -> Slot:
    """inp(io.Int.Input, "steps", tooltip=...) or io.Int.Input("steps", tooltip=...)."""
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name):
            # A function of ours around a slot, such as `_seed()`, when it takes nothing.
            if not node.args and not node.keywords and (inner := _definition(node.func.id, file)) is not None:
                return _slot(inner, file, where)
            kind, rest = (node.args[0] if node.args else None), node.args[1:]
        else:
            kind, rest = node.func, node.args
        given = _text(rest[0], file) if rest else _keyword(node, "id", file)
        if given and isinstance(kind, ast.Attribute) and kind.attr in ("Input", "Output"):
            type_name = ast.unparse(kind.value).removeprefix("io.")
            options = {k.arg: _text(k.value, file) for k in node.keywords if k.arg}
            return Slot(given, type_name, {name: said for name, said in options.items() if said is not None})
    elif isinstance(node, ast.Name) and (inner := _definition(node.id, file)) is not None:
        return _slot(inner, file, where)
    raise Unreadable(f"{where}: this slot is not written out: {ast.unparse(node)[:90]}")


def _keyword(node: ast.Call, name: str, file: str) -> str | None:
    return next((_text(keyword.value, file) for keyword in node.keywords if keyword.arg == name), None)


def _text(node: ast.expr, file: str) -> str | None:
    """A string as written: constants, sums and names of constants; an f-string's variable parts as {}."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp):
        left, right = _text(node.left, file), _text(node.right, file)
        return left + right if left is not None and right is not None else None
    if isinstance(node, ast.Name) and (there := _definition(node.id, file)) is not None:
        return _text(there, file)
    return None


def api() -> dict[str, dict]:
    """{node id: {"inputs": [[id, type], ...], "outputs": [[id, type], ...]}} of the source as it is now."""
    return {
        schema.node_id: {
            "inputs": [[slot.id, slot.type] for slot in schema.inputs],
            "outputs": [[slot.id, slot.type] for slot in schema.outputs],
        }
        for schema in schemas()
    }


def recorded(file: Path = API_FILE) -> dict[str, dict]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def breaks(old: dict[str, dict], new: dict[str, dict]) -> list[str]:
    """What a saved workflow would notice. It stores widget values and links by position: append only."""
    found = []
    for node_id, then in old.items():
        if node_id not in new:
            found.append(f"{node_id} is gone or renamed: keep it in nodes/deprecated.py")
            continue
        for side in ("inputs", "outputs"):
            now = new[node_id][side]
            if now[: len(then[side])] != then[side]:
                found.append(f"{node_id}: the recorded {side} {then[side]} are not the first ones of {now}")
    return found


def main() -> int:
    old, new = recorded(), api()
    if found := breaks(old, new):
        sys.stderr.write("Not updated: this would break saved workflows.\n" + "\n".join(found) + "\n")
        return 1
    nodes = [f'  "{node_id}": {json.dumps(new[node_id])}' for node_id in sorted(new)]
    API_FILE.write_text("{\n" + ",\n".join(nodes) + "\n}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
