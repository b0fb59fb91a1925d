"""One process for a language model's speed: `python -m benchmarks.text_child <folder>`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

PROMPT = "Write a long story about a lighthouse keeper and the sea."


def main(folder: str) -> None:
    begun = time.perf_counter()
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor  # noqa: F401
    from transformers.models.llama import LlamaForCausalLM  # noqa: F401

    from pipelines.runtime import Runtime
    from pipelines.text import Asked, Sampling, local
    from pipelines.text.opening import speaking

    torch.set_num_threads(1)
    imports, runtime = time.perf_counter() - begun, Runtime("cpu")
    begun, cpu = time.perf_counter(), time.process_time()
    with speaking(Path(folder), runtime) as language:
        load, load_cpu = time.perf_counter() - begun, time.process_time() - cpu
        rates, tokens = [], 0

        def count(_: str, done: int, most: int) -> None:
            nonlocal tokens
            tokens = max(tokens, done if done < most else tokens)

        for seed in range(4):
            tokens, cpu = 0, time.process_time()
            local.answer(language, Asked(PROMPT), Sampling(128, 0.7, seed=seed), on_text=count, runtime=runtime)
            rates.append(tokens / (time.process_time() - cpu))
    answer: dict[str, Any] = {
        "imports": imports,
        "load": load,
        "load_cpu": load_cpu,
        "rate": max(rates[1:]),
        "tokens": tokens,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1])
