"""One run of one workflow: convert, set, upload, submit, follow, download; and what each ending is called."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from .client import Client, Refused, ServerError
from .convert import Prompt, convert
from .events import Event, Run, output_files, output_scores
from .inputs import local_files, upload_files
from .overrides import apply_overrides, describe
from .progress import Progress
from .save import safe_path, save_bytes

OK, EXECUTION, USAGE, REFUSED, UNREACHABLE, TIMEOUT, INTERRUPTED = 0, 1, 2, 3, 4, 124, 130
GRACE_SECONDS = 20.0


@dataclass
class Job:
    """What the command line asks for."""

    workflow: Path
    settings: list[str] = field(default_factory=list)
    output: Path = Path("output")
    previews: Path | None = None
    timeout: float | None = None
    input_folders: list[Path] = field(default_factory=list)


@dataclass
class Report:
    """What came of it; `errors` are lines for a person."""

    code: int = OK
    outputs: list[Path] = field(default_factory=list)
    scores: list[Any] = field(default_factory=list)
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)

    def fail(self, code: int, *lines: str) -> None:
        if not self.code or code in (TIMEOUT, INTERRUPTED):  # how a run was stopped outweighs what went wrong in it
            self.code = code
        self.errors += lines
        for line in lines:
            print(line, file=sys.stderr, flush=True)

    def told(self) -> list[str]:
        """The scores for a person, a line a judge: pictogram, logit, higher is better: -7.63 -7.41"""
        found: dict[tuple[str, str], list[str]] = {}
        for row in self.scores:
            if isinstance(row, dict) and isinstance(row.get("score"), int | float):
                found.setdefault((str(row.get("judge")), str(row.get("unit"))), []).append(f"{row['score']:.4g}")
        named = ((", ".join(filter(None, (*key, "higher is better"))), scores) for key, scores in found.items())
        return [f"{name}: {' '.join(scores)}" for name, scores in named]

    def as_json(self) -> str:
        body: dict[str, Any] = {
            "outputs": [str(path) for path in self.outputs],
            "scores": self.scores,
            "seconds": round(self.seconds, 3),
        }
        if self.errors:
            body["errors"] = self.errors
        return json.dumps(body, ensure_ascii=False)


def read_workflow(path: Path) -> Any:
    """The JSON of a workflow file; ValueError with the remedy otherwise."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{path} can't be read ({error.strerror or error}): check the path.") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"Expected a workflow in JSON, {path} is none ({error}): save it again from ComfyUI."
        ) from None


async def run_job(job: Job, workflow: Any, url: str) -> Report:
    """Runs `workflow` on the host at `url`. Raises Unreachable, WorkflowError and OverrideError before it starts."""
    report = Report()
    with _stop_event() as stop:
        async with Client(url) as client:
            info = await client.object_info()
            prompt = convert(workflow, info)
            touched = apply_overrides(prompt, job.settings, info)
            folders = [job.workflow.resolve().parent, *job.input_folders]
            await upload_files(client, prompt, local_files(prompt, info, folders, touched))
            saved = workflow if isinstance(workflow, dict) and "nodes" in workflow else None
            if stop.is_set():
                raise KeyboardInterrupt
            try:
                run = await client.submit(prompt, saved)
            except Refused as refusal:
                report.fail(REFUSED, *refusal_lines(prompt, refusal))
                return report
            if run.node_errors:
                report.fail(REFUSED, *node_error_lines(prompt, run.node_errors))
                report.fail(REFUSED, "The host dropped these nodes and what depends on them; the rest runs.")
            await _follow(client, run, prompt, job, report, stop)
            await _collect(client, run, job, report, stop)
    return report


async def _follow(client: Client, run: Run, prompt: Prompt, job: Job, report: Report, stop: asyncio.Event) -> None:
    progress = Progress(prompt)
    counts: dict[str, int] = {}

    def on_event(event: Event) -> None:
        if event.kind == "preview" and job.previews is not None:
            node = str(event.data.get("node") or "preview")
            counts[node] = counts.get(node, 0) + 1
            name = f"{node.replace(':', '_')}-{counts[node]:04d}{event.suffix}"
            save_bytes(event.image, safe_path(job.previews, name))
        progress(event)

    ending = asyncio.ensure_future(client.wait(run, on_event))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({ending, stopping}, timeout=job.timeout, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            progress.close()
            if stop.is_set():
                report.fail(INTERRUPTED, "Interrupted: stopping the run on the host, keeping what was made.")
            else:
                report.fail(TIMEOUT, f"Time-out after {job.timeout:g} s: stopping the run on the host.")
            with contextlib.suppress(ServerError, aiohttp.ClientError, OSError):
                await client.interrupt(run.id)
            stop.clear()  # a second Ctrl-C stops waiting as well
            again = asyncio.ensure_future(stop.wait())
            await asyncio.wait({ending, again}, timeout=GRACE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            again.cancel()
        if ending.done():
            ending.result()
    finally:
        progress.close()
        ending.cancel()
        stopping.cancel()
    if run.status == "error":
        report.fail(EXECUTION, execution_error_line(prompt, run.error))
    elif run.status == "interrupted":
        if report.code not in (INTERRUPTED, TIMEOUT):
            report.fail(INTERRUPTED, "The run was interrupted on the host.")
    elif run.error:
        report.fail(EXECUTION, execution_error_line(prompt, run.error))


async def _collect(client: Client, run: Run, job: Job, report: Report, stop: asyncio.Event) -> None:
    report.seconds = run.seconds
    report.scores = output_scores(run)
    for item in output_files(run):
        if stop.is_set() and report.code == INTERRUPTED:
            break
        try:
            report.outputs.append(await client.download(item, job.output))
        except (ServerError, aiohttp.ClientError, OSError) as error:
            report.fail(EXECUTION, f"{item.get('filename')} could not be saved in {job.output}: {error}")


@contextlib.contextmanager
def _stop_event() -> Iterator[asyncio.Event]:
    """An event that Ctrl-C and SIGTERM set instead of ending the program."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    before: dict[int, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError):  # not in the main thread: the caller handles signals
            before[number] = signal.signal(number, lambda *_: loop.call_soon_threadsafe(event.set))
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def refusal_lines(prompt: Prompt, refusal: Refused) -> list[str]:
    """One line per refused input, or the reason for the whole prompt."""
    if refusal.node_errors:
        return node_error_lines(prompt, refusal.node_errors)
    if refusal.kind == "prompt_no_outputs":
        return ["The workflow has no output: add a node that saves or previews something."]
    return [f"The host refused the workflow: {refusal}"]


def node_error_lines(prompt: Prompt, node_errors: dict[str, Any]) -> list[str]:
    """node 4 "Sample" (AIGC_Sample): steps: value 0 smaller than min 1"""
    lines = []
    for id, entry in node_errors.items():
        for error in entry.get("errors") or [{"message": "refused without a reason"}]:
            lines.append(f"{describe(prompt, id)}: {_error_text(error)}")
    return list(dict.fromkeys(lines))


def _error_text(error: dict[str, Any]) -> str:
    name = str((error.get("extra_info") or {}).get("input_name") or "")
    message = str(error.get("message") or error.get("type") or "refused")
    if message[:2].istitle() or message[:1].isupper():
        message = message[:1].lower() + message[1:]
    message = message.replace("smaller than min of", "smaller than min").replace(
        "bigger than max of", "bigger than max"
    )
    details = str(error.get("details") or "")
    for prefix in (f"{name}: ", f"{name}, ", f"{name} - "):
        details = details.removeprefix(prefix)
    extra = f" ({details if len(details) <= 240 else details[:240] + ' ...'})" if details not in ("", name) else ""
    return " ".join(f"{name + ': ' if name else ''}{message}{extra}".split())


def execution_error_line(prompt: Prompt, error: dict[str, Any]) -> str:
    """node 4 "Sample" (AIGC_Sample) failed: RuntimeError: ..."""
    message = str(error.get("exception_message") or "the host gave no reason").strip()
    kind = str(error.get("exception_type") or "")
    reason = f"{kind}: {message}" if kind else message
    if error.get("node_id") is None:
        return f"The run failed: {reason}"
    id = str(error["node_id"])
    label = describe(prompt, id) if id in prompt else f"node {id} ({error.get('node_type')})"
    return f"{label} failed: {reason}"
