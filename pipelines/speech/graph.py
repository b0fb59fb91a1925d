"""An ONNX file's nodes, read and written again: as much of its format (protocol buffers) as that takes, weights left as they are.

ONNX Runtime needs no package that edits models, so this pack requires none. Numbers of fields: onnx.proto of onnx/onnx.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

GRAPH = 7  # of a model
NODE, TENSOR, RESULT = 1, 5, 12  # of a graph
INPUT, OUTPUT, KIND, ATTRIBUTE = 1, 2, 4, 5  # of a node
DIMENSION, TYPE, NAME, RAW = 1, 2, 8, 9  # of a tensor
FLOAT, INT64 = 1, 7
Field = tuple[int, Any]  # its number, and an integer or bytes


@dataclass
class Node:
    """One operation. rest: its other fields, in their order."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    rest: list[Field] = field(default_factory=list)

    @property
    def attributes(self) -> list[Field]:
        return [one for one in self.rest if one[0] == ATTRIBUTE]


@dataclass
class Graph:
    """nodes: in the order they run. tensors: stored, by name. rest: inputs, outputs and descriptions."""

    nodes: list[Node]
    tensors: dict[str, memoryview | bytes]
    rest: list[Field]
    outputs: set[str]

    def prune(self) -> None:
        """Without the nodes and the tensors that no output needs."""
        needed, kept = set(self.outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                kept.append(node)
                needed.update(node.inputs)
        self.nodes = kept[::-1]
        self.tensors = {name: tensor for name, tensor in self.tensors.items() if name in needed}


def read(content: bytes) -> tuple[Graph, list[Field]]:
    """The graph of a model, and the model's other fields. Raises ValueError for what is no ONNX file."""
    try:
        model = list(fields(memoryview(content)))
        graph = next(value for number, value in model if number == GRAPH)
        nodes, tensors, rest, outputs = [], {}, [], set()
        for number, value in fields(graph):
            if number == NODE:
                nodes.append(_node(value))
            elif number == TENSOR:
                tensors[_text(value, NAME)] = value
            else:
                rest.append((number, value))
                if number == RESULT:
                    outputs.add(_text(value, 1))
    except (StopIteration, LookupError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"no ONNX model ({error})") from error
    return Graph(nodes, tensors, rest, outputs), [one for one in model if one[0] != GRAPH]


def write(graph: Graph, model: list[Field]) -> bytes:
    """The file that `read` takes."""
    parts: list[Field] = [(NODE, _written(node)) for node in graph.nodes]
    parts += [(TENSOR, tensor) for tensor in graph.tensors.values()]
    return joined([*model, (GRAPH, joined([*parts, *graph.rest]))])


def numbers(tensor: memoryview | bytes) -> tuple[float, ...]:
    """The values of a small stored tensor of float32 or int64; of any other type none."""
    parts = list(fields(tensor))
    kind = next(value for number, value in parts if number == TYPE)
    packed = {FLOAT: (4, "f"), INT64: (7, "q")}.get(kind)
    if packed is None:
        return ()
    raw = next((value for number, value in parts if number == RAW), None)
    if raw is not None:
        return struct.unpack(f"<{len(raw) // struct.calcsize(packed[1])}{packed[1]}", raw)
    return tuple(one for number, value in parts if number == packed[0] for one in _unpacked(value, kind))


def integers(name: str, values: list[int]) -> bytes:
    """A stored row of int64."""
    raw = struct.pack(f"<{len(values)}q", *values)
    return joined([(DIMENSION, len(values)), (TYPE, INT64), (NAME, name.encode()), (RAW, raw)])


def integer_attribute(name: str, value: int) -> Field:
    return ATTRIBUTE, joined([(1, name.encode()), (3, value), (20, 2)])


def float_attribute(name: str, value: float) -> Field:
    written = joined([(1, name.encode())]) + b"\x15" + struct.pack("<f", value) + joined([(20, 1)])
    return ATTRIBUTE, written


def fields(message: memoryview | bytes) -> Iterator[Field]:
    """The fields of a message: numbers, or bytes. Raises LookupError where it is cut off."""
    view, at = memoryview(message), 0
    while at < len(view):
        key, at = _number(view, at)
        kind = key & 7
        if kind == 0:
            value, at = _number(view, at)
        else:
            size, at = _number(view, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value = view[at : at + size]
            at += size
            if len(value) < size:
                raise IndexError("cut off")
            if kind != 2:
                value = Fixed(value)
        yield key >> 3, value


class Fixed(bytes):
    """A field of four or eight bytes without a length before it."""


def joined(parts: list[Field]) -> bytes:
    """A message of these fields."""
    found: list[bytes | memoryview] = []
    for number, value in parts:
        if isinstance(value, int):
            found += [_varint(number << 3), _varint(value)]
        elif isinstance(value, Fixed):
            found += [_varint(number << 3 | {8: 1, 4: 5}[len(value)]), value]
        else:
            found += [_varint(number << 3 | 2), _varint(len(value)), value]
    return b"".join(found)


def _node(message: memoryview) -> Node:
    node = Node("", [], [])
    for number, value in fields(message):
        if number == INPUT:
            node.inputs.append(str(value, "utf-8"))
        elif number == OUTPUT:
            node.outputs.append(str(value, "utf-8"))
        elif number == KIND:
            node.kind = str(value, "utf-8")
        else:
            node.rest.append((number, value))
    return node


def _written(node: Node) -> bytes:
    names = [(INPUT, name.encode()) for name in node.inputs] + [(OUTPUT, name.encode()) for name in node.outputs]
    return joined([*names, (KIND, node.kind.encode()), *node.rest])


def _text(message: memoryview | bytes, wanted: int) -> str:
    return next((str(value, "utf-8") for number, value in fields(message) if number == wanted), "")


def _unpacked(value: Any, kind: int) -> list[float]:
    if isinstance(value, int):
        return [value]
    if kind == FLOAT:
        return list(struct.unpack(f"<{len(value) // 4}f", value))
    found, at, view = [], 0, memoryview(value)
    while at < len(view):
        one, at = _number(view, at)
        found.append(one - (1 << 64) if one >> 63 else one)
    return found


def _number(view: memoryview, at: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        byte = view[at]
        found |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return found, at


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
