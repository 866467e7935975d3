"""What the model learns from: files, columns, lengths.

Source: THUDM/ChatGLM-6B and THUDM/ChatGLM2-6B, ptuning/main.py, arguments.py and
trainer_seq2seq.py; baichuan-inc/Baichuan2, fine-tune/fine-tune.py; and foretune's own reading of
rows.
"""

from typing import Literal

from .declare import Section, param

LARGE = 5_000
"""Rows from which on starting processes costs less than it saves."""


class Data(Section):
    """What the model learns from: files, columns and the limits on their length.

    模型学习的数据：文件、列，以及长度上限。
    """

    train: str | None = param(None, matters=2)
    """File of training rows: JSON objects, one per line or in one list, or CSV.

    训练数据文件：JSON 对象（每行一个，或整体为一个列表），也可以是 CSV。
    """

    validation: str | None = param(None, matters=2)
    """File of the rows that evaluation uses. Naming it evaluates nothing; that must be asked for.

    评估所用数据的文件。仅仅写上它并不会触发评估，评估需要另外打开。
    """

    test: str | None = param(None, matters=2)
    """File of the rows that prediction answers and scores. Naming it predicts nothing; that must be
    asked for.

    预测所用数据的文件：模型逐行作答并计算指标。仅仅写上它并不会触发预测，预测需要另外打开。
    """

    dataset: str | None = param(None)
    """Name of a hub dataset to take the rows from instead of files.

    不用文件而从 hub 取数据时，数据集的名称。
    """

    dataset_part: str | None = param(None)
    """Which configuration of the hub dataset, where it has several.

    hub 数据集有多个配置时，取其中哪一个。
    """

    prompt_column: str | None = param(None, matters=2)
    """Column with the question. A row in which it is empty is not trained on.

    问题所在的列。该列为空的行不参与训练。
    """

    response_column: str | None = param(None, matters=2)
    """Column with the answer; only its tokens carry a loss. A row in which it is empty is not
    trained on.

    回答所在的列，只有回答的词元计算损失。该列为空的行不参与训练。
    """

    history_column: str | None = param(None)
    """Column with the earlier turns, a list of [question, answer] pairs. They become part of the
    prompt, so nothing in them is trained on.

    历史对话所在的列，内容为若干“问、答”对。它们拼入提示词，因此不参与损失计算。
    """

    messages_column: str | None = param(None, matters=2)
    """Column with a whole conversation, a list of messages, each with who says it and what; it
    stands in place of the prompt, response and history columns. Roles may be spelt role/content or
    from/value.

    整段对话所在的列：若干条消息的列表，每条写明由谁说、说了什么。它取代提示、回答和历史三列。键名可
    以是 role/content，也可以是 from/value。
    """

    trained_answers: Literal["last", "every"] | None = param(
        None,
        matters=2,
        when_unset=(
            "every one with data.messages_column, else the last",
            "有 data.messages_column 时为每一个，否则只有最后一个",
        ),
    )
    """Which answers of a conversation carry a loss. Every answer costs no more than the last one
    alone: the tokens run through the model either way.

    对话中哪些回答计算损失。训练每一个回答并不比只训练最后一个更费时：无论如何这些词元都要经过模型。
    """

    source_prefix: str = param("")
    """Text in front of every prompt, before the round marks of a dialogue; its tokens count as
    prompt.

    加在每条提示词最前面的文字，位于对话轮次标记之前；它的词元计入提示词长度。
    """

    max_source_length: int = param(1024, at_least=1, matters=3, unit="tokens")
    """Most tokens of a prompt, its history and special tokens included. The authors' code cuts what
    is over at the end, so in a long dialogue the newest question is lost first.

    提示词的最大词元数，历史对话和特殊词元都算在内。官方代码从末尾截断超出的部分，因此长对话最先丢失
    的是最新的问题。
    """

    max_target_length: int = param(128, at_least=1, matters=3, unit="tokens")
    """Most tokens of an answer; the rest is not learnt. In the authors' code a cut answer still
    gets its end token, so the model learns to stop there. ChatGLM-6B counts its two closing special
    tokens in it, ChatGLM2-6B adds the end token on top.

    回答的最大词元数；超出部分学不到。官方代码在截断的回答后面仍加结束词元，模型因此学会在那里停
    下。ChatGLM-6B 的起止特殊词元算在其中，ChatGLM2-6B 的结束词元另加在后面。
    """

    max_length: int | None = param(
        None,
        at_least=1,
        matters=2,
        unit="tokens",
        when_unset=(
            "data.max_source_length + data.max_target_length and the end token",
            "data.max_source_length + data.max_target_length 再加结束词元",
        ),
    )
    """Most tokens of a whole training example, prompt and answers together: the one limit of the
    programs that have no two. Where it is written, the two others no longer bound an example in
    training; the oldest rounds of a conversation go first. The ChatGLM families and the original
    Transformer have two limits and do not read it.

    一个训练样本（提示与全部回答合计）的最大词元数，对应那些只有一个长度上限的程序。写上它以后，另外
    两个上限在训练中不再限制样本；超出时先舍去对话中最早的轮次。ChatGLM 各系列和原始 Transformer 有
    两个上限，不读取它。
    """

    max_eval_target_length: int | None = param(
        None, at_least=1, unit="tokens", when_unset="data.max_target_length"
    )
    """Most tokens of a reference answer in evaluation and prediction. What is cut from a reference
    is not scored either.

    评估与预测时参考答案的最大词元数。参考答案被截掉的部分也不参与评分。
    """

    max_train_rows: int | None = param(
        None, at_least=1, unit="rows", when_unset=("all rows", "所有行")
    )
    """Train on the first so many rows of the file only, for a trial run.

    只用文件开头的这么多行来训练，便于试跑。
    """

    max_eval_rows: int | None = param(
        None, at_least=1, unit="rows", when_unset=("all rows", "所有行")
    )
    """Evaluate on the first so many rows only; generating answers for all of them can take longer
    than training.

    只评估开头的这么多行；若要生成回答，全部跑完可能比训练还久。
    """

    max_predict_rows: int | None = param(
        None, at_least=1, unit="rows", when_unset=("all rows", "所有行")
    )
    """Predict on the first so many rows only.

    只对开头的这么多行做预测。
    """

    pad_to_max_length: bool = param(False, matters=2)
    """Pad every training example to both limits together instead of to the longest of its batch.
    What is learnt stays the same; time and activation memory go to padding. The authors' scripts
    always pad so and never read this flag.

    把每个训练样本都填充到两个上限之和，而不是只填充到同批最长的样本。学到的内容不变，时间和激活显存
    却花在填充上。官方脚本总是这样填充，并不读取这个参数。
    """

    ignore_pad_in_loss: bool = param(True, matters=2)
    """Leave padding out of the loss. Otherwise the model is trained to write padding, and in the
    ChatGLM2-6B script every position of the prompt is trained to be padding too.

    填充位置不计入损失。否则模型会去学习输出填充词元；在 ChatGLM2-6B 的脚本里，连提示词的每个位置也
    会被训练成填充词元。
    """

    protocol: Literal["default", "official"] = param("default", matters=2)
    """How rows become tokens and labels: token for token as the authors' main.py does it, to repeat
    its results, or the same with those places mended where it damages rows.

    数据行如何变成词元与标签：要么逐词元照官方 main.py 处理，以便复现它的结果；要么只改掉其中会损坏
    数据的地方。
    """

    reading: Literal["plain", "published"] | None = param(
        None,
        matters=2,
        when_unset=(
            "published with the official protocol, else plain",
            "采用官方协议时为 published，否则为 plain",
        ),
    )
    """What becomes of a control token's name in a user's text, such as an end mark. Read plainly it
    stays the letters that were written; the published tokenizers turn it into the token itself, so
    a row can end its own answer or pose as another speaker.

    用户文字中出现控制词元的名字（例如结束标记）时如何处理。按普通文字读取时，它仍是写下的那些字符；
    官方分词器则把它变成该控制词元，于是一行数据可以提前结束回答，或冒充另一个说话者。
    """

    overlong: Literal["cut", "drop", "refuse"] = param("cut", matters=2)
    """What happens to a row longer than its limits: it is cut, it is left out, or the run does not
    start and names the rows. An answer that is cut can teach the model to stop in the middle.

    超过长度上限的行如何处理：截断、整行舍去，或者拒绝开始并列出这些行。被截断的回答可能教会模型话说
    到一半就停。
    """

    bad_rows: Literal["refuse", "skip"] = param("refuse")
    """What happens to rows that cannot be read or lack a column: the run does not start and names
    the lines, or they are left out and counted.

    无法解析或缺少列的行如何处理：拒绝开始并指出行号，或者跳过并计数。
    """

    workers: int | None = param(
        None, at_least=1, unit="processes", when_unset=("no extra process", "没有额外进程")
    )
    """Processes that turn rows into tokens before training. The result does not depend on it.

    训练前把文本转成词元所用的进程数，不影响结果。
    """

    @property
    def read_as(self) -> Literal["plain", "published"]:
        """``reading``, or what it is where nobody wrote it."""
        return self.reading or ("published" if self.protocol == "official" else "plain")

    @property
    def answers(self) -> Literal["last", "every"]:
        """``trained_answers``, or what it is where nobody wrote it."""
        return self.trained_answers or ("last" if self.messages_column is None else "every")
