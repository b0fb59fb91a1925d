"""English as it is said: a table of written forms, each with what is said for it, in the order in which they are looked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from .english_numbers import ONES, cardinal, decimal, digits, ordinal, plural, year
from .english_words import (
    CURRENCIES,
    FOLLOWED_BY,
    LETTERS_AND_DIGITS,
    MAY_END,
    MONTHS,
    PLAIN,
    ROMAN,
    UNITS,
    WITH_DOT,
    read,
)

Match = re.Match[str]
NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_UNIT = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
_SIGN = "".join(re.escape(sign) for sign in CURRENCIES if len(sign) == 1)
_SCALE = r"(?:(?P<scale>\s?(?:thousand|million|billion|trillion|bn)|[kKMB])\b)?"
_SCALES = {"bn": "billion", "k": "thousand", "K": "thousand", "M": "million", "B": "billion"}


def spoken(text: str) -> str:
    """The text with everything that is not a word as the words that are said for it."""
    text = re.sub(r"[\u2018\u2019\u02bc]", "'", text)
    text = re.sub(r"[\u2010\u2011\u2212]", "-", text.replace("\u00a0", " "))
    for form, said in _rules():
        text = form.sub(said, text)
    return re.sub(r"[ \t]+", " ", text)


@cache
def _rules() -> tuple[tuple[re.Pattern[str], Callable[[Match], str]], ...]:
    months = f"(?P<month>{_MONTH})\\.?"
    forms: tuple[tuple[str, Callable[[Match], str]], ...] = (
        (r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+", lambda m: _address(m[0])),
        (r"\bhttps?://[^\s,]+[\w/]|\bwww\.[^\s,]+[\w/]", lambda m: _address(re.sub(r"^https?://(?:www\.)?", "", m[0]))),
        (r"\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|edu|gov|ai|cn|co\.uk)\b(?:/[\w/.-]*\w)?", lambda m: _address(m[0])),
        *_abbreviations(),
        # Dates
        (r"\b(?P<y>[12]\d{3})[-/.](?P<m>0?[1-9]|1[0-2])[-/.](?P<d>0?[1-9]|[12]\d|3[01])\b", _iso_date),
        (r"\b(?P<m>0?[1-9]|1[0-2])/(?P<d>0?[1-9]|[12]\d|3[01])/(?P<y>\d{4})\b", _iso_date),
        (rf"\b{months} (?P<d>[0-3]?\d)(?:st|nd|rd|th)?(?:,? (?P<y>[12]\d{{3}}))?\b(?![:.,]\d)", _date),
        (rf"\b(?P<d>[0-3]?\d)(?:st|nd|rd|th)? (?:of )?{months}(?:,? (?P<y>[12]\d{{3}}))?\b", _day_first),
        (rf"\b{months} (?P<y>[12]\d{{3}})\b", lambda m: f"{_month(m['month'])} {year(int(m['y']))}"),
        # Times
        (r"\b(?P<h>[01]?\d|2[0-3]):(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d))?(?: ?(?P<half>[ap])\.?\s?m\b\.?)?", _time),
        (
            r"\b(?P<h>1[0-2]|0?[1-9]) ?(?P<half>[ap])\.?m\b\.?(?! [A-Z])",
            lambda m: f"{cardinal(int(m['h']))} {_half(m)}",
        ),
        (r"\b(?P<h>1[0-2]|0?[1-9]) ?(?P<half>[ap])\.?m\.(?= [A-Z])", lambda m: f"{cardinal(int(m['h']))} {_half(m)}."),
        # Telephone numbers
        (r"(?<![\w.])(?:\+(?P<land>\d{1,3})[ -])?\(?(?P<a>\d{3})\)?[ -](?P<b>\d{3})[ -](?P<c>\d{4})\b", _telephone),
        (r"\b(?P<b>\d{3})-(?P<c>\d{4})\b", lambda m: f"{_dialled(m['b'])}, {_dialled(m['c'])}"),
        (r"(?<=[Cc]all )\d{3}\b(?!\s*[a-z])|(?<=[Dd]ial )\d{3}\b(?!\s*[a-z])", lambda m: digits(m[0])),
        # Money
        (rf"(?P<sign>US\$|[{_SIGN}]) ?(?P<n>{NUMBER}){_SCALE}", _money),
        (r"\b(?P<n>\d+)\s?¢", lambda m: f"{cardinal(int(m['n']))} {'cent' if m['n'] == '1' else 'cents'}"),
        # Decades, heights, units, percent
        (r"\b(?P<n>1[1-9]\d0|20\d0)'?s\b", lambda m: _decade(year(int(m["n"])))),
        (r"(?<!\w)'(?P<n>[1-9]0)s\b", lambda m: _decade(cardinal(int(m["n"])))),
        (r"\b(?P<n>[2-9]0)s\b", lambda m: _decade(cardinal(int(m["n"])))),
        (
            rf"(?P<n>{NUMBER})\s?%\s?[–—-]\s?(?P<to>{NUMBER})\s?%",
            lambda m: f"{_number(m['n'])} to {_number(m['to'])} percent",
        ),
        (r"\b(?P<f>\d)'(?P<i>\d{1,2})\"", lambda m: f"{cardinal(int(m['f']))} foot {cardinal(int(m['i']))}"),
        (rf"(?P<n>{NUMBER})\s?-?\s?[–—-]\s?(?P<to>{NUMBER})\s?(?P<u>%|{_UNIT})(?![\w])", _unit_range),
        (rf"(?P<minus>(?<![\w-])-)?(?P<n>{NUMBER})\s?-?(?P<u>%|{_UNIT})(?![\w])", _unit),
        (rf"(?P<n>{NUMBER}) ?[x×] ?(?P<to>{NUMBER})\b", lambda m: f"{_side(m['n'])} by {_side(m['to'])}"),
        # Ordinals, fractions
        (r"\b(?P<n>\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)\b", lambda m: ordinal(int(m["n"].replace(",", "")))),
        (r"(?<!\w)'(?P<n>\d\d)\b", lambda m: _two_digits(m["n"])),
        (r"\b24/7\b", lambda _: "twenty-four seven"),
        (r"\b(?P<n>\d0)/(?P<of>\d0)\b(?![/\d])", lambda m: f"{cardinal(int(m['n']))} {cardinal(int(m['of']))}"),
        (r"(?:(?P<whole>\d+) )?(?<![\d/.])(?P<n>\d)/(?P<of>[2-9]|10|16)\b(?![/\d])", _fraction),
        (r"(?P<whole>\d*)(?P<sign>[½¼¾⅓⅔⅛])", lambda m: _fraction_sign(m["whole"], m["sign"])),
        # Ranges and years
        (r"\b(?P<a>1[1-9]\d\d|20\d\d)\s?[–—-]\s?(?P<b>1[1-9]\d\d|20\d\d)\b", lambda m: f"{_y(m['a'])} to {_y(m['b'])}"),
        (r"(?<![-\w.])(?P<a>\d+(?:\.\d+)?)\s?[–—]\s?(?P<b>\d+(?:\.\d+)?)(?![-\w])", _range),
        (r"(?<![-\w.])(?P<a>\d{1,3})-(?P<b>\d{1,3})(?![-\w])", _range),
        (r"(?<=[Ii]n )(?P<n>[12]\d{3})\b(?! [a-z]+s\b)|(?<=[Ss]ince )(?P<o>[12]\d{3})\b", lambda m: year(int(m[0]))),
        (
            r"\b(?P<n>1[1-9]\d\d|20\d\d)\b(?![,.]\d)(?! (?:people|dollars|times|metres|meters|miles))",
            lambda m: _y(m[0]),
        ),
        # Numbers that name, versions, decimals, numbers
        (
            r"(?<=\b[Rr]oom )\d{3,4}\b|(?<=\b[Ff]light )\d{3,4}\b|(?<=Boeing )7\d7\b|(?<=Route )\d{2,3}\b|(?<=Airbus )\d{3}\b",
            lambda m: read(m[0]),
        ),
        (r"\bv(?=\d+\.\d)", lambda _: "version "),
        (r"\b(?P<n>\d+(?:\.\d+){2,})\b", lambda m: " point ".join(cardinal(int(part)) for part in m["n"].split("."))),
        (r"(?<![\w.])\.(?P<n>\d+)\b", lambda m: f"point {digits(m['n'])}"),
        (r"#\s?(?=\d)", lambda _: "number "),
        (r"\b(?P<a>\d+):(?P<b>\d+)\b", lambda m: f"{cardinal(int(m['a']))} to {cardinal(int(m['b']))}"),
        *LETTERS_AND_DIGITS,
        (rf"(?P<minus>(?<![\w-])-)?(?P<n>{NUMBER}){_SCALE}", _plain_number),
        *ROMAN,
        *((re.escape(sign), lambda m, said=said: f" {said} ") for sign, said in PLAIN.items()),
    )
    return tuple((re.compile(form), said) for form, said in forms)


def _abbreviations() -> list[tuple[str, Callable[[Match], str]]]:
    """Dr. and St. by what follows; the others by the table, keeping the full stop that also ends a sentence."""
    rows: list[tuple[str, Callable[[Match], str]]] = [
        (r"\bSt\.? (?=[A-Z])", lambda _: "Saint "),
        (r"(?<=[a-z] )St\b\.?", lambda _: "Street"),
        (r"(?<=[a-z] )Dr\b\.?(?! [A-Z][a-z]+ (?:said|is|was|has))(?=[,.]| *$| in\b| and\b)", lambda _: "Drive"),
        (r"\bNo\. ?(?=\d)", lambda _: "number "),
        (r"\bpp?\. ?(?=\d)", lambda m: "pages " if m[0].startswith("pp") else "page "),
    ]
    for short, said in WITH_DOT.items():
        # At a sentence's end the full stop stays; a title never ends one.
        form = rf"(?<![\w.]){re.escape(short)}\." + FOLLOWED_BY.get(short, "")
        if short in MAY_END:
            rows.append((form + r"(?=\s+[A-Z]|\s*$)", lambda _, said=said: f"{said}."))
        rows.append((form, lambda _, said=said: said))
    return [
        *rows,
        (r"\b(?:[A-Z]\.){2,}", lambda m: m[0].replace(".", "") + ("." if _sentence_ends(m) else "")),
        (
            r"(?:^|\b[A-Z][a-z]+ )(?:[A-Z]\. )+(?=[A-Z][a-z])|\b(?:[A-Z]\. ){2,}(?=[A-Z][a-z])",
            lambda m: m[0].replace(".", ""),
        ),
    ]


def _address(text: str) -> str:
    names = {
        ".": " dot ",
        "@": " at ",
        "/": " slash ",
        "-": " dash ",
        "_": " underscore ",
        "+": " plus ",
        ":": " colon ",
    }
    said = "".join(names.get(letter, letter) for letter in text)
    return re.sub(r"\d", lambda m: f" {ONES[int(m[0])]} ", said)


def _month(text: str) -> str:
    return MONTHS[text]


def _y(text: str) -> str:
    return year(int(text))


def _iso_date(m: Match) -> str:
    month = list(dict.fromkeys(MONTHS.values()))[int(m["m"]) - 1]
    return f"{month} {ordinal(int(m['d']))}, {_y(m['y'])}"


def _date(m: Match) -> str:
    said = f"{_month(m['month'])} {ordinal(int(m['d']))}"
    return f"{said}, {_y(m['y'])}" if m["y"] else said


def _day_first(m: Match) -> str:
    said = f"the {ordinal(int(m['d']))} of {_month(m['month'])}"
    return f"{said} {_y(m['y'])}" if m["y"] else said


def _half(m: Match) -> str:
    return "AM" if m["half"] == "a" else "PM"


def _time(m: Match) -> str:
    hour, minute, half = int(m["h"]), int(m["m"]), f" {_half(m)}" if m["half"] else ""
    if minute:
        said = f"{cardinal(hour)} {f'oh {ONES[minute]}' if minute < 10 else cardinal(minute)}{half}"
    else:
        said = f"{cardinal(hour)}{half or (' hundred' if hour > 12 else ' o’clock'.replace('’', chr(39)))}"
    seconds = int(m["s"] or 0)
    said += f" and {cardinal(seconds)} second{'s' * (seconds != 1)}" if m["s"] else ""
    return said + ("." if m[0].endswith(".") and _sentence_ends(m) else "")


def _sentence_ends(m: Match) -> bool:
    rest = m.string[m.end() :]
    return not rest.strip() or bool(re.match(r"\s+[A-Z]", rest))


def _telephone(m: Match) -> str:
    groups = [m["land"], m["a"], m["b"], m["c"]]
    said = ", ".join(_dialled(group) for group in groups if group)
    return f"plus {said}" if m["land"] else said


def _dialled(text: str) -> str:
    return digits(text).replace("zero", "oh")


def _number(text: str) -> str:
    return decimal(text)


def _side(text: str) -> str:
    """A side of a picture: 1920 as nineteen twenty."""
    return read(text) if len(text) == 4 and text.isdigit() else decimal(text)


def _money(m: Match) -> str:
    one, many, cent, cents = CURRENCIES[m["sign"]]
    if m["scale"]:
        return f"{_number(m['n'])} {_scale(m['scale'])} {many}"
    whole, _, part = m["n"].replace(",", "").partition(".")
    if len(part) not in (0, 2) or not cent:
        return f"{_number(m['n'])} {many}"
    small = int(part or 0)
    said = f"{cardinal(int(whole))} {one if int(whole) == 1 else many}" if int(whole) or not small else ""
    coins = f"{cardinal(small)} {cent if small == 1 else cents}" if small else ""
    return " and ".join(words for words in (said, coins) if words)


def _unit(m: Match) -> str:
    one, many = ("percent", "percent") if m["u"] == "%" else UNITS[m["u"]]
    # "a 5 km run" takes the singular, which only a hyphen shows.
    single = m["n"] == "1" or f"-{m['u']}" in m[0]
    return f"{'minus ' if m['minus'] else ''}{_number(m['n'])} {one if single else many}"


def _unit_range(m: Match) -> str:
    many = "percent" if m["u"] == "%" else UNITS[m["u"]][1]
    return f"{_number(m['n'])} to {_number(m['to'])} {many}"


def _range(m: Match) -> str:
    return f"{_number(m['a'])} to {_number(m['b'])}"


def _decade(said: str) -> str:
    head, _, last = said.rpartition(" ")
    return f"{head} {plural(last)}".strip()


def _two_digits(text: str) -> str:
    number = int(text)
    return f"oh {ONES[number]}" if number < 10 else cardinal(number)


def _fraction(m: Match) -> str:
    number, of = int(m["n"]), int(m["of"])
    if of == 2:
        said = "half" if number == 1 else "halves"
    elif of == 4:
        said = "quarter" if number == 1 else "quarters"
    else:
        said = ordinal(of) if number == 1 else plural(ordinal(of))
    many = "a" if number == 1 and (of == 2 or m["whole"]) else cardinal(number)
    many = "one" if number == 1 and not m["whole"] else many
    return f"{cardinal(int(m['whole']))} and {many} {said}" if m["whole"] else f"{many} {said}"


def _fraction_sign(whole: str, sign: str) -> str:
    said = {"½": "half", "¼": "quarter", "¾": "three quarters", "⅓": "third", "⅔": "two thirds", "⅛": "eighth"}[sign]
    article = "" if " " in said else "a " if whole else "one "
    return f"{cardinal(int(whole))} and {article}{said}" if whole else f"{article}{said}"


def _plain_number(m: Match) -> str:
    said = f"{'minus ' if m['minus'] else ''}{_long_or_number(m['n'])}"
    return f"{said} {_scale(m['scale'])}" if m["scale"] else said


def _scale(text: str) -> str:
    return _SCALES.get(text.strip(), text.strip())


def _long_or_number(text: str) -> str:
    """A long number without commas, or one that begins with 0, is a code: digit by digit."""
    code = "," not in text and "." not in text and (len(text) > 6 or (len(text) > 1 and text[0] == "0"))
    return digits(text) if code else _number(text)
