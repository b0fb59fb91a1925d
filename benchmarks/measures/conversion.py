"""Workflow templates that convert from the canvas' format to the API's as the browser itself converts them."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator

from ..figures import ROOT, Absent, Figure

ORACLE = ROOT / "tests" / "headless" / "conversion_oracle.json.xz"


def measure() -> Iterator[Figure]:
    if not ORACLE.is_file():
        raise Absent("tests/headless has no conversion oracle here")
    from headless.convert import convert
    from tests.headless.test_convert_templates import declared, template_files

    oracle = json.loads(lzma.decompress(ORACLE.read_bytes()))
    files, info, differing = template_files(), oracle["object_info"], []
    for name, expected in oracle["prompts"].items():
        workflow = json.loads(files[name].read_text(encoding="utf-8"))
        if declared(convert(workflow, info, allow_unknown=True), info) != declared(expected, info):
            differing.append(name)
    total = len(oracle["prompts"])
    yield Figure(
        f"workflow conversions equal, of {total}", total - len(differing), bar=total, at_least=True,
        detail=f"peer: graphToPrompt of the browser; differing: {', '.join(differing) or 'none'}",
    )  # fmt: skip
