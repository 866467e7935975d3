"""Tokenizers of the families that transformers does not have, one file per family."""

from .chatglm import ChatGLM1Tokenizer
from .chatglm2 import ChatGLM2Tokenizer
from .chatglm3 import ChatGLM3Tokenizer
from .glm4 import ChatGLM4Tokenizer
from .load import FAMILIES, REGISTERED, load_tokenizer
from .published import ChatGLMTokenizer

__all__ = [
    "FAMILIES",
    "REGISTERED",
    "ChatGLM1Tokenizer",
    "ChatGLM2Tokenizer",
    "ChatGLM3Tokenizer",
    "ChatGLM4Tokenizer",
    "ChatGLMTokenizer",
    "load_tokenizer",
]
