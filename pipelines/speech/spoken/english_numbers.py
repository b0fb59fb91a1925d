"""Numbers in English words."""

from __future__ import annotations

import re

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth", "twelve": "twelfth",
}  # fmt: skip
LARGEST = 10**15


def cardinal(number: int) -> str:
    """The number in words; digit by digit from 10^15 on."""
    if number < 0:
        return f"minus {cardinal(-number)}"
    if number < 20:
        return ONES[number]
    if number < 100:
        ten, one = divmod(number, 10)
        return TENS[ten] + (f"-{ONES[one]}" if one else "")
    if number >= LARGEST:
        return digits(str(number))
    size, name = next(scale for scale in SCALES if number >= scale[0])
    many, rest = divmod(number, size)
    return f"{cardinal(many)} {name}" + (f" {cardinal(rest)}" if rest else "")


def ordinal(number: int) -> str:
    head, last = re.fullmatch(r"(.*?)([a-z]+)", cardinal(number)).groups()  # type: ignore[union-attr]
    if last in ORDINALS:
        return head + ORDINALS[last]
    return head + (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")


def digits(text: str) -> str:
    """Digit by digit, as in a telephone number."""
    return " ".join(ONES[int(digit)] for digit in text if digit.isdigit())


def year(number: int) -> str:
    """1984, 1905, 1900, 2000, 2007, 2024 as they are said."""
    high, low = divmod(number, 100)
    if number < 1000 or number > 9999 or 2000 <= number < 2010:
        return cardinal(number)
    if low == 0:
        return cardinal(number) if high % 10 == 0 else f"{cardinal(high)} hundred"
    return f"{cardinal(high)} {f'oh {ONES[low]}' if low < 10 else cardinal(low)}"


def decimal(text: str) -> str:
    """12,345.67 in words: what stands behind the point digit by digit."""
    whole, point, part = text.replace(",", "").partition(".")
    said = cardinal(int(whole or 0))
    return f"{said} point {digits(part)}" if point and part else said


def plural(word: str) -> str:
    """tens, thousands, sixties."""
    return (
        f"{word[:-1]}ies"
        if word.endswith("y")
        else f"{word}es"
        if word.endswith(("s", "x", "ch", "sh"))
        else f"{word}s"
    )
