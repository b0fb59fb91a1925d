"""The pages about judges from a hub say what their table says, in both languages."""

from __future__ import annotations

import pytest

from pipelines.score.hub.table import TABLE

from .sources import text

PAGES = (
    "docs/JUDGES.md",
    "docs/JUDGES.zh.md",
    "web/docs/AIGC_LoadDiscriminator/en.md",
    "web/docs/AIGC_LoadDiscriminator/zh.md",
)


@pytest.mark.parametrize("page", PAGES)
def test_every_judge_has_its_line_with_source_size_and_licence(page: str) -> None:
    lines = text(page).splitlines()
    broken = []
    for name, row in TABLE.items():
        line = next((line for line in lines if line.startswith(f"| {name} |") and row.source in line), "")
        broken += [f"{name}: {part}" for part in (row.source, row.size, row.licence) if part not in line]
    assert not broken, "\n".join(broken)


def test_the_english_pages_say_what_the_number_means() -> None:
    for page in (name for name in PAGES if "zh" not in name):
        assert not [name for name, row in TABLE.items() if row.note not in text(page)], page
    page = text("docs/JUDGES.md")
    assert not [name for name, row in TABLE.items() if row.head not in page or row.paper not in page]
