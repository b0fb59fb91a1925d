"""Workflow files of the canvas (UI format) into prompts for the host's API, as the browser's graphToPrompt.

Driven by /object_info alone: no table of known nodes. Rules worth knowing: a bypassed node (mode 4) hands on
its first input of the same type, a muted one (mode 2) takes the inputs wired to it away, a subgraph's inner
nodes are called "outer:inner", and its boundary slots are matched by name: files may leave slots out.
"""

from __future__ import annotations

from typing import Any

from .graph import (
    BYPASSED,
    MUTED,
    SUBGRAPH_INPUT,
    SUBGRAPH_OUTPUT,
    VIRTUAL,
    Scope,
    Source,
    connects,
    proxies,
    read_link,
    slot_name,
)
from .widgets import input_specs, prompt_text, widget_values

Prompt = dict[str, dict[str, Any]]
ObjectInfo = dict[str, dict[str, Any]]


class WorkflowError(ValueError):
    """The file is not a workflow that can be run; the message says what to do."""


class UnknownNodes(WorkflowError):
    """Node classes that the host does not have: [(class, registry id of its pack or "")]."""

    def __init__(self, missing: list[tuple[str, str]]) -> None:
        self.missing = missing
        super().__init__("\n".join(unknown_node_line(*entry) for entry in missing))


def unknown_node_line(name: str, pack: str) -> str:
    if pack == "comfy-core":
        remedy = "it belongs to a newer ComfyUI: update the host"
    elif pack:
        remedy = f"install the pack '{pack}' (comfy node install {pack}) and restart the host"
    else:
        remedy = "install the pack that brings it and restart the host"
    return f"unknown node {name}: {remedy}"


def is_api_format(workflow: Any) -> bool:
    return (
        isinstance(workflow, dict)
        and bool(workflow)
        and all(isinstance(node, dict) and "class_type" in node for node in workflow.values())
    )


def convert(workflow: Any, object_info: ObjectInfo, allow_unknown: bool = False) -> Prompt:
    """The prompt for POST /prompt from a workflow in either format; the argument stays untouched.

    Raises UnknownNodes for classes that the host lacks; `allow_unknown` emits them with their wires alone.
    """
    if isinstance(workflow, dict) and isinstance(workflow.get("prompt"), dict):
        workflow = workflow["prompt"]  # the body of a POST /prompt, saved
    if is_api_format(workflow):
        prompt = {str(id): {**node, "inputs": dict(node.get("inputs") or {})} for id, node in workflow.items()}
        missing = sorted(
            {(str(node["class_type"]), "") for node in prompt.values()} - {(name, "") for name in object_info}
        )
        if missing and not allow_unknown:
            raise UnknownNodes(missing)
        return prompt
    if not isinstance(workflow, dict) or not isinstance(workflow.get("nodes"), list):
        raise WorkflowError(
            'Expected a ComfyUI workflow: an object with a "nodes" list (Save), or one with a "class_type" in every '
            f"entry (Export API), got {_shape(workflow)}: save the workflow again from ComfyUI."
        )
    try:
        return Converter(workflow, object_info, allow_unknown).prompt()
    except WorkflowError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise WorkflowError(
            f"This workflow file is damaged ({type(error).__name__}: {error}): save it again from ComfyUI."
        ) from error


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(map(repr, list(value)[:5])) or 'nothing in it'}"
    return f"a {type(value).__name__}"


class Converter:
    """Walks the scopes of one workflow; `prompt()` is the result."""

    def __init__(self, workflow: dict[str, Any], object_info: ObjectInfo, allow_unknown: bool = False) -> None:
        self.info = object_info
        self.allow_unknown = allow_unknown
        definitions = (workflow.get("definitions") or {}).get("subgraphs") or []
        self.subgraphs: dict[str, dict[str, Any]] = {str(entry["id"]): entry for entry in definitions}
        self.values: dict[str, dict[str, Any]] = {}
        self.root = self._scope(workflow)

    def prompt(self) -> Prompt:
        missing = sorted({entry for entry in self._missing(self.root)})
        if missing and not self.allow_unknown:
            raise UnknownNodes(missing)
        prompt: Prompt = {}
        self._emit(self.root, prompt)
        for node in prompt.values():
            node["inputs"] = {
                name: value
                for name, value in node["inputs"].items()
                if not (isinstance(value, list) and value[0] not in prompt)
            }
        return prompt

    # Reading

    def _scope(
        self, graph: dict[str, Any], outer: Scope | None = None, instance: dict[str, Any] | None = None
    ) -> Scope:
        prefix = f"{outer.prefix}{instance['id']}:" if outer is not None and instance is not None else ""
        if prefix.count(":") > 32:
            raise WorkflowError("A subgraph of this workflow contains itself: remove the inner copy, save again.")
        scope = Scope(
            nodes={str(node["id"]): node for node in graph.get("nodes") or []},
            links=dict(map(read_link, graph.get("links") or [])),
            prefix=prefix,
            outer=outer,
            instance=instance or {},
            definition=graph if outer is not None else {},
        )
        for id, node in scope.nodes.items():
            if definition := self.subgraphs.get(str(node.get("type"))):
                scope.inner[id] = self._scope(definition, scope, node)
            else:
                self.values[prefix + id] = widget_values(node, self.info.get(str(node.get("type")), {}))
        self._apply_primitives(scope)
        for inner in scope.inner.values():
            self._apply_promoted(inner)
        return scope

    def _apply_primitives(self, scope: Scope) -> None:
        """A PrimitiveNode writes its value into the widgets it is wired to."""
        for link in scope.links.values():
            origin, target = scope.nodes.get(link.origin), scope.nodes.get(link.target)
            if not origin or not target or origin.get("type") != "PrimitiveNode":
                continue
            saved = origin.get("widgets_values") or []
            name = slot_name(target, "inputs", link.target_slot)
            if saved and name in self.values.get(scope.prefix + link.target, {}):
                self.values[scope.prefix + link.target][name] = saved[0]

    def _apply_promoted(self, scope: Scope) -> None:
        """Widgets of inner nodes that the subgraph shows on its own face (proxyWidgets with an inner id)."""
        saved = scope.instance.get("widgets_values")
        for position, (id, name) in enumerate(proxies(scope.instance)):
            values = self.values.get(f"{scope.prefix}{id}", {})
            if id != "-1" and name in values and isinstance(saved, list) and position < len(saved):
                if saved[position] is not None:
                    values[name] = saved[position]

    def _missing(self, scope: Scope) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        wired = {id for link in scope.links.values() for id in (link.origin, link.target)}
        for id, node in scope.nodes.items():
            kind = str(node.get("type"))
            if node.get("mode") in (MUTED, BYPASSED) or kind in VIRTUAL:
                continue
            if id in scope.inner:
                found += self._missing(scope.inner[id])
            elif kind not in self.info and id in wired:
                properties = node.get("properties") or {}
                found.append((kind, str(properties.get("cnr_id") or properties.get("aux_id") or "")))
        return found

    # Writing

    def _emit(self, scope: Scope, prompt: Prompt) -> None:
        for id, node in scope.nodes.items():
            kind = str(node.get("type"))
            if node.get("mode") in (MUTED, BYPASSED):
                continue
            if id in scope.inner:
                self._emit(scope.inner[id], prompt)
            elif kind not in VIRTUAL and (kind in self.info or self.allow_unknown):
                info = self.info.get(kind, {})
                prompt[scope.prefix + id] = {
                    "inputs": self._inputs(scope, id),
                    "class_type": kind,
                    "_meta": {"title": node.get("title") or info.get("display_name") or kind},
                }

    def _inputs(self, scope: Scope, id: str) -> dict[str, Any]:
        node = scope.nodes[id]
        specs = input_specs(self.info.get(str(node.get("type")), {}))
        inputs: dict[str, Any] = {}
        for name, value in self.values[scope.prefix + id].items():
            if specs[name].options.get("dynamicPrompts") and isinstance(value, str):
                value = prompt_text(value)
            inputs[name] = _wrapped(value)
        for socket in node.get("inputs") or []:
            source = self._resolve_input(scope, socket, str(socket.get("type")), set())
            if source is not None:
                inputs[socket["name"]] = [source.node, source.slot] if source.node else _wrapped(source.value)
        return inputs

    def _resolve_input(self, scope: Scope, socket: dict[str, Any], kind: str, seen: set[str]) -> Source | None:
        link = scope.links.get(str(socket.get("link")))
        if link is None:
            return None
        if link.origin == SUBGRAPH_INPUT:
            return self._resolve_boundary(scope, link.origin_slot, kind, seen)
        return self._resolve_output(scope, link.origin, link.origin_slot, kind, seen)

    def _resolve_boundary(self, scope: Scope, slot: int, kind: str, seen: set[str]) -> Source | None:
        """An inner input that is wired to the subgraph's own input: look outside."""
        if scope.outer is None:
            return None
        declared = scope.definition["inputs"][slot]
        for socket in scope.instance.get("inputs") or []:
            if socket["name"] == declared["name"] and socket.get("link") is not None:
                return self._resolve_input(scope.outer, socket, str(socket.get("type")), seen)
        found, value = self._promoted_value(scope, declared)
        return Source("", value=value) if found else None

    def _promoted_value(self, scope: Scope, declared: dict[str, Any]) -> tuple[bool, Any]:
        """The value of the widget that stands at an unwired input of a subgraph instance."""
        name = declared["name"]
        named = scope.instance.get("widgets_values_named")
        if isinstance(named, dict) and name in named:
            return True, named[name]
        order = [entry[1] if entry[0] == "-1" else None for entry in proxies(scope.instance)]
        if not order:
            order = [entry["name"] for entry in scope.definition["inputs"] if self._inner_widget(scope, entry)]
        saved = scope.instance.get("widgets_values")
        if name in order and isinstance(saved, list) and order.index(name) < len(saved):
            value = saved[order.index(name)]
            if value is not None:
                return True, value
        if inner := self._inner_widget(scope, declared):
            return True, self.values[inner[0]][inner[1]]
        return False, None

    def _inner_widget(self, scope: Scope, declared: dict[str, Any]) -> tuple[str, str] | None:
        """(node id, input) of the first inner widget that a subgraph's input feeds."""
        for id in declared.get("linkIds") or []:
            link = scope.links.get(str(id))
            target = scope.nodes.get(link.target) if link else None
            if link and target:
                name = slot_name(target, "inputs", link.target_slot)
                if name in self.values.get(scope.prefix + link.target, {}):
                    return scope.prefix + link.target, name
        return None

    def _resolve_output(self, scope: Scope, id: str, slot: int, kind: str, seen: set[str]) -> Source | None:
        key = f"{scope.prefix}{id}[{slot}]"
        node = scope.nodes.get(id)
        if node is None or key in seen:
            return None
        seen.add(key)
        if node.get("mode") == BYPASSED:
            socket = self._passed_through(node, slot, kind)
            return self._resolve_input(scope, socket, str(socket.get("type")), seen) if socket else None
        if id in scope.inner:
            return self._resolve_subgraph_output(scope, id, slot, kind, seen)
        if node.get("type") == "Reroute":
            sockets = node.get("inputs") or []
            return self._resolve_input(scope, sockets[0], kind, seen) if sockets else None
        if node.get("type") in VIRTUAL:
            return None
        return Source(scope.prefix + id, slot)

    def _resolve_subgraph_output(self, scope: Scope, id: str, slot: int, kind: str, seen: set[str]) -> Source | None:
        inner = scope.inner[id]
        if scope.nodes[id].get("mode") == MUTED:
            return Source(scope.prefix + id, slot)  # not in the prompt: cut like any muted node
        name = slot_name(scope.nodes[id], "outputs", slot)
        names = [entry["name"] for entry in inner.definition.get("outputs") or []]
        position = names.index(name) if name in names else slot
        for link in inner.links.values():
            if link.target == SUBGRAPH_OUTPUT and link.target_slot == position:
                if link.origin == SUBGRAPH_INPUT:
                    return self._resolve_boundary(inner, link.origin_slot, kind, seen)
                return self._resolve_output(inner, link.origin, link.origin_slot, kind, seen)
        return None

    def _passed_through(self, node: dict[str, Any], slot: int, kind: str) -> dict[str, Any] | None:
        """The input that a bypassed node connects to its output `slot`."""
        sockets = self._all_sockets(node)
        outputs = node.get("outputs") or []
        output = str(outputs[slot].get("type")) if slot < len(outputs) else kind
        if kind in ("*", ""):
            return sockets[slot if slot < len(sockets) else 0] if sockets else None
        types = [str(socket.get("type")) for socket in sockets]
        fits = [connects(type, output) and connects(type, kind) for type in types]
        if slot < len(fits) and fits[slot]:
            return sockets[slot]
        position = types.index(kind) if kind in types else fits.index(True) if True in fits else None
        return None if position is None else sockets[position]

    def _all_sockets(self, node: dict[str, Any]) -> list[dict[str, Any]]:
        """Every input as the canvas has it: wires first, then widgets; files leave unwired widget inputs out."""
        saved = {socket["name"]: socket for socket in node.get("inputs") or []}
        specs = list(input_specs(self.info.get(str(node.get("type"))) or {}).values())
        ordered = [spec for spec in specs if not spec.is_widget] + [spec for spec in specs if spec.is_widget]
        sockets = [{"name": spec.name, "type": spec.kind, **saved.pop(spec.name, {})} for spec in ordered]
        return [*sockets, *saved.values()]


def _wrapped(value: Any) -> Any:
    """The host reads a bare list as a wire."""
    return {"__value__": value} if isinstance(value, list) else value
