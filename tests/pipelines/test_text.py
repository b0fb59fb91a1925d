"""Answers of language models on this machine."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pipelines.errors import AigcError
from pipelines.runtime import Runtime
from pipelines.sources import Roots
from pipelines.text import Asked, Sampling, stops_of
from pipelines.text import opening as openings
from pipelines.text.asking import until_stop
from pipelines.text.drawing import Drawn, processors
from pipelines.text.generating import generate
from pipelines.text.local import inputs, worded
from pipelines.text.opening import opened, release_all, speaking
from pipelines.text.widening import WideLinear

from . import language

RUNTIME = Runtime("cpu")
FREE = Sampling(max_new_tokens=24, temperature=1.0, min_p=0.0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("LLM")
    language.llama(place / "llama")
    language.qwen(place / "qwen")
    language.smolvlm(place / "smolvlm")
    return place


@pytest.fixture(autouse=True)
def nothing_open():
    yield
    release_all(RUNTIME)


def say(home: Path, name: str = "llama", sampling: Sampling = FREE, prompt: str = "hello", **more) -> str:
    given = {key: more.pop(key) for key in ("on_text", "runtime") if key in more}
    asked = Asked(prompt, **more)
    return generate(asked, sampling, name, roots=Roots(language_models=(home,)), **{"runtime": RUNTIME, **given})


@pytest.mark.parametrize("name", ["llama", "qwen", "smolvlm"])
def test_a_seed_gives_its_words_again_and_another_one_others(home, name):
    first, again, other = (say(home, name, Sampling(24, 1.0, seed=seed)) for seed in (7, 7, 8))
    assert first == again != other


def test_torchs_own_random_state_is_left_alone(home):
    before = torch.get_rng_state()
    say(home)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["llama", "qwen"])
def test_temperature_0_is_what_transformers_says_greedily(home, name):
    said = say(home, name, Sampling(24, 0.0, seed=1))
    assert said == say(home, name, Sampling(24, 0.0, seed=2))
    kept = opened(home / name, torch.bfloat16)
    given = inputs(kept, Asked("hello"))
    tokens = kept.model.generate(**given, max_new_tokens=24, do_sample=False)[0, given["input_ids"].shape[1] :]
    assert said == kept.tokenizer.decode(tokens, skip_special_tokens=True).strip()


def test_words_come_one_by_one_and_the_last_report_is_the_answer(home):
    seen = []
    said = say(home, on_text=lambda *found: seen.append(found))
    texts = [text for text, _, _ in seen]
    assert texts[-1] == said and [done for _, done, _ in seen[:-1]] == list(range(1, len(seen)))
    assert all(later.startswith(earlier.rstrip()) for earlier, later in pairwise(texts[:-1]))


def test_an_interrupt_acts_within_one_token_and_keeps_what_was_written(home):
    class Stop(BaseException):
        pass

    class Stopping(Runtime):
        calls = 0

        def check_interrupt(self) -> None:
            self.calls += 1
            if self.calls == 6:
                raise Stop

    seen = []
    with pytest.raises(Stop):
        say(home, on_text=lambda *found: seen.append(found), runtime=Stopping("cpu"))
    whole = say(home)
    assert [done for _, done, _ in seen[:-1]] == [1, 2, 3, 4, 5]
    assert seen[-1][0] and whole.startswith(seen[-1][0]) and len(seen[-1][0]) < len(whole)


def test_the_answer_ends_before_a_stop_which_is_never_shown(home):
    whole = say(home)
    stop, seen = whole[4:7], []
    cut = say(home, stops=("never", stop), on_text=lambda *found: seen.append(found))
    assert cut == whole[: whole.index(stop)].rstrip()
    assert not [text for text, _, _ in seen if stop[:1] in text[4:]]
    assert len(seen) < 24, "it does not go on behind the stop"


@pytest.mark.parametrize(
    ("text", "stops", "shown", "final"),
    [
        ("one\ntwo", ("\n",), "one", "one"),
        ("\n\n one", ("\n",), "one", "one"),
        ("ab<e", ("<end>",), "ab", "ab<e"),
        ("ab<e", ("<end>", "b"), "a", "a"),
        ("abab", ("abc",), "ab", "abab"),
        ("", ("x",), "", ""),
    ],
)
def test_stops(text, stops, shown, final):
    assert until_stop(text, stops, ended=False).text == shown
    assert until_stop(text, stops).text == final


def test_stops_are_lines_of_a_box():
    assert stops_of("User:\n\n\\n\\n\n") == ("User:", "\n\n")


def test_the_draw_has_the_probabilities_of_the_logits():
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0, -torch.inf]])
    draw, counts = Drawn(0), torch.zeros(5)
    for _ in range(4000):
        counts[draw(torch.zeros(1, 1), logits).argmax()] += 1
    assert torch.allclose(counts / 4000, logits.softmax(-1)[0], atol=0.025) and counts[4] == 0


def test_each_limit_leaves_only_what_it_allows():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()

    def left(**options) -> int:
        (*limits, _) = processors(Sampling(**{"temperature": 1.0, "min_p": 0.0, **options}), 0)
        scores = logits
        for limit in limits:
            scores = limit(torch.zeros(1, 0, dtype=torch.long), scores)
        return int(scores.isfinite().sum())

    assert [left(), left(top_k=2), left(top_p=0.7), left(min_p=0.25)] == [4, 2, 2, 3]
    cold = Sampling(temperature=0.0, top_k=3)
    assert len(processors(cold, 0)) == 0, "greedy"


def test_repetition_penalty_spares_the_prompt():
    (penalty,) = processors(Sampling(temperature=0.0, repetition_penalty=2.0), prompt_length=2)
    logits = torch.ones(1, 4)
    assert penalty(torch.tensor([[0, 1, 2]]), logits).tolist() == [[1.0, 1.0, 0.5, 1.0]]


@pytest.mark.parametrize(
    ("option", "value"),
    [("max_new_tokens", 0), ("temperature", -1.0), ("top_p", 0.0), ("min_p", 2.0), ("repetition_penalty", 0.0)],
)
def test_numbers_out_of_range_are_refused(option, value):
    with pytest.raises(AigcError, match=f"Expected {option} to be .*, got {value}"):
        Sampling(**{option: value})


def test_system_and_examples_stand_before_the_question(home):
    kept = opened(home / "llama", torch.float32)
    asked = Asked("three", "be brief", turns=(("one", "two"),))
    assert worded(kept, asked, 0) == (
        "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\ntwo<|im_end|>\n"
        "<|im_start|>user\nthree<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_template_without_system_turns_gets_it_in_the_first_question(tmp_path):
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + language.CHAT
    kept = opened(language.llama(tmp_path / "m", template=refusing), torch.float32)
    assert worded(kept, Asked("one", "be brief"), 0).startswith("<|im_start|>user\nbe brief\n\none<|im_end|>")


def test_a_model_without_a_template_goes_on_with_the_text(tmp_path):
    kept = opened(language.llama(tmp_path / "m", template=""), torch.float32)
    assert worded(kept, Asked("Once upon", "A tale."), 0) == "A tale.\n\nOnce upon"


def test_pictures_change_what_a_model_that_sees_says_and_others_refuse_them(home):
    dark, light = torch.zeros(1, 40, 24, 3), torch.ones(2, 40, 24, 4)
    said = [say(home, "smolvlm", images=images) for images in (None, dark, light)]
    assert len(set(said)) == 3
    with pytest.raises(AigcError, match="Expected a model that sees for 2 image"):
        say(home, images=light)


def test_a_prompt_longer_than_the_model_is_refused_and_a_long_answer_shortened(home):
    with pytest.raises(AigcError, match="fewer than 512 tokens"):
        say(home, prompt="x" * 600)
    seen = []
    say(home, prompt="x" * 460, on_text=lambda *found: seen.append(found))
    assert seen[-1][2] <= 512 - 460


def test_models_stay_open_two_at_most_and_none_that_is_large(home, monkeypatch):
    for name in ("llama", "qwen", "smolvlm"):
        with speaking(home / name, RUNTIME):
            pass
    assert [Path(folder).name for folder, _, _ in openings._open] == ["qwen", "smolvlm"]
    with speaking(home / "qwen", RUNTIME) as kept:
        release_all(RUNTIME)  # as a finaliser of the host would in the middle of a run
        assert [found for found in openings._open.values()] == [kept]
    monkeypatch.setattr(openings, "SHARE", 0.0)
    with speaking(home / "qwen", RUNTIME):
        pass
    assert not openings._open


def test_many_rows_are_multiplied_in_float32_and_few_as_they_are():
    layer = WideLinear(64, 8, dtype=torch.bfloat16).requires_grad_(False)
    rows = torch.randn(40, 64, dtype=torch.bfloat16)
    exact = torch.nn.functional.linear(rows.float(), layer.weight.float(), layer.bias.float())
    assert torch.equal(layer(rows), exact.bfloat16()) and layer(rows[:1]).dtype == torch.bfloat16
    assert torch.allclose(layer(rows[:1]).float(), exact[:1], atol=0.02)


def test_what_is_no_language_model_is_named(tmp_path, home):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(AigcError, match="Expected a language model of transformers, got other"):
        say(tmp_path, str(tmp_path / "other"))
    with pytest.raises(AigcError, match=r"0 \.gguf files and no config.json"):
        say(tmp_path, str(tmp_path))
    with pytest.raises(AigcError, match=r"no language model named 'lama'.*llama"):
        say(home, "lama")


def test_a_letter_of_several_tokens_is_shown_when_it_is_whole():
    from pipelines.text.local import _Written

    words, seen = language.tokenizer(), []
    kept = SimpleNamespace(tokenizer=words)
    written = _Written(kept, Asked(""), 9, lambda text, *_: seen.append(text), RUNTIME)  # type: ignore[arg-type]
    written.put(torch.tensor([[1]]))
    for token in words("a你")["input_ids"]:
        written.put(torch.tensor([token]))
    assert seen == ["a", "a", "a", "a你"]
