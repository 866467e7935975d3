"""Writes the data of the translation recipe: dates and numbers in English, written out in Chinese.

    python recipes/translation/make_data.py output/translation/data

The same seed gives the same bytes. A value (a day, a number) is drawn for training or for the test,
never for both: no test row asks for what training has shown, in whatever words.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

SEED = 20170612
TRAIN_ROWS, TEST_ROWS = 24_000, 1_000
FIRST_DAY, LAST_DAY = datetime.date(1900, 1, 1), datetime.date(2049, 12, 31)
LARGEST = 99_999

# fmt: off
ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
FIRST = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth",
    "eighteenth", "nineteenth", "twentieth",
)
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)
# fmt: on
DIGITS = "〇一二三四五六七八九"
UNITS = ("千", "百", "十", "")


class Pair(NamedTuple):
    """A row: the same value in both languages."""

    english: str
    chinese: str


# English


def number_words(value: int) -> str:
    """342 as three hundred and forty-two; up to 99,999."""
    if value < 20:
        return ONES[value]
    if value < 100:
        tens, ones = divmod(value, 10)
        return TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")
    size, name = (1000, "thousand") if value >= 1000 else (100, "hundred")
    count, rest = divmod(value, size)
    if not rest:
        return f"{number_words(count)} {name}"
    link = " and " if rest < 100 else " "
    return f"{number_words(count)} {name}{link}{number_words(rest)}"


def ordinal(day: int) -> str:
    """5 as fifth; up to 31."""
    if day <= 20:
        return FIRST[day - 1]
    return f"{TENS[day // 10 - 2]}-{FIRST[day % 10 - 1]}" if day % 10 else "thirtieth"


DATES: tuple[Callable[[datetime.date], str], ...] = (
    lambda day: f"{MONTHS[day.month - 1]} {day.day}, {day.year}",
    lambda day: f"{day.day} {MONTHS[day.month - 1]} {day.year}",
    lambda day: f"the {ordinal(day.day)} of {MONTHS[day.month - 1]} {day.year}",
    lambda day: day.isoformat(),
)
NUMBERS: tuple[Callable[[int], str], ...] = (str, lambda value: f"{value:,}", number_words)


# Chinese


def date_in_chinese(day: datetime.date) -> str:
    """二〇一九年三月五日: the year digit by digit, month and day as numbers."""
    year = "".join(DIGITS[int(digit)] for digit in str(day.year))
    return f"{year}年{number_in_chinese(day.month)}月{number_in_chinese(day.day)}日"


def number_in_chinese(value: int) -> str:
    """三百四十二; 零 in place of skipped digits, 十五 without 一; up to 99,999."""
    if value == 0:
        return "零"
    ten_thousands, rest = divmod(value, 10_000)
    written = f"{DIGITS[ten_thousands]}万" if ten_thousands else ""
    skipped = False
    for digit, unit in zip(f"{rest:04}", UNITS, strict=True):
        if digit == "0":
            skipped = True
            continue
        written += "零" * (skipped and bool(written)) + DIGITS[int(digit)] + unit
        skipped = False
    return written.removeprefix("一") if 10 <= value < 20 else written


# The rows


def number(rng: random.Random) -> int:
    """Of one to five digits, each length equally likely."""
    digits = rng.randint(1, len(str(LARGEST)))
    return rng.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)


def drawn(rng: random.Random, held_out: set[object]) -> Iterator[Pair]:
    """Rows for ever, dates and numbers in turn, none of a value that is held out."""
    days = (LAST_DAY - FIRST_DAY).days
    while True:
        day = FIRST_DAY + datetime.timedelta(rng.randint(0, days))
        if day not in held_out:
            yield Pair(rng.choice(DATES)(day), date_in_chinese(day))
        value = number(rng)
        if value not in held_out:
            yield Pair(rng.choice(NUMBERS)(value), number_in_chinese(value))


def values_for_the_test(rng: random.Random) -> list[object]:
    """Days and numbers of the test, each once; the numbers up to 99 are left to training."""
    days = (LAST_DAY - FIRST_DAY).days
    half = TEST_ROWS // 2
    dates = rng.sample(range(days + 1), half)
    numbers: dict[int, None] = {}
    while len(numbers) < half:
        if (value := number(rng)) > 99:
            numbers[value] = None
    return [FIRST_DAY + datetime.timedelta(day) for day in dates] + list(numbers)


def test_row(value: object, rng: random.Random) -> Pair:
    """A value of the test in one of its forms."""
    if isinstance(value, datetime.date):
        return Pair(rng.choice(DATES)(value), date_in_chinese(value))
    assert isinstance(value, int)
    return Pair(rng.choice(NUMBERS)(value), number_in_chinese(value))


def make_rows(train_rows: int = TRAIN_ROWS) -> tuple[list[Pair], list[Pair]]:
    """The rows for training, each once, and those of the test."""
    rng = random.Random(SEED)
    values = values_for_the_test(rng)
    test = [test_row(value, rng) for value in values]
    rng.shuffle(test)
    train: dict[Pair, None] = {}
    rows = drawn(rng, set(values))
    while len(train) < train_rows:
        train[next(rows)] = None
    return list(train), test


def write(rows: list[Pair], file: Path) -> None:
    """One JSON object a line."""
    lines = [json.dumps(row._asdict(), ensure_ascii=False) + "\n" for row in rows]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(lines), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    train, test = make_rows()
    write(train, folder / "train.json")
    write(test, folder / "test.json")
    print(f"data: {len(train):,} rows for training and {len(test):,} for the test, in {folder}")


if __name__ == "__main__":
    main()
