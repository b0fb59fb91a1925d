"""Prompts and short lines: what stays, what is added, and what happens when the model is of no use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.errors import AigcError
from pipelines.text.writing import KINDS, STYLES, TASKS, copy, write
from pipelines.text.writing.cleaning import one_line, sentences_of, tags_of
from pipelines.text.writing.pictogram import known, nearest, vocabulary
from pipelines.text.writing.words import content, language, missing

ROOT = Path(__file__).resolve().parents[2]
PICTOGRAM = ROOT / "models" / "pictogram"
PROSE = [kind for kind, row in KINDS.items() if row and not row.tags]


def answering(text: str):
    def ask(asked, sampling) -> str:
        asks.append((asked, sampling))
        return text

    asks: list = []
    ask.asks = asks  # type: ignore[attr-defined]
    return ask


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("words", ["A Red fox,  in the snow!", "雪地里的红狐狸", "лиса в снегу", "tabby cat."])
def test_the_words_stay_in_front_to_the_letter(kind, words):
    for style in STYLES:
        for ask in (None, answering(" thick fur, white pines, pale sky. It stands still in deep white snow.")):
            found = write(words, kind, style, ask=ask, vocabulary=PICTOGRAM)
            assert found.prompt.startswith(words.rstrip(",")), found.prompt
            assert found.report


def test_a_seed_writes_the_same_and_seeds_differ():
    found = [write("a red fox", "flux", "photo", seed=seed).prompt for seed in (1, 1, 2, 3, 4)]
    assert found[0] == found[1] and len(set(found)) >= 3
    assert found[0] == write("a red fox", "flux", "photo", seed=1, ask=answering("")).prompt


def test_tags_for_clip_and_sentences_for_the_others():
    tags = write("a red fox", "sdxl", "anime").prompt
    assert tags.count(", ") >= 4 and "." not in tags and "anime" in tags
    for kind in PROSE:
        told = write("a red fox", kind, "anime").prompt
        assert told.startswith("a red fox. ") and told.endswith(".") and "anime" in told
    assert "camera" in write("a red fox", "wan", "none").prompt.lower()
    assert "camera" not in write("the camera pans over a red fox", "wan", "none").prompt[30:].lower()


def test_negative_only_where_the_model_takes_one_and_in_the_language_of_the_prompt():
    assert (
        write("a fox", "flux", "photo").negative
        == write("a fox", "pictogram", "photo", vocabulary=PICTOGRAM).negative
        == ""
    )
    assert "cartoon" in write("a fox", "sd15", "photo").negative and "static" in write("a fox", "wan", "none").negative
    assert language(write("狐狸", "qwen", "photo").negative) == "zh"


def test_what_the_words_say_already_is_not_said_again():
    lights = ("diffuse light", "side light", "daylight", "rim light", "window light")
    for seed in range(8):
        night = write("a street at night", "sdxl", "photo", seed=seed).prompt
        assert not any(light in night for light in lights)
        painted = write("oil painting of a fox", "sdxl", "photo", seed=seed).prompt
        assert "photograph" not in painted
        close = write("close-up of a fox", "sdxl", "photo", seed=seed).prompt
        assert not any(view in close for view in ("eye level", "low angle", "wide shot", "composition"))


def test_chinese_goes_through_the_chinese_tables_and_says_so():
    ask = answering("never")
    for kind in ("qwen", "wan"):
        found = write("雪地里的红狐狸", kind, "illustration", ask=ask)
        assert found.prompt.endswith("。") and "插画" in found.prompt and not missing("雪地里的红狐狸", found.prompt)
        assert "writes English only" in found.report
    assert "sdxl reads English only" in write("雪地里的红狐狸", "sdxl", "photo", ask=ask).report
    assert not ask.asks
    other = write("лиса", "flux", "photo", ask=ask)
    assert other.prompt == "лиса" and "nothing was added" in other.report


def test_what_the_model_writes_stands_between_the_words_and_the_style():
    ask = answering(" a thick winter fur, pale sky, red fox, frosted pines")
    found = write("a red fox", "sd15", "photo", seed=5, ask=ask)
    assert found.prompt.startswith("a red fox, thick winter fur, pale sky, frosted pines, ")
    assert "by the language model" in found.report
    (asked, sampling) = ask.asks[0]
    assert asked.begun == "a red fox," and asked.stops == ("\n",) and sampling.seed == 5
    ask = answering("It stands in deep snow. Frosted pines rise behind it. And then the")
    told = write("a red fox.", "flux", "none", ask=ask)
    assert told.prompt == "a red fox. It stands in deep snow. Frosted pines rise behind it."
    assert ask.asks[0][0].begun == "a red fox."


@pytest.mark.parametrize(
    "bad", ["", "Sure! Here are your words.", "fox, red fox, a fox", "狐狸, 雪", "I was there once, you know."]
)
def test_an_answer_of_no_use_is_replaced_by_the_tables(bad):
    for kind in ("sdxl", "flux"):
        found = write("a red fox", kind, "photo", ask=answering(bad))
        assert found.prompt == write("a red fox", kind, "photo").prompt
        assert "could not be used" in found.report


def test_a_model_that_cannot_be_had_is_replaced_by_the_tables():
    def ask(*_) -> str:
        raise AigcError("Expected a network, got none.")

    found = write("a red fox", "sdxl", "photo", ask=ask)
    assert found.prompt == write("a red fox", "sdxl", "photo").prompt and "Expected a network" in found.report


def test_long_words_leave_no_room_and_are_never_cut():
    words = " ".join(f"thing{number}" for number in range(60))
    assert write(words, "sdxl", "photo", ask=answering("one two, three four")).prompt == words
    some = " ".join(f"thing{number}" for number in range(44))
    found = write(some, "sdxl", "photo").prompt
    assert found.startswith(f"{some}, ") and len(content(found)) <= 50


def test_wrong_inputs_are_named():
    for given, said in (
        ((" ", "flux", "photo"), "a few words"),
        (("a", "dalle", "photo"), "for kind"),
        (("a", "flux", "x"), "for style"),
    ):
        with pytest.raises(AigcError, match=said):
            write(*given)


def test_the_pictogram_model_gets_nothing_beyond_its_vocabulary():
    draws = vocabulary(PICTOGRAM)
    assert {"red", "blue"} <= draws.colours
    found = write("two fluffy blue cats running", "pictogram", "photo", vocabulary=PICTOGRAM, ask=answering("no"))
    assert found.prompt == "two fluffy blue cats running" and "knows: cat in blue" in found.report
    near = write("a spaceship", "pictogram", "photo", vocabulary=PICTOGRAM)
    named = near.prompt.removeprefix("a spaceship, ")
    assert named in {concept.name for concept in draws.concepts} and named in near.report
    assert write("一只小猫", "pictogram", "none", vocabulary=PICTOGRAM).report.startswith(
        "The pictogram model knows: 猫"
    )
    assert "will draw something else" in write("qwertz", "pictogram", "none", vocabulary=PICTOGRAM).report
    for concept in draws.concepts:
        assert concept in known(concept.name, draws) and concept in known(concept.chinese, draws)
    assert nearest("qwertz", draws) is None


def test_the_longest_name_wins_in_the_pictogram_vocabulary():
    draws = vocabulary(PICTOGRAM)
    longest = max(draws.concepts, key=lambda concept: len(concept.name))
    assert known(longest.name, draws)[0] is longest


@pytest.mark.parametrize(
    ("answer", "tags"),
    [
        (" a pale sky, the deep snow; frosted pines. Sure", "pale sky, deep snow, frosted pines"),
        ("red fox, a fox", ""),
        ("one, one two three four five six seven eight, you and me, pale sky", "one, pale sky"),
        ("only one tag", ""),
    ],
)
def test_tags_are_short_new_and_about_the_picture(answer, tags):
    assert tags_of(answer, "a red fox") == tags


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (". It stands in deep snow. It was cold there once.", "It stands in deep snow."),
        ("a red fox. pines stand in deep snow! Half a", "Pines stand in deep snow."),
        ("It is a fox. You see deep white snow.", ""),
        ("the cold snow and the cold snow and the cold snow.", ""),
    ],
)
def test_sentences_are_whole_new_and_in_the_present(answer, told):
    assert sentences_of(answer, "a red fox") == told


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ('"Fresh every day."\nMore', "Fresh every day."),
        ("1. Slogan: **Fresh** every day", "Fresh every day"),
        ("\n\n- Halt!", "Halt!"),
        ("...", ""),
    ],
)
def test_a_line_is_one_line_without_quotes_and_names(answer, line):
    assert one_line(answer) == line


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("about", ["a small coffee shop", "一家小咖啡店"])
def test_the_tables_write_clean_lines_of_every_task(task, about):
    lines, report = copy.write(task, about, count=2, seed=3)
    assert lines == copy.write(task, about, count=2, seed=3)[0]
    each = lines.splitlines()
    assert len(each) == len(set(each)) == 2 and "{" not in lines and "2 by the tables" in report
    assert all(language(line) == language(about) for line in each)
    if TASKS[task].keep:
        assert all(line.startswith(about) for line in each)


def test_the_model_writes_what_it_can_and_the_tables_the_rest():
    answers = iter(
        [
            "Here is a slogan for you",
            '"Brewed by the sea."',
            "Think it. Draw it. Keep it.",
            "Brewed by the sea.",
            "",
            "x " * 40,
        ]
    )
    lines, report = copy.write("slogan", "a coffee shop", count=3, ask=lambda *_: next(answers))
    assert lines.splitlines()[0] == "Brewed by the sea." and len(lines.splitlines()) == 3
    assert "1 of 3 lines by the language model, 2 by the tables" in report


def test_crude_words_are_left_to_the_tables():
    lines, report = copy.write("character line", "a guard", ask=answering("Damn you, traveller!"))
    assert "Damn" not in lines and "0 of 1" in report
    assert (
        "could not be used" in write("a fox", "flux", "photo", ask=answering("Naked trees stand in deep snow.")).report
    )


def test_scenes_are_a_story_by_one_writer_and_each_says_what_it_is_about():
    ask = answering("1. the fox wakes up\n2. a fox skates on ice\n3. home again\n4. more")
    lines, _ = copy.write("scenes", "a fox", count=3, ask=ask)
    assert lines.splitlines() == ["the fox wakes up", "a fox skates on ice", "a fox, home again"] and len(ask.asks) == 1
    half, report = copy.write("scenes", "a fox", count=3, ask=answering("only one"))
    assert half == copy.write("scenes", "a fox", count=3)[0] and "0 of 3" in report


def test_more_lines_than_the_tables_have_are_said():
    lines, report = copy.write("product line", "a bike", count=20)
    assert len(lines.splitlines()) < 20 and "no more lines" in report
    with pytest.raises(AigcError, match="what the lines are about"):
        copy.write("slogan", "  ")
    with pytest.raises(AigcError, match="Expected one of slogan"):
        copy.write("poem", "a bike")


def test_every_prompt_of_the_benchmark_keeps_its_nouns():
    rows = json.loads((ROOT / "benchmarks" / "data" / "prompts.json").read_text("utf-8"))
    assert len(rows) == 200 and all(row["nouns"] for row in rows)
    for row in rows:
        assert not [noun for noun in row["nouns"] if noun.lower() not in row["prompt"].lower()], row
        for kind in KINDS:
            found = write(row["prompt"], kind, "photo", vocabulary=PICTOGRAM).prompt
            assert not [noun for noun in row["nouns"] if noun not in found], (kind, found)
