"""An answer by any server that speaks OpenAI's chat completions: a hosted one, or llama.cpp, Ollama, vLLM, LM Studio."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ..errors import AigcError
from . import streaming
from .asking import Asked, Sampling, until_stop
from .local import OnText, messages, pictures_of
from .streaming import Refused

KEY, HOST, OPENAI = "AIGC_API_KEY", "AIGC_API_HOST", "OPENAI_API_KEY"
OPENAI_HOST = "api.openai.com"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
STOPS = 4  # that OpenAI's interface takes; further ones are cut off here
# What a server may call by another name, or not know: it is asked again with the other name, or without.
RENAMED = {"max_tokens": "max_completion_tokens"}
OPTIONAL = ("top_k", "min_p", "repetition_penalty", "seed", "top_p", "temperature", "stop", *RENAMED)


def answer(
    asked: Asked,
    sampling: Sampling,
    model: str,
    endpoint: str,
    *,
    on_text: OnText,
    check_interrupt: Callable[[], None],
    within: float = streaming.WITHIN,
) -> str:
    """What the server's model answers. What check_interrupt raises closes the connection and passes through.

    Raises AigcError with the server's status and what to do. within: seconds to wait for the next words.
    """
    url = address(endpoint)
    key = key_for(url)
    sent, pieces, most = body(asked, sampling, model), [], sampling.max_new_tokens
    try:
        for piece in _asking_again(url, key, sent, check_interrupt, within):
            pieces.append(piece)
            found = until_stop("".join(pieces), asked.stops, ended=False)
            on_text(found.text, min(len(pieces), most), most)
            if found.met:
                break
    except Refused as refused:
        raise AigcError(explained(refused, url, model, key)) from None
    finally:
        text = until_stop("".join(pieces), asked.stops).text
        on_text(text, most, most)
    return text


def _asking_again(url: str, key: str, sent: dict[str, Any], check: Callable[[], None], within: float) -> Any:
    """The pieces of the answer; asked again while the server refuses an option that it can do without."""
    while True:
        try:
            yield from streaming.pieces(url, key, sent, check, within)
            return
        except Refused as refused:
            fewer = without(sent, refused)
            if fewer is None:
                raise
            sent = fewer


def address(endpoint: str) -> str:
    """The address of chat completions from what a user writes. Raises AigcError.

    "http://localhost:11434" is http://localhost:11434/v1/chat/completions; a path of its own is kept.
    """
    given = endpoint.strip().rstrip("/")
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise AigcError(
            f"Expected the address of a server, got '{given[:100]}': write it like http://localhost:11434/v1."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise AigcError(
            f"Expected an address without a login and without '?', got one for {parts.hostname}: it would be saved in the "
            f"workflow. Put a key into the environment variable {KEY} instead."
        )
    path = parts.path.removesuffix("/chat/completions").rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}/chat/completions"


def key_for(url: str) -> str:
    """The key that may be sent there, else "". A workflow may come from anybody, so a key goes only where its owner said:

    OPENAI_API_KEY to OpenAI, AIGC_API_KEY to the host in AIGC_API_HOST, or to this machine when that is not set.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.netloc.lower() == OPENAI_HOST and os.environ.get(OPENAI):
        return os.environ[OPENAI].strip()
    meant = os.environ.get(HOST, "").strip().lower()
    fits = (parts.netloc.lower(), parts.hostname) if meant else ()
    if meant in fits or (not meant and parts.hostname in LOOPBACK):
        return os.environ.get(KEY, "").strip()
    return ""


def body(asked: Asked, sampling: Sampling, model: str) -> dict[str, Any]:
    """The request as JSON. An option that is off is left out, since not every server knows each."""
    pictures = [{"type": "image_url", "image_url": {"url": data_url(image)}} for image in pictures_of(asked.images)]
    turns = messages(asked, 0, in_parts=False, system_first=True)
    if pictures:
        turns[-1]["content"] = [*pictures, {"type": "text", "text": asked.prompt}]
    off = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0}
    numbers = {name: getattr(sampling, name) for name, value in off.items() if getattr(sampling, name) != value}
    stops = {"stop": list(asked.stops[:STOPS])} if asked.stops else {}
    return {
        "model": model,
        "messages": turns,
        "stream": True,
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "seed": sampling.seed % 2**63,
        **numbers,
        **stops,
    }


def data_url(picture: Any) -> str:
    kept = io.BytesIO()
    picture.save(kept, "PNG")
    return "data:image/png;base64," + base64.b64encode(kept.getvalue()).decode()


def without(sent: dict[str, Any], refused: Refused) -> dict[str, Any] | None:
    """The request without the option that the server names in its refusal, or by its newer name; None when it names none."""
    if refused.status not in (400, 422):
        return None
    for name in OPTIONAL:
        if name in sent and (refused.param == name or (not refused.param and name in refused.said)):
            fewer = {key: value for key, value in sent.items() if key != name}
            return {**fewer, RENAMED[name]: sent[name]} if name in RENAMED else fewer
    return None


def explained(refused: Refused, url: str, model: str, key: str) -> str:
    """What happened and what to do; a server may repeat a key, which is not shown."""
    parts = urlsplit(url)
    said = refused.said.replace(key, "***") if key else refused.said
    came = f"{refused.status} {said}".strip() if refused.status else said
    return f"Expected an answer from {parts.scheme}://{parts.netloc}, got: {came[:400]}. {_remedy(refused, url, model, key)}"


def _remedy(refused: Refused, url: str, model: str, key: str) -> str:
    host, status = urlsplit(url).netloc, refused.status
    if status in (401, 403):
        if key:
            return "It does not take the key: check it, and start ComfyUI with the right one."
        if host == OPENAI_HOST:
            return f"Start ComfyUI with the environment variable {OPENAI}."
        return f"Start ComfyUI with your key in the environment variable {KEY} and {HOST}={host}."
    if status == 404:
        return f"Check that the address is right ({url}) and that it has a model named '{model}'."
    if status == 429:
        wait = f" in {refused.after} seconds" if refused.after else " later"
        return f"Too many requests, or nothing left of your quota: try again{wait}."
    if status == 413:
        return "The request is too large: send fewer or smaller images, or a shorter prompt."
    if status >= 500:
        return "The server has a problem of its own: try again later, and look into its log."
    if status >= 300:
        return "Change what it names, or take another model."
    return "Check the address, and that the server runs and is not busy with something else."
