"""Type on pictures: lines fill the box and break where they may, every character has a font, nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipelines.errors import AigcError
from pipelines.lettering import BACKS, PLACES, Style, fonts, layout, lettered


def six(text: str, size: int) -> float:
    """A made-up font: wide characters a size wide, others half."""
    return sum(size if ord(c) > 0x2E80 else size / 2 for c in text)


def test_lines_break_between_words_and_wide_characters_only() -> None:
    assert layout.wrapped("one two three", 10, 40, six) == ("one two", "three")
    assert layout.wrapped("one two\n\nthree", 10, 80, six) == ("one two", "", "three")
    assert layout.wrapped("unbreakable", 10, 40, six) is None
    assert layout.wrapped("把清晨装进杯子", 10, 40, six) == ("把清晨装", "进杯子")
    assert layout.wrapped("把清晨装，进杯", 10, 40, six) == ("把清晨", "装，进杯")  # no line begins with a comma
    assert layout.wrapped("咖啡 coffee 好", 10, 40, six) == ("咖啡", "coffee", "好")


def test_the_largest_size_that_fits_is_taken_and_lines_are_balanced() -> None:
    found = layout.fitted("one two three four", 200, 100, six)
    assert found is not None and found.height <= 100 and max(six(line, found.size) for line in found.lines) <= 200
    larger = layout.wrapped("one two three four", found.size + 1, 200, six)
    assert larger is None or layout.Lines(found.size + 1, larger).height > 100
    assert layout.balanced("aa bb cc dd", 10, 50, six) == ("aa bb", "cc dd")
    assert layout.fitted("word " * 200, 50, 20, six) is None


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("back", BACKS)
def test_only_the_place_of_the_text_changes(place: str, back: str) -> None:
    x = torch.rand(2, 120, 160, 3, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.8
    found = lettered(x, "Hello there", Style(place=place, back=back, share=0.25))
    assert found.shape[0] == 2 and found.shape[2] == 160
    assert 0 <= float(found.min()) < 0.2 and float(found.max()) <= 1  # dark letters on a light picture
    if place == "below":
        assert 120 < found.shape[1] <= 120 + 30 + 16
        assert torch.allclose(found[:, :120], x, atol=1 / 254)
        return
    changed = ((found - x).abs() > 1 / 254).any(-1).any(0).any(1)
    rows = changed.nonzero().flatten()
    limits = {"top": (0, 46), "middle": (36, 84), "bottom": (74, 120)}[place]
    assert limits[0] <= int(rows.min()) and int(rows.max()) < limits[1]


def test_letters_are_light_on_dark_and_of_the_colour_that_is_asked_for() -> None:
    dark = torch.full((1, 100, 100, 3), 0.1)
    assert float(lettered(dark, "Hi", Style(back="none")).max()) > 0.9
    orange = lettered(dark, "Hi", Style(back="none", colour="#ff8800"))[0].flatten(0, 1)
    brightest = orange[orange.sum(1).argmax()]
    assert torch.allclose(brightest, torch.tensor([1.0, 0x88 / 255, 0.0]), atol=0.02)


def test_the_alpha_of_letters_is_whole_and_an_empty_text_changes_nothing() -> None:
    clear = torch.zeros(1, 64, 64, 4)
    found = lettered(clear, "A", Style(back="none", share=0.6))
    assert found.shape[-1] == 4 and set(found[..., 3].unique().tolist()) == {0.0, 1.0}
    assert lettered(clear, " \n", Style()) is clear


def test_a_font_is_found_for_the_text_or_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fonts.chosen("Hello", "", ()) == fonts.BUILT_IN and not fonts.has(fonts.BUILT_IN, "你")
    monkeypatch.setattr(fonts, "system_folders", lambda: (tmp_path,))
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    with pytest.raises(AigcError, match="'你好', found none"):
        fonts.chosen("你好", "", (tmp_path,))
    with pytest.raises(AigcError, match=r"\(broken.ttf\) or a path, got 'mine'"):
        fonts.chosen("Hi", "mine", (tmp_path,))
    with pytest.raises(AigcError, match="got another file"):
        fonts.chosen("Hi", "broken", (tmp_path,))


def test_each_picture_may_have_a_line_of_its_own() -> None:
    x = torch.full((3, 90, 120, 3), 0.9)
    found = lettered(x, "One\nand a longer second line", Style(one_per_line=True, place="top"))
    assert not torch.equal(found[0], x[0]) and not torch.equal(found[0], found[1]) and torch.equal(found[2], x[2])
    below = lettered(x, "One\nand a longer second line", Style(one_per_line=True, place="below"))
    assert below.shape[1] > 90 and torch.allclose(below[2], torch.full_like(below[2], 0.9), atol=1 / 254)
    assert all(float(picture[90:].min()) < 0.2 for picture in below[:2])


def test_what_cannot_be_set_is_refused() -> None:
    x = torch.ones(1, 40, 40, 3)
    with pytest.raises(AigcError, match="got 'side' and 'outline'"):
        Style(place="side")
    with pytest.raises(AigcError, match="got 'reddish'"):
        lettered(x, "Hi", Style(colour="reddish"))
    with pytest.raises(AigcError, match="got 2 characters at 200 pixels"):
        lettered(x, "Hi", Style(size=200))
    with pytest.raises(AigcError, match="shorten it"):
        lettered(x, "word " * 300, Style())
