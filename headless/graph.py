"""The parts of a workflow file: nodes, links, subgraph instances. Ids are strings here, whatever the file has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MUTED, BYPASSED = 2, 4
VIRTUAL = {"Note", "MarkdownNote", "Reroute", "PrimitiveNode"}  # exist on the canvas alone
SUBGRAPH_INPUT, SUBGRAPH_OUTPUT = "-10", "-20"


@dataclass(frozen=True)
class Link:
    origin: str
    origin_slot: int
    target: str
    target_slot: int


@dataclass(frozen=True)
class Source:
    """Where an input gets its value: a node's output, or (`node` empty) a value of a subgraph's own widget."""

    node: str
    slot: int = 0
    value: Any = None


@dataclass
class Scope:
    """One graph: the canvas, or one instance of a subgraph."""

    nodes: dict[str, dict[str, Any]]
    links: dict[str, Link]
    prefix: str = ""
    outer: Scope | None = None
    instance: dict[str, Any] = field(default_factory=dict)
    definition: dict[str, Any] = field(default_factory=dict)
    inner: dict[str, Scope] = field(default_factory=dict)


def read_link(entry: Any) -> tuple[str, Link]:
    if isinstance(entry, dict):
        return str(entry["id"]), Link(
            str(entry["origin_id"]),
            int(entry["origin_slot"]),
            str(entry["target_id"]),
            int(entry["target_slot"]),
        )
    return str(entry[0]), Link(str(entry[1]), int(entry[2]), str(entry[3]), int(entry[4]))


def slot_name(node: dict[str, Any], side: str, slot: int) -> str:
    slots = node.get(side) or []
    return str(slots[slot]["name"]) if 0 <= slot < len(slots) else ""


def proxies(instance: dict[str, Any]) -> list[tuple[str, str]]:
    entries = (instance.get("properties") or {}).get("proxyWidgets") or []
    return [(str(entry[0]), str(entry[1])) for entry in entries]


def connects(left: str, right: str) -> bool:
    if left in ("*", "", "0") or right in ("*", "", "0"):
        return True
    return bool(set(left.upper().split(",")) & set(right.upper().split(",")))
