"""Rules about special tokens: which id ends a text, which fills it up, and whether the files of a
model agree on it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...params.arch.chatglm import ChatGLM
from ...text import sentence_list
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .beside import (
    GENERATION,
    TOKENIZER,
    added_tokens,
    document,
    example,
    ids,
    model_keys,
    token_name,
    vocabulary,
)
from .examples import CHATGLM, CHATGLM2, DATA
from .lengths import family

IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "mask_token_id", "gmask_token_id")

TEXT_ROWS, IMAGE_ROWS = 130_528, 150_528
"""Rows of ChatGLM-6B's embedding since April 2023, and of its first release, which had 20,000 image
tokens in front."""

TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>")
"""What the chat templates of several families put behind an answer."""

QWEN_ADDED = {"151643": {"content": "<|endoftext|>"}, "151645": {"content": "<|im_end|>"}}


@rule(
    "I101",
    "data.protocol",
    "data.train",
    severity="note",
    source="https://github.com/huggingface/trl/issues/1623",
    flags=Example(
        DATA, documents=(example(TOKENIZER, pad_token="</s>", eos_token={"content": "</s>"}),)
    ),
    allows=Example(DATA, model={**CHATGLM2, "pad_token_id": 2}),
)
def the_end_token_is_the_padding_of_the_tokenizer(it: Subject) -> Iterator[Found]:
    """Programs that take the labels off every token that is the tokenizer's padding then take them
    off the end of each answer too, and the model never learns to stop. foretune masks padding by
    its place and trains the end; the official protocol of ChatGLM-6B masks by the id. The
    pad_token_id of config.json has no part in it.

    有些程序会去掉所有“等于分词器填充词元”的标签，连回答的结束词元也一并去掉，模型就学不会停下。
    foretune 按位置屏蔽填充，结束词元照常训练；ChatGLM-6B 的 official 协议则按 id 屏蔽。这
    与 config.json 的 pad_token_id 无关。
    """
    tokenizer = document(it, TOKENIZER)
    if tokenizer is None or not it.get("launch.train"):
        return
    pad, end = (token_name(tokenizer.keys.get(key)) for key in ("pad_token", "eos_token"))
    if pad is not None and pad == end:
        masks = it.get("data.protocol") == "official" and family(it) is ChatGLM
        yield it.found(
            "data.protocol" if masks else "data.train",
            both(
                f"pad_token and eos_token are both {pad}",
                f"pad_token 与 eos_token 都是 {pad}",
            ),
            fix=both(
                "give the tokenizer a pad_token of its own",
                "给分词器另设一个 pad_token",
            ),
            severity="warning" if masks else None,
            origin=tokenizer.origin("pad_token"),
        )


@rule(
    "I102",
    "config.eos_token_id",
    severity="warning",
    source="transformers 5.23.0, generation/utils.py: without an end id only the length stops it",
    flags=Example(model={key: CHATGLM2[key] for key in CHATGLM2 if key != "eos_token_id"}),
    allows=Example(model=CHATGLM2),
)
def nothing_says_where_an_answer_ends(it: Subject) -> Iterator[Found]:
    """Generation stops at the id that config.json or generation_config.json names. Without one it
    writes on to the limit, whatever the model has learnt.

    生成在 config.json 或 generation_config.json 写明的 id 处停止。没有写明时，无论模型学到什么，都
    会一直写到长度上限。
    """
    generation = document(it, GENERATION)
    told = generation is not None and ids(generation.keys.get("eos_token_id"))
    known = {} if it.model is None else it.model.architecture.keys()
    if "eos_token_id" in known and not told and not ids(it.get("config.eos_token_id")):
        yield it.found(
            "config.eos_token_id",
            both("no eos_token_id is given", "没有写 eos_token_id"),
            fix=both(
                "take config.json as it was published with the weights",
                "使用随权重发布的 config.json",
            ),
        )


@rule(
    "I103",
    "config.eos_token_id",
    severity="warning",
    source="https://github.com/vllm-project/vllm/issues/4180",
    flags=Example(model=CHATGLM2, documents=(example(GENERATION, eos_token_id=[151645, 151643]),)),
    allows=Example(model=CHATGLM2, documents=(example(GENERATION, eos_token_id=[2, 64795]),)),
)
def two_files_name_other_end_tokens(it: Subject) -> Iterator[Found]:
    """Where there is a generation_config.json, generation stops where it says, and not where
    config.json does; programs that read config.json alone stop elsewhere.

    有 generation_config.json 时，生成按它停止，而不按 config.json；只读 config.json 的程序则在别处
    停止。
    """
    generation, own = document(it, GENERATION), ids(model_keys(it).get("eos_token_id"))
    stops = ids(None if generation is None else generation.keys.get("eos_token_id"))
    if generation is not None and own and stops and own.isdisjoint(stops):
        mine, theirs = (sentence_list(sorted(one)) for one in (own, stops))
        yield it.found(
            "config.eos_token_id",
            both(
                f"eos_token_id is {mine} in config.json and {theirs} in generation_config.json",
                f"eos_token_id 在 config.json 中为 {mine}，在 generation_config.json 中为 {theirs}",
            ),
            fix=both("take both files from one model", "两个文件应取自同一个模型"),
            origin=generation.origin("eos_token_id"),
        )


@rule(
    "I104",
    "config.eos_token_id",
    severity="note",
    source="https://github.com/QwenLM/Qwen3/issues/927",
    flags=Example(
        model={**CHATGLM2, "padded_vocab_size": 151936, "eos_token_id": 151643},
        documents=(example(TOKENIZER, eos_token="<|im_end|>", added_tokens_decoder=QWEN_ADDED),),
    ),
    allows=Example(
        model={**CHATGLM2, "padded_vocab_size": 151936, "eos_token_id": 151643},
        documents=(example(TOKENIZER, eos_token="<|endoftext|>", added_tokens_decoder=QWEN_ADDED),),
    ),
)
def the_tokenizer_ends_a_text_in_another_token(it: Subject) -> Iterator[Found]:
    """Programs that end their rows in the tokenizer's end token train one that generation does not
    stop at. foretune adds the end of a turn to where generation stops.

    有些程序在每行末尾加分词器的结束词元，训练的却不是生成时停下的那个。foretune 会把轮次的结束词元
    也加入停止条件。
    """
    tokenizer, generation = document(it, TOKENIZER), document(it, GENERATION)
    if tokenizer is None:
        return
    end = token_name(tokenizer.keys.get("eos_token"))
    number = next((one for one, name in added_tokens(tokenizer).items() if name == end), None)
    stops = ids(model_keys(it).get("eos_token_id"))
    if generation is not None:
        stops |= ids(generation.keys.get("eos_token_id"))
    if number is not None and stops and number not in stops:
        shown = sentence_list(sorted(stops))
        yield it.found(
            "config.eos_token_id",
            both(
                f"the tokenizer ends a text in {end} ({number}), generation stops at {shown}",
                f"分词器以 {end}（{number}）结束文本，而生成在 {shown} 停止",
            ),
            fix=both(
                "name both as eos_token_id in generation_config.json",
                "在 generation_config.json 的 eos_token_id 中写上两者",
            ),
            origin=tokenizer.origin("eos_token"),
        )


@rule(
    "I105",
    *(f"config.{key}" for key in IDS),
    severity="error",
    source="https://github.com/huggingface/transformers/issues/1848",
    flags=Example(model={**CHATGLM2, "eos_token_id": 130005}),
    allows=Example(model=CHATGLM2),
)
def a_special_token_has_no_row_in_the_embedding(it: Subject) -> Iterator[Found]:
    """An id at or above the number of rows has no vector: the model fails at it, on a GPU with a
    device-side assert that names nothing.

    不小于行数的 id 没有对应的向量：模型遇到它就会出错，在 GPU 上只报一个不说明原因
    的 device-side assert。
    """
    rows = vocabulary(it)
    if rows is None or it.model is None:
        return
    known = it.model.architecture.keys()
    for key in (one for one in IDS if one in known):
        over = [one for one in sorted(ids(it.get(f"config.{key}"))) if one >= rows]
        if over:
            yield it.found(
                f"config.{key}",
                both(
                    f"{key} {sentence_list(over)}, and the embedding has {rows:,} rows",
                    f"{key} 为 {sentence_list(over, language='zh')}，而词嵌入只有 {rows:,} 行",
                ),
                fix=both(
                    "take config.json and weights from one published model",
                    "config.json 与权重应取自同一个发布的模型",
                ),
            )


@rule(
    "I106",
    "config.gmask_token_id",
    "config.mask_token_id",
    "config.eos_token_id",
    severity="error",
    source="https://github.com/zai-org/ChatGLM-6B/issues/438",
    flags=Example(
        model={**CHATGLM, "vocab_size": 150528, "bos_token_id": 150004, "eos_token_id": 150005}
    ),
    allows=Example(model=CHATGLM),
    of=(ChatGLM,),
)
def special_ids_are_of_two_releases(it: Subject) -> Iterator[Found]:
    """The first ChatGLM-6B had 20,000 image tokens in front of its vocabulary, so its special
    tokens have ids from 150000 on; since April 2023 they begin at 130000. With ids of both the
    model looks for a token that the tokenizer never writes ("150001 is not in list").

    最初的 ChatGLM-6B 在词表前面有 20,000 个图像词元，特殊词元的 id 从 150000 开始；2023 年 4 月起
    从 130000 开始。两种 id 混用时，模型会去找分词器从不写出的词元（“150001 is not in list”）。
    """
    begin = it.get("config.bos_token_id")
    due = {"mask_token_id": begin - 4, "gmask_token_id": begin - 3, "eos_token_id": begin + 1}
    for key, expected in due.items():
        value = it.get(f"config.{key}")
        if expected not in ids(value):
            yield it.found(
                f"config.{key}",
                both(
                    f"{key} is {value}, and bos_token_id {begin} belongs to {expected}",
                    f"{key} 为 {value}，而与 bos_token_id {begin} 相配的是 {expected}",
                ),
                fix=both(
                    "take config.json, tokenizer and weights from one release",
                    "config.json、分词器和权重应取自同一版本",
                ),
            )


@rule(
    "I107",
    "config.vocab_size",
    severity="error",
    source="https://github.com/zai-org/ChatGLM-6B/issues/387",
    flags=Example(model=CHATGLM, documents=(example(TOKENIZER, num_image_tokens=20000),)),
    allows=Example(model=CHATGLM, documents=(example(TOKENIZER, num_image_tokens=0),)),
    of=(ChatGLM,),
)
def the_tokenizer_counts_image_tokens_that_the_model_lacks(it: Subject) -> Iterator[Found]:
    """num_image_tokens moves every id of ChatGLM-6B's tokenizer. The model with 130,528 rows needs
    0, the first release with 150,528 rows needs 20,000; where the key is missing, the published
    tokenizer takes 20,000 ("piece id is out of range").

    num_image_tokens 会平移 ChatGLM-6B 分词器的所有 id。130,528 行的模型需要 0，最初 150,528 行的版
    本需要 20,000；没有写该键时，官方分词器取 20,000（“piece id is out of range”）。
    """
    tokenizer = document(it, TOKENIZER)
    due = {TEXT_ROWS: 0, IMAGE_ROWS: 20_000}.get(it.get("config.vocab_size") or 0)
    if tokenizer is None or due is None:
        return
    given, rows = tokenizer.keys.get("num_image_tokens", 20_000), it.get("config.vocab_size")
    if given != due:
        yield it.found(
            "config.vocab_size",
            both(
                f"num_image_tokens is {given}, and {rows:,} rows need {due}",
                f"num_image_tokens 为 {given}，而 {rows:,} 行的模型需要 {due}",
            ),
            fix=both(
                f'write "num_image_tokens": {due} in tokenizer_config.json',
                f'在 tokenizer_config.json 里写 "num_image_tokens": {due}',
            ),
            origin=tokenizer.origin("num_image_tokens"),
        )


@rule(
    "I108",
    "model.tokenizer",
    severity="error",
    source="https://github.com/huggingface/transformers/issues/11008",
    flags=Example(
        model=CHATGLM2,
        documents=(example(TOKENIZER, added_tokens_decoder={"65024": {"content": "<new>"}}),),
    ),
    allows=Example(
        model=CHATGLM2,
        documents=(example(TOKENIZER, added_tokens_decoder={"64800": {"content": "<new>"}}),),
    ),
)
def added_tokens_have_no_row_in_the_embedding(it: Subject) -> Iterator[Found]:
    """Tokens that were added to the tokenizer need rows of the embedding. Without them the first
    text that holds one fails.

    给分词器添加的词元需要词嵌入中有对应的行，否则遇到第一个含有它的文本就会出错。
    """
    tokenizer, rows = document(it, TOKENIZER), vocabulary(it)
    if tokenizer is None or rows is None:
        return
    over = {number: name for number, name in added_tokens(tokenizer).items() if number >= rows}
    if over:
        shown = sentence_list((f"{name} ({number})" for number, name in over.items()), most=3)
        yield it.found(
            "model.tokenizer",
            both(
                f"{shown} beyond the {rows:,} rows of the embedding",
                f"{shown} 超出了词嵌入的 {rows:,} 行",
            ),
            fix=both(
                "resize the embedding (model.resize_token_embeddings) and save the model, or take "
                "the published tokenizer",
                "扩大词嵌入（model.resize_token_embeddings）并保存模型，或使用官方分词器",
            ),
            origin=tokenizer.origin("added_tokens_decoder"),
        )


@rule(
    "I109",
    "data.messages_column",
    "data.history_column",
    severity="warning",
    source="https://github.com/hiyouga/LlamaFactory/issues/2509",
    flags=Example(
        {**DATA, "data.messages_column": "messages"},
        documents=(example(TOKENIZER, tokenizer_class="LlamaTokenizer"),),
    ),
    allows=Example(
        {**DATA, "data.messages_column": "messages"},
        documents=(example(TOKENIZER, tokenizer_class="LlamaTokenizer", chat_template="{{ x }}"),),
    ),
)
def conversations_have_no_template(it: Subject) -> Iterator[Found]:
    """A tokenizer without a chat template belongs to a model that goes on with a text. Rounds are
    then set one after another with an end token between, and no mark says who speaks; a chat
    program will ask in another form.

    没有对话模板的分词器属于只会续写的模型。各轮只是依次相连、中间加结束词元，没有任何标记说明是谁在
    说话；对话程序之后会用另一种格式提问。
    """
    tokenizer = document(it, TOKENIZER)
    columns = ("data.messages_column", "data.history_column")
    path = next((one for one in columns if it.get(one) is not None), None)
    if tokenizer is None or path is None or it.model is not None or not it.get("launch.train"):
        return
    if not tokenizer.keys.get("chat_template"):
        yield it.found(
            path,
            both(
                "conversations, and tokenizer_config.json has no chat_template",
                "训练对话数据，但 tokenizer_config.json 没有 chat_template",
            ),
            fix=both(
                "write the chat_template that the model is to be used with (newer models keep it "
                "in chat_template.jinja), or tune the chat version of the model",
                "写上之后使用该模型时的 chat_template（较新的模型放在 chat_template.jinja 里），"
                "或微调该模型的对话版本",
            ),
            origin=tokenizer.origin("tokenizer_class"),
        )


@rule(
    "I110",
    "config.eos_token_id",
    severity="note",
    source="https://github.com/unslothai/unsloth/issues/419",
    flags=Example(
        model={**CHATGLM2, "padded_vocab_size": 151936, "eos_token_id": 151643},
        documents=(
            example(
                TOKENIZER,
                eos_token="<|endoftext|>",
                added_tokens_decoder=QWEN_ADDED,
                chat_template="{{ '<|im_end|>' }}",
            ),
        ),
    ),
    allows=Example(
        model={**CHATGLM2, "padded_vocab_size": 151936, "eos_token_id": [151643, 151645]},
        documents=(
            example(
                TOKENIZER,
                eos_token="<|endoftext|>",
                added_tokens_decoder=QWEN_ADDED,
                chat_template="{{ '<|im_end|>' }}",
            ),
        ),
    ),
)
def turns_end_where_generation_does_not_stop(it: Subject) -> Iterator[Found]:
    """The chat template ends a turn in a token that is no end id. What is trained with it stops
    there; a program that reads the end ids alone writes on, and makes up the next question.
    foretune stops there too.

    对话模板结束一轮所用的词元不在结束 id 之中。用它训练的模型会在那里结束，而只看结束 id 的程序会继
    续写下去，甚至自己编出下一个问题。foretune 会在那里停下。
    """
    tokenizer, generation = document(it, TOKENIZER), document(it, GENERATION)
    if tokenizer is None:
        return
    template = tokenizer.keys.get("chat_template")
    stops = ids(model_keys(it).get("eos_token_id"))
    if generation is not None:
        stops |= ids(generation.keys.get("eos_token_id"))
    if not isinstance(template, str) or not stops:
        return
    own = token_name(tokenizer.keys.get("eos_token"))
    for number, name in added_tokens(tokenizer).items():
        if name in TURN_ENDS and name in template and name != own and number not in stops:
            shown = sentence_list(sorted(stops))
            yield it.found(
                "config.eos_token_id",
                both(
                    f"the chat template ends a turn in {name} ({number}); the end ids are {shown}",
                    f"对话模板以 {name}（{number}）结束一轮，而结束 id 是 {shown}",
                ),
                fix=both(
                    f"write {number} into eos_token_id of generation_config.json as well",
                    f"在 generation_config.json 的 eos_token_id 中也写上 {number}",
                ),
                origin=tokenizer.origin("chat_template"),
            )
