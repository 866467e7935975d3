"""Rules about the rows of a run's files: what was measured of their texts and of their tokens."""

from __future__ import annotations

from collections.abc import Iterator

from ...facts import DataFacts, Seen
from ...params.declare import Words
from ...params.setting import Origin
from ...text import counted, place, sentence_list
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .examples import DATA, measured

MANY = 0.05
"""Share of the rows from which on something is no accident."""

LIMITED = {**DATA, "data.max_source_length": 64, "data.max_target_length": 64}


def limit_of(it: Subject, answer: bool = False) -> str:
    """The limit that bounds an example, or its answer."""
    two = "data.max_target_length" if answer else "data.max_source_length"
    return two if it.get("data.max_length") is None else "data.max_length"


def part(count: int, facts: DataFacts) -> Words:
    """'12 of 243 rows (4.9 %)'."""
    share = count / max(facts.examples, count, 1)
    return both(
        f"{count:,} of {counted(facts.examples, 'row')} ({100 * share:.1f} %)",
        f"{facts.examples:,} 行中有 {count:,} 行（{100 * share:.1f}%）",
    )


def first(facts: DataFacts, rows: Seen) -> Words:
    """', first at train.json:3, train.json:8'."""
    places = dict.fromkeys(place(facts.file, line) for line in rows.lines)
    en, zh = (sentence_list(places, most=3, language=one) for one in ("en", "zh"))
    return both(f"; first at {en}", f"；最先见于 {zh}") if places else both("", "")


def told(rows: Words, en: str, zh: str, where: Words | None = None) -> Words:
    """The rows, what is the case with them, and where."""
    where = where or both("", "")
    return both(f"{rows.en} {en}{where.en}", f"{rows.zh}{zh}{where.zh}")


def at(facts: DataFacts, rows: Seen) -> Origin:
    """The first of the rows."""
    return Origin(facts.file, rows.lines[0] if rows.lines else None)


@rule(
    "T101",
    "data.max_source_length",
    "data.max_length",
    severity="warning",
    source="https://github.com/huggingface/trl/issues/6668",
    flags=Example(DATA, facts=measured(100, damage={"untrained": Seen(7, (3, 9))})),
    allows=Example(DATA, facts=measured(100, damage={"untrained": Seen()})),
)
def rows_train_nothing(it: Subject) -> Iterator[Found]:
    """A row whose answer is cut away whole has no token with a label: it costs its time and teaches
    nothing. A batch of such rows has the loss 0, and the run still looks as if it succeeded.

    回答被整段截掉的行没有任何带标签的词元：照样花时间，却什么也学不到。一个批次里全是这样的行时损失
    为 0，而训练看上去仍然成功。
    """
    train = it.facts.train
    if train is not None and (lost := train.damage.untrained).count:
        yield it.found(
            limit_of(it),
            told(part(lost.count, train), "train nothing", "什么也没训练", first(train, lost)),
            fix=both(
                "raise the limit, shorten the prompts, or leave the official protocol, which cuts "
                "the answer first",
                "调大上限、缩短提示，或不用 official 协议（它最先截掉的是回答）",
            ),
            severity="error" if lost.count == train.examples else None,
        )


@rule(
    "T102",
    "data.max_target_length",
    "data.max_length",
    severity="note",
    source="https://github.com/hiyouga/LlamaFactory/issues/1494",
    flags=Example(LIMITED, facts=measured(100, damage={"answers_cut": 30, "answer_over": 90})),
    allows=Example(LIMITED, facts=measured(100, damage={"answers_cut": 0})),
)
def cut_answers_are_trained_to_stop(it: Subject) -> Iterator[Found]:
    """Behind an answer that is cut these families still put the end token, and train it: the model
    learns to stop in the middle of a sentence once it has written that much.

    这些模型族在截断的回答后面仍然放上结束词元并参与训练：模型会学到写到这个长度就在句子中间停下。
    """
    train = it.facts.train
    cut = 0 if train is None else train.damage.answers_cut - train.damage.ends_lost
    if train is None or cut <= 0:
        return
    path, over = limit_of(it, answer=True), train.damage.answer_over
    yield it.found(
        path,
        told(
            part(cut, train),
            f"lose the end of the answer; the longest is {counted(over, 'token')} over",
            f"的回答被截断，最长的超出 {over:,} 个词元",
        ),
        fix=_raise_limit(it, path, over),
        severity="warning" if cut >= MANY * train.examples else None,
    )


@rule(
    "T103",
    "data.max_target_length",
    "data.max_length",
    severity="note",
    source="https://github.com/hiyouga/LlamaFactory/issues/3945",
    flags=Example(
        {**DATA, "data.max_length": 512},
        facts=measured(100, damage={"answers_cut": 30, "ends_lost": 30, "answer_over": 90}),
    ),
    allows=Example(
        {**DATA, "data.max_length": 512},
        facts=measured(100, damage={"answers_cut": 30, "ends_lost": 0, "answer_over": 90}),
    ),
)
def cut_answers_lose_their_end(it: Subject) -> Iterator[Found]:
    """The end token goes with the end of the answer. From such a row the model learns to write on;
    where most rows are so, it never stops.

    回答被截断时，结束词元也一起丢掉。这样的行教模型一直写下去；若大部分行都如此，模型就停不下来。
    """
    train = it.facts.train
    if train is None or not train.damage.ends_lost:
        return
    lost, over = train.damage.ends_lost, train.damage.answer_over
    path = limit_of(it, answer=True)
    yield it.found(
        path,
        told(
            part(lost, train),
            "lose the end of the answer and its end token; the longest is "
            f"{counted(over, 'token')} over",
            f"的回答连同结束词元被截断，最长的超出 {over:,} 个词元",
        ),
        fix=_raise_limit(it, path, over),
        severity="warning" if lost >= MANY * train.examples else None,
    )


def _raise_limit(it: Subject, path: str, over: int) -> Words:
    """What keeps every token."""
    name, whole = path.partition(".")[2], (it.get(path) or 0) + over
    return both(
        f"{name} {whole:,} keeps them whole; data.overlong drop leaves such rows out",
        f"把 {name} 设为 {whole:,} 可全部保留；data.overlong drop 会舍去这样的行",
    )


@rule(
    "T104",
    "data.max_source_length",
    "data.max_length",
    severity="warning",
    source="https://github.com/hiyouga/LlamaFactory/issues/5759",
    flags=Example(
        LIMITED,
        facts=measured(100, damage={"prompts_cut": 9, "questions_cut": 9, "prompt_over": 40}),
    ),
    allows=Example(LIMITED, facts=measured(100, damage={"prompts_cut": 9, "prompt_over": 40})),
)
def questions_lose_their_end(it: Subject) -> Iterator[Found]:
    """Text that stands before the question often fills the limit, and the question itself is what
    is cut. The model then learns to answer what it was not asked.

    问题前面的文字常常占满上限，被截掉的正是问题本身。模型于是学着回答它没有看到的问题。
    """
    train = it.facts.train
    if train is not None and (cut := train.damage.questions_cut):
        path, over = limit_of(it), train.damage.prompt_over
        yield it.found(
            path,
            told(
                part(cut, train),
                f"lose the end of the question; the longest is {counted(over, 'token')} over",
                f"的问题末尾被截断，最长的超出 {over:,} 个词元",
            ),
            fix=_raise_limit(it, path, over),
        )


@rule(
    "T105",
    "data.max_source_length",
    "data.max_length",
    severity="note",
    source="https://github.com/hiyouga/LlamaFactory/issues/1665",
    flags=Example(LIMITED, facts=measured(100, damage={"prompts_cut": 9, "prompt_over": 40})),
    allows=Example(LIMITED, facts=measured(100)),
)
def earlier_rounds_are_left_out(it: Subject) -> Iterator[Found]:
    """Of a conversation that is too long the oldest rounds go until the rest fits. What they
    settled, a name or a topic, is missing from what is trained.

    对话过长时会从最早的轮次开始舍去，直到放得下。那些轮次里交代过的内容，训练时就看不到了。
    """
    train = it.facts.train
    cut = 0 if train is None else train.damage.prompts_cut - train.damage.questions_cut
    if train is not None and cut > 0:
        path, over = limit_of(it), train.damage.prompt_over
        yield it.found(
            path,
            told(
                part(cut, train),
                f"lose earlier text of the prompt; the longest is {counted(over, 'token')} over",
                f"的提示前文被舍去，最长的超出 {over:,} 个词元",
            ),
            fix=_raise_limit(it, path, over),
        )


@rule(
    "T106",
    "data.overlong",
    severity="note",
    source="https://github.com/modelscope/ms-swift/issues/6557",
    flags=Example(
        {**LIMITED, "data.overlong": "drop"},
        facts=measured(100, examples=70, damage={"dropped": 30}),
    ),
    allows=Example({**LIMITED, "data.overlong": "drop"}, facts=measured(100)),
)
def rows_are_left_out_for_their_length(it: Subject) -> Iterator[Found]:
    """Rows over the limits are not trained on, so an epoch has fewer steps than the file has rows
    for, and what is left is the short part of the data.

    超过上限的行不参与训练，因此每轮的步数比文件行数对应的少，留下来的是数据中较短的部分。
    """
    train = it.facts.train
    if train is not None and (lost := train.damage.dropped):
        share = lost / max(train.rows, 1)
        yield it.found(
            "data.overlong",
            both(
                f"{lost:,} of {counted(train.rows, 'row')} are left out ({100 * share:.1f} %)",
                f"{train.rows:,} 行中有 {lost:,} 行因过长被舍去（{100 * share:.1f}%）",
            ),
            fix=both("raise the limits if these rows matter", "如果这些行重要，就调大上限"),
            severity="warning" if share >= 0.2 else None,
        )


@rule(
    "T107",
    "data.train",
    severity="note",
    source="arXiv:2107.06499",
    flags=Example(DATA, facts=measured(100, texts={"repeated": Seen(12, (5, 8))})),
    allows=Example(DATA, facts=measured(100, texts={"repeated": Seen()})),
)
def rows_repeat_others(it: Subject) -> Iterator[Found]:
    """A row that stands in the file several times is trained that many times in every epoch, and is
    what the model learns by heart first. Where one copy is in the validation file, the loss there
    shows memory.

    在文件里重复出现的行，每轮都会训练那么多次，最先被背下来。如果其中一份在验证集里，那里的损失反映
    的就是记忆。
    """
    train = it.facts.train
    if train is not None and (again := train.texts.repeated).count:
        yield it.found(
            "data.train",
            told(
                part(again.count, train),
                "repeat an earlier row word for word",
                "与前面的行逐字相同",
                first(train, again),
            ),
            fix=both(
                "keep one of each, unless the weight is meant",
                "各保留一行，除非有意增加权重",
            ),
            severity="warning" if again.count >= 2 * MANY * train.examples else None,
            origin=at(train, again),
        )


@rule(
    "T108",
    "data.train",
    severity="note",
    source="foretune.data: the answer is trained as it stands, whatever the question says",
    flags=Example(DATA, facts=measured(100, texts={"echoed": Seen(12, (5, 8))})),
    allows=Example(DATA, facts=measured(100, texts={"echoed": Seen()})),
)
def answers_repeat_their_question(it: Subject) -> Iterator[Found]:
    """Such a row teaches the model to say what it was asked. Where there are many, a column was
    probably copied or named twice.

    这样的行教模型照着问题复述。数量多时，多半是列复制错了或写错了列名。
    """
    train = it.facts.train
    if train is not None and (same := train.texts.echoed).count:
        yield it.found(
            "data.train",
            told(
                part(same.count, train),
                "answer with their own question",
                "的回答就是问题本身",
                first(train, same),
            ),
            fix=both("mend the rows, or leave them out", "改正这些行，或舍去"),
            severity="warning" if same.count >= MANY * train.examples else None,
            origin=at(train, same),
        )


@rule(
    "T109",
    "data.train",
    severity="note",
    source="foretune.data: blanks are tokens, and the answer's are trained",
    flags=Example(DATA, facts=measured(100, texts={"trailing": Seen(90, (1, 2))})),
    allows=Example(DATA, facts=measured(100, texts={"trailing": Seen(2, (1, 2))})),
)
def answers_end_in_blanks(it: Subject) -> Iterator[Found]:
    """Blanks and line ends behind an answer are tokens with a label: the model learns to write them
    before it stops.

    回答末尾的空格和换行也是带标签的词元：模型会学到先写出它们再停下。
    """
    train = it.facts.train
    if train is not None and (rows := train.texts.trailing).count >= MANY * train.examples > 0:
        yield it.found(
            "data.train",
            told(
                part(rows.count, train),
                "end their answer in blanks or empty lines",
                "的回答以空格或空行结尾",
                first(train, rows),
            ),
            fix=both("strip the answers", "去掉回答末尾的空白"),
            origin=at(train, rows),
        )


@rule(
    "T110",
    "data.bad_rows",
    severity="warning",
    source="https://github.com/hiyouga/LlamaFactory/issues/2962",
    flags=Example(
        {**DATA, "data.bad_rows": "skip"},
        facts=measured(100, bad=9, texts={"out_of_turn": Seen(8, (4,))}),
    ),
    allows=Example({**DATA, "data.bad_rows": "skip"}, facts=measured(100, bad=0)),
)
def bad_rows_are_skipped(it: Subject) -> Iterator[Found]:
    """Rows that cannot be read are counted and left out. Conversations in which one side speaks
    twice in a row, or which end with a question, are among them; joined, they could be trained.

    无法读取的行会计数并跳过。其中包括同一方连说两句、或以提问结尾的对话；合并之后它们本来可以训练。
    """
    train = it.facts.train
    if train is not None and train.bad:
        turns = train.texts.out_of_turn
        of_turn = (
            both(f", {turns.count:,} for turns out of order", f"，其中 {turns.count:,} 行轮次错乱")
            if turns.count
            else both("", "")
        )
        where = first(train, turns)
        yield it.found(
            "data.bad_rows",
            both(
                f"{train.bad:,} of {counted(train.rows, 'row')} are skipped{of_turn.en}{where.en}",
                f"{train.rows:,} 行中跳过 {train.bad:,} 行{of_turn.zh}{where.zh}",
            ),
            fix=both(
                "set data.bad_rows to refuse: every such row is then named with what is wrong",
                "把 data.bad_rows 设为 refuse：会逐行指出问题",
            ),
            severity=None if train.bad >= 0.01 * train.rows else "note",
        )


@rule(
    "T111",
    "data.prompt_column",
    "data.response_column",
    "data.messages_column",
    severity="note",
    source="https://github.com/zai-org/ChatGLM2-6B/blob/main/ptuning/main.py",
    flags=Example(
        {**DATA, "data.prompt_column": "input", "data.response_column": "output"},
        facts=measured(100, examples=40, empty=60),
    ),
    allows=Example(
        {**DATA, "data.prompt_column": "instruction", "data.response_column": "output"},
        facts=measured(100, empty=0),
    ),
)
def rows_are_left_out_for_empty_columns(it: Subject) -> Iterator[Found]:
    """A row without a question or without an answer is left out; the authors' script does so
    without a word. In data of the Alpaca kind "input" is empty in most rows, and the question
    stands in "instruction".

    没有问题或没有回答的行会被舍去，官方脚本对此不作任何提示。Alpaca 格式的数据中，“input”列大多为
    空，问题写在“instruction”里。
    """
    train = it.facts.train
    if train is not None and train.empty:
        share = train.empty / train.rows
        path = "data.messages_column" if it.get("data.messages_column") else "data.prompt_column"
        yield it.found(
            path,
            both(
                f"{train.empty:,} of {counted(train.rows, 'row')} are left out, for they have no "
                "question or no answer",
                f"{train.rows:,} 行中有 {train.empty:,} 行没有问题或没有回答，被舍去",
            ),
            fix=both(
                "name the column that holds the question, or fill it from both",
                "写真正存放问题的列，或把两列合并成一列",
            ),
            severity="warning" if share >= 0.1 else None,
        )


@rule(
    "T112",
    "data.reading",
    severity="warning",
    source="https://github.com/hiyouga/LlamaFactory/issues/8720",
    flags=Example(
        {**DATA, "data.reading": "published"},
        facts=measured(100, texts={"commands": Seen(3, (6,))}),
    ),
    allows=Example(
        {**DATA, "data.reading": "published"}, facts=measured(100, texts={"commands": Seen()})
    ),
)
def texts_give_orders_to_the_model(it: Subject) -> Iterator[Found]:
    """Read as published, the name of a control token in a text becomes that token: the row can end
    its own answer, or go on as another speaker.

    按官方方式读取时，文字里出现的控制词元名会变成该词元本身：这一行可能提前结束自己的回答，或冒充另
    一个说话者。
    """
    train = it.facts.train
    if train is not None and (rows := train.texts.commands).count:
        yield it.found(
            "data.reading",
            told(
                part(rows.count, train),
                "hold the name of a control token, which is read as that token",
                "含有控制词元的名字，会被当作控制词元",
                first(train, rows),
            ),
            fix=both(
                "set data.reading to plain, unless these tokens are meant",
                "把 data.reading 设为 plain，除非确实想写控制词元",
            ),
            change={"data.reading": "plain"},
        )


@rule(
    "T113",
    "data.train",
    "data.reading",
    severity="note",
    source="https://github.com/unslothai/unsloth/issues/416",
    flags=Example(DATA, facts=measured(100, texts={"spelt_out": Seen(95, (1, 2))})),
    allows=Example(DATA, facts=measured(100, texts={"spelt_out": Seen()})),
)
def answers_spell_out_control_tokens(it: Subject) -> Iterator[Found]:
    """The end token is put behind every answer by itself. One that is written into the text stays
    the letters that it is spelt with, and the model learns to write these letters.

    结束词元会自动加在每个回答后面。写进文字里的只是那几个字符，模型会学着把这些字符写出来。
    """
    train = it.facts.train
    if train is not None and (rows := train.texts.spelt_out).count:
        yield it.found(
            "data.train",
            told(
                part(rows.count, train),
                "spell out the name of a control token in the answer",
                "在回答里写出了控制词元的名字",
                first(train, rows),
            ),
            fix=both("take it out of the texts", "从文字中去掉"),
            severity="warning" if rows.count >= MANY * train.examples else None,
            origin=at(train, rows),
        )
