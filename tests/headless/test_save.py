"""Files named by a server stay inside the folder, are whole, and never replace another file."""

from __future__ import annotations

import asyncio

import pytest

from headless.save import safe_path, save_stream


async def chunks(*parts):
    for part in parts:
        if isinstance(part, Exception):
            raise part
        yield part


@pytest.mark.parametrize(
    ("filename", "subfolder"),
    [
        ("../../x.png", ""), ("/etc/x.png", ""), ("x.png", "../.."), ("x.png", "/abs"), ("..\\..\\x.png", ""),
        ("C:\\x.png", ""), ("..", ".."), ("", ""), ("a\x00.png", "ok"), ("x.png", ". /.. /"), ("CON.png", ""),
    ],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(tmp_path, filename, subfolder):
    folder = tmp_path / "out"
    path = safe_path(folder, filename, subfolder)
    assert path.resolve().is_relative_to(folder.resolve()) and path != folder
    saved = asyncio.run(save_stream(chunks(b"x"), folder, filename, subfolder))
    assert [entry for entry in tmp_path.rglob("*") if entry.is_file()] == [saved]


def test_a_link_inside_the_folder_does_not_lead_out(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
    asyncio.run(save_stream(chunks(b"x"), tmp_path / "out", "a.png", "sub"))
    assert not list((tmp_path / "elsewhere").iterdir())


def test_equal_files_are_kept_and_different_ones_numbered(tmp_path):
    names = [asyncio.run(save_stream(chunks(part), tmp_path, "a.png")).name for part in (b"1", b"1", b"2", b"2")]
    assert names == ["a.png", "a.png", "a-2.png", "a-2.png"]


def test_a_broken_download_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="gone"):
        asyncio.run(save_stream(chunks(b"half", OSError("gone")), tmp_path, "a.png"))
    assert not list(tmp_path.iterdir())
