"""The words of a chat completion as they come: server-sent events, read in a thread so that a stop takes a moment only."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

CONNECT = 15.0  # seconds
WITHIN = 300.0  # seconds to the next words: a large model reads a long prompt for minutes
POLL = 0.1  # seconds between two looks at the stop
LONGEST = 2**22  # bytes of one event
SHOWN = 500  # letters of an error


class Refused(Exception):
    """No answer. status: of HTTP, 0 when there was none. param: the option that is refused, if the server says so."""

    def __init__(self, status: int, said: str, param: str = "", after: str = "") -> None:
        super().__init__(said)
        self.status, self.said, self.param, self.after = status, said, param, after


def pieces(
    url: str, key: str, sent: dict[str, Any], check_interrupt: Callable[[], None], within: float
) -> Iterator[str]:
    """The pieces of the answer. Closed early, or stopped by what check_interrupt raises, it closes the connection.

    Raises Refused. Redirects are not followed: the key and the prompt are for this server only.
    """
    found: queue.Queue[str | BaseException | None] = queue.Queue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(_read(url, key, sent, within, found.put))

    def work() -> None:
        asyncio.set_event_loop(loop)
        try:
            with suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
        except Exception as error:  # whatever it is, the node that waits must hear of it
            found.put(error)
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            found.put(None)

    thread = threading.Thread(target=work, name="aigc-endpoint", daemon=True)
    thread.start()
    try:
        while True:
            check_interrupt()
            with suppress(queue.Empty):
                item = found.get(timeout=POLL)
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
    finally:
        with suppress(RuntimeError):  # it may have ended and closed its loop by now
            loop.call_soon_threadsafe(task.cancel)
        thread.join(5)


async def _read(url: str, key: str, sent: dict[str, Any], within: float, give: Callable[[Any], None]) -> None:
    import aiohttp

    headers = {"Accept": "text/event-stream", **({"Authorization": f"Bearer {key}"} if key else {})}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=within)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True, read_bufsize=LONGEST) as session,
            session.post(url, json=sent, headers=headers, allow_redirects=False) as response,
        ):
            if response.status != 200:
                give(_refusal(response.status, await response.text(errors="replace"), response.headers))
            elif "json" in response.content_type:  # a server that does not stream
                give(_whole(await response.json()))
            else:
                await _events(response.content, give)
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
        give(Refused(0, f"{type(error).__name__} {error}".strip()))


async def _events(lines: Any, give: Callable[[Any], None]) -> None:
    """Ends at [DONE], or where the answer says why it ended; a stream that breaks off before is no answer."""
    over = False
    async for line in lines:
        data = line.decode("utf-8", "replace").strip()
        if not data.startswith("data:"):
            continue
        data = data.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        piece, ends = said(json.loads(data))
        over = over or ends
        if piece:
            give(piece)
    if not over:
        give(Refused(0, "the answer broke off"))


def said(event: Any) -> tuple[str, bool]:
    """The new words of one event, and whether it is the last one with words. Raises Refused for an error in the stream."""
    if not isinstance(event, dict):
        raise ValueError(f"an event that is no object: {str(event)[:SHOWN]}")
    if event.get("error"):
        raise _refusal(200, json.dumps(event), {})
    choice = (event.get("choices") or [{}])[0]
    return str((choice.get("delta") or {}).get("content") or ""), bool(choice.get("finish_reason"))


def _whole(answer: Any) -> str | Refused:
    try:
        return str(answer["choices"][0]["message"]["content"] or "")
    except (KeyError, IndexError, TypeError):
        return _refusal(200, json.dumps(answer), {})


def _refusal(status: int, text: str, headers: Any) -> Refused:
    """From OpenAI's form of an error, {"error": {"message", "param"}}, or whatever else came."""
    message, param = text, ""
    with suppress(ValueError):
        error = json.loads(text)
        error = error.get("error", error) if isinstance(error, dict) else error
        if isinstance(error, dict):
            message, param = str(error.get("message") or error.get("detail") or text), str(error.get("param") or "")
        elif error:
            message = str(error)
    return Refused(status, " ".join(message.split())[:SHOWN], param, str(headers.get("Retry-After", "")))
