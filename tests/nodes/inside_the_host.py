"""Runs in a Python that has the host's modules loaded, as they are when packs are imported; prints facts as JSON.

Usage: python inside_the_host.py HOST_FOLDER REPOSITORY
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import importlib
import importlib.util
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

HOST, REPOSITORY = sys.argv[1:3]
sys.argv = ["main.py", "--cpu"]
sys.path.insert(0, HOST)

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
# The host's own order: with another one, its `utils` is not found.
# isort: off
import utils.extra_config  # noqa: E402, F401
import comfy.model_management as mm  # noqa: E402
import nodes  # noqa: E402, F401
import server  # noqa: E402, F401
import torch  # noqa: E402
from comfy_api.latest import InputImpl, io  # noqa: E402
# isort: on


def node_list() -> list[Any]:
    async def start() -> list[Any]:
        return await (await sys.modules["pack"].comfy_entrypoint()).get_node_list()

    return asyncio.run(start())


def yardstick() -> float:
    """CPU seconds of a fixed piece of Python, about a quarter of what the import costs on the same machine."""
    start = time.process_time()
    for number in range(60):
        dataclasses.make_dataclass(f"Yard{number}", ["a", "b", "c", "d"], frozen=True)
    return time.process_time() - start


def import_cost() -> dict[str, Any]:
    """CPU seconds, because the machine may be busy with something else.

    What the host has made is swept first: else Python's own pass over it falls into some of these measurements.
    """
    gc.collect()
    before, start = set(sys.modules), time.process_time()
    spec = importlib.util.spec_from_file_location("pack", f"{REPOSITORY}/__init__.py")
    pack = sys.modules["pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    found = node_list()
    seconds = time.process_time() - start
    new = {name.split(".")[0] for name in set(sys.modules) - before}
    return {"nodes": len(found), "seconds": seconds, "new": sorted(new), "yard": yardstick()}


def unknown_fields() -> list[Any]:
    api = sys.modules["pack.nodes._api"]
    made = api.schema(node_id="x", display_name="X", no_such_field=1)
    return [made.node_id, api.inp(io.Int.Input, "n", default=1, no_such_option=2).default]


def broken_schema() -> int:
    """How many nodes are left out when one schema raises."""
    whole, cls = len(node_list()), sys.modules["pack.nodes.sample"].Sample
    sound = cls.__dict__["define_schema"]

    def broken(cls: type) -> None:
        raise ValueError

    cls.define_schema = classmethod(broken)
    logging.disable()
    left = len(node_list())
    logging.disable(logging.NOTSET)
    cls.define_schema = sound
    return whole - left


def missing_packages() -> list[str]:
    """What a node says whose package is missing, and what is left of a mistake in a module that is there."""
    api = sys.modules["pack.nodes._api"]

    class Needy(api.Node):
        @classmethod
        def define_schema(cls) -> Any:
            inputs = [io.String.Input("module")]
            return api.schema(node_id="needy", display_name="Needy", category="x", inputs=inputs, outputs=[])

        @classmethod
        def execute(cls, module: str) -> Any:
            importlib.import_module(module)

    said = []
    for module in ("cv2", "json.nowhere"):
        hidden = sys.modules.get(module)
        sys.modules[module] = None  # type: ignore[assignment]
        try:
            Needy.execute(module=module)
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
        del sys.modules[module]
        if hidden is not None:
            sys.modules[module] = hidden
    return said


def memory() -> list[Any]:
    """How many parts the host's memory manager holds, step by step."""
    runtime = sys.modules["pack.nodes._host"].runtime()
    parts, counts = [torch.nn.Linear(64, 64), torch.nn.Conv2d(3, 8, 3)], []
    for _ in range(2):
        with runtime.placed(parts, activation_bytes=1 << 20):
            counts.append(len(mm.current_loaded_models))
            counts.append(all(m.model.loaded_size() == m.model.model_size() for m in mm.current_loaded_models))
        mm.unload_all_models()
        counts.append(len(mm.current_loaded_models))
    with runtime.placed(parts[:1]):
        counts.append(len(mm.current_loaded_models))
    runtime.release(parts)
    counts.append(len(mm.current_loaded_models))
    return counts


def dtypes() -> list[str]:
    runtime = sys.modules["pack.nodes._host"].runtime()
    asked = [("denoiser", "auto"), ("text", "auto"), ("vae", "auto"), ("vae", "float16")]
    return [str(runtime.dtype_for(*pair)) for pair in asked]


def stage_cache() -> list[int]:
    """How often the stage cache was emptied: while one of two models is wired, and after the last has gone."""
    from pack.pipelines.payloads import Lora, Model
    from pack.pipelines.stages import pipe

    host, emptied = sys.modules["pack.nodes._host"], []
    release_all, pipe.release_all = pipe.release_all, lambda: emptied.append(True)
    first = host.keep_while_wired(Model(Path("a"), Path("a"), "StableDiffusionPipeline"))
    second = host.keep_while_wired(first.with_lora(Lora(Path("b"))))
    del first
    counts = [len(emptied)]
    del second
    counts.append(len(emptied))
    pipe.release_all = release_all
    return counts


def video_in_memory() -> list[Any]:
    """Size, frames and format of a video of ours as the host reads it from memory, where its own class fails."""
    from pack.pipelines import media

    clip = media.clip(torch.rand(5, 33, 48, 3), 12.5, media.audio(torch.rand(1, 2, 20000), 20000))
    made = sys.modules["pack.nodes._api"].video(clip)
    source = made.get_stream_source()
    read = InputImpl.VideoFromFile(source).get_components()
    return [
        list(made.get_dimensions()),
        "mp4" in made.get_container_format(),
        list(read.images.shape),
        read.audio is not None,
    ]


FACTS = (import_cost, unknown_fields, broken_schema, memory, dtypes, stage_cache, video_in_memory, missing_packages)
facts = {f.__name__: f() for f in FACTS}
print(json.dumps(facts))
