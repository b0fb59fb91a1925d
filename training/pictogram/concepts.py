"""Which emoji become concepts: a rule, not a hand-made list.

1. One code point, in a group that depicts things, no skin tone, no name matching ``DROPPED``.
2. In order of ``commonness``: old emoji and short names first.
3. A name that differs from an accepted one only by a colour or by "face" is dropped ("blue book", "dog face").
4. A picture closer than ``MIN_DISTANCE`` to an accepted one is dropped (yellow faces, moon phases, trains).
5. The first ``POOL`` of what is left are drawn and encoded.
6. They are numbered by the length of their names: the words used most are the short ones (Zipf, 1935, the law of
   abbreviation). The first ``COUNT`` are trained and shipped; a smaller number makes a shorter training.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace

import numpy as np

POOL = 448
COUNT = 448
MIN_DISTANCE = 0.2
GROUPS = {
    "Smileys & Emotion",
    "People & Body",
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
}
COLOUR_WORDS = r"\b(red|orange|yellow|green|blue|light blue|purple|pink|brown|black|white|grey)\b"
DROPPED = re.compile(
    r"o’clock|o'clock|-thirty|\b(person|people|man|woman|men|women|boy|girl|family|kiss|busts?|skin|hair|"
    r"button|sign|symbol|arrow|keycap|flag|japan|japanese|postcard|envelope|postbox|mailbox|folder|"
    r"mark|calendar|chart|page|clipboard|receipt|newspaper|moon face|speaking head|dashing|"
    r"speech|thought|balloon face|anger|zzz|hundred points|monkey with|hear-no|speak-no|see-no|"
    r"levitating|ogre|goblin|oden|dango|pager|fax|dvd|moai|kaaba|synagogue|mosque|hotel|wedding|cigarette|coffin|"
    r"amphora|alembic|mahjong|tanabata|pine decoration|videocassette|outbox|inbox|card index|optical|computer disk|"
    r"ledger|station|pistol|dagger|bomb|syringe|pile of poo|biting|blood|vomiting|funeral|prayer|"
    r"snowboarder|fencer|skier|yen|euro|pound|locomotive car)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Concept:
    """One thing that the model can draw, with everything a caption may call it."""

    id: int
    emoji: str
    name: str
    name_zh: str
    aliases: list[str] = field(default_factory=list)
    aliases_zh: list[str] = field(default_factory=list)
    group: str = ""
    keywords: list[str] = field(default_factory=list)
    keywords_zh: list[str] = field(default_factory=list)
    own_colour: str = ""  # the colour word of a single-hue picture, empty for the others

    def noun(self) -> str:
        """The English name without its colour word, so that another colour can be put in front."""
        return re.sub(r"\s+", " ", re.sub(COLOUR_WORDS, "", self.name)).strip() or self.name

    def noun_zh(self) -> str:
        """The Chinese name without its colour word."""
        return re.sub(r"^(红|橙|黄|绿|蓝|紫|粉|棕|黑|白|灰)(色的|色|的)?(?=..|心|书)", "", self.name_zh)

    def to_json(self) -> dict:
        """A plain dictionary for ``vocabulary.json``."""
        return asdict(self)


def plain_name(name: str) -> str:
    """A name without colour words and without "face"."""
    return re.sub(r"\s+", " ", re.sub(COLOUR_WORDS + r"|\bface\b", "", name)).strip() or name


def commonness(row: dict) -> float:
    """Lower is more common: the emoji version, plus 4 for each further word of the name."""
    words = len(re.sub(COLOUR_WORDS, "", row["name"]).split())
    return float(row["emoji_version"]) + 4 * max(words - 1, 0)


def candidates(unicode_emoji: dict[str, dict]) -> list[tuple[str, dict]]:
    """Emoji that pass rule 1, in the order of rule 2, then in Unicode order."""
    kept = []
    for emoji, row in unicode_emoji.items():
        single = len(emoji.replace("\ufe0f", "")) == 1
        allowed = row["group"] in GROUPS and not row["skin_tone_support"]
        if single and allowed and not DROPPED.search(row["name"]):
            kept.append((emoji, row))
    return sorted(kept, key=lambda entry: commonness(entry[1]))


def thumbnail_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Root mean square difference of thumbnails in 0..1, over the pixels where either is not background.

    a: [H, W, 3]; b: [N, H, W, 3]; returns [N].
    """
    ink = (np.minimum(a[None], b).min(-1) < 0.94).sum((1, 2)).clip(1)  # [N]
    return np.sqrt(((a[None] - b) ** 2).mean(-1).sum((1, 2)) / ink)


def distinct(entries: list[tuple[str, dict]], thumbnails: dict[str, np.ndarray]) -> list[str]:
    """Apply rules 3 to 5 to candidates in order. Returns the accepted emoji."""
    accepted: list[str] = []
    nouns: set[str] = set()
    stack = np.zeros((0, 0, 0, 3), np.float32)
    for emoji, row in entries:
        if emoji not in thumbnails:
            continue
        noun = plain_name(row["name"])
        picture = thumbnails[emoji]
        if noun in nouns or (accepted and thumbnail_distance(picture, stack).min() < MIN_DISTANCE):
            continue
        nouns.add(noun)
        accepted.append(emoji)
        stack = picture[None] if len(accepted) == 1 else np.concatenate([stack, picture[None]])
        if len(accepted) == POOL:
            break
    return accepted


def briefest_first(concepts: list[Concept]) -> list[Concept]:
    """Rule 6: shortest English noun first, renumbered; ties stay in order."""
    ordered = sorted(concepts, key=lambda concept: len(concept.noun()))
    return [replace(concept, id=index) for index, concept in enumerate(ordered)]
