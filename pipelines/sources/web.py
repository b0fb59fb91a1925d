"""HTTP as a hub needs it: http(s) only, a login that never follows a redirect to another host, bounded answers."""

from __future__ import annotations

import json
import os
import ssl
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from functools import lru_cache
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from ..errors import AigcError

ANSWER_WITHIN = 3.5  # seconds
JSON_WITHIN = 15  # seconds
LARGEST_JSON = 64 * 2**20  # bytes; a model of 10,000 files is listed in about 3 MB
AGENT = "aigc-nodes"


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Python's own one sends every header on to wherever it is sent, a login included."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise urllib.error.URLError(f"a redirect to {newurl[:100]}, which is no http address")
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and _origin(req.full_url) != _origin(newurl):
            new.remove_header("Authorization")
        return new

    def http_error_308(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        return self.http_error_302(req, fp, 307, msg, headers)  # Python 3.10 does not know 308


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    context = ssl.create_default_context()
    with suppress(ImportError, OSError):  # python.org's builds for macOS bring none of their own
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def endpoint(variable: str, default: str) -> str:
    """A hub's address from the environment, and from nowhere else."""
    address = (os.environ.get(variable) or default).rstrip("/")
    if not address.startswith(("https://", "http://")):
        raise AigcError(f"Expected {variable} to be an http address, got {address!r}. Mend or unset it.")
    return address


def offline() -> str:
    """The variable that forbids the network; "" when none does."""
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(variable, "").upper() in ("1", "TRUE", "YES", "ON"):
            return variable
    return ""


def get(url: str, headers: dict[str, str], timeout: float) -> HTTPResponse:
    """The answer to a GET. Raises HTTPError, another OSError or HTTPException."""
    request = urllib.request.Request(url, headers={"User-Agent": AGENT, **headers})
    # Made for each request: proxies may be set while the host runs.
    opener = urllib.request.build_opener(_Redirects, urllib.request.HTTPSHandler(context=_certificates()))
    return opener.open(request, timeout=timeout)


def get_json(url: str, headers: dict[str, str]) -> Any:
    """The JSON at an address. Raises HTTPError, another OSError, HTTPException or ValueError."""
    with get(url, headers, JSON_WITHIN) as answer:
        return json.loads(_bounded(answer))


def json_or_text(answer: HTTPResponse) -> Any:
    """What an answer holds: a page as its text, anything else as JSON. Raises as `get_json`."""
    page = answer.headers.get_content_type() in ("text/html", "application/vnd.pypi.simple.v1+html")
    return _bounded(answer).decode("utf-8") if page else json.loads(_bounded(answer))


def _bounded(answer: HTTPResponse) -> bytes:
    text = answer.read(LARGEST_JSON + 1)
    if len(text) > LARGEST_JSON:
        raise ValueError(f"more than {LARGEST_JSON >> 20} MB of JSON")
    return text


def length(url: str, headers: dict[str, str]) -> int:
    """How many bytes a file at an address has, by asking for one of them. Raises HTTPError, another OSError or ValueError."""
    with get(url, {**headers, "Range": "bytes=0-0"}, ANSWER_WITHIN) as answer:
        whole = str(answer.headers.get("Content-Range", "")).rpartition("/")[2]
        return int(whole if answer.status == 206 else answer.headers.get("Content-Length", ""))


def answers(address: str) -> bool:
    """Whether anything answers at the address in time, name look-up included; the environment's proxies are used."""
    done: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(address, method="HEAD", headers={"User-Agent": AGENT})
        try:
            urllib.request.urlopen(request, timeout=ANSWER_WITHIN - 0.5, context=_certificates()).close()
        except urllib.error.HTTPError:
            pass
        except (OSError, ValueError):
            return
        done.append(True)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_WITHIN)
    return bool(done)
