"""What a prompt says of a piece, in English and Chinese: key, metre, kind, tempo, instrument. The rest the seed draws."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from ..errors import AigcError
from .performance import INSTRUMENTS
from .tune import LETTERS, METRES, MODES, TYPES, Key

AUTO = "auto"
# kind: (metre, tempo in beats a minute)
DANCES = {
    "reel": ("4/4", 200), "hornpipe": ("4/4", 160), "strathspey": ("4/4", 140), "jig": ("6/8", 116), "slip jig": ("9/8", 116),
    "waltz": ("3/4", 140), "march": ("4/4", 116), "polka": ("2/4", 124), "air": ("4/4", 84),
}  # fmt: skip
KINDS = {
    "slip jig": "slip jig", "jig": "jig", "reel": "reel", "hornpipe": "hornpipe", "strathspey": "strathspey", "waltz": "waltz",
    "march": "march", "polka": "polka", "ballad": "air", "lullaby": "waltz", "song": "air", "air": "air", "jingle": "polka",
    "dance": "reel", "圆舞曲": "waltz", "华尔兹": "waltz", "进行曲": "march", "波尔卡": "polka", "吉格": "jig", "里尔": "reel",
    "摇篮曲": "waltz", "歌": "air", "广告": "polka", "舞曲": "reel",
}  # fmt: skip
MOODS = {
    "minor": ("sad", "dark", "melancholy", "mysterious", "gloomy", "tragic", "lonely", "tense",
              "小调", "悲伤", "忧伤", "阴暗",
              "神秘", "孤独", "紧张"),
    "major": ("jingle", "广告", "happy", "bright", "cheerful", "joyful", "playful", "triumphant", "warm",
              "大调", "欢快", "快乐", "明亮", "活泼",
              "温暖", "胜利"),
    "dorian": ("celtic", "medieval", "ancient", "tavern", "中世纪", "古老", "酒馆"),
    "mixolydian": ("folk", "bagpipe", "民谣", "风笛"),
}  # fmt: skip
SPEEDS = {
    0.7: ("very slow", "adagio", "很慢"),
    0.82: ("slow", "calm", "gentle", "relaxed", "lullaby", "慢", "平静", "舒缓", "安静", "摇篮曲"),
    1.15: ("fast", "quick", "lively", "energetic", "allegro", "快速", "轻快", "激烈", "活力"),
    1.3: ("very fast", "presto", "很快"),
}  # fmt: skip
PLAYED = {
    "music box": ("music box", "八音盒", "音乐盒"), "piano": ("piano", "钢琴"), "guitar": ("guitar", "吉他"),
    "violin": ("violin", "fiddle", "小提琴"), "cello": ("cello", "大提琴"), "flute": ("flute", "长笛", "笛子"),
    "whistle": ("whistle", "哨笛"), "accordion": ("accordion", "手风琴"), "harp": ("harp", "竖琴"), "organ": ("organ", "风琴"),
    "clarinet": ("clarinet", "单簧管"), "trumpet": ("trumpet", "小号"), "strings": ("strings", "orchestra", "弦乐", "管弦"),
    "banjo": ("banjo", "班卓"), "bagpipe": ("bagpipe", "风笛"), "marimba": ("marimba", "马林巴"),
}  # fmt: skip
KEY_WORDS = re.compile(
    r"(?:\bin\s+|\bkey of\s+)?\b(?P<tonic>[A-G])(?P<turn>#|b|-?sharp|-?flat)?\s*(?P<mode>major|minor|dorian|mixolydian|大调|小调)"
    r"|(?P<sharp>升|降)?(?P<letter>[A-G])(?P<zh>大调|小调)",
    re.IGNORECASE,
)
FAMILIAR = {"major": (7, 2, 9, 0, 5), "minor": (9, 4, 2, 11), "dorian": (4, 9, 2), "mixolydian": (2, 9, 7)}


@dataclass(frozen=True)
class Plan:
    """tempo: beats a minute, of `tune.beat_of` the metre."""

    key: Key
    metre: str
    kind: str
    tempo: float
    instrument: str


def has(text: str, word: str) -> bool:
    """Whether a word stands in a text in lower case; Latin ones as whole words."""
    if word.isascii():
        return re.search(rf"(?<![a-z]){re.escape(word)}(?![a-z])", text) is not None
    return word in text


def first(text: str, table: dict[str, tuple[str, ...]]) -> str:
    """The entry one of whose words stands earliest; "" for none."""
    found = [(place, name) for name, words in table.items() for word in words if (place := _at(text, word)) >= 0]
    return min(found)[1] if found else ""


def _at(text: str, word: str) -> int:
    if word.isascii():
        found = re.search(rf"(?<![a-z]){re.escape(word)}(?![a-z])", text)
        return found.start() if found else -1
    return text.find(word)


def key_in(text: str) -> Key | None:
    """A key that is named, such as D minor, key of Bb major or 降B大调."""
    found = KEY_WORDS.search(text)
    if not found:
        return None
    if found["tonic"]:
        turn = {"#": 1, "sharp": 1, "b": -1, "flat": -1}.get((found["turn"] or "").strip("-").lower(), 0)
        mode = {"大调": "major", "小调": "minor"}.get(found["mode"], found["mode"].lower())
        return Key((LETTERS[found["tonic"].upper()] + turn) % 12, mode)
    turn = {"升": 1, "降": -1}.get(found["sharp"] or "", 0)
    return Key((LETTERS[found["letter"].upper()] + turn) % 12, "major" if found["zh"] == "大调" else "minor")


def plan(
    text: str, *, key: str = AUTO, metre: str = AUTO, tempo: float = 0, instrument: str = AUTO, seed: int = 0
) -> Plan:
    """What is to be composed: settings first, then the words, then the seed. Raises AigcError for a setting that is none."""
    small, dice = text.lower(), random.Random(seed)
    kind = next((KINDS[word] for word in KINDS if has(small, word)), "")
    asked = next((m for m in METRES if m in small), "") if metre == AUTO else metre
    if asked and asked not in METRES:
        raise AigcError(f"Expected a metre of {', '.join(METRES)}, got '{asked}': choose one of them.")
    if kind and asked and DANCES[kind][0] != asked:
        kind = ""  # a waltz in 4/4 is no waltz
    if not kind:
        kind = dice.choice([name for name, (m, _) in DANCES.items() if not asked or m == asked])
    usual, beats = DANCES[kind]
    named = key_in(text) if key == AUTO else setting(key)
    mode = named.mode if named else first(small, MOODS) or dice.choices(("major", "minor", "dorian"), (6, 2, 1))[0]
    tonic = named.tonic if named else dice.choice(FAMILIAR[mode])
    return Plan(
        Key(tonic, mode), asked or usual, kind, tempo or _tempo(small, beats),
        (first(small, PLAYED) or "piano") if instrument == AUTO else _instrument(instrument),
    )  # fmt: skip


def _tempo(text: str, usual: float) -> float:
    said = re.search(r"(\d{2,3})\s*(?:bpm|拍)", text)
    if said:
        return float(min(300, max(30, int(said.group(1)))))
    for words in (SPEEDS[0.7], SPEEDS[1.3], SPEEDS[0.82], SPEEDS[1.15]):
        if any(has(text, word) for word in words):
            return usual * next(factor for factor, of in SPEEDS.items() if of is words)
    return float(usual)


def setting(text: str) -> Key:
    """A key as a menu shows it, such as "D minor"."""
    mode = text.partition(" ")[2]
    found = key_in(text)
    if found is None or mode not in MODES:
        raise AigcError(f"Expected a key such as D minor, got '{text}': choose one of the list.")
    return found


def _instrument(name: str) -> str:
    if name not in INSTRUMENTS:
        raise AigcError(f"Expected an instrument of {', '.join(INSTRUMENTS)}, got '{name}': choose one of them.")
    return name


__all__ = ["AUTO", "DANCES", "TYPES", "Plan", "first", "has", "key_in", "plan", "setting"]
