"""A Mandarin syllable as the sounds that Kokoro was trained on: initial, final with its glides, and the tone after its vowel."""

from __future__ import annotations

import re
import unicodedata

# Aspiration is written ʰ; zh, ch and sh are retroflex, j, q and x palatal.
INITIALS = {
    "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n", "l": "l", "g": "k", "k": "kʰ", "h": "x",
    "j": "ʨ", "q": "ʨʰ", "x": "ɕ", "zh": "ꭧ", "ch": "ꭧʰ", "sh": "ʂ", "r": "ɻ", "z": "ʦ", "c": "ʦʰ", "s": "s",
}  # fmt: skip
# Glide, vowel, what follows the tone.
FINALS = {
    "a": ("", "a", ""), "o": ("", "ɔ", ""), "e": ("", "ɤ", ""), "ê": ("", "ɛ", ""), "i": ("", "i", ""), "u": ("", "u", ""),
    "ü": ("", "y", ""), "ai": ("", "ai", ""), "ei": ("", "ei", ""), "ao": ("", "au", ""), "ou": ("", "ou", ""),
    "an": ("", "a", "n"), "en": ("", "ə", "n"), "ang": ("", "a", "ŋ"), "eng": ("", "ə", "ŋ"), "ong": ("", "ʊ", "ŋ"),
    "er": ("", "ɚ", ""), "ia": ("j", "a", ""), "ie": ("j", "e", ""), "iao": ("j", "au", ""), "iou": ("j", "ou", ""),
    "io": ("j", "o", ""), "ian": ("j", "ɛ", "n"), "in": ("", "i", "n"), "iang": ("j", "a", "ŋ"), "ing": ("", "i", "ŋ"),
    "iong": ("j", "ʊ", "ŋ"), "ua": ("w", "a", ""), "uo": ("w", "o", ""), "uai": ("w", "ai", ""), "uei": ("w", "ei", ""),
    "uan": ("w", "a", "n"), "uen": ("w", "ə", "n"), "uang": ("w", "a", "ŋ"), "ueng": ("w", "ə", "ŋ"), "üe": ("ɥ", "e", ""),
    "üan": ("ɥ", "ɛ", "n"), "ün": ("", "y", "n"),
}  # fmt: skip
SHORT = {"iu": "iou", "ui": "uei", "un": "uen", "ue": "üe"}
TONES = ("", "→", "↗", "↓", "↘", "")
_MARKS = {"\u0304": 1, "\u0301": 2, "\u030c": 3, "\u0300": 4}
ALONE = {"m": "m", "n": "n", "ng": "ŋ", "hm": "hm", "hng": "hŋ"}  # interjections without a vowel


def numbered(syllable: str) -> tuple[str, int]:
    """ "hǎo" -> ("hao", 3); no mark is the neutral tone, 5."""
    parts = unicodedata.normalize("NFD", syllable)
    tone = next((_MARKS[letter] for letter in parts if letter in _MARKS), 5)
    return unicodedata.normalize("NFC", "".join(letter for letter in parts if letter not in _MARKS)), tone


def sounds(syllable: str, tone: int) -> str:
    """A syllable without its mark, and its tone 1 to 5. Raises ValueError for what is none."""
    if syllable in ALONE:
        return ALONE[syllable] + TONES[tone]
    initial, final = _split(syllable)
    if final == "i" and initial in ("zh", "ch", "sh", "r", "z", "c", "s"):
        return f"{INITIALS[initial]}ɨ{TONES[tone]}"
    glide, vowel, coda = FINALS["uo" if final == "o" and initial else final]  # bo is said as buo
    return f"{INITIALS.get(initial, '')}{glide}{vowel}{TONES[tone]}{coda}"


def _split(syllable: str) -> tuple[str, str]:
    """The initial and the final in full: "jiu" -> j, iou; "yuan" -> "", üan; "wo" -> "", uo."""
    text = syllable.replace("v", "ü").replace("u:", "ü")
    if text.startswith("y"):
        rest = text[1:]
        full = rest if rest.startswith("i") else f"ü{rest[1:]}" if rest.startswith("u") else f"i{rest}"
        return "", _known("iou" if full == "iou" else full, syllable)
    if text.startswith("w"):
        rest = text[1:]
        full = "u" if rest == "u" else {"ei": "uei", "en": "uen", "eng": "ueng"}.get(rest, f"u{rest}")
        return "", _known(full, syllable)
    found = re.fullmatch(r"([zcs]h|[bpmfdtnlgkhjqxrzcs])?(.+)", text)
    initial, final = (found[1] or "", found[2]) if found else ("", text)
    final = SHORT.get(final, final)
    if initial in ("j", "q", "x"):
        final = {"u": "ü", "üe": "üe", "uan": "üan", "uen": "ün"}.get(final, final)
    return initial, _known(final, syllable)


def _known(final: str, syllable: str) -> str:
    if final not in FINALS:
        raise ValueError(f"no Mandarin syllable: {syllable}")
    return final
