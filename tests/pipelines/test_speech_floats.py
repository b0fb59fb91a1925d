"""The rewritten model: its file's format exactly, its sound as the integers meant it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from pipelines.speech import floats, graph
from pipelines.speech.graph import Field, Graph, Node

from . import speech_data

C, K = 4, 3


def tensor(name: str, kind: int, values: np.ndarray) -> bytes:
    dimensions: list[Field] = [(graph.DIMENSION, size) for size in values.shape]
    return graph.joined([*dimensions, (graph.TYPE, kind), (graph.NAME, name.encode()), (graph.RAW, values.tobytes())])


def value(name: str, sizes: list[int | None]) -> bytes:
    shape = graph.joined([(1, graph.joined([(1, size) if size else (2, b"t")])) for size in sizes])
    return graph.joined([(1, name.encode()), (2, graph.joined([(1, graph.joined([(1, 1), (2, shape)]))]))])


def content(nodes: list[Node], stored: dict[str, tuple[int, np.ndarray]], input_sizes: list[int | None]) -> bytes:
    tensors: dict[str, memoryview | bytes] = {name: tensor(name, *one) for name, one in stored.items()}
    rest: list[Field] = [(2, b"test"), (11, value("x", input_sizes)), (12, value("y", input_sizes))]
    return graph.write(Graph(nodes, tensors, rest, {"y"}), [(1, 9), (8, graph.joined([(1, b""), (2, 20)]))])


def rounded_convolution(weight: np.ndarray, zero: int, scale: float, bias: np.ndarray | None) -> bytes:
    """A convolution as quantization tools write it: integers inside, the bias in the scale of its sums."""
    pads = graph.ATTRIBUTE, graph.joined([(1, b"pads"), (8, K // 2), (8, K // 2), (20, 7)])
    to = graph.integer_attribute
    nodes = [
        Node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        Node("ConvInteger", ["q", "w", "z", "wz"], ["sums"], [pads]),
        Node("Mul", ["s", "ws"], ["scale"]),
    ]
    stored = {
        "w": (2, weight),
        "wz": (2, np.array(zero, np.uint8)),
        "ws": (1, np.array(scale, np.float32)),
        "row": (7, np.array([1, -1, 1])),
    }
    if bias is not None:
        stored["b"] = (1, bias)
        nodes += [
            Node("Div", ["b", "scale"], ["b1"]),
            Node("Floor", ["b1"], ["b2"]),
            Node("Cast", ["b2"], ["b3"], [to("to", 6)]),
            Node("Reshape", ["b3", "row"], ["b4"]),
            Node("Add", ["sums", "b4"], ["biased"]),
        ]
    nodes += [
        Node("Cast", ["sums" if bias is None else "biased"], ["f"], [to("to", 1)]),
        Node("Mul", ["f", "scale"], ["y"]),
    ]
    return content(nodes, stored, [1, C, None])


def normalisation(epsilon: float, axis: int = 2) -> bytes:
    nodes = [
        Node("ReduceMean", ["x", "axes"], ["mean"]),
        Node("Sub", ["x", "mean"], ["d"]),
        Node("Mul", ["d", "d"], ["d2"]),
        Node("ReduceMean", ["d2", "axes"], ["variance"]),
        Node("Add", ["variance", "eps"], ["v"]),
        Node("Sqrt", ["v"], ["deviation"]),
        Node("Div", ["d", "deviation"], ["n"]),
        Node("Mul", ["scale", "n"], ["scaled"]),
        Node("Add", ["scaled", "shift"], ["y"]),
    ]
    numbers = np.random.default_rng(1)
    stored = {
        "axes": (7, np.array([axis])),
        "eps": (1, np.array(epsilon, np.float32)),
        "scale": (1, numbers.normal(size=(1, C, 1)).astype(np.float32)),
        "shift": (1, numbers.normal(size=(1, C, 1)).astype(np.float32)),
    }
    return content(nodes, stored, [1, C, None])


def run(model: bytes, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def kinds(model: bytes) -> list[str]:
    return [node.kind for node in graph.read(model)[0].nodes]


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1, C, 50)).astype(np.float32)


@pytest.mark.parametrize("biased", [False, True])
def test_a_rounded_convolution_becomes_the_one_that_its_weights_mean(tmp_path: Path, x, biased):
    numbers = np.random.default_rng(2)
    weight, bias = numbers.integers(0, 128, (C, C, K)).astype(np.uint8), numbers.normal(size=C).astype(np.float32)
    before = rounded_convolution(weight, 61, 0.02, bias if biased else None)
    (tmp_path / "model.onnx").write_bytes(before)
    after = floats.converted(tmp_path / "model.onnx")
    assert "ConvInteger" in kinds(before) and kinds(after)[-1] == "Conv"
    assert not {"ConvInteger", "DynamicQuantizeLinear", "Floor"} & set(kinds(after)), "nothing is rounded any more"
    meant = (weight.astype(np.float64) - 61) * 0.02
    padded = np.pad(x[0].astype(np.float64), ((0, 0), (K // 2, K // 2)))
    exact = sum(meant[:, :, k] @ padded[:, k : k + x.shape[-1]] for k in range(K)) + (bias[:, None] if biased else 0)
    assert np.abs(run(after, x)[0] - exact).max() < 1e-5
    assert 1e-3 < np.abs(run(before, x)[0] - exact).max() < 0.1, "which is what rounding would cost"


def test_a_normalisation_in_nine_steps_becomes_one_and_gives_the_same(tmp_path: Path, x):
    (tmp_path / "model.onnx").write_bytes(normalisation(1e-3))
    after = floats.converted(tmp_path / "model.onnx")
    assert kinds(after) == ["Reshape", "Reshape", "InstanceNormalization"]
    assert np.allclose(run(after, x), run(normalisation(1e-3), x), atol=1e-5)
    assert not np.allclose(run(after, x), run(normalisation(1.0), x), atol=1e-2), "epsilon is the file's own"


def test_what_is_built_otherwise_stays_as_it_is(tmp_path: Path):
    path = tmp_path / "model.onnx"
    for model in (normalisation(1e-3, axis=1), speech_data.model()):
        path.write_bytes(model)
        assert kinds(floats.converted(path)) == kinds(model)


def test_a_model_read_and_written_is_the_same_and_a_damaged_one_is_refused():
    model = normalisation(1e-5)
    assert graph.write(*graph.read(model)) == model
    assert graph.numbers(graph.integers("n", [-1, 5])) == (-1, 5)
    for damaged in (b"", model[:-7], b"not a model"):
        with pytest.raises(ValueError, match="no ONNX model"):
            graph.read(damaged)
