"""Numbers in Chinese words."""

from __future__ import annotations

DIGITS = "零一二三四五六七八九"
SMALL = ("", "十", "百", "千")
LARGE = ("", "万", "亿", "万亿")
LARGEST = 10**16


def cardinal(number: int) -> str:
    """12345 as 一万二千三百四十五; digit by digit from 10^16 on."""
    if number < 0:
        return f"负{cardinal(-number)}"
    if number >= LARGEST:
        return digits(str(number))
    if number == 0:
        return DIGITS[0]
    groups = []
    while number:
        number, group = divmod(number, 10000)
        groups.append(group)
    said, gap = "", False
    for place in range(len(groups) - 1, -1, -1):
        group = groups[place]
        if group:
            zero = said and (gap or group < 1000)
            said += f"{'零' if zero else ''}{_group(group)}{LARGE[place]}"
        gap = said != "" and group == 0
    return said[1:] if said.startswith("一十") else said


def _group(number: int) -> str:
    """1..9999."""
    said, gap = "", False
    for place in (3, 2, 1, 0):
        digit = number // 10**place % 10
        if digit:
            said += f"{'零' if gap and said else ''}{DIGITS[digit]}{SMALL[place]}"
        gap = digit == 0
    return said


def digits(text: str, telephone: bool = False) -> str:
    """Digit by digit; on the telephone 1 is 幺."""
    said = "".join(DIGITS[int(digit)] for digit in text if digit.isdigit())
    return said.replace("一", "幺") if telephone else said


def decimal(text: str) -> str:
    """1,234.5 as 一千二百三十四点五."""
    whole, point, part = text.replace(",", "").partition(".")
    said = cardinal(int(whole or 0))
    return f"{said}点{digits(part)}" if point and part else said
