"""Chinese as it is said: a table of written forms, each with what is said for it, in the order in which they are looked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from .letters import HAN
from .mandarin_numbers import cardinal, decimal, digits

Match = re.Match[str]
NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
UNITS = {
    "km/h": "公里每小时", "m/s": "米每秒", "km²": "平方公里", "m²": "平方米", "m2": "平方米", "m³": "立方米", "m3": "立方米",
    "km": "公里", "cm": "厘米", "mm": "毫米", "nm": "纳米", "µm": "微米", "m": "米", "kg": "公斤", "mg": "毫克", "g": "克",
    "ml": "毫升", "mL": "毫升", "L": "升", "l": "升", "°C": "摄氏度", "℃": "摄氏度", "°F": "华氏度", "℉": "华氏度", "°": "度",
    "kHz": "千赫", "MHz": "兆赫", "GHz": "吉赫", "Hz": "赫兹", "KB": "K", "MB": "兆", "GB": "G", "TB": "T",
    "kWh": "千瓦时", "kW": "千瓦",
    "W": "瓦", "V": "伏", "mAh": "毫安时", "h": "小时", "min": "分钟", "s": "秒", "ms": "毫秒", "dB": "分贝", "px": "像素",
}  # fmt: skip
CURRENCIES = {"¥": "元", "￥": "元", "$": "美元", "US$": "美元", "€": "欧元", "£": "英镑", "HK$": "港元", "₩": "韩元"}
SIGNS = {
    "%": "百分号", "&": "和", "+": "加", "=": "等于", "×": "乘以", "÷": "除以", "±": "正负", "°": "度", "≈": "约等于", "<": "小于",
    ">": "大于", "@": "艾特", "#": "", "*": "", "_": "", "|": "，", "/": "，", "\\": "", "^": "",
    "`": "", "•": "，", "→": "到", "～": "到",
    "·": "", "￥": "元", "¥": "元", "$": "美元",
}  # fmt: skip
# Two things are 两 of them, and two is 二 where it is only counted or numbered.
MEASURES = (
    "个只条张本位名件块片颗粒棵朵座家间台辆架艘匹头双对副套份次遍回趟场顿种类类款支枝根把杯瓶碗盘盒箱袋包封句首篇段章节课层栋所"
    "岁年天周小分秒点米里斤吨升元倍万千亿户口人"
)
_UNIT = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
_MONEY = "|".join(re.escape(sign) for sign in sorted(CURRENCIES, key=len, reverse=True))
WIDE = {code: code - 0xFEE0 for code in range(0xFF10, 0xFF5B) if chr(code - 0xFEE0).isalnum()} | {
    ord("％"): "%", ord("．"): ".", ord("－"): "-", ord("＋"): "+",
}  # fmt: skip


def spoken(text: str) -> str:
    """The text with everything that is not a word as the words that are said for it."""
    text = text.translate(WIDE)
    for form, said in _rules():
        text = form.sub(said, text)
    return re.sub(rf"(?<=[{HAN}]) +(?=[{HAN}])", "", text)


@cache
def _rules() -> tuple[tuple[re.Pattern[str], Callable[[Match], str]], ...]:
    forms: tuple[tuple[str, Callable[[Match], str]], ...] = (
        # Dates
        (r"(?<!\d)(?P<y>[12]\d{3})[-/.](?P<m>0?[1-9]|1[0-2])[-/.](?P<d>0?[1-9]|[12]\d|3[01])(?!\d)", _date),
        (r"(?<!\d)(?P<y>\d{2}|\d{4})(?=\s?年(?!代|级|龄|前|后|来|以|内|多|之))", lambda m: digits(m["y"])),
        (r"(?<!\d)(?P<a>[12]\d{3})\s?[-–—~至到]\s?(?=[12]\d{3}\s?年|[一二零]{4}年)", lambda m: f"{digits(m['a'])}到"),
        (
            r"(?P<n>[1-9]0)(?=\s?年代|后(?!\d))",
            lambda m: _tens(m["n"]) if "年代" in m.string[m.end() :][:4] else digits(m["n"]),
        ),
        # Times
        (r"(?<!\d)(?P<h>[01]?\d|2[0-4])[:：](?P<m>[0-5]\d)(?:[:：](?P<s>[0-5]\d))?(?!\d)", _time),
        # Telephone numbers
        (r"(?<!\d)(?:\+?86[- ]?)?1[3-9]\d(?:[- ]?\d{4}){2}(?!\d)", lambda m: _mobile(m[0])),
        (r"(?<!\d)0\d{2,3}-\d{7,8}(?!\d)|(?<!\d)[48]00-\d{3,4}-\d{3,4}(?!\d)", lambda m: _telephone(m[0])),
        (
            r"(?<=电话)\s?\d{3,}(?!\d)|(?<=拨打)\s?\d{3,6}(?!\d)|(?<=[拨打])\s?1\d{2}(?!\d)",
            lambda m: digits(m[0], True),
        ),
        (
            r"(?<=房间号)\d+|(?<=房号)\d+|(?<=编号)\d+|(?<=号码是)\d+|(?<=密码是)\d+|(?<=航班)\d+",
            lambda m: digits(m[0], True),
        ),
        # Money, percent, units
        (rf"(?P<sign>{_MONEY})\s?(?P<n>{NUMBER})(?P<scale>[万亿千百]*)", _money),
        (rf"(?P<minus>-?)(?P<n>{NUMBER})\s?%\s?[-–—~至到]\s?(?P<to>{NUMBER})\s?%", _percents),
        (rf"(?P<n>{NUMBER})\s?[-–—~]\s?(?P<to>{NUMBER})\s?%", _percents),
        (rf"(?P<minus>(?<!\d)-)?(?P<n>{NUMBER})\s?%", lambda m: f"{'负' if m['minus'] else ''}百分之{decimal(m['n'])}"),
        (rf"(?P<n>{NUMBER})\s?‰", lambda m: f"千分之{decimal(m['n'])}"),
        (rf"(?P<n>{NUMBER})\s?[-–—~]\s?(?P<to>{NUMBER})\s?(?P<u>{_UNIT})(?![A-Za-z])", _unit_range),
        (rf"(?P<minus>(?<![\dA-Za-z])-)?(?P<n>{NUMBER})\s?(?P<u>{_UNIT})(?![A-Za-z])", _unit),
        # Fractions, ratios, ranges
        (
            r"(?<![\d/.])(?P<n>\d{1,2})/(?P<of>[1-9]\d{0,2})(?![\d/])",
            lambda m: f"{cardinal(int(m['of']))}分之{cardinal(int(m['n']))}",
        ),
        (
            r"(?<!\d)(?P<a>\d+)\s?[:：]\s?(?P<b>\d+)(?!\d)",
            lambda m: f"{cardinal(int(m['a']))}比{cardinal(int(m['b']))}",
        ),
        (
            rf"(?P<a>{NUMBER})\s?[-–—~]\s?(?P<b>{NUMBER})",
            lambda m: f"{_counted_before(m, 'a')}到{_counted_before(m, 'b')}",
        ),
        # Numbers
        (r"(?<=第)\d+", lambda m: cardinal(int(m[0]))),
        (r"\d+(?:\.\d+){2,}", lambda m: "点".join(cardinal(int(part)) for part in m[0].split("."))),
        (r"(?<![\d.,])0\d+(?![\d.,])|(?<![\d.,])\d{9,}(?![\d.])", lambda m: digits(m[0])),
        (
            rf"(?P<minus>(?<![\dA-Za-z])-)?(?P<n>{NUMBER})",
            lambda m: f"{'负' if m['minus'] else ''}{_counted_before(m, 'n')}",
        ),
        *((re.escape(sign), lambda m, said=said: said) for sign, said in SIGNS.items()),
    )
    return tuple((re.compile(form), said) for form, said in forms)


def _date(m: Match) -> str:
    return f"{digits(m['y'])}年{cardinal(int(m['m']))}月{cardinal(int(m['d']))}日"


def _tens(text: str) -> str:
    return cardinal(int(text))


def _time(m: Match) -> str:
    hour, minute = int(m["h"]), int(m["m"])
    said = f"{'两' if hour == 2 else cardinal(hour)}点"
    said += f"{'零' if minute < 10 else ''}{cardinal(minute)}分" if minute else "" if m["s"] else "整"
    return said + (f"{cardinal(int(m['s']))}秒" if m["s"] else "")


def _mobile(text: str) -> str:
    number = re.sub(r"\D", "", text)
    land, number = ("加八六，", number[-11:]) if len(number) > 11 else ("", number)
    return land + "，".join(digits(part, True) for part in (number[:3], number[3:7], number[7:]))


def _telephone(text: str) -> str:
    return "，".join(digits(part, True) for part in text.split("-"))


def _counted(text: str) -> str:
    """As many of something: two are 两."""
    return "两" if text == "2" else decimal(text)


def _counted_before(m: Match, name: str) -> str:
    rest = m.string[m.end() :].lstrip()[:1]
    named = rest and rest in MEASURES and m.string[m.end() :].lstrip()[:2] not in ("年级", "点零", "千克")
    return _counted(m[name]) if named else decimal(m[name])


def _money(m: Match) -> str:
    number = m["n"].rstrip("0").rstrip(".") if "." in m["n"] else m["n"]
    return f"{_counted(number)}{m['scale']}{CURRENCIES[m['sign']]}"


def _percents(m: Match) -> str:
    return f"百分之{decimal(m['n'])}到百分之{decimal(m['to'])}"


def _unit(m: Match) -> str:
    unit = UNITS[m["u"]]
    minus = ("零下" if unit.endswith("度") else "负") if m["minus"] else ""
    number = (
        decimal(m["n"]) if unit[-1] in "度伏瓦" else _counted(m["n"])
    )  # temperatures and electricity are read off: 二
    return f"{minus}{number}{unit}"


def _unit_range(m: Match) -> str:
    return f"{decimal(m['n'])}到{decimal(m['to'])}{UNITS[m['u']]}"
