"""Rules about which files, columns and rows a run reads, and how it reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from ...params.arch.chatglm import ChatGLM
from ...params.arch.llama3 import ModelArgs
from ...params.arch.transformer import Transformer
from ...params.data import LARGE
from ...text import sentence_list
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .examples import CHATGLM, CHATGLM2, DATA, LLAMA3, TRANSFORMER, measured
from .lengths import family


def same_file(first: str | None, second: str | None) -> bool:
    """Whether two names are of one file, as far as names say."""
    return first is not None and second is not None and PurePath(first) == PurePath(second)


@rule(
    "T301",
    "data.validation",
    severity="warning",
    source="foretune.train.conduct: scores are over the rows of the file that is named",
    flags=Example({**DATA, "data.validation": "./train.json", "record.eval_strategy": "epoch"}),
    allows=Example({**DATA, "data.validation": "dev.json", "record.eval_strategy": "epoch"}),
)
def the_model_is_evaluated_on_what_it_trained(it: Subject) -> Iterator[Found]:
    """On rows that it has trained on, a model shows how well it knows them by heart. The loss falls
    all the way while the answers to anything else get worse.

    在训练过的数据上评估，看到的只是背诵得如何。损失会一路下降，而对其他问题的回答却在变差。
    """
    validation = it.get("data.validation")
    if it.run.evaluates and it.get("launch.train") and same_file(it.get("data.train"), validation):
        yield it.found(
            "data.validation",
            both(f"{validation} is the training file", f"{validation} 就是训练文件"),
            fix=both(
                "keep some rows apart in a file of their own",
                "把一部分数据单独留在另一个文件里",
            ),
        )


@rule(
    "T302",
    "data.test",
    severity="warning",
    source="foretune.train.conduct: scores are over the rows of the file that is named",
    flags=Example({**DATA, "data.test": "train.json", "launch.predict": True}),
    allows=Example({**DATA, "data.test": "dev.json", "launch.predict": True}),
)
def the_model_is_tested_on_what_it_trained(it: Subject) -> Iterator[Found]:
    """BLEU and ROUGE on rows of the training file measure memory; they say nothing about a question
    that the model has not seen.

    在训练文件上计算的 BLEU 和 ROUGE 衡量的是记忆，说明不了模型如何回答没见过的问题。
    """
    test = it.get("data.test")
    both_run = it.get("launch.predict") and it.get("launch.train")
    if both_run and same_file(it.get("data.train"), test):
        yield it.found(
            "data.test",
            both(f"{test} is the training file", f"{test} 就是训练文件"),
            fix=both("name a file of other rows", "换成另一份数据"),
        )


@rule(
    "T303",
    "data.max_train_rows",
    severity="note",
    source="transformers 4, examples run_summarization.py: 'for debugging purposes'",
    flags=Example({**DATA, "data.max_train_rows": 100}, facts=measured(100)),
    allows=Example({**DATA, "data.max_train_rows": 100}, facts=measured(40)),
)
def a_trial_is_left_in_the_run(it: Subject) -> Iterator[Found]:
    """Rows behind this number are never read. It is meant for a trial run and is easily left in.

    这个数目之后的行不会被读取。它是为试跑准备的，容易忘记去掉。
    """
    most, train = it.get("data.max_train_rows"), it.facts.train
    name = it.origin("data.max_train_rows").spelling.split(" ")[0].removeprefix("--")
    if most is not None and it.get("launch.train") and (train is None or train.rows >= most):
        yield it.found(
            "data.max_train_rows",
            both(
                f"only the first {most:,} rows of the file train",
                f"只有文件开头的 {most:,} 行参与训练",
            ),
            fix=both(f"leave {name} out to train on all", f"去掉 {name} 即可"),
        )


@rule(
    "T304",
    "data.response_column",
    severity="warning",
    source="foretune.data.rows: both are read from the column that is named",
    flags=Example({**DATA, "data.prompt_column": "text", "data.response_column": "text"}),
    allows=Example({**DATA, "data.prompt_column": "content", "data.response_column": "summary"}),
)
def the_answer_is_the_question(it: Subject) -> Iterator[Found]:
    """Prompt and answer from one column: the model is trained to repeat what it is told.

    提示和回答取自同一列：模型学到的是复述。
    """
    prompt, response = it.get("data.prompt_column"), it.get("data.response_column")
    if prompt is not None and prompt == response and it.get("data.messages_column") is None:
        yield it.found(
            "data.response_column",
            both(
                f"prompt and response are both of the column {prompt!r}",
                f"提示和回答都取自 {prompt!r} 列",
            ),
            fix=both("name the column with the answers", "写存放回答的列"),
        )


@rule(
    "T305",
    "data.prompt_column",
    "data.response_column",
    "data.history_column",
    severity="warning",
    source="foretune.data.rows: a conversation stands in place of the other columns",
    flags=Example({**DATA, "data.messages_column": "messages", "data.prompt_column": "content"}),
    allows=Example({**DATA, "data.messages_column": "messages"}),
)
def columns_are_named_beside_whole_conversations(it: Subject) -> Iterator[Found]:
    """Where one column holds whole conversations, question, answer and history are taken from it,
    and columns that are named for them are not read.

    整段对话放在一列时，问题、回答和历史都取自该列，另外为它们指定的列不会被读取。
    """
    paths = ("data.prompt_column", "data.response_column", "data.history_column")
    named = [path for path in paths if it.get(path) is not None]
    if it.get("data.messages_column") is not None and named:
        names = sentence_list(path.partition(".")[2] for path in named)
        yield it.found(
            named[0],
            both(
                f"{names} beside messages_column {it.get('data.messages_column')!r}",
                f"已有 messages_column {it.get('data.messages_column')!r}，又写了 {names}",
            ),
            fix=both("leave one or the other out", "两种写法只保留一种"),
        )


@rule(
    "T306",
    "data.trained_answers",
    severity="error",
    source="https://github.com/zai-org/ChatGLM-6B/blob/main/ptuning/main.py",
    flags=Example({**DATA, "data.messages_column": "messages"}, model=CHATGLM),
    allows=Example(
        {**DATA, "data.messages_column": "messages", "data.trained_answers": "last"}, model=CHATGLM
    ),
)
def every_answer_is_to_train_and_only_the_last_can(it: Subject) -> Iterator[Found]:
    """ChatGLM-6B reads earlier rounds as one text in which no end token follows an answer: trained,
    those answers would teach it never to stop. foretune refuses.

    ChatGLM-6B 把较早的轮次当作一整段文字，回答后面没有结束词元；训练它们会教模型停不下来。
    foretune 会拒绝。
    """
    every = it.get("data.trained_answers") == "every"
    if every and family(it) is ChatGLM and it.get("launch.train"):
        yield it.found(
            "data.trained_answers",
            both(
                "every answer of a conversation is to be trained",
                "要求训练对话中的每一个回答",
            ),
            fix=both(
                "set data.trained_answers to last, and give each answer that is to be trained a "
                "row of its own",
                "把 data.trained_answers 设为 last，需要训练的回答各占一行",
            ),
            change={"data.trained_answers": "last"} if it.written("data.trained_answers") else None,
        )


@rule(
    "T307",
    "data.source_prefix",
    severity="note",
    source="foretune.data.chatglm, after ptuning/main.py: prefix + prompt, with nothing between",
    flags=Example({**DATA, "data.source_prefix": "Translate:"}),
    allows=Example({**DATA, "data.source_prefix": "Translate: "}),
)
def the_prefix_is_glued_to_the_question(it: Subject) -> Iterator[Found]:
    """Nothing is put between the prefix and what follows: "Translate:" and "hello" make
    "Translate:hello", which are other tokens.

    前缀与后面的文字之间不会加任何东西：“Translate:”加“hello”就是“Translate:hello”，词元也随之
    不同。
    """
    prefix = it.get("data.source_prefix")
    if prefix and prefix[-1].isascii() and not prefix[-1].isspace():
        yield it.found(
            "data.source_prefix",
            both(
                f"source_prefix {prefix!r} ends without a blank",
                f"source_prefix {prefix!r} 末尾没有空格",
            ),
            fix=both("end it in a blank or a line end", "在末尾加上空格或换行"),
        )


@rule(
    "T308",
    "data.protocol",
    severity="error",
    source="foretune.data.chat_template: there is no code of the authors to follow",
    flags=Example({**DATA, "data.protocol": "official"}, model=LLAMA3),
    allows=Example({**DATA, "data.protocol": "official"}, model=CHATGLM2),
)
def no_official_code_is_there_to_follow(it: Subject) -> Iterator[Found]:
    """The protocol "official" repeats the authors' training script token for token. For this model
    its authors have published none; its rows are written by its own chat template.

    official 协议逐词元复现作者的训练脚本。该模型的作者没有发布这样的脚本，数据由它自带的对话模板写
    成。
    """
    if it.get("data.protocol") == "official" and family(it) in (ModelArgs, Transformer):
        fails = family(it) is ModelArgs
        yield it.found(
            "data.protocol",
            both("data.protocol official", "data.protocol 为 official"),
            fix=both("leave it out", "去掉它"),
            severity="error" if fails else "note",
            change={"data.protocol": "default"},
        )


@rule(
    "T309",
    "data.history_column",
    severity="warning",
    source="foretune.data.transformer: a row with rounds is refused",
    flags=Example({**DATA, "data.history_column": "history"}, model=TRANSFORMER),
    allows=Example({**DATA, "data.history_column": "history"}, model=CHATGLM2),
)
def a_translator_is_given_conversations(it: Subject) -> Iterator[Found]:
    """The original Transformer turns one text into another and knows no rounds: the first row that
    has earlier ones ends the run before it begins.

    原始 Transformer 把一段文字变成另一段，没有轮次的概念：遇到第一行带历史的数据，训练就不会开始。
    """
    if it.get("data.history_column") is not None and family(it) is Transformer:
        yield it.found(
            "data.history_column",
            both(
                f"history_column {it.get('data.history_column')!r} with the original Transformer",
                f"原始 Transformer 使用了 history_column {it.get('data.history_column')!r}",
            ),
            fix=both("leave it out", "去掉它"),
        )


@rule(
    "T310",
    "data.workers",
    severity="note",
    source="https://github.com/huggingface/datasets/issues/6237",
    flags=Example({**DATA, "data.workers": 10}, facts=measured(243)),
    allows=Example({**DATA, "data.workers": 10}, facts=measured(114_599)),
)
def processes_are_started_for_few_rows(it: Subject) -> Iterator[Found]:
    """Starting processes, each with a copy of the tokenizer, takes longer than encoding so few rows
    in one; foretune then starts none. The result is the same.

    启动多个进程（每个都带一份分词器）比用一个进程处理这么少的数据更慢，foretune 此时不会启动。结果
    相同。
    """
    workers, train = it.get("data.workers"), it.facts.train
    if workers and workers > 1 and train is not None and train.rows < LARGE:
        yield it.found(
            "data.workers",
            both(
                f"preprocessing_num_workers {workers} for {train.rows:,} rows",
                f"{train.rows:,} 行数据用 preprocessing_num_workers {workers}",
            ),
            fix=both("leave it out", "去掉它"),
        )


@rule(
    "T311",
    "data.dataset",
    severity="note",
    source="foretune.data.read: a file that is named counts, and not the data set",
    flags=Example({**DATA, "data.dataset": "owner/name"}),
    allows=Example({"launch.train": True, "data.dataset": "owner/name"}),
)
def a_file_stands_in_front_of_the_dataset(it: Subject) -> Iterator[Found]:
    """For each use of the data the file counts where one is named, and the hub data set only where
    none is: training rows may come from here and validation rows from there.

    每种用途都优先读取所写的文件，没有写文件才取自 hub 数据集：训练数据与验证数据可能来自两处。
    """
    train, dataset = it.get("data.train"), it.get("data.dataset")
    if dataset is not None and train is not None and it.get("launch.train"):
        yield it.found(
            "data.dataset",
            both(
                f"dataset_name {dataset} beside train_file {train}: the file is read",
                f"dataset_name {dataset} 与 train_file {train} 同时写出：读取的是文件",
            ),
            fix=both("leave one of them out", "只保留其中一个"),
        )


@rule(
    "T312",
    "data.max_eval_rows",
    "data.max_predict_rows",
    "data.max_eval_target_length",
    severity="note",
    source="https://github.com/zai-org/ChatGLM2-6B/blob/main/ptuning/main.py",
    flags=Example({**DATA, "data.max_eval_rows": 100}),
    allows=Example(
        {
            **DATA,
            "data.max_eval_rows": 100,
            "data.validation": "dev.json",
            "record.eval_strategy": "epoch",
        }
    ),
)
def limits_are_written_for_rows_that_are_not_read(it: Subject) -> Iterator[Found]:
    """It is about rows of an evaluation or a prediction, and this run makes none.

    它只对评估或预测所用的数据起作用，而本次运行两者都没有。
    """
    reads = {
        "data.max_eval_rows": it.run.evaluates,
        "data.max_predict_rows": it.get("launch.predict"),
        "data.max_eval_target_length": it.run.evaluates or it.get("launch.predict"),
    }
    for path, read in reads.items():
        if it.written(path) and it.get(path) is not None and not read and it.get("launch.train"):
            name = path.partition(".")[2]
            yield it.found(
                path,
                both(f"{name} {it.get(path):,} has no effect", f"{name} {it.get(path):,} 不起作用"),
                fix=both(
                    "leave it out, or ask for evaluation (eval_strategy) or prediction",
                    "去掉它，或打开评估（eval_strategy）或预测",
                ),
            )
