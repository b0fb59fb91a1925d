"""Written forms as they are said, in English, in Chinese, and where the two meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.speech import errors
from pipelines.speech.spoken import english, english_numbers, mandarin, mandarin_numbers, runs, spoken

SENTENCES = Path(__file__).resolve().parents[2] / "benchmarks" / "speech"


def said(text: str, language: str = "auto") -> str:
    return " ".join("".join(run.text for run in spoken(text, language)).split())


@pytest.mark.parametrize("name", ["english", "chinese"])
def test_the_sentences_of_the_round_trip_are_said_as_they_were_written_out_by_hand(name: str):
    lines = [line for line in (SENTENCES / f"{name}.txt").read_text("utf-8").splitlines() if line[0] != "#"]
    assert len(lines) == {"english": 100, "chinese": 60}[name]
    for line in lines:
        written, _, expected = line.partition(" = ")
        assert said(written) == (expected or written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("It costs $1, $1.01 or $0.05.", "It costs one dollar, one dollar and one cent or five cents."),
        ("$5 billion, £3.20, ¥88, 20k", "five billion dollars, three pounds and twenty pence, eighty-eight yuan, twenty thousand"),
        ("10-12 km, 20%–30%, -3 °F", "ten to twelve kilometers, twenty to thirty percent, minus three degrees Fahrenheit"),
        ("1 kg, 1 km/h, 5 m², 60 fps", "one kilogram, one kilometer per hour, five square meters, sixty frames per second"),
        ("At 12:00, 12:05, 18:00 and 9:15 a.m.", "At twelve o'clock, twelve oh five, eighteen hundred and nine fifteen AM."),
        ("We left at 5 p.m. It rained at 8 a.m. again.", "We left at five PM. It rained at eight AM again."),
        ("1066, 1800, 1905, 2000, 2009, 2010",
         "one thousand sixty-six, eighteen hundred, nineteen oh five, two thousand, two thousand nine, twenty ten"),
        ("the 1980s, the '90s, 2019-2021", "the nineteen eighties, the nineties, twenty nineteen to twenty twenty-one"),
        ("Dec. 25, 2023; 1 May; 12/31/1999",
         "December twenty-fifth, twenty twenty-three; the first of May; December thirty-first, nineteen ninety-nine"),
        ("1st, 2nd, 3rd, 11th, 21st, 100th", "first, second, third, eleventh, twenty-first, one hundredth"),
        ("1/3, 5/8, 4 3/4, ½, 2½, 24/7",
         "one third, five eighths, four and three quarters, one half, two and a half, twenty-four seven"),
        ("+1 415-555-0199", "plus one, four one five, five five five, oh one nine nine"),
        ("v2.10.3, 0.05, .5, 1,000,000.5",
         "version two point ten point three, zero point zero five, point five, one million point five"),
        ("GPT-4, MP3, 4K, 5G, A380, COVID-19", "GPT four, MP three, four K, five G, A three eighty, COVID nineteen"),
        ("Flight 370, room 101, Boeing 747", "Flight three seventy, room one oh one, Boeing seven forty-seven"),
        ("007, 12345678", "zero zero seven, one two three four five six seven eight"),
        ("Dr. No lives on Maple Dr. in Mt. Vernon.", "Doctor No lives on Maple Drive in Mount Vernon."),
        ("George W. Bush met J. R. R. Tolkien in N.Y.C. today.", "George W Bush met J R R Tolkien in NYC today."),
        ("He is 6'2\" & strong: 3 × 4 = 12.", "He is six foot two and strong: three by four equals twelve."),
        ("a@b.org or https://x.io/y2", "a at b dot org or x dot io slash y two"),
        ("Louis XIV; chapter IX; I saw it.", "Louis the fourteenth; chapter nine; I saw it."),
        ("He woke at 5 in the morning, 1 in 4 do.", "He woke at five in the morning, one in four do."),
        ("The Sun. A fig. See fig. 3. On Sat., 5 B came.", "The Sun. A fig. See figure three. On Saturday, five B came."),
        ("It's the dogs' bowl, isn’t it?", "It's the dogs' bowl, isn't it?"),
    ],
)  # fmt: skip
def test_english_is_said_as_it_is_read(written: str, expected: str):
    assert " ".join(english.spoken(written).split()) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2024年3月5日，2023/12/25", "二零二四年三月五日，二零二三年十二月二十五日"),
        ("14:30到2:05，9:00", "十四点三十分到两点零五分，九点整"),
        ("¥3.50，$100，€5，2元", "三点五元，一百美元，五欧元，两元"),
        ("5%，3.5%-5%，百分之10", "百分之五，百分之三点五到百分之五，百分之十"),
        ("25℃，-3°C，100km/h，2kg，1.5L", "二十五摄氏度，零下三摄氏度，一百公里每小时，两公斤，一点五升"),
        ("1/2，3:2，8-10岁，第3名", "二分之一，三比二，八到十岁，第三名"),
        ("2个人，2本书，22个，12.5万", "两个人，两本书，二十二个，十二点五万"),
        (
            "13912345678，010-12345678，400-800-1234",
            "幺三九，幺二三四，五六七八，零幺零，幺二三四五六七八，四零零，八零零，幺二三四",
        ),
        ("80后，20世纪90年代，2012年级", "八零后，二十世纪九十年代，二千零一十二年级"),
        ("１２３，007，１０％", "一百二十三，零零七，百分之十"),
    ],
)
def test_chinese_is_said_as_it_is_read(written: str, expected: str):
    assert mandarin.spoken(written) == expected


@pytest.mark.parametrize(
    ("number", "english_words", "chinese_words"),
    [
        (0, "zero", "零"),
        (10, "ten", "十"),
        (101, "one hundred one", "一百零一"),
        (1010, "one thousand ten", "一千零一十"),
        (20050, "twenty thousand fifty", "二万零五十"),
        (100001, "one hundred thousand one", "十万零一"),
        (10**8 + 5, "one hundred million five", "一亿零五"),
        (1234567890, "one billion two hundred thirty-four million five hundred sixty-seven thousand eight hundred ninety",
         "十二亿三千四百五十六万七千八百九十"),
        (-7, "minus seven", "负七"),
    ],
)  # fmt: skip
def test_numbers_in_words(number: int, english_words: str, chinese_words: str):
    assert english_numbers.cardinal(number) == english_words and mandarin_numbers.cardinal(number) == chinese_words


def value_of(words: str) -> int:
    """English words back to the number, without a look at how they were made."""
    total = part = 0
    for word in words.replace("-", " ").split():
        if word in english_numbers.ONES:
            part += english_numbers.ONES.index(word)
        elif word in english_numbers.TENS:
            part += 10 * english_numbers.TENS.index(word)
        elif word == "hundred":
            part *= 100
        else:
            total, part = (
                total + part * {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}[word],
                0,
            )
    return total + part


def chinese_value_of(words: str) -> int:
    total = section = digit = 0
    for letter in words:
        if letter in mandarin_numbers.DIGITS:
            digit = mandarin_numbers.DIGITS.index(letter)
        elif letter in "十百千":
            section, digit = section + (digit or 1) * 10 ** ("十百千".index(letter) + 1), 0
        else:
            section, digit = section + digit, 0
            total, section = (total + section * 10**4 if letter == "万" else (total + section) * 10**8), 0
    return total + section + digit


def test_every_number_up_to_ten_thousand_and_others_read_back_as_themselves():
    for number in [*range(10_000), *(n * 7919 + 13 for n in range(10_000, 90_000, 97)), 10**11 + 10**6 + 1, 10**12 - 1]:
        assert value_of(english_numbers.cardinal(number)) == number
        if number < 10**12:
            assert chinese_value_of(mandarin_numbers.cardinal(number)) == number


def test_numbers_go_with_the_words_around_them():
    assert said("我用 iPhone 15 拍了 3 张 photo") == "我用 iPhone fifteen 拍了三张 photo"
    assert said("3 apples, 3个苹果") == "three apples, 三个苹果"
    assert said("42", "zh") == "四十二" and said("42", "en") == "forty-two" and said("42") == "forty-two"
    assert said("我有 3 个 apple", "en") == "我有 three 个 apple"
    assert said("长5km。It is 5 km.") == "长五公里。It is five kilometers."
    text = "Hello 世界! 2 次, OK？"
    assert "".join(run.text for run in runs(text)) == text


def test_the_round_trip_counts_real_errors_and_not_ways_of_writing():
    """Its rules forgive figures, times and spelling; they do not forgive another word."""
    assert errors.wrong_words("I paid three dollars and fifty cents.", "I paid $3.50!") == (0, 7)
    assert errors.wrong_words("Dinner starts at seven thirty PM.", "dinner starts at 7.30 pm") == (0, 7)
    assert errors.wrong_words("The plane leaves at six oh five AM.", "The plane leaves at 605am.")[0] == 0
    assert errors.wrong_words("The answer is three point one four.", "The answer is 3.14.")[0] == 0
    assert errors.wrong_words("He walked home.", "He walks home alone.") == (2, 3)
    assert errors.distance("kitten", "sitting") == 3 and errors.distance("", "abc") == 3
    assert errors.distance("坐车", "做車", lambda a, b: {a, b} <= {"坐", "做"} or {a, b} <= {"车", "車"}) == 0
