"""Kokoro's int8 file as a graph that calculates its sound in float32: the weights stay int8 in the file, the sound does not.

The file rounds what every convolution hears to 256 steps between its lowest and its highest value, which is heard as a rough
background. Both rewrites give the runtime fewer passes over the same numbers, which pays for most of the wider ones.
"""

from __future__ import annotations

from pathlib import Path

from . import graph as onnx
from .graph import Graph, Node

AXIS = "aigc_all"  # a stored [-1]: everything in a row


def converted(path: Path) -> bytes:
    """The model of a file, as ONNX Runtime loads it. Raises ValueError for what is no ONNX file."""
    graph, model = onnx.read(path.read_bytes())
    convolve_in_floats(graph)
    normalise_at_once(graph)
    return onnx.write(graph, model)


def convolve_in_floats(graph: Graph) -> None:
    """Each convolution of integers, with what rounds its input, its bias and its output, becomes one of floats.

    DynamicQuantizeLinear -> ConvInteger (-> Add bias) -> Cast -> Mul is DequantizeLinear of the weight -> Conv. The runtime widens
    each weight when its turn comes and gives the room back; all of them wide at once would take four times the file.
    A convolution in another form stays as it is.
    """
    made = _made(graph)
    users = _users(graph)
    nodes: list[Node] = []
    instead: dict[int, list[Node]] = {}
    for number, node in enumerate(graph.nodes):
        found = _float_convolution(node, number, made, users, graph) if node.kind == "ConvInteger" else None
        if found:
            instead[id(found[0])] = found[1]
    for node in graph.nodes:
        nodes += instead.get(id(node), [node])
    graph.nodes = nodes
    graph.prune()


def normalise_at_once(graph: Graph) -> None:
    """(x - mean) / sqrt(variance + eps) * scale + shift along the last of three axes becomes one InstanceNormalization."""
    made, users = _made(graph), _users(graph)
    instead: dict[int, list[Node]] = {}
    for node in graph.nodes:
        normed = _normalised(node, made, graph) if node.kind == "Div" else None
        if not normed:
            continue
        x, epsilon = normed
        for times in users.get(node.outputs[0], []):
            after = users.get(times.outputs[0], [])
            if times.kind != "Mul" or len(after) != 1 or after[0].kind != "Add":
                continue
            add, name = after[0], times.outputs[0]
            scale, shift = _other(times, node.outputs[0]), _other(add, name)
            instead[id(add)] = [
                Node("Reshape", [scale, AXIS], [f"{name}_scale"]),
                Node("Reshape", [shift, AXIS], [f"{name}_shift"]),
                Node(
                    "InstanceNormalization",
                    [x, f"{name}_scale", f"{name}_shift"],
                    add.outputs,
                    [onnx.float_attribute("epsilon", epsilon)],
                ),
            ]
    if instead:
        graph.tensors[AXIS] = onnx.integers(AXIS, [-1])
    graph.nodes = [one for node in graph.nodes for one in instead.get(id(node), [node])]
    graph.prune()


def _float_convolution(
    node: Node, number: int, made: dict[str, Node], users: dict[str, list[Node]], graph: Graph
) -> tuple[Node, list[Node]] | None:
    """The last node of a rounded convolution and what stands for it."""
    rounded = made.get(node.inputs[0])
    after = _only(users, node)
    bias = []
    if after and after.kind == "Add":
        found = _bias(made.get(_other(after, node.outputs[0])), made)
        if found not in graph.tensors:
            return None
        bias, after = [found], _only(users, after)
    scaled = _only(users, after) if after and after.kind == "Cast" else None
    if not rounded or rounded.kind != "DynamicQuantizeLinear" or not scaled or scaled.kind != "Mul" or not after:
        return None
    scales = made.get(_other(scaled, after.outputs[0]))
    weight, zero = node.inputs[1], node.inputs[3:4]
    if not scales or scales.kind != "Mul" or rounded.outputs[1] not in scales.inputs or weight not in graph.tensors:
        return None
    name = f"aigc_weight_{number}"
    scale = _other(scales, rounded.outputs[1])
    widened = Node("DequantizeLinear", [weight, scale, *zero], [name])
    convolution = Node("Conv", [rounded.inputs[0], name, *bias], scaled.outputs, node.attributes)
    return scaled, [widened, convolution]


def _bias(node: Node | None, made: dict[str, Node]) -> str:
    """The bias that was divided by the scale, rounded and reshaped; none for another chain."""
    for kind in ("Reshape", "Cast", "Floor", "Div"):
        if not node or node.kind != kind:
            return ""
        name = node.inputs[0]
        node = made.get(name)
    return name


def _normalised(node: Node, made: dict[str, Node], graph: Graph) -> tuple[str, float] | None:
    """What a division normalises, and its epsilon; none for any other division."""
    centred, root = (made.get(name) for name in node.inputs)
    plus = made.get(root.inputs[0]) if root and root.kind == "Sqrt" else None
    if not centred or centred.kind != "Sub" or not plus or plus.kind != "Add":
        return None
    variance, mean = made.get(plus.inputs[0]), made.get(centred.inputs[1])
    square = made.get(variance.inputs[0]) if variance and _over_time(variance, graph) else None
    if not square or square.kind != "Mul" or square.inputs != [centred.outputs[0]] * 2:
        return None
    if not mean or not _over_time(mean, graph) or mean.inputs[0] != centred.inputs[0]:
        return None
    epsilon = onnx.numbers(graph.tensors[plus.inputs[1]]) if plus.inputs[1] in graph.tensors else ()
    return (centred.inputs[0], epsilon[0]) if len(epsilon) == 1 else None


def _over_time(node: Node, graph: Graph) -> bool:
    """A mean along axis 2, the last of [1, channels, time]."""
    axes = graph.tensors.get(node.inputs[1]) if len(node.inputs) > 1 else None
    return node.kind == "ReduceMean" and axes is not None and onnx.numbers(axes) == (2,)


def _made(graph: Graph) -> dict[str, Node]:
    return {name: node for node in graph.nodes for name in node.outputs}


def _users(graph: Graph) -> dict[str, list[Node]]:
    found: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            found.setdefault(name, []).append(node)
    return found


def _only(users: dict[str, list[Node]], node: Node) -> Node | None:
    after = users.get(node.outputs[0], [])
    return after[0] if len(after) == 1 else None


def _other(node: Node, name: str) -> str:
    """The second input of a sum or product whose one input this is."""
    return node.inputs[1] if node.inputs[0] == name else node.inputs[0]
