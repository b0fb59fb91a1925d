"""Talks to a running ComfyUI: submit, follow, interrupt, upload, download.

    async with Client("http://127.0.0.1:8188") as client:
        result = await client.run(prompt, on_event=print)

The websocket carries the progress; the truth about a finished prompt is /history. So a dropped socket
costs the progress bar and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from .events import Event, Run, preview_event
from .save import save_stream

REACH_SECONDS = 3.0  # with the start of the interpreter, an unreachable server is reported within five
POLL_SECONDS = 1.0
SILENCE_SECONDS = 10.0
SETTLE_SECONDS = 20.0
FINAL = {"execution_success", "execution_error", "execution_interrupted"}


class Unreachable(ConnectionError):
    """No ComfyUI answers at this address."""


class ServerError(RuntimeError):
    """The server answered with something that is not in the protocol."""


class Refused(RuntimeError):
    """POST /prompt was refused: `message` for the whole prompt, `node_errors` by node id."""

    def __init__(self, message: str, node_errors: dict[str, Any], kind: str = "") -> None:
        super().__init__(message)
        self.node_errors = node_errors
        self.kind = kind


OnEvent = Callable[[Event], None]


class Client:
    """An asyncio client of one host; use it as an async context manager."""

    def __init__(self, url: str) -> None:
        self.url = (url if "://" in url else f"http://{url}").rstrip("/")
        self.id = str(uuid.uuid4())
        self._session: aiohttp.ClientSession | None = None
        self._socket: Any = None

    async def __aenter__(self) -> Client:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REACH_SECONDS, sock_read=120)
        # A proxy of the environment can't reach our own loopback.
        remote = urlsplit(self.url).hostname not in ("localhost", "127.0.0.1", "::1")
        self._session = aiohttp.ClientSession(timeout=timeout, trust_env=remote)
        try:
            await self._probe()
            self._socket = await self._connect()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._socket is not None:
            await self._socket.close()
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("Expected an open client: use 'async with Client(url) as client'.")
        return self._session

    async def _probe(self) -> None:
        limit = aiohttp.ClientTimeout(total=REACH_SECONDS)
        try:
            async with self.session.get(f"{self.url}/system_stats", timeout=limit) as response:
                stats = await response.json(content_type=None)
                if response.status != 200 or "system" not in stats:
                    raise ValueError(f"status {response.status}")
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError, TypeError) as error:
            reason = str(error) or type(error).__name__
            raise Unreachable(
                f"No ComfyUI answers at {self.url} ({reason}): start it there, "
                "or leave --server out to have one started."
            ) from None

    async def _connect(self) -> Any:
        """The websocket, or None where it can't be had: then /history is polled."""
        address = f"{self.url.replace('http', 'ws', 1)}/ws?clientId={self.id}"
        try:
            socket = await asyncio.wait_for(
                self.session.ws_connect(address, max_msg_size=0, heartbeat=60), REACH_SECONDS * 2
            )
            await socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError):
            return None
        return socket

    async def _json(self, method: str, path: str, **options: Any) -> Any:
        try:
            async with self.session.request(method, self.url + path, **options) as response:
                text = await response.text()
                if response.status >= 400:
                    raise ServerError(f"{method} {path} answered {response.status}: {text[:300]}")
                return json.loads(text) if text.strip() else {}
        except ValueError as error:
            raise ServerError(f"{method} {path} answered no JSON ({error}): is {self.url} a ComfyUI?") from None

    async def object_info(self) -> dict[str, Any]:
        return await self._json("GET", "/object_info")

    async def submit(self, prompt: dict[str, Any], workflow: dict[str, Any] | None = None) -> Run:
        """Queues the prompt; raises Refused when the host runs nothing of it."""
        body = {"prompt": prompt, "client_id": self.id, "prompt_id": str(uuid.uuid4())}
        if workflow is not None:
            body["extra_data"] = {"extra_pnginfo": {"workflow": workflow}}
        async with self.session.post(f"{self.url}/prompt", json=body) as response:
            text = await response.text()
            try:
                answer = json.loads(text)
            except ValueError:
                answer = {}
            if response.status != 200 or "prompt_id" not in answer:
                error = answer.get("error") or text[:300]
                details = error if isinstance(error, dict) else {"message": str(error)}
                message = ": ".join(filter(None, (details.get("message"), details.get("details"))))
                if not answer:
                    raise ServerError(f"POST /prompt answered {response.status}: {message}")
                raise Refused(message, answer.get("node_errors") or {}, details.get("type", ""))
        return Run(answer["prompt_id"], node_errors=answer.get("node_errors") or {})

    async def run(
        self,
        prompt: dict[str, Any],
        workflow: dict[str, Any] | None = None,
        on_event: OnEvent = lambda event: None,
    ) -> Run:
        """Submit and wait."""
        return await self.wait(await self.submit(prompt, workflow), on_event)

    async def wait(self, run: Run, on_event: OnEvent = lambda event: None) -> Run:
        """Follows `run` to its end, whichever way it ends; `run` is filled as things arrive."""
        if self._socket is not None:
            await self._listen(self._socket, run, on_event)
        lost = 0
        deadline = time.monotonic() + SETTLE_SECONDS
        while not await self._read_history(run):
            # A socket that said "finished" is a moment ahead of the history; otherwise the queue tells.
            lost = 0 if run.status == "running" and await self._is_queued(run.id) else lost + 1
            if (run.status == "running" and lost > 3) or (run.status != "running" and time.monotonic() > deadline):
                break
            await asyncio.sleep(0.1 if run.status != "running" else POLL_SECONDS)
        if run.status == "running":
            run.status, run.error = (
                "error",
                {"exception_message": "the host no longer knows this run: it may have restarted"},
            )
        run.seconds = time.monotonic() - run.started
        return run

    async def _listen(self, socket: Any, run: Run, on_event: OnEvent) -> None:
        """Reads the socket until the run is over or the socket is."""
        node = ""
        while True:
            try:
                message = await socket.receive(timeout=SILENCE_SECONDS)
            except asyncio.TimeoutError:
                if await self._read_history(run) or not await self._is_queued(run.id):
                    return
                continue
            except (aiohttp.ClientError, OSError):
                return
            if message.type == aiohttp.WSMsgType.BINARY:
                if (event := preview_event(message.data, node)) and event.data.get("prompt_id", run.id) == run.id:
                    on_event(event)
            elif message.type == aiohttp.WSMsgType.TEXT:
                parsed = json.loads(message.data)
                data = parsed.get("data") or {}
                if data.get("prompt_id") != run.id:
                    continue
                event = Event(str(parsed.get("type")), data)
                if event.kind == "executing":
                    node = str(data.get("node") or "")
                self._note(run, event)
                on_event(event)
                if event.kind in FINAL or (event.kind == "executing" and data.get("node") is None):
                    return
            else:
                return

    @staticmethod
    def _note(run: Run, event: Event) -> None:
        if event.kind == "executed" and event.data.get("output"):
            run.outputs[str(event.data["node"])] = event.data["output"]
        elif event.kind == "execution_error":
            run.status, run.error = "error", event.data
        elif event.kind == "execution_interrupted":
            run.status = "interrupted"
        elif event.kind == "execution_success" and run.status == "running":
            run.status = "success"

    async def _read_history(self, run: Run) -> bool:
        """Whether the host has filed the run; fills in what the socket did not tell."""
        try:
            entry = (await self._json("GET", f"/history/{run.id}")).get(run.id)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ServerError):
            return False
        if not entry:
            return False
        run.outputs.update(entry.get("outputs") or {})
        status = entry.get("status") or {}
        for message in status.get("messages") or []:
            if message[0] in FINAL:
                self._note(run, Event(message[0], message[1]))
        if run.status == "running":
            run.status = "success" if status.get("status_str") == "success" else "error"
        return True

    async def _is_queued(self, id: str) -> bool:
        try:
            queue = await self._json("GET", "/queue")
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ServerError):
            return False
        return any(id in entry[:2] for key in ("queue_running", "queue_pending") for entry in queue.get(key) or [])

    async def interrupt(self, id: str) -> None:
        """Stops a running prompt and takes a waiting one from the queue; other people's prompts go on."""
        await self._json("POST", "/queue", json={"delete": [id]})
        try:
            await self._json("POST", "/interrupt", json={"prompt_id": id})
        except ServerError:  # hosts after 0.3.75 have a route for the job itself
            await self._json("POST", f"/api/jobs/{id}/cancel")

    async def upload(self, path: Path) -> str:
        """Copies a local file into the host's input folder; returns the name to use in the workflow."""
        # Without quote_fields=False the host stores "a b.wav" as "a%20b.wav".
        form = aiohttp.FormData(quote_fields=False)
        with open(path, "rb") as file:
            form.add_field("image", file, filename=path.name.replace('"', "_"))
            answer = await self._json("POST", "/upload/image", data=form)
        return "/".join(filter(None, (answer.get("subfolder"), answer["name"])))

    async def download(self, item: dict[str, Any], folder: Path) -> Path:
        """Saves one file of an output ({filename, subfolder, type}) under `folder`; returns its path."""
        names = {key: str(item.get(key) or "") for key in ("filename", "subfolder")}
        query = {**names, "type": str(item.get("type") or "output")}
        async with self.session.get(f"{self.url}/view", params=query) as response:
            if response.status != 200:
                raise ServerError(f"The host no longer has {names['filename']} (/view answered {response.status}).")
            return await save_stream(response.content.iter_chunked(1 << 20), folder, **names)
