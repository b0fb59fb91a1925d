"""Runs as a script in a process that has imported what a ComfyUI has: `host_import.py <host folder> <pack folder>`.

Prints what loading the pack costs then, as the host does it: import, entry point, list of nodes with their schemas.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import os
import sys
import time

# What main.py has imported when it comes to the packs. utils first, as there: nodes.py lays comfy/utils.py over it.
HOST_MODULES = ("utils.extra_config", "comfy_api.latest", "execution", "server", "nodes")
HEAVY = ("diffusers", "transformers", "accelerate", "peft", "huggingface_hub")


def main(host: str, pack: str) -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the host prints to stdout
    sys.argv, sys.path[0] = ["main.py", "--cpu"], host
    os.chdir(host)
    import comfy.options

    comfy.options.enable_args_parsing()
    for name in HOST_MODULES:
        importlib.import_module(name)

    before = set(sys.modules)
    wall, cpu = time.perf_counter(), time.process_time()
    spec = importlib.util.spec_from_file_location("aigc_pack", os.path.join(pack, "__init__.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["aigc_pack"] = module
    spec.loader.exec_module(module)
    import_ms = [(time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000]

    async def listed() -> int:
        extension = await module.comfy_entrypoint()
        return len(await extension.get_node_list())

    count = asyncio.run(listed())
    all_ms = [(time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000]
    answer = {
        "import_ms": import_ms,
        "all_ms": all_ms,
        "nodes": count,
        "new_modules": len(set(sys.modules) - before),
        "heavy": [name for name in HEAVY if name in set(sys.modules) - before],
    }
    replies.write(json.dumps(answer) + "\n")
    replies.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
