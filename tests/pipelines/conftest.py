"""Tiny models, built once a session, and no network for any test."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from . import tiny

LOCAL = ("localhost", "127.0.0.1", "::1", "", None)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever reaches beyond this machine fails its test; a mock hub answers on this machine."""

    def only_here(name: str, host: Callable[..., Any]) -> Callable[..., Any]:
        original = getattr(socket.socket if name == "connect" else socket, name)

        def guarded(*args: Any, **kwargs: Any) -> Any:
            asked = host(*args, **kwargs)
            assert asked in LOCAL, f"a test asked {asked!r}, which is not on this machine"
            return original(*args, **kwargs)

        return guarded

    def peer(_: socket.socket, address: Any) -> Any:
        return address[0] if isinstance(address, tuple) else None

    monkeypatch.setattr(socket.socket, "connect", only_here("connect", peer))
    monkeypatch.setattr(
        socket, "create_connection", only_here("create_connection", lambda address, *_, **__: address[0])
    )
    monkeypatch.setattr(socket, "getaddrinfo", only_here("getaddrinfo", lambda host, *_, **__: host))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`tiny_model("sd15")` is the folder of a tiny random pipeline of that family."""
    built: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in built:
            built[name] = tiny.build(name, tmp_path_factory.mktemp(name) / name)
        return built[name]

    return get
