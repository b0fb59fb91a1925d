"""Runs API prompts on the shared host and keeps what it said: a small client of the tests' own."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np
from PIL import Image

Prompt = dict[str, dict[str, Any]]


@dataclass
class Run:
    """What one prompt led to. `refused` is the host's answer when it did not queue the prompt."""

    refused: dict[str, Any] | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)
    previews: int = 0

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message["data"] for message in self.messages if message["type"] == kind]

    @property
    def error(self) -> str:
        return "".join(data["exception_message"].strip() for data in self.of("execution_error"))

    @property
    def interrupted(self) -> bool:
        return bool(self.of("execution_interrupted"))

    @property
    def cached(self) -> set[str]:
        return {node for data in self.of("execution_cached") for node in data["nodes"]}

    @property
    def ran(self) -> list[str]:
        return [data["node"] for data in self.of("executing") if data["node"] is not None]

    @property
    def outputs(self) -> dict[str, Any]:
        return {data["node"]: data["output"] for data in self.of("executed")}


def run(
    url: str,
    prompt: Prompt,
    on_message: Callable[[aiohttp.ClientSession, dict[str, Any]], Awaitable[None]] | None = None,
) -> Run:
    """Queue a prompt and listen until the host has finished with it."""
    return asyncio.run(_run(url, prompt, on_message))


async def _run(url: str, prompt: Prompt, on_message: Any) -> Run:
    client, result = str(uuid.uuid4()), Run()
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/ws?clientId={client}") as socket,
    ):
        async with session.post(f"{url}/prompt", json={"prompt": prompt, "client_id": client}) as answer:
            body = await answer.json()
            if answer.status != 200 or body["node_errors"]:
                result.refused = body
                return result
        async for message in socket:
            if message.type == aiohttp.WSMsgType.BINARY:
                result.previews += 1
                continue
            data = message.json()
            if data["data"].get("prompt_id") != body["prompt_id"]:
                continue
            result.messages.append(data)
            if on_message is not None:
                await on_message(session, data)
            if data["type"] == "executing" and data["data"]["node"] is None:
                return result
    raise AssertionError("The host closed the connection before the prompt ended.")


def fetch(url: str, path: str) -> Any:
    async def get() -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"{url}{path}") as answer:
            assert answer.status == 200, f"{path}: {answer.status}"
            return await (answer.json() if answer.content_type == "application/json" else answer.read())

    return asyncio.run(get())


def images(url: str, result: Run, node: str) -> list[np.ndarray]:
    """The pictures that a save or preview node made, as arrays."""
    return [
        np.asarray(Image.open(io.BytesIO(fetch(url, f"/view?{query(file)}"))).convert("RGB"))
        for file in result.outputs[node]["images"]
    ]


def query(file: dict[str, str]) -> str:
    return f"filename={file['filename']}&subfolder={file['subfolder']}&type={file['type']}"


def text_to_image(model: str = "tiny/sd15", **changes: Any) -> Prompt:
    """The usual chain as an API prompt; changes are given as node__input=value."""
    graph = {
        "model": node("LoadModel", model=model, dtype="auto", offload="auto"),
        "prompt": node(
            "EncodePrompt",
            model=["model", 0],
            prompt="a cat",
            negative_prompt="",
            guided=True,
            one_per_line=False,
        ),
        "size": node("EmptyLatents", model=["model", 0], width=64, height=64, frames=0, seconds=0.0, batch_size=1),
        "sample": node(
            "Sample",
            model=["model", 0],
            conditioning=["prompt", 0],
            latents=["size", 0],
            seed=1,
            steps=2,
            cfg=5.0,
            scheduler="model default",
            denoise=1.0,
        ),
        "decode": node("DecodeImage", model=["model", 0], latents=["sample", 0]),
        "save": {"class_type": "SaveImage", "inputs": {"images": ["decode", 0], "filename_prefix": "test"}},
    }
    for name, value in changes.items():
        target, key = name.split("__")
        graph[target]["inputs"][key] = value
    return graph


def node(name: str, /, **inputs: Any) -> dict[str, Any]:
    return {"class_type": f"AIGC_{name}", "inputs": inputs}
