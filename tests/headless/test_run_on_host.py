"""The aigc command against a real ComfyUI with its own nodes only."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from headless.client import Client

from .conftest import aigc_command, aigc_environment

pytestmark = pytest.mark.host


def api_workflow(**inputs):
    blank = {"width": 40, "height": 24, "batch_size": 1, "color": 255, **inputs}
    return {
        "1": {"class_type": "EmptyImage", "inputs": blank, "_meta": {"title": "Blank"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "sub/made"}},
    }


def canvas_workflow():
    return {
        "nodes": [
            {"id": 1, "type": "EmptyImage", "mode": 0, "widgets_values": [40, 24, 2, 255], "title": "Blank",
             "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}]},
            {"id": 2, "type": "ImageScale", "mode": 0, "widgets_values": ["nearest-exact", 20, 12, "disabled"],
             "inputs": [{"name": "image", "type": "IMAGE", "link": 1}],
             "outputs": [{"name": "IMAGE", "type": "IMAGE"}]},
            {"id": 3, "type": "PreviewImage", "mode": 0, "inputs": [{"name": "images", "type": "IMAGE", "link": 2}]},
            {"id": 4, "type": "Note", "mode": 0, "widgets_values": ["made by a test"]},
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
    }  # fmt: skip


def slow_workflow(blurs=100):
    """One picture that is saved at once, then a long chain of blurs; the host looks for an interrupt between them."""
    nodes = api_workflow(color=7)
    nodes["10"] = {"class_type": "EmptyImage", "inputs": {"width": 512, "height": 512, "batch_size": 1, "color": 9}}
    for i in range(11, 11 + blurs):
        inputs = {"image": [str(i - 1), 0], "blur_radius": 15, "sigma": 5.0}
        nodes[str(i)] = {"class_type": "ImageBlur", "inputs": inputs}
    nodes["end"] = {"class_type": "PreviewImage", "inputs": {"images": [str(10 + blurs), 0]}}
    return nodes


@pytest.fixture
def write(tmp_path: Path):
    def call(workflow, name="workflow.json"):
        (tmp_path / name).write_text(json.dumps(workflow), encoding="utf-8")
        return name

    return call


def get(host, path):
    with urllib.request.urlopen(host.url + path, timeout=10) as response:
        return json.load(response)


def size_and_color(path):
    with Image.open(path) as image:
        return image.size, image.convert("RGB").getpixel((0, 0))


def test_api_format_runs_and_prints_the_paths(aigc, bare_host, write, tmp_path):
    done = aigc("run", write(api_workflow()), "--server", bare_host.url, "--output", "results")
    assert done.code == 0, done.err
    (path,) = [tmp_path / line for line in done.out.splitlines()]
    assert path.parent == tmp_path / "results" / "sub"
    assert size_and_color(path) == ((40, 24), (0, 0, 255))
    assert "\r" not in done.err and "SaveImage" in done.err


def test_canvas_format_runs_and_json_is_one_line(aigc, bare_host, write, tmp_path):
    done = aigc("run", write(canvas_workflow()), "--server", bare_host.url, "--json")
    assert done.code == 0, done.err
    assert set(done.json) == {"outputs", "scores", "seconds"} and done.json["seconds"] > 0
    assert [size_and_color(tmp_path / path)[0] for path in done.json["outputs"]] == [(20, 12), (20, 12)]
    assert all(Path(path).parts[0] == "output" for path in done.json["outputs"])


@pytest.mark.parametrize("name", ["1", "Blank", "EmptyImage"])
def test_set_by_id_title_and_class(aigc, bare_host, write, tmp_path, name):
    sets = ["--set", f"{name}.color=65280", "--set", f"{name}.width=16"]
    done = aigc("run", write(api_workflow()), "--server", bare_host.url, "--json", *sets)
    assert done.code == 0, done.err
    assert size_and_color(tmp_path / done.json["outputs"][0]) == ((16, 24), (0, 255, 0))


def test_a_cached_run_still_delivers(aigc, bare_host, write):
    for _ in range(2):
        done = aigc("run", write(api_workflow(color=123)), "--server", bare_host.url, "--json")
        assert done.code == 0 and len(done.json["outputs"]) == 1


@pytest.mark.parametrize("by_set", [False, True])
def test_local_files_are_uploaded(aigc, bare_host, write, tmp_path, by_set):
    folder = tmp_path / ("elsewhere" if by_set else "")
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (9, 7), (1, 2, 3)).save(folder / "a pic.png")
    workflow = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "missing.png" if by_set else "a pic.png"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "up"}},
    }
    extra = ["--set", f"LoadImage.image={folder / 'a pic.png'}"] if by_set else []
    done = aigc("run", write(workflow), "--server", bare_host.url, "--json", *extra)
    assert done.code == 0, done.err
    assert size_and_color(tmp_path / done.json["outputs"][0]) == ((9, 7), (1, 2, 3))


def test_a_workflow_may_not_upload_what_lies_outside_its_folder(aigc, bare_host, write, tmp_path):
    (tmp_path / "inner").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "secret.png")
    workflow = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "../secret.png"}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    assert aigc("run", write(workflow, "inner/w.json"), "--server", bare_host.url).code == 3
    assert not list((bare_host.base_dir / "input").glob("secret*"))


def test_previews_are_kept(aigc, bare_host, write, tmp_path):
    workflow = api_workflow(color=50)
    workflow["3"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}}
    done = aigc("run", write(workflow), "--server", bare_host.url, "--previews", "steps")
    assert done.code == 0, done.err
    assert size_and_color(tmp_path / "steps" / "3-0001.png") == ((40, 24), (0, 0, 50))


@pytest.mark.host
def test_a_host_of_our_own_makes_a_preview_of_every_step_when_they_are_kept(aigc, host_dir, tmp_path):
    workflow = Path(__file__).parents[2] / "workflows" / "text_to_image.json"
    own = ("--host-dir", host_dir, "--base-dir", tmp_path / "base", "--set", "Sample.steps=3")
    done = aigc("run", workflow, *own, "--previews", "steps", "--output", "out")
    assert done.code == 0, done.err
    previews = sorted((tmp_path / "steps").iterdir())
    assert len(previews) == 3
    assert all(min(Image.open(path).size) >= 64 for path in previews)


def test_refused_values_exit_3_with_one_line_each(aigc, bare_host, write):
    done = aigc("run", write(api_workflow(width=0, height=-1)), "--server", bare_host.url, "--json")
    assert done.code == 3
    assert sorted(done.json["errors"]) == [
        'node 1 "Blank" (EmptyImage): height: value -1 smaller than min 1',
        'node 1 "Blank" (EmptyImage): width: value 0 smaller than min 1',
    ]
    assert not done.json["outputs"]


def test_a_workflow_without_output_exits_3(aigc, bare_host, write):
    workflow = {"1": api_workflow()["1"]}
    done = aigc("run", write(workflow), "--server", bare_host.url)
    assert done.code == 3 and "has no output" in done.err


def test_nodes_that_the_host_drops_silently_are_reported(aigc, bare_host, write):
    workflow = api_workflow(color=77)
    workflow["5"] = {"class_type": "EmptyImage", "inputs": {"width": 0, "height": 1, "batch_size": 1, "color": 0}}
    workflow["6"] = {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}}
    done = aigc("run", write(workflow), "--server", bare_host.url, "--json")
    assert done.code == 3
    assert 'node 5 "EmptyImage" (EmptyImage): width: value 0 smaller than min 1' in done.json["errors"]
    assert len(done.json["outputs"]) == 1, "the valid half still runs"


def test_a_failing_node_exits_1_and_is_named(aigc, bare_host, write):
    workflow = api_workflow(color=78)
    workflow["1"]["inputs"]["batch_size"] = 1
    workflow["3"] = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 9, "batch_size": 1, "color": 0}}
    workflow["4"] = {"class_type": "ImageToMask", "inputs": {"image": ["3", 0], "channel": "red"}}
    workflow["5"] = {"class_type": "PorterDuffImageComposite", "inputs": {
        "source": ["3", 0], "source_alpha": ["4", 0], "destination": ["3", 0], "destination_alpha": ["6", 0],
        "mode": "ADD"}}  # fmt: skip
    workflow["6"] = {
        "class_type": "CropMask",
        "inputs": {"mask": ["4", 0], "x": 100, "y": 100, "width": 1, "height": 1},
    }
    workflow["7"] = {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}}
    done = aigc("run", write(workflow), "--server", bare_host.url, "--json")
    assert done.code == 1
    assert re.search(r'node 5 "PorterDuffImageComposite" \(PorterDuffImageComposite\) failed: ', done.err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "Blnk.width=3"], "Did you mean 'Blank'"),
        (["--set", "Blank.widht=3"], "Did you mean 'width'"),
        (["--set", "Blank.width=wide"], "expected INT"),
    ],
)
def test_wrong_settings_exit_2(aigc, bare_host, write, arguments, message):
    done = aigc("run", write(api_workflow()), "--server", bare_host.url, *arguments)
    assert done.code == 2 and message in done.err


def test_files_that_are_no_workflow_exit_2(aigc, bare_host, tmp_path):
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    (tmp_path / "other.json").write_text('{"a": 1}', encoding="utf-8")
    for name in ("bad.json", "other.json", "absent.json"):
        done = aigc("run", name, "--server", bare_host.url)
        assert done.code == 2 and ("class_type" if name == "other.json" else name) in done.err
        assert "Traceback" not in done.err


def test_an_unknown_node_exits_2_and_names_its_pack(aigc, bare_host, write):
    workflow = canvas_workflow()
    workflow["nodes"][1] |= {"type": "AbsentScale", "properties": {"cnr_id": "absent-pack"}}
    done = aigc("run", write(workflow), "--server", bare_host.url)
    assert done.code == 2
    assert [line for line in done.err.splitlines() if "AbsentScale" in line] == [
        "unknown node AbsentScale: install the pack 'absent-pack' (comfy node install absent-pack) and restart the host"
    ]


@pytest.mark.parametrize("silent", [False, True])
def test_an_unreachable_server_is_reported_within_five_seconds(aigc, write, silent):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:  # accepts, and never answers
        port = server.getsockname()[1]
        if not silent:
            server.close()
        started = time.monotonic()
        aigc("run", "--help")  # what starting Python costs here, now
        begun = time.monotonic()
        done = aigc("run", write(api_workflow()), "--server", f"http://127.0.0.1:{port}", "--json")
    assert (time.monotonic() - begun) - (begun - started) < 5
    assert done.code == 4 and "No ComfyUI answers" in done.json["errors"][0]


def wait_until_idle(host, seconds=15.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        queue = get(host, "/queue")
        if not queue["queue_running"] and not queue["queue_pending"]:
            return True
        time.sleep(0.2)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_the_run_on_the_host_and_keeps_what_was_made(bare_host, write, tmp_path, number):
    workflow = slow_workflow()
    workflow["10"]["inputs"]["color"] += int(number)  # otherwise the second run finds the first one's work cached
    workflow["1"]["inputs"]["color"] += int(number)
    command = aigc_command("run", write(workflow), "--server", bare_host.url, "--json")
    running = subprocess.Popen(
        command, cwd=tmp_path, env=aigc_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr and running.stdout
    watchdog = threading.Timer(60, running.kill)
    watchdog.start()
    saved = False
    for line in running.stderr:
        saved = saved or "SaveImage" in line
        if saved and "ImageBlur" in line:
            break
    sent = time.monotonic()
    running.send_signal(number)
    out = running.stdout.read()
    code = running.wait(30)
    watchdog.cancel()
    assert code == 130 and time.monotonic() - sent < 10
    (path,) = json.loads(out)["outputs"]
    assert size_and_color(tmp_path / path)[0] == (40, 24)
    assert wait_until_idle(bare_host), "the host must not go on working"


def test_time_out_exits_124(aigc, bare_host, write):
    workflow = slow_workflow()
    workflow["10"]["inputs"]["color"] = 200
    done = aigc("run", write(workflow), "--server", bare_host.url, "--timeout", "1.5", "--json")
    assert done.code == 124 and "Time-out after 1.5 s" in done.err
    assert done.json["seconds"] < 15
    assert wait_until_idle(bare_host)


def test_a_dropped_socket_falls_back_to_the_history(bare_host):
    async def scenario():
        async with Client(bare_host.url) as client:
            run = await client.submit(api_workflow(color=99, width=512, height=512, batch_size=4))
            assert client._socket is not None
            await client._socket.close()
            return await client.wait(run)

    run = asyncio.run(scenario())
    assert run.status == "success" and run.outputs["2"]["images"]


def test_interrupt_takes_a_waiting_prompt_from_the_queue(bare_host):
    async def scenario():
        async with Client(bare_host.url) as client:
            first = await client.submit(slow_workflow() | {"1": api_workflow(color=150)["1"]})
            second = await client.submit(api_workflow(color=151))
            await client.interrupt(second.id)
            queue = await client._json("GET", "/queue")
            still_running = any(first.id in entry[:2] for entry in queue["queue_running"])
            await client.interrupt(first.id)
            return still_running, queue["queue_pending"], await client.wait(first)

    still_running, pending, first = asyncio.run(scenario())
    assert still_running and not pending
    assert first.status == "interrupted"
