"""The declared families: what they count to, and how a config.json is read."""

from __future__ import annotations

import subprocess
import sys

import pytest

from foretune.errors import UserError
from foretune.params.arch import families, family_of, read_architecture
from foretune.params.arch.chatglm import ChatGLM
from foretune.params.arch.chatglm2 import ChatGLM2
from foretune.params.arch.llama import Llama
from foretune.params.declare import words_of

CHATGLM2_6B = ChatGLM2(
    seq_length=32768, multi_query_attention=True, multi_query_group_num=2, add_qkv_bias=True
)


def test_every_family_is_found_by_its_file():
    files = [family.__module__.rpartition(".")[2] for family in families()]
    four = ["llama"] * 4
    assert files == ["baichuan", "chatglm", "chatglm2", *four, "llama3", "transformer"]


def test_the_published_models_count_to_the_published_numbers():
    assert ChatGLM().shape.num_parameters == 6_173_286_400
    assert CHATGLM2_6B.shape.num_parameters == 6_243_584_000


def test_an_untied_output_layer_is_counted_apart():
    assert ChatGLM(tie_word_embeddings=False).shape.num_parameters == 6_707_929_088


@pytest.mark.parametrize(
    ("architecture", "width", "plain", "projected"),
    [
        (ChatGLM(), 229_376, 29_360_128, 957_059_072),
        (CHATGLM2_6B, 14_336, 1_835_008, 119_293_952),
    ],
)
def test_a_prefix_counts_to_the_published_numbers(
    architecture: ChatGLM | ChatGLM2, width: int, plain: int, projected: int
):
    shape = architecture.shape
    assert shape.prefix_width == width
    counts = [
        sum(weight.num_parameters for weight in shape.prefix_weights(128, projection=projection))
        for projection in (False, True)
    ]
    assert counts == [plain, projected]


def test_the_published_int4_checkpoints_pack_four_linears_of_each_layer():
    for shape in (ChatGLM().shape, CHATGLM2_6B.shape):
        packed = shape.quantised_linears
        assert [linear.copies for linear in packed] == [28] * 4
        assert packed == shape.linears


def test_rank_eight_on_the_default_targets_counts_to_the_published_numbers():
    for shape, count in ((ChatGLM().shape, 3_670_016), (CHATGLM2_6B.shape, 1_949_696)):
        targets = [w for w in shape.linears if w.name.endswith(shape.default_lora_targets)]
        assert sum(8 * (w.inputs + w.outputs) * w.copies for w in targets) == count


def test_families_that_share_a_model_type_are_told_apart():
    assert family_of({"model_type": "chatglm", "inner_hidden_size": 16384}) is ChatGLM
    assert family_of({"model_type": "chatglm", "padded_vocab_size": 65024}) is ChatGLM2
    assert family_of({"model_type": "llama", "vocab_size": 1}) is Llama
    assert family_of({"model_type": "gpt2", "vocab_size": 1}) is None
    assert family_of({"vocab_size": 1}) is None


def test_keys_that_say_the_same_twice_are_known_and_may_not_differ():
    config = {"model_type": "chatglm", "padded_vocab_size": 64, "num_layers": 40}
    twice = {**config, "vocab_size": 64, "num_hidden_layers": 40}
    assert read_architecture(twice)[1] == {}
    for key, value in (("vocab_size", 32), ("num_hidden_layers", 28)):
        with pytest.raises(UserError, match=f"{key} {value} is not"):
            read_architecture({**twice, key: value})


def test_keys_of_others_are_kept():
    config = {**PUBLISHED, "my_note": {"by": "me"}}
    read, unknown = read_architecture(config)
    assert isinstance(read, ChatGLM)
    assert read.name_or_path == "THUDM/chatglm-6b"
    assert unknown == {"my_note": {"by": "me"}}


def test_an_unknown_family_keeps_all_its_keys():
    assert read_architecture({"model_type": "gpt2"}) == (None, {"model_type": "gpt2"})


def test_every_value_that_cannot_be_is_reported_at_once():
    config = {**PUBLISHED, "num_layers": 0, "hidden_size": "4096", "quantization_bit": 3}
    with pytest.raises(UserError) as error:
        read_architecture(config, where="model/config.json")
    told = {problem.what for problem in error.value.problems}
    assert told == {"num_layers = 0", "hidden_size = '4096'", "quantization_bit = 3"}
    assert {problem.where for problem in error.value.problems} == {"model/config.json"}


def test_sizes_that_do_not_fit_together_are_refused():
    with pytest.raises(UserError, match="do not fit together"):
        read_architecture({**PUBLISHED, "num_attention_heads": 24})
    with pytest.raises(UserError, match="not a multiple"):
        read_architecture(
            {
                "model_type": "chatglm",
                "padded_vocab_size": 8,
                "multi_query_attention": True,
                "multi_query_group_num": 5,
            }
        )


def test_every_key_has_words_in_both_languages():
    seen = 0
    for family in families():
        for name in family.model_fields:
            words = words_of(family, name)
            assert words.en and words.zh, f"{family.__name__}.{name}"
            seen += 1
    assert seen == sum(len(family.keys()) for family in families()) > 120


def test_reading_a_config_needs_no_torch():
    code = "import sys, foretune.params.arch as a; a.families(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


PUBLISHED = {
    "_name_or_path": "THUDM/chatglm-6b",
    "architectures": ["ChatGLMModel"],
    "auto_map": {"AutoConfig": "configuration_chatglm.ChatGLMConfig"},
    "bos_token_id": 130004,
    "eos_token_id": 130005,
    "mask_token_id": 130000,
    "gmask_token_id": 130001,
    "pad_token_id": 3,
    "hidden_size": 4096,
    "inner_hidden_size": 16384,
    "layernorm_epsilon": 1e-05,
    "max_sequence_length": 2048,
    "model_type": "chatglm",
    "num_attention_heads": 32,
    "num_layers": 28,
    "position_encoding_2d": True,
    "torch_dtype": "float16",
    "transformers_version": "4.23.1",
    "use_cache": True,
    "vocab_size": 130528,
}
