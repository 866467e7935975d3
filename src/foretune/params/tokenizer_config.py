"""tokenizer_config.json: what of it matters to a run.

Source: transformers 5.23.0, tokenization_utils_base.py, tokenization_utils_tokenizers.py and
tokenization_python.py; THUDM/chatglm-6b, tokenization_chatglm.py; baichuan-inc/Baichuan2-13B-Base,
tokenization_baichuan.py.
"""

from typing import Any, Literal

from .declare import Section, param

Token = str | dict[str, Any]
NO_LIMIT = 10**20
"""transformers takes a larger model_max_length for none; it writes 10**30 itself."""


class SpecialTokens(Section):
    """The tokens that mean something beside their text.

    除文字本身之外另有含义的词元。
    """

    bos_token: Token | None = param(None, matters=2)
    """Token that opens a text. That it is named does not put it in front of anything.

    表示文本开始的词元。写了名称并不等于会自动加在文本前面。
    """

    eos_token: Token | None = param(None, matters=2)
    """Token that ends a text. A script that appends it teaches the model to stop; a chat model may
    end its turns with another one.

    表示文本结束的词元。脚本在末尾加上它，模型才学会停下；对话模型的轮次可能以别的词元结束。
    """

    pad_token: Token | None = param(None, matters=2)
    """Token that fills up the shorter rows of a batch. Where it is the end token too, a script that
    masks padding by its id masks the end as well, and the model never learns to stop.

    批次中较短的行用它补齐。如果它同时是结束词元，按编号屏蔽填充的脚本会把结束词元也屏蔽掉，模型就学
    不会停下。
    """

    unk_token: Token | None = param(None)
    """Token for text that the vocabulary has nothing for. Vocabularies that fall back to bytes
    never use it.

    词表无法表示的文字用它代替。能退回到字节的词表用不到它。
    """

    sep_token: Token | None = param(None)
    """Token between two texts, in models of the BERT kind.

    BERT 一类的模型中，两段文本之间的词元。
    """

    cls_token: Token | None = param(None)
    """Token in front of a text that is to be sorted into classes, in models of the BERT kind.

    BERT 一类的模型中，待分类文本前面的词元。
    """

    mask_token: Token | None = param(None)
    """Token that stands for a word to be guessed. ChatGLM-6B writes in its place a short text.

    代表待填词语的词元。ChatGLM-6B 用它表示要填入短文本的位置。
    """

    gmask_token: Token | None = param(None)
    """ChatGLM-6B's token for the place where a long text is to be written: every prompt ends with
    it.

    ChatGLM-6B 中表示要写出长文本的位置的词元，每个提示都以它结尾。
    """

    additional_special_tokens: list[Token] | None = param(None, matters=2)
    """Further tokens that text is never cut through, and that decoding leaves out where asked.
    transformers 5 calls them extra_special_tokens.

    其他不会被切开的特殊词元，解码时可按要求去掉。transformers 5 称为 extra_special_tokens。
    """

    extra_special_tokens: list[Token] | dict[str, Any] | None = param(None, matters=2)
    """Further special tokens; as a mapping they get names, such as that of an image.

    其他特殊词元；写成映射时各有名称，例如图像词元。
    """

    added_tokens_decoder: dict[str, Any] | None = param(None, matters=2)
    """The tokens that were added to the vocabulary, by id, each with whether it is special and
    whether it swallows the blanks beside it. An id here beyond the model's embedding fails.

    按编号列出后来加入词表的词元，以及是否特殊、是否吞掉两侧空白。编号超出模型词嵌入行数时会报错。
    """

    add_bos_token: bool | None = param(None, matters=2)
    """Put the opening token in front of every text that is encoded. Where a tokenizer.json lies
    beside it, transformers 5 drops this key: what is put in front stands in that file.

    编码时在每段文本前加上开始词元。若旁边有 tokenizer.json，transformers 5 会忽略该键：加什么由那个
    文件决定。
    """

    add_eos_token: bool | None = param(None, matters=2)
    """Put the end token behind every text that is encoded, prompts included: a prompt that ends so
    gets an empty answer. Dropped where a tokenizer.json lies beside it.

    编码时在每段文本后加上结束词元，提示也不例外：这样结尾的提示只会得到空回答。若旁边
    还有 tokenizer.json，该键会被忽略。
    """

    add_prefix_space: bool | None = param(None)
    """Put a blank in front of the first word, so that it is cut as any other.

    在第一个词前加空格，使它与其他词的切法一致。
    """

    num_image_tokens: int | None = param(None, at_least=0)
    """Ids that ChatGLM-6B's vocabulary skips at its beginning, left over from a model of images.
    The number has shifted in a revision of the published files: vocabulary and weights must be of
    the same one.

    ChatGLM-6B 词表开头跳过的编号个数，是图像模型的遗留。公开文件的修订曾改动过它：词表与权重必须出
    自同一版本。
    """

    split_special_tokens: bool | None = param(None)
    """Cut the names of special tokens in a text into pieces instead of taking them for the tokens:
    the safe way to encode what users write.

    文本中出现特殊词元的名字时，按普通文字切开而不当作特殊词元：编码用户输入的安全做法。
    """


class TokenizerSettings(SpecialTokens):
    """tokenizer_config.json: how texts become token ids.

    tokenizer_config.json：文本如何变成词元编号。
    """

    chat_template: str | list[Any] | dict[str, Any] | None = param(None, matters=2)
    """How a conversation becomes one text, written in Jinja. A file chat_template.jinja beside it
    counts before this key. Training with another template than the one that is used later costs
    what was learned.

    用 Jinja 写成的、把一段对话变成一段文本的方法。旁边若有 chat_template.jinja 文件，则以该文件为
    准。训练与使用时模板不同，所学就会打折扣。
    """

    response_template: dict[str, Any] | str | None = param(None)
    """How an answer is taken apart again into thought, text and calls of tools.

    如何把回答重新拆分为思考、正文和工具调用。
    """

    chat_control_tokens: list[str] | None = param(None)
    """Tokens of the template that must not be accepted inside of what users write.

    模板中的控制词元，不允许出现在用户输入里。
    """

    model_max_length: int | float | None = param(None, above=0, matters=2, unit="tokens")
    """Length that texts are cut to where a script asks for cutting and gives no length of its own.
    A number with thirty zeros is transformers' way of writing that there is none: such a tokenizer
    cuts nothing.

    脚本要求截断却没有给出长度时，按它截断。带三十个零的数是 transformers 表示“没有限制”的写法：这
    种分词器什么也不截断。
    """

    max_len: int | float | None = param(None, above=0, unit="tokens")
    """An older name of model_max_length.

    model_max_length 的旧名称。
    """

    padding_side: Literal["left", "right"] | None = param(None, matters=2)
    """Where the shorter rows of a batch are filled up. Generating in batches needs the left: the
    answer begins right behind the prompt. Training works with either.

    较短的行补在哪一边。批量生成必须补在左边，回答才能紧接提示之后；训练时两边都可以。
    """

    truncation_side: Literal["left", "right"] | None = param(None)
    """Which end of a text is cut off. On the right it is the answer, on the left the instruction.

    截断时去掉文本的哪一端：右端是回答，左端是指令。
    """

    model_input_names: list[str] | None = param(None)
    """What encoding returns beside the token ids. A model fails on a name that it does not take.

    除词元编号外，编码还返回哪些内容。模型不接受的名称会导致报错。
    """

    tokenizer_class: str | None = param(None, matters=2)
    """Class that reads the vocabulary. A name that transformers does not have is that of code in
    the folder, which foretune never runs.

    读取词表的类。transformers 没有的类名指的是文件夹中自带的代码，foretune 从不执行。
    """

    auto_map: dict[str, Any] | list[Any] | None = param(None)
    """Python files of the folder that hold the tokenizer's own code. They run only where
    trust_remote_code is given; foretune never runs them.

    文件夹中存放分词器自带代码的 Python 文件。只有给出 trust_remote_code 时才会执行；foretune 从不执
    行。
    """

    use_fast: bool | None = param(None)
    """Asks for the Rust implementation. transformers 5 takes it wherever there is one: no effect.

    要求使用 Rust 实现。transformers 5 只要有就用，该键不起作用。
    """

    legacy: bool | None = param(None)
    """How the blank behind a special token is encoded in tokenizers of Llama's kind that are read
    from SentencePiece. It must be as the model was trained: the other way gives other ids. A
    tokenizer.json beside it decides by itself.

    由 SentencePiece 读取的 Llama 类分词器如何编码特殊词元后面的空格。必须与模型训练时一致，否则得到
    的编号不同。旁边有 tokenizer.json 时由该文件决定。
    """

    clean_up_tokenization_spaces: bool | None = param(None)
    """Take blanks in front of commas and full stops out of decoded text. It was made for English of
    the BERT kind and spoils code; transformers 5 ignores it for vocabularies of byte pairs.

    解码时去掉逗号、句号前的空格。它是为 BERT 一类的英文模型设计的，会破坏代码；transformers 5 对字
    节对词表忽略它。
    """

    spaces_between_special_tokens: bool | None = param(None)
    """Put blanks between added tokens when decoding.

    解码时在新增词元之间加空格。
    """

    do_lower_case: bool | None = param(None)
    """Make every text lower case first. Only vocabularies trained so want it.

    先把文本全部转为小写，仅适用于这样训练的词表。
    """

    remove_space: bool | None = param(None)
    """Take superfluous blanks out first; ChatGLM-6B's files carry it, and its own code reads it.

    先去掉多余的空格。ChatGLM-6B 的文件中有该键，由其自带代码读取。
    """

    use_default_system_prompt: bool | None = param(None)
    """Put Llama 2's long system text in front of conversations that have none. transformers 5 has
    no such text any more: no effect.

    给没有系统提示的对话加上 Llama 2 的长系统提示。transformers 5 已没有这段文字，不起作用。
    """

    sp_model_kwargs: dict[str, Any] | None = param(None)
    """Arguments of SentencePiece. Sampling among ways to cut a text makes ids differ from run to
    run.

    SentencePiece 的参数。若启用采样切分，每次得到的编号会不同。
    """

    errors: str | None = param(None)
    """What decoding does with bytes that are no text: replace them, leave them out, or fail.

    解码遇到不成文字的字节时怎么办：替换、忽略或报错。
    """

    processor_class: str | None = param(None)
    """Class that joins the tokenizer to a processor of images or sound.

    把分词器与图像或音频处理器结合的类。
    """

    backend: str | None = param(None)
    """The library that encodes. transformers writes it when it saves.

    负责编码的库，由 transformers 保存时写入。
    """

    is_local: bool | None = param(None)
    """Whether it was loaded from a folder. No effect.

    是否从文件夹加载，没有作用。
    """

    name_or_path: str | None = param(None)
    """Where the tokenizer was loaded from by whoever saved it. No effect.

    保存者当时加载分词器的位置，没有作用。
    """

    special_tokens_map_file: str | None = param(None)
    """A path of the machine that saved it. No effect.

    保存者机器上的路径，没有作用。
    """

    tokenizer_file: str | None = param(None)
    """A path of the machine that saved it; the tokenizer.json beside this file is read instead.

    保存者机器上的路径；实际读取的是旁边的 tokenizer.json。
    """

    max_length: int | None = param(None, at_least=1, unit="tokens")
    """Length that a tokenizer.json with built-in cutting was saved with. A call's own length counts
    before it.

    tokenizer.json 自带截断时保存的长度，调用时给出的长度优先。
    """

    stride: int | None = param(None, at_least=0, unit="tokens")
    """Tokens by which the pieces of a long text overlap, where it is cut into several.

    长文本切成多段时，相邻两段重叠的词元数。
    """

    truncation_strategy: str | None = param(None)
    """Which of two texts is cut.

    两段文本中截断哪一段。
    """

    pad_to_multiple_of: int | None = param(None, at_least=1, unit="tokens")
    """Fill rows up to a multiple of this length.

    补齐到该长度的整数倍。
    """

    pad_token_type_id: int | None = param(None)
    """Kind of text that padding counts as, in models of the BERT kind.

    BERT 一类的模型中，填充位置所属的文本种类。
    """

    token_type_ids_pattern: str | None = param(None)
    """How kinds of text are numbered, in models of the BERT kind.

    BERT 一类的模型中，文本种类的编号方式。
    """
