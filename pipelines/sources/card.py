"""The licence that a model card states."""

from __future__ import annotations

import re
from pathlib import Path

from .layout import CARD


def licence(folder: Path) -> str:
    """The licence in the YAML head of the folder's card; "" when there is none."""
    try:
        with (folder / CARD).open(encoding="utf-8", errors="replace") as file:
            text = file.read(20_000)
    except OSError:
        return ""
    head = re.match(r"\A\s*---\s*\n(.*?)\n---", text, re.DOTALL)
    if not head:
        return ""
    fields = dict(re.findall(r"^(license(?:_name)?):[ \t]*['\"]?([^'\"\n]+?)['\"]?[ \t]*$", head[1], re.MULTILINE))
    return fields.get("license_name") or fields.get("license", "")
