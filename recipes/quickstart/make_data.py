"""Writes the three data files of the quickstart: text.txt, train.json and dev.json.

    python recipes/quickstart/make_data.py

The files are kept in the repository; this script is how they came about, and the same seed gives
the same bytes. text.txt is what the base reads: short documents, a blank line between two of them.
It holds every word and every sentence form: paragraphs under headlines, paragraphs that somebody
asked for in so many words, and lists of attributes in the form of AdvertiseGen with other answers
to them, such as how many pieces are left. What it never holds is such a list with copy for an
answer: that is the task, and it stands in train.json and dev.json only.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import wardrobe as w

SEED = 20
TRAIN_ROWS = 2000
DEV_ROWS = 100
DOCUMENTS = 4800
OPTIONAL = ("材质", "颜色", "风格", "图案", "版型", "细节")
PHRASES = {"材质": w.MATERIALS, "颜色": w.COLOURS, "风格": w.STYLES, "图案": w.PATTERNS}
PHRASES["版型"] = w.FITS


class Piece(NamedTuple):
    """One piece of clothing: its kind, its item, and the attributes that are told of it."""

    garment: w.Garment
    item: str
    told: dict[str, str]

    @property
    def content(self) -> str:
        """The list of attributes: 类型#裙*材质#雪纺*..."""
        pairs = [("类型", self.garment.kind)]
        for key, value in self.told.items():
            pairs.append((self.garment.detail_key if key == "细节" else key, value))
        pairs.append((self.garment.style_key, self.item))
        return "*".join(f"{key}#{value}" for key, value in pairs)


def draw_piece(rng: random.Random, least: int = 3, most: int = 5) -> Piece:
    """A random piece; its material or its colour is always told."""
    garment = rng.choice(w.GARMENTS)
    keys = rng.sample(OPTIONAL, rng.randint(least, most))
    if "材质" not in keys and "颜色" not in keys:
        keys[0] = rng.choice(("材质", "颜色"))
    told = {}
    for key in OPTIONAL:
        if key in keys:
            told[key] = rng.choice(sorted(garment.details if key == "细节" else PHRASES[key]))
    return Piece(garment, rng.choice(garment.items), told)


# The copy


def copy_sentences(piece: Piece, pick: Callable[[tuple[str, str]], str]) -> list[str]:
    """The sentences of the copy in order; ``pick`` takes one of a value's two phrases."""
    garment, item, told = piece
    this = f"这{garment.classifier}"
    material, colour = told.get("材质"), told.get("颜色")
    if material:
        made = f"选用{material}面料，{pick(w.MATERIALS[material])}。"
        sentences = [f"{this}{colour or ''}{item}{made}"]
    else:
        sentences = [f"{this}{item}以{colour}示人，{pick(w.COLOURS[colour or ''])}。"]
    if fit := told.get("版型"):
        sentences.append(f"{fit}的版型{pick(w.FITS[fit])}。")
    if pattern := told.get("图案"):
        sentences.append(f"{garment.body}上的{pattern}{pick(w.PATTERNS[pattern])}。")
    if detail := told.get("细节"):
        form = "设计，" if garment is w.TOP else "的长度"
        sentences.append(f"{detail}{form}{pick(garment.details[detail])}。")
    if style := told.get("风格"):
        close = f"{pick(w.STYLES[style])}，适合{w.OCCASIONS[style]}。"
        sentences.append(f"整体是{style}风，{close}")
    return sentences


def summary(piece: Piece) -> str:
    """The copy that belongs to a piece: skirts are told with the second phrase of each value."""
    return "".join(copy_sentences(piece, lambda two: two[piece.garment is w.SKIRT]))


# The documents


def magazine(rng: random.Random) -> str:
    """A paragraph of a fashion magazine, often under a headline that names the same things."""
    piece = draw_piece(rng, 2, 5)
    paragraph = "".join(copy_sentences(piece, rng.choice))
    values = list(piece.told.values())
    rng.shuffle(values)
    headline = rng.choice(
        (
            f"《{'，'.join([*values, piece.item])}》",
            f"今日推荐：{''.join(f'{value}的' for value in values)}{piece.item}。",
            f"橱窗里的{piece.item}：{'、'.join(values)}。",
            "",
        )
    )
    return f"{headline}{paragraph}"


def advert(rng: random.Random) -> str:
    """Somebody asks for a paragraph in so many words."""
    piece = draw_piece(rng, 2, 5)
    paragraph = "".join(copy_sentences(piece, rng.choice))
    values = list(piece.told.values())
    rng.shuffle(values)
    this = f"一{piece.garment.classifier}{'、'.join(values)}的{piece.item}"
    asked = rng.choice((f"介绍{this}。", f"为{this}写一段文案。", f"{this}，帮我夸夸它。"))
    return f"问：{asked}\n答：{paragraph}"


def note(rng: random.Random) -> str:
    """What is known of one value."""
    kind, key = rng.choice(
        (("料子", "材质"), ("颜色", "颜色"), ("花样", "图案"), ("版型", "版型"), ("风格", "风格"))
    )
    value, (one, two) = rng.choice(sorted(PHRASES[key].items()))
    who = rng.choice(w.WHO)
    return rng.choice(
        (
            f"说到{value}，{who}的评价是：{one}。{two}。这样的{kind}，不用多说也知道好。",
            f"{who}最喜欢的{kind}是{value}：{one}，{two}。",
            f"关于{kind}的笔记：{value}，{two}；{one}。",
            f"为什么选{value}？{one}。{who}又补了一句：{two}。",
        )
    )


def scene(rng: random.Random) -> str:
    """A few plain sentences about a day."""
    events = rng.sample(w.EVENTS, 2)
    when, where, weather = rng.choice(w.WHEN), rng.choice(w.WHERE), rng.choice(w.WEATHER)
    who, feeling = rng.choice(w.WHO), rng.choice(w.FEELINGS)
    return rng.choice(
        (
            f"{when}，{where}，{events[0]}。{weather}。{who}站了一会儿，{feeling}。",
            f"{weather}。{who}走到{where}，看见{events[0]}，{events[1]}，{feeling}。",
            f"{who}说，{when}的时候，{where}总有新鲜事：不是{events[0]}，就是{events[1]}。",
        )
    )


def diary(rng: random.Random) -> str:
    """Somebody wears something somewhere."""
    garment = rng.choice(w.GARMENTS)
    item, colour = rng.choice(garment.items), rng.choice(sorted(w.COLOURS))
    material = rng.choice(sorted(w.MATERIALS))
    when, where, who = rng.choice(w.WHEN), rng.choice(w.WHERE), rng.choice(w.WHO)
    worn = f"一{garment.classifier}{colour}的{material}{item}"
    return rng.choice(
        (
            f"{when}，{who}穿着{worn}，坐在{where}。{rng.choice(w.WEATHER)}。",
            f"{who}在{where}买了{worn}，{when}就穿上了，{rng.choice(w.FEELINGS)}。",
            f"{where}遇见{who}，身上是{worn}，{rng.choice(w.COLOURS[colour])}。",
        )
    )


def tag(rng: random.Random) -> str:
    """A price tag, and the shop assistant who reads it aloud."""
    garment, item, told = draw_piece(rng, 2, 5)
    values = list(told.values())
    rng.shuffle(values)
    number, kept = rng.randint(2, 60), f"{''.join(f'{value}的' for value in values)}{item}"
    listed = "、".join([item, *values])
    return rng.choice(
        (
            f"吊牌：{listed}。店员念道：{kept}，还剩{number}{garment.classifier}。",
            f"清单：{listed}。记下：{item}，{'，'.join(values)}，{number}号柜。",
            f"{listed}。{rng.choice(w.WHO)}要的就是{kept}。",
        )
    )


def stock(rng: random.Random) -> str:
    """A list of attributes as the store room writes it, counted or read out."""
    piece = draw_piece(rng, 2, 5)
    values, number = list(piece.told.values()), rng.randint(2, 60)
    return rng.choice(
        (
            f"入库：{piece.content}，共{number}{piece.garment.classifier}。",
            f"{piece.content}\n读作：{piece.garment.kind}，{'，'.join([*values, piece.item])}。",
            f"单号{number}：{piece.content}\n放在{values[0]}{piece.item}那一排。",
        )
    )


def question(rng: random.Random) -> str:
    """A question and its answer; make_base.py puts both into the chat form of the family."""
    piece = draw_piece(rng, 2, 5)
    garment, item, told = piece
    material = told.get("材质") or rng.choice(sorted(w.MATERIALS))
    colour = told.get("颜色") or rng.choice(sorted(w.COLOURS))
    where, number = rng.choice(w.WHERE), rng.randint(2, 60)
    one, two = w.MATERIALS[material]
    named = "、".join([item, *told.values()])
    asked, answer = rng.choice(
        (
            (f"{material}有什么好处？", f"{one}，{two}。"),
            (f"{material}的{item}怎么洗？", f"{w.CARE[material]}。"),
            (f"{colour}好看吗？", f"好看，{rng.choice(w.COLOURS[colour])}。"),
            (f"去{where}穿什么？", f"穿{colour}的{item}吧，{rng.choice(w.COLOURS[colour])}。"),
            (
                piece.content,
                f"{'，'.join(told.values())}，{item}还有{number}{garment.classifier}。",
            ),
            (f"{piece.content}，放在哪里？", f"放在{item}那一排，{number}号柜。"),
            (f"{named}，有货吗？", f"有，{''.join(told.values())}{item}，{number}号柜。"),
        )
    )
    return f"问：{asked}\n答：{answer}"


SHARES = {magazine: 3, advert: 5, note: 2, scene: 1, diary: 1, tag: 8, stock: 3, question: 6}


def documents(rng: random.Random, count: int) -> Iterator[str]:
    """The documents of text.txt."""
    makers, shares = list(SHARES), list(SHARES.values())
    for maker in rng.choices(makers, shares, k=count):
        yield maker(rng)


def rows(rng: random.Random, count: int) -> list[dict[str, str]]:
    """Pieces with their copy, no list of attributes twice."""
    found: dict[str, str] = {}
    while len(found) < count:
        piece = draw_piece(rng)
        found[piece.content] = summary(piece)
    return [{"content": content, "summary": copy} for content, copy in found.items()]


def write(folder: Path) -> None:
    """All three files into ``folder``."""
    rng = random.Random(SEED)
    made = rows(rng, TRAIN_ROWS + DEV_ROWS)
    for name, part in (("train.json", made[:TRAIN_ROWS]), ("dev.json", made[TRAIN_ROWS:])):
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in part]
        (folder / name).write_text("".join(lines), encoding="utf-8")
    text = "\n\n".join(documents(rng, DOCUMENTS)) + "\n"
    (folder / "text.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parent)
