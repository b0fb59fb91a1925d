"""Imports go one way, the host has two doors, and importing costs nothing heavy."""

from __future__ import annotations

import pytest

from .sources import imports, python_files

OURS = {"nodes", "pipelines", "headless", "training", "benchmarks", "tests", "scripts"}
MAY_IMPORT = {
    "nodes": {"nodes", "pipelines"},
    "pipelines": {"pipelines"},
    "headless": {"headless"},
    "training": {"training", "pipelines"},
}
# The command line lists and downloads models exactly as the canvas does; this part of the engine imports nothing heavy.
EXCEPTIONS = {"headless/models.py": "pipelines.sources"}
HOST = {
    "app", "comfy", "comfy_config", "comfy_execution", "comfy_extras", "cuda_malloc", "execution",
    "folder_paths", "latent_preview", "main", "node_helpers", "server",
}  # fmt: skip
HEAVY = {
    "accelerate", "c2pa", "cv2", "diffusers", "huggingface_hub", "onnxruntime", "peft", "ray", "torchaudio",
    "torchmetrics", "transformers",
}  # fmt: skip


def found(broken: list[str]) -> str:
    return "\n" + "\n".join(broken)


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_layers_import_one_way(layer: str) -> None:
    broken = [
        f"{name}:{item.line} imports {item.module}"
        for name in python_files(layer)
        for item in imports(name)
        if item.package in OURS - MAY_IMPORT[layer] and item.module != EXCEPTIONS.get(name)
    ]
    assert not broken, found(broken)


def test_only_the_host_package_touches_the_hosts_modules() -> None:
    broken = [
        f"{name}:{item.line} imports {item.module}"
        for name in python_files(*MAY_IMPORT)
        for item in imports(name)
        if item.package in HOST and not name.startswith("nodes/_host/")
    ]
    assert not broken, found(broken)


def test_only_api_py_imports_comfy_api() -> None:
    broken = [
        f"{name}:{item.line} imports {item.module}"
        for name in ["__init__.py", *python_files(*MAY_IMPORT)]
        for item in imports(name)
        if item.package == "comfy_api" and name != "nodes/_api.py"
    ]
    assert not broken, found(broken)


def test_nodes_reach_the_pack_by_relative_imports_only() -> None:
    """In the host `nodes` is ComfyUI's own module and `pipelines` may be another pack's."""
    broken = []
    for name in python_files("nodes", "pipelines"):
        for line in absolute_imports_of_ours(name):
            broken.append(f"{name}:{line} imports one of our packages by its absolute name")
    assert not broken, found(broken)


def absolute_imports_of_ours(name: str) -> list[int]:
    import ast

    from .sources import tree

    lines = []
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module or ""]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        if any(module.partition(".")[0] in OURS for module in modules):
            lines.append(node.lineno)
    return lines


def test_nothing_heavy_is_imported_with_the_module() -> None:
    broken = [
        f"{name}:{item.line} imports {item.module} at module level"
        for name in ["__init__.py", *python_files("nodes", "pipelines", "headless")]
        for item in imports(name)
        if item.at_top and (item.package in HEAVY or (item.package == "torch" and name.startswith("headless/")))
    ]
    assert not broken, found(broken)


def test_the_rules_read_real_files() -> None:
    assert len(python_files("nodes")) >= 5
    assert len(python_files("pipelines")) >= 5
    assert any(item.package == "comfy" for item in imports("nodes/_host/memory.py"))
    assert any(item.package == "comfy_api" for item in imports("nodes/_api.py"))
    assert any(item.package == "pipelines" for name in python_files("nodes") for item in imports(name))
