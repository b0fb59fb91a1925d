"""Answers of a server with OpenAI's interface, here one on loopback."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.errors import AigcError
from pipelines.sources import Roots
from pipelines.text import Asked, Sampling, endpoint
from pipelines.text.generating import generate
from pipelines.text.streaming import Refused

from .chat_server import Handler, Server, events, refusal, serving, words


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in (endpoint.KEY, endpoint.HOST, endpoint.OPENAI):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(words("Hello", " wor", "ld", "!")) as running:
        yield running


def ask(server: Server, sampling: Sampling | None = None, **more: Any) -> str:
    asked = Asked(
        more.pop("prompt", "hi"), **{key: more.pop(key) for key in ("system", "images", "stops") if key in more}
    )
    return generate(asked, sampling or Sampling(), "small", roots=Roots(), endpoint=server.address, **more)


def test_words_come_as_the_server_sends_them(server):
    seen = []
    assert ask(server, system="be kind", on_text=lambda text, *_: seen.append(text)) == "Hello world!"
    assert seen == ["Hello", "Hello wor", "Hello world", "Hello world!", "Hello world!"]
    path, headers, sent = server.asked[0]
    assert path == "/v1/chat/completions" and "Authorization" not in headers
    assert sent["model"] == "small" and sent["stream"] is True
    assert sent["messages"] == [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]


def test_options_are_sent_and_those_that_are_off_are_not(server):
    ask(server, Sampling(9, 0.5, 3, 0.9, 0.1, 1.2, seed=2**64 - 1), stops=("a", "b", "c", "d", "e"))
    ask(server, Sampling(9, 0.0, min_p=0.0))
    full, plain = (sent for _, _, sent in server.asked)
    assert {key: full[key] for key in ("max_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty")} == {
        "max_tokens": 9, "temperature": 0.5, "top_k": 3, "top_p": 0.9, "min_p": 0.1, "repetition_penalty": 1.2,
    }  # fmt: skip
    assert full["stop"] == ["a", "b", "c", "d"] and full["seed"] < 2**63
    assert plain.keys() == {"model", "messages", "stream", "max_tokens", "temperature", "seed"}


def test_pictures_go_as_data(server):
    images = torch.rand(2, 5, 7, 3)
    ask(server, images=images)
    first, second, text = server.asked[0][2]["messages"][0]["content"]
    assert text == {"type": "text", "text": "hi"}
    for part, image in zip((first, second), images):
        head, _, data = part["image_url"]["url"].partition(",")
        assert head == "data:image/png;base64"
        got = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        assert np.abs(got - image.numpy() * 255).max() <= 0.51


def test_a_stop_closes_the_stream(server):
    gone = threading.Event()

    def endless(handler: Handler) -> None:
        handler.reply(200, events("one two"), "text/event-stream")
        try:
            for _ in range(2000):
                handler.wfile.write(events(" more. And"))
                time.sleep(0.01)
        except OSError:
            gone.set()

    server.answers = [endless]
    assert ask(server, stops=("more",)) == "one two"
    assert gone.wait(10), "the server is not left writing"


def test_an_interrupt_closes_the_stream_and_keeps_what_was_written(server):
    class Stop(BaseException):
        pass

    gone, seen = threading.Event(), []

    def slow(handler: Handler) -> None:
        handler.reply(200, events("begun"), "text/event-stream")
        try:
            for _ in range(2000):
                handler.wfile.write(b": still there\n\n")
                time.sleep(0.01)
        except OSError:
            gone.set()

    def check() -> None:
        if seen:
            raise Stop

    server.answers = [slow]
    with pytest.raises(Stop):
        endpoint.answer(
            Asked("hi"),
            Sampling(),
            "m",
            server.address,
            on_text=lambda *found: seen.append(found),
            check_interrupt=check,
        )
    assert seen[-1] == ("begun", 256, 256) and gone.wait(10)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refusal(401, "bad key"), "401 bad key.*AIGC_API_KEY and AIGC_API_HOST=127"),
        (refusal(404, "no such model"), "404 no such model.*has a model named 'small'"),
        (refusal(429, "slow down", Retry_After="7"), "429 slow down.*try again in 7 seconds"),
        (refusal(413, "too big"), "413 too big.*smaller images"),
        (refusal(500, "oops"), "500 oops.*look into its log"),
        (refusal(400, "content refused"), "400 content refused.*another model"),
        (lambda h: h.reply(502, b"<html>bad gateway</html>", "text/html"), "502 <html>bad gateway"),
        (lambda h: h.reply(302, b"", "text/html", Location="http://example.org/"), "302.*Change"),
        (words("half", end=b""), "broke off"),
        (words("x", end=b'data: {"error": {"message": "out of memory"}}\n\n'), "200 out of memory"),
        (words("x", end=b"data: {nonsense\n\n"), "JSONDecodeError.*Check the address"),
        (lambda h: h.reply(200, b'{"odd": 1}', "application/json"), "200 .*odd"),
    ],
)
def test_what_went_wrong_is_said_with_its_remedy(server, answer, said):
    server.answers = [answer]
    with pytest.raises(AigcError, match=f"(?s)Expected an answer from http://127.0.0.1:.*{said}"):
        ask(server)


def test_a_server_that_is_not_there_or_says_nothing_is_named(server):
    with pytest.raises(AigcError, match=r"127\.0\.0\.1:9, got: .*that the server runs"):
        generate(Asked("hi"), Sampling(), "m", roots=Roots(), endpoint="http://127.0.0.1:9")
    server.answers = [lambda handler: time.sleep(3)]
    begun = time.monotonic()
    with pytest.raises(AigcError, match="Timeout"):
        endpoint.answer(
            Asked("hi"),
            Sampling(),
            "m",
            server.address,
            on_text=lambda *_: None,
            check_interrupt=lambda: None,
            within=0.2,
        )
    assert time.monotonic() - begun < 30


def test_a_server_that_does_not_stream_answers_as_well(server):
    whole = json.dumps({"choices": [{"message": {"content": "all at once"}}]}).encode()
    server.answers = [lambda handler: handler.reply(200, whole, "application/json")]
    assert ask(server) == "all at once"


def test_options_that_a_server_refuses_are_left_out_or_renamed(server):
    server.answers = [
        refusal(400, "Unrecognized request argument supplied: min_p"),
        refusal(400, "Use another", param="max_tokens"),
        refusal(422, "unsupported value", param="temperature"),
        words("fine"),
    ]
    assert ask(server, Sampling(9)) == "fine"
    last = server.asked[-1][2]
    assert last["max_completion_tokens"] == 9 and not {"max_tokens", "min_p", "temperature"} & last.keys()
    assert endpoint.without({"top_k": 1}, Refused(500, "top_k")) is None


def test_a_key_goes_only_where_its_owner_said(monkeypatch):
    monkeypatch.setenv(endpoint.OPENAI, "sk-open")
    monkeypatch.setenv(endpoint.KEY, "mine")
    monkeypatch.delenv(endpoint.HOST, raising=False)

    def key(address: str) -> str:
        return endpoint.key_for(endpoint.address(address))

    assert key("https://api.openai.com/v1") == "sk-open"
    assert key("http://localhost:1234") == key("http://127.0.0.1/v1") == "mine"
    assert (
        key("http://api.openai.com/v1") == key("https://api.openai.com.evil.org") == key("https://other.org/v1") == ""
    )
    monkeypatch.setenv(endpoint.HOST, "other.org")
    assert key("https://other.org/v1") == key("https://other.org:8443") == "mine"
    assert key("http://localhost:1234") == key("https://evil.org") == ""
    monkeypatch.setenv(endpoint.HOST, "gpu-box:8000")
    assert key("http://gpu-box:8000/v1") == "mine" and key("http://gpu-box:9000/v1") == ""


def test_the_key_is_sent_as_a_header_and_never_shown(server, monkeypatch):
    monkeypatch.setenv(endpoint.KEY, "sk-secret-123")
    server.answers = [refusal(401, "Incorrect API key provided: sk-secret-123")]
    with pytest.raises(AigcError, match=r"provided: \*\*\*.*does not take the key") as raised:
        ask(server)
    assert "secret" not in str(raised.value)
    _, headers, sent = server.asked[0]
    assert headers["Authorization"] == "Bearer sk-secret-123" and "secret" not in json.dumps(sent)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://localhost:11434", "http://localhost:11434/v1/chat/completions"),
        (" https://a.org/v1/ ", "https://a.org/v1/chat/completions"),
        ("https://a.org/v1/chat/completions", "https://a.org/v1/chat/completions"),
        ("https://a.org/openai/v2", "https://a.org/openai/v2/chat/completions"),
    ],
)
def test_addresses(given, meant):
    assert endpoint.address(given) == meant


@pytest.mark.parametrize("bad", ["localhost:11434", "ftp://a.org", "https://"])
def test_what_is_no_address_is_refused(bad):
    with pytest.raises(AigcError, match="Expected the address of a server"):
        endpoint.address(bad)


@pytest.mark.parametrize("bad", ["https://me:key@a.org", "https://a.org/v1?api-key=secret", "https://a.org/#secret"])
def test_an_address_that_holds_a_key_is_refused_without_showing_it(bad):
    with pytest.raises(AigcError, match="Expected an address without a login") as raised:
        endpoint.address(bad)
    assert "key@" not in str(raised.value) and "secret" not in str(raised.value)
