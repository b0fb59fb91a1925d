"""Text on the real host: an interrupt keeps what was written, a key never travels, models come and go with the host's."""

from __future__ import annotations

import json
import time

from ..pipelines import language
from ..pipelines.chat_server import Handler, events, serving
from .canvas import node, run

PLAIN = {
    "system_prompt": "", "model": "SmolLM2-135M-Instruct", "max_new_tokens": 20, "temperature": 1.0, "top_k": 0, "top_p": 1.0,
    "min_p": 0.0, "repetition_penalty": 1.0, "stop": "", "seed": 3,
}  # fmt: skip


def slow(handler: Handler) -> None:
    handler.reply(200, events("begun"), "text/event-stream")
    try:
        for _ in range(3000):
            handler.wfile.write(b": still there\n\n")
            time.sleep(0.01)
    except OSError:
        pass


def test_an_interrupt_keeps_what_was_written_on_the_node(url):
    async def stop(session, message) -> None:
        if message["type"] == "aigc_text" and message["data"]["text"]:
            await session.post(f"{url}/interrupt")

    with serving(slow) as server:
        prompt = {"say": node("GenerateText", prompt="hi", **PLAIN, endpoint=server.address)}
        result = run(url, prompt, stop)
    assert result.interrupted and result.of("aigc_text")[-1]["text"] == "begun"


def test_a_models_folder_of_the_users_answers_the_same_again(url, tmp_path):
    folder = language.llama(tmp_path / "mine")
    said = []
    for number in range(2):  # beyond the vocabulary: another node to the cache of the host, the same to the model
        graph = node("GenerateText", prompt="hello", **{**PLAIN, "model_name": str(folder), "top_k": 999 + number})
        result = run(url, {"say": graph})
        assert not result.error and result.refused is None, (result.error, result.refused)
        said.append(result.outputs["say"]["text"][0])
    assert said[0] == said[1] != ""


def test_an_error_of_the_server_reaches_the_canvas_with_its_remedy(url):
    graph = node("GenerateText", prompt="hello", **PLAIN, endpoint="http://127.0.0.1:9")
    result = run(url, {"say": graph})
    assert result.error.startswith("Generate Text: Expected an answer from http://127.0.0.1:9")


def test_nothing_that_could_hold_a_key_is_an_input(repo_root):
    recorded = json.loads((repo_root / "tests" / "repo" / "node_api.json").read_text("utf-8"))
    names = [name for entry in recorded.values() for name, _ in entry["inputs"]]
    assert "endpoint" in names and not [
        name for name in names if "api_key" in name or "token" == name or "password" in name
    ]
