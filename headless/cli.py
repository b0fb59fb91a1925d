"""aigc: runs ComfyUI workflows from a command line.

  aigc run WORKFLOW.json --set 3.seed=42 --set "Prompt.text=@prompt.txt" --output results
  aigc canvas
  aigc models pull owner/name

Exit codes of `aigc run`: 0 done; 1 a node failed; 2 wrong usage or workflow file; 3 the host refused the
workflow, or a part of it; 4 the host can't be reached or started; 124 time-out; 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import math
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from . import models
from .client import ServerError
from .convert import WorkflowError
from .host import Host, HostError
from .install import SetupError, cache_root, ensure_host
from .overrides import OverrideError
from .run import EXECUTION, INTERRUPTED, OK, UNREACHABLE, USAGE, Job, Report, read_workflow, run_job

UNREACHED = (HostError, SetupError, ServerError, ConnectionError, asyncio.TimeoutError, aiohttp.ClientError)
ROOT = Path(__file__).resolve().parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(argv)
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, _as_interrupt)
    return options.command(options)


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aigc", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a workflow file and save what it makes")
    run.add_argument("workflow", type=Path, help="a workflow saved from ComfyUI, in either format")
    run.add_argument(
        "--set", action="append", default=[], metavar="NODE.INPUT=VALUE", dest="settings",
        help="set an input; NODE is an id, a title or a class; @FILE reads the value from a text file",
    )  # fmt: skip
    run.add_argument("--server", metavar="URL", help="use this running ComfyUI instead of starting one")
    run.add_argument("--output", type=Path, default=Path("output"), metavar="DIR", help="default: ./output")
    run.add_argument("--previews", type=Path, metavar="DIR", help="keep the previews of every step here")
    run.add_argument("--timeout", type=_seconds, metavar="S", help="stop the run after S seconds")
    run.add_argument("--json", action="store_true", help="print one line of JSON instead of the paths")
    run.set_defaults(command=_run)
    canvas = commands.add_parser("canvas", help="start ComfyUI with this pack and print its address")
    canvas.set_defaults(command=_canvas)
    models.add_parser(commands)
    for command, port in ((run, 0), (canvas, 8188)):
        command.add_argument("--host-dir", type=Path, metavar="DIR", help="the ComfyUI to start")
        command.add_argument("--base-dir", type=Path, metavar="DIR", help="its models, input and output folders")
        command.add_argument("--port", type=int, default=port, metavar="N", help="its port")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text}")
    return value


def _run(options: argparse.Namespace) -> int:
    started = time.monotonic()
    report = Report()
    try:
        workflow = read_workflow(options.workflow)
        report = _run_somewhere(options, workflow)
    except KeyboardInterrupt:
        report.fail(INTERRUPTED, "Interrupted.")
    except (WorkflowError, OverrideError, ValueError, aiohttp.InvalidURL) as error:
        report.fail(USAGE, str(error))
    except UNREACHED as error:
        report.fail(UNREACHABLE, str(error) or type(error).__name__)
    except OSError as error:
        report.fail(EXECUTION, str(error))
    report.seconds = report.seconds or time.monotonic() - started
    if options.json:
        print(report.as_json(), flush=True)
    else:
        for line in report.told():
            print(line, file=sys.stderr, flush=True)
        for path in report.outputs:
            print(path, flush=True)
    return report.code


def _run_somewhere(options: argparse.Namespace, workflow: Any) -> Report:
    job = Job(options.workflow, options.settings, options.output, options.previews, options.timeout)
    if options.server:
        return asyncio.run(run_job(job, workflow, options.server))
    with _own_host(options, previews=options.previews is not None) as host:
        job.input_folders = [host.host_dir / "input"]
        report = asyncio.run(run_job(job, workflow, host.url))
        if host.process and host.process.poll() is not None:
            report.fail(EXECUTION, f"ComfyUI died during the run. The end of its log:\n{host.log_tail()}")
        return report


@contextlib.contextmanager
def _own_host(options: argparse.Namespace, previews: bool) -> Iterator[Host]:
    host_dir = options.host_dir or ensure_host(progress=_say)
    base_dir = options.base_dir or cache_root() / "base"
    is_pack = all((ROOT / name).is_file() for name in ("__init__.py", "nodes/__init__.py"))  # not when pip installed
    packs = [ROOT] if is_pack else []
    _say(f"Starting ComfyUI from {host_dir}")
    # ComfyUI makes no previews unless it is told to.
    arguments = ["--preview-method", "auto"] if previews else []
    with Host(host_dir, base_dir, packs, options.port, share_with=host_dir, arguments=arguments) as host:
        yield host


def _canvas(options: argparse.Namespace) -> int:
    try:
        with _own_host(options, previews=True) as host:
            print(host.url, flush=True)
            _say("Ctrl-C stops it.")
            code = host.process.wait() if host.process else OK
            _say(f"ComfyUI stopped (exit code {code}). The end of its log:\n{host.log_tail()}")
            return EXECUTION
    except KeyboardInterrupt:
        return INTERRUPTED
    except (OSError, RuntimeError) as error:
        _say(str(error))
        return UNREACHABLE


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
