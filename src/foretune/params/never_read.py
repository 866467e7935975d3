"""Arguments of the authors' ptuning/main.py that change nothing.

Source: THUDM/ChatGLM-6B (401bf3a) and THUDM/ChatGLM2-6B (cb8e8b4), ptuning/arguments.py and
main.py.
"""

from .declare import Section, param


class NeverRead(Section):
    """Arguments of the authors' main.py that change nothing: they came with transformers'
    summarization example, from which it was made.

    官方 main.py 中不起作用的参数：它由 transformers 的摘要示例改写而来，这些参数随之留下。
    """

    use_fast_tokenizer: bool = param(True)
    """No effect: main.py never reads it, and the ChatGLMs have one kind of tokenizer.

    不起作用：main.py 从不读取它，ChatGLM 系列也只有一种分词器。
    """

    resize_position_embeddings: bool | None = param(None)
    """No effect: main.py never reads it. Rotary positions have no table to enlarge.

    不起作用：main.py 从不读取它；旋转位置编码没有需要扩大的位置表。
    """

    lang: str | None = param(None)
    """No effect: main.py never reads it. Prompts and answers are in whatever language they are
    written in.

    不起作用：main.py 从不读取它；提示和回答写的是什么语言就是什么语言。
    """

    forced_bos_token: str | None = param(None)
    """No effect: main.py never reads it. With translation models it chose the language to write in.

    不起作用：main.py 从不读取它；在翻译模型中，它用于指定输出语言。
    """

    overwrite_cache: bool = param(False)
    """No effect: foretune keeps no cache of encoded rows and encodes them anew for every run. In
    main.py it does the same for the cache of datasets.

    不起作用：foretune 不缓存编码后的数据，每次运行都重新编码；在 main.py 中，它让 datasets 忽略已有
    的缓存。
    """
