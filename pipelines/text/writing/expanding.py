"""A description made longer by tables: deterministic, seeded, in English and Chinese."""

from __future__ import annotations

from .tables import MOTIONS, NEGATIVE, NEGATIVE_VIDEO, NEGATIVES, SAID, STYLES, Say
from .words import pick

SLOTS = ("medium", "light", "view", "detail")


def details(words: str, style: str, seed: int) -> dict[str, Say]:
    """What the style adds, by slot; nothing for what the words say themselves."""
    low = f" {words.lower()} "
    slots = STYLES[style]
    wanted = [slot for slot in SLOTS if slot in slots and not any(part in low for part in SAID.get(slot, ()))]
    return {slot: pick(slots[slot], seed, slot, words) for slot in wanted}


def motion(words: str, seed: int) -> Say | None:
    """How the camera moves, for video; None when the words say it."""
    low = f" {words.lower()} "
    return None if any(part in low for part in SAID["motion"]) else pick(MOTIONS, seed, "motion", words)


def tags(found: dict[str, Say], chinese: bool) -> list[str]:
    return [part.strip() for say in found.values() for part in _parts(say, chinese)]


def _parts(say: Say, chinese: bool) -> list[str]:
    return say.chinese.split("，") if chinese else say.tag.split(",")


def sentence(found: dict[str, Say], chinese: bool) -> str:
    """The details as one sentence, "" for none."""
    if chinese:
        return "，".join(say.chinese for say in found.values()) + "。" if found else ""
    said = {slot: say.said for slot, say in found.items()}
    light = f"in {said['light']}" if "light" in said else ""
    detail = f"with {said['detail']}" if "detail" in said else ""
    whole = ", ".join(part for part in (said.get("medium", ""), light, said.get("view", ""), detail) if part)
    return f"{whole[0].upper()}{whole[1:]}." if whole else ""


def negative(style: str, *, video: bool, chinese: bool) -> str:
    """What the picture is not to be."""
    found = [NEGATIVE, *([NEGATIVES[style]] if style in NEGATIVES else []), *([NEGATIVE_VIDEO] if video else [])]
    return ("，" if chinese else ", ").join(say.chinese if chinese else say.tag for say in found)
