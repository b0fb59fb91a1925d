"""Tables of written English: months, units, currencies, abbreviations, and what letters beside digits are."""

from __future__ import annotations

import re
from collections.abc import Callable

from .english_numbers import ONES, cardinal, ordinal

_NAMES = "January February March April May June July August September October November December".split()
MONTHS = {name: name for name in _NAMES} | {
    short: name
    for short, name in zip("Jan Feb Mar Apr Jun Jul Aug Sep Oct Nov Dec".split(), [*_NAMES[:4], *_NAMES[5:]])
}
MONTHS["Sept"] = "September"

# one, many, and its hundredth part
CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "US$": ("US dollar", "US dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yuan", "yuan", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", "", ""),
}


def _metric(name: str) -> tuple[str, str]:
    return name, f"{name}s"


UNITS = {
    "km": _metric("kilometer"), "m": _metric("meter"), "cm": _metric("centimeter"), "mm": _metric("millimeter"),
    "µm": _metric("micrometer"), "nm": _metric("nanometer"), "kg": _metric("kilogram"), "g": _metric("gram"),
    "mg": _metric("milligram"), "t": _metric("ton"), "l": _metric("liter"), "L": _metric("liter"), "ml": _metric("milliliter"),
    "mL": _metric("milliliter"), "mi": _metric("mile"), "ft": ("foot", "feet"), "yd": _metric("yard"),
    "lb": _metric("pound"), "lbs": _metric("pound"), "oz": _metric("ounce"), "gal": _metric("gallon"),
    "mph": ("mile per hour", "miles per hour"), "km/h": ("kilometer per hour", "kilometers per hour"),
    "kph": ("kilometer per hour", "kilometers per hour"), "m/s": ("meter per second", "meters per second"),
    "m²": ("square meter", "square meters"), "m2": ("square meter", "square meters"),
    "km²": ("square kilometer", "square kilometers"), "m³": ("cubic meter", "cubic meters"),
    "°C": ("degree Celsius", "degrees Celsius"), "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "℃": ("degree Celsius", "degrees Celsius"), "℉": ("degree Fahrenheit", "degrees Fahrenheit"), "°": _metric("degree"),
    "Hz": ("hertz", "hertz"), "kHz": ("kilohertz", "kilohertz"), "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"), "KB": _metric("kilobyte"), "kB": _metric("kilobyte"), "MB": _metric("megabyte"),
    "GB": _metric("gigabyte"), "TB": _metric("terabyte"), "Mbps": ("megabit per second", "megabits per second"),
    "W": _metric("watt"), "kW": _metric("kilowatt"), "MW": _metric("megawatt"), "kWh": _metric("kilowatt hour"),
    "V": _metric("volt"), "mAh": _metric("milliamp hour"), "dB": _metric("decibel"), "px": _metric("pixel"),
    "fps": ("frame per second", "frames per second"), "rpm": ("revolution per minute", "revolutions per minute"),
    "ms": _metric("millisecond"), "min": _metric("minute"), "mins": _metric("minute"), "hr": _metric("hour"),
    "hrs": _metric("hour"), "h": _metric("hour"), "sec": _metric("second"), "s": _metric("second"), "cal": _metric("calorie"),
    "kcal": _metric("kilocalorie"), "ppm": ("part per million", "parts per million"),
}  # fmt: skip

WITH_DOT = {
    "U.S.A": "USA", "U.S": "US", "U.K": "UK", "E.U": "EU", "Ph.D": "PhD", "e.g": "for example", "i.e": "that is",
    "a.m": "AM", "p.m": "PM", "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Dr": "Doctor", "Prof": "Professor",
    "Gen": "General", "Col": "Colonel", "Capt": "Captain", "Lt": "Lieutenant", "Sgt": "Sergeant", "Rev": "Reverend",
    "Hon": "Honorable", "Gov": "Governor", "Sen": "Senator", "Rep": "Representative", "Jr": "Junior", "Sr": "Senior",
    "vs": "versus", "etc": "et cetera", "approx": "approximately", "dept": "department", "est": "established",
    "Inc": "Incorporated", "Ltd": "Limited", "Corp": "Corporation", "Co": "Company", "Ave": "Avenue", "Blvd": "Boulevard",
    "Rd": "Road", "Mt": "Mount", "Ft": "Fort", "Vol": "volume", "vol": "volume", "Fig": "figure", "fig": "figure",
    "Ch": "chapter", "ch": "chapter", "Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday",
    "Thu": "Thursday", "Thurs": "Thursday", "Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday",
    **{short: name for short, name in MONTHS.items() if short != name},
}  # fmt: skip

# A sentence may end with these: their full stop then stays.
MAY_END = (
    "U.S.A",
    "U.S",
    "U.K",
    "E.U",
    "Ph.D",
    "a.m",
    "p.m",
    "Jr",
    "Sr",
    "etc",
    "Inc",
    "Ltd",
    "Corp",
    "Co",
    "Ave",
    "Blvd",
    "Rd",
)
# The Sun, a fig: short forms that are words too.
FOLLOWED_BY = {short: r"(?=,? ?\d|, )" for short in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")} | {
    short: r"(?= ?\d)" for short in ("Fig", "fig", "Vol", "vol", "Ch", "ch")
}
PLAIN = {
    "&": "and", "%": "percent", "+": "plus", "=": "equals", "×": "times", "÷": "divided by", "±": "plus or minus", "@": "at",
    "°": "degrees", "≈": "about", "<": "less than", ">": "greater than", "§": "section", "©": "copyright", "™": "", "®": "",
    "~": "about", "$": "dollars", "€": "euros", "£": "pounds", "¥": "yuan", "_": " ", "*": " ", "#": " ", "|": ", ", "\\": " ",
    "/": " slash ", "^": " ", "`": " ", "•": ", ", "→": " to ",
}  # fmt: skip


def read(text: str) -> str:
    """A number that is a name: one or two digits as a number, more in pairs, with oh for a zero between others."""
    if text[0] == "0" or len(text) > 4:
        return " ".join(ONES[int(digit)] for digit in text)
    if len(text) <= 2 or text.endswith("00"):
        return cardinal(int(text))
    head, tail = text[:-2], text[-2:]
    return f"{cardinal(int(head))} {f'oh {ONES[int(tail[1])]}' if tail[0] == '0' else cardinal(int(tail))}"


# Chapter IV, Henry VIII: after the words that take such a number.
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


def _roman(text: str) -> int:
    values = [_ROMAN[letter] for letter in text]
    return sum(-value if value < max(values[place:]) else value for place, value in enumerate(values))


LETTERS_AND_DIGITS: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"\b(?P<a>[A-Za-z]+)-?(?P<n>\d+)(?P<b>[A-Za-z]*)\b", lambda m: f"{m['a']} {read(m['n'])} {m['b']}".strip()),
    (r"(?<![\d.,])(?P<n>\d+)(?P<b>D|G|K|P|A|B|C|X|x)\b(?!\w)", lambda m: f"{read(m['n'])} {m['b'].upper()}"),
    (r"(?<=[A-Za-z])-(?=\d)", lambda _: " "),
)
ROMAN: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (
        r"(?<=\bWar )[IVX]{1,4}\b|(?<=\b[Cc]hapter )[IVXL]+\b|(?<=\b[Pp]art )[IVXL]+\b|(?<=\bAct )[IVX]+\b",
        lambda m: cardinal(_roman(m[0])),
    ),
    (
        r"(?<=\bHenry )[IVX]+\b|(?<=\bLouis )[IVX]+\b|(?<=\bEdward )[IVX]+\b|(?<=\bGeorge )[IVX]+\b|(?<=\bElizabeth )I{1,3}\b",
        lambda m: f"the {ordinal(_roman(m[0]))}",
    ),
)
