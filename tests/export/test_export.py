"""Models written into a new folder: what was published, what was tuned, and what cannot be."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import (
    Qwen2Config,
    Qwen2ForCausalLM,
)

import foretune
from exported import BUFFERS, OWN, config_of, export, refused, same, weights
from foretune.cli import main
from foretune.errors import UserError
from foretune.export import write
from foretune.models.hf import native_model, published_config
from foretune.models.loading import load_model
from foretune.models.quantized import PackWhileLoading
from foretune.params.arch.transformer import Transformer
from foretune.tune import prefix
from small_models import small_model

torch.set_num_threads(1)


# --- the published layout


CASES = [
    "chatglm1_2d_a", "chatglm1_int4", "chatglm1_int8", "chatglm2_a", "chatglm2_int4",
    "chatglm2_int8", "chatglm3_a", "glm4_a", "baichuan_7b_a", "baichuan2_7b_a", "baichuan2_13b_a",
]  # fmt: skip


def test_packed_weights_are_published_again_byte_for_byte(tmp_path: Path):
    case = OWN / "chatglm2_int4"
    export(case, tmp_path / "again")
    assert same(weights(tmp_path / "again"), load_file(case / "model.safetensors"))
    assert config_of(tmp_path / "again") == config_of(case)


@pytest.mark.parametrize("name", CASES)
def test_every_published_tensor_is_published_again_byte_for_byte(
    name: str, shared: Path, tmp_path: Path
):
    case = shared / "golden" / name
    export(case, tmp_path / "again", max_shard_size="60KB")
    assert same(weights(tmp_path / "again"), load_file(case / "model.safetensors"))
    assert config_of(tmp_path / "again") == config_of(case)


@pytest.mark.parametrize("name", CASES)
def test_a_model_that_was_loaded_saves_what_was_published(name: str, shared: Path, tmp_path: Path):
    case = shared / "golden" / name
    published = load_file(case / "model.safetensors")
    kinds = {tensor.dtype for tensor in published.values() if tensor.is_floating_point()}
    kind = torch.float16 if "int" in name else torch.float32
    assert kind in kinds
    model: Any = load_model(case, dtype=kind)
    model.save_pretrained(tmp_path)
    tied = {"lm_head.weight"} if "chatglm1" in name else set()  # one tensor, written once
    want = {k: t for k, t in published.items() if not k.endswith(BUFFERS) and k not in tied}
    assert same(weights(tmp_path), want)
    assert config_of(tmp_path)["auto_map"] == config_of(case)["auto_map"]


def test_the_tied_head_is_published_as_in_the_files_of_the_authors(tmp_path: Path):
    base = small_model(tmp_path / "base", "chatglm")
    assert "lm_head.weight" not in load_file(base / "model.safetensors")
    export(base, tmp_path / "out")
    written = weights(tmp_path / "out")
    assert torch.equal(written["lm_head.weight"], written["transformer.word_embeddings.weight"])


def test_code_tokenizer_and_licence_come_along_and_nothing_of_a_run(tmp_path: Path):
    base = small_model(tmp_path / "base", "chatglm2")
    for name in ("LICENSE", "MODEL_LICENSE", "trainer_state.json", "optimizer.pt", "train.py"):
        (base / name).write_text("raise RuntimeError('it ran')")
    done = export(base, tmp_path / "out")
    carried = {
        "config.json", "generation_config.json", "LICENSE", "MODEL_LICENSE", "model.safetensors",
        "configuration_chatglm.py", "modeling_chatglm.py", "tokenization_chatglm.py", "train.py",
        "tokenizer.model", "tokenizer_config.json",
    }  # fmt: skip
    assert set(done.files) == carried == {file.name for file in (tmp_path / "out").iterdir()}
    assert config_of(tmp_path / "out") == config_of(base) and not done.notes
    modes = {file.stat().st_mode & 0o777 for file in (tmp_path / "out").iterdir()}
    assert len(modes) == 1  # no file is for the owner alone


def test_code_that_auto_map_names_and_nobody_has_is_told(tmp_path: Path):
    base = small_model(tmp_path / "base", "chatglm2")
    (base / "modeling_chatglm.py").unlink()
    (note,) = export(base, tmp_path / "out").notes
    assert note.startswith("modeling_chatglm.py, which auto_map names, is not in")


def test_the_number_type_is_the_one_asked_for(tmp_path: Path):
    base = small_model(tmp_path / "base", "chatglm2")
    export(base, tmp_path / "out", dtype="bfloat16")
    assert {tensor.dtype for tensor in weights(tmp_path / "out").values()} == {torch.bfloat16}
    assert config_of(tmp_path / "out")["torch_dtype"] == "bfloat16"


@pytest.mark.parametrize("tied", [True, False])
def test_other_models_of_transformers_are_written_as_they_are(tmp_path: Path, tied: bool):
    config = Qwen2Config(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=tied,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    model.save_pretrained(tmp_path / "base")
    export(tmp_path / "base", tmp_path / "out", layout="hf")
    assert same(weights(tmp_path / "out"), weights(tmp_path / "base"))


def test_the_original_transformer_is_written_as_it_is(tmp_path: Path):
    config = {
        "model_type": "original-transformer", "vocab_size": 40, "d_model": 32, "num_layers": 2,
        "num_attention_heads": 4, "ffn_hidden_dim": 48, "max_seq_len": 64,
    }  # fmt: skip
    model = native_model(Transformer)(published_config(Transformer).from_dict(config))
    model.save_pretrained(tmp_path / "base")
    export(tmp_path / "base", tmp_path / "out", max_shard_size="20KB")
    again = load_model(tmp_path / "out", dtype=torch.float32).state_dict()
    assert all(torch.equal(again[key], tensor) for key, tensor in model.state_dict().items())
    (problem,) = refused(tmp_path / "base", tmp_path / "hf", layout="hf")
    assert "no architecture that computes" in problem.why


# --- what was tuned


def lora(base: Path, folder: Path, targets: list[str], **options: Any) -> Path:
    model = load_model(base, dtype=torch.float32)
    settings = LoraConfig(r=2, lora_alpha=8, target_modules=targets, **options)
    adapted: Any = get_peft_model(model, settings)
    torch.manual_seed(2)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_an_adapter_is_merged_as_peft_merges_it(family: str, tmp_path: Path):
    base = small_model(tmp_path / "base", family)
    tuned = lora(base, tmp_path / "tuned", ["query_key_value", "dense"])
    done = export(tuned, tmp_path / "out", dtype="float32")
    assert "merged" in done.notes[0]
    peft: Any = PeftModel.from_pretrained(load_model(base, dtype=torch.float32), str(tuned))
    want = peft.merge_and_unload().state_dict()
    got = weights(tmp_path / "out")
    changed = 0
    for key, tensor in load_model(base, dtype=torch.float32).state_dict().items():
        torch.testing.assert_close(got[key], want[key])
        changed += not torch.equal(got[key], tensor)
    assert changed == 4
    run = foretune.read(set={"model.path": str(base), "method.checkpoint": str(tuned)})
    assert same(weights(export(run, tmp_path / "run", dtype="float32").folder), got)
    assert config_of(tmp_path / "out")["auto_map"] == config_of(base)["auto_map"]


def test_an_adapter_on_packed_weights_is_merged_into_full_ones(tmp_path: Path):
    base = small_model(tmp_path / "base", "chatglm2")
    packed: Any = load_model(base, quantization_config=PackWhileLoading(bits=4))
    packed.save_pretrained(tmp_path / "packed")
    for file in base.glob("*token*"):
        shutil.copy(file, tmp_path / "packed")
    tuned = lora(base, tmp_path / "tuned", ["query_key_value"])
    done = export(tmp_path / "packed", tmp_path / "out", checkpoint=str(tuned), dtype="float32")
    assert "packed weights are full ones now" in done.notes[0]
    assert not config_of(tmp_path / "out").get("quantization_bit")
    peft: Any = PeftModel.from_pretrained(
        load_model(tmp_path / "packed", dtype=torch.float32, dequantize=True), str(tuned)
    )
    want = peft.merge_and_unload().state_dict()
    got = load_model(tmp_path / "out").state_dict()
    for key in want:
        torch.testing.assert_close(got[key], want[key], atol=1e-3, rtol=1e-3)


def test_packed_weights_are_full_ones_in_transformers_layout(tmp_path: Path):
    case = OWN / "chatglm2_int4"
    export(case, tmp_path / "out", layout="hf", dtype="float32")
    got, want = weights(tmp_path / "out"), load_file(case / "dequantized.safetensors")
    for i in range(3):
        layer = f"transformer.encoder.layers.{i}"
        projection = f"model.layers.{i}.self_attn.{{}}_proj.weight"
        fused = torch.cat([got[projection.format(name)] for name in "qkv"])
        assert torch.equal(fused, want[f"{layer}.self_attention.query_key_value.weight"])


@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_a_prefix_stays_beside_the_weights_under_its_published_names(family: str, tmp_path: Path):
    base = small_model(tmp_path / "base", family)
    model: Any = load_model(base)
    model.add_prefix(3)
    model.config.name_or_path = str(base)
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    prefix.save(model, tuned)
    export(tuned, tmp_path / "out", max_shard_size="20KB")
    assert config_of(tmp_path / "out")["pre_seq_len"] == 3
    again: Any = load_model(tmp_path / "out")
    for key, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key
    assert again.base_model.prefix_encoder.embedding.weight.dtype == torch.float32


# --- what cannot be


def test_layouts_that_a_family_has_not_are_refused_with_the_reason(tmp_path: Path):
    small_model(tmp_path / "v1", "chatglm")
    asked = {
        ("v1", "hf"): "no architecture that computes",
        ("v1", "meta"): "Llama 3 and nothing else",
        ("v1", "safetensors"): "the layouts are published, hf, meta",
    }
    for (name, layout), why in asked.items():
        (problem,) = refused(tmp_path / name, tmp_path / "out", layout=layout)
        assert why in problem.why
    (problem,) = refused(OWN / "baichuan2_13b_a", tmp_path / "out", layout="hf")
    assert "ALiBi" in problem.why


def test_everything_that_transformers_architecture_has_not_is_told(shared: Path, tmp_path: Path):
    case = shared / "golden" / "chatglm2_variant_mha_bias_layernorm"
    told = [problem.what for problem in refused(case, tmp_path / "out", layout="hf")]
    assert len(told) == 2 and "rmsnorm" in told[0] and "add_bias_linear" in told[1]


def test_a_folder_that_is_there_is_not_written_into(tmp_path: Path):
    base = small_model(tmp_path / "base", "chatglm2")
    before = sorted(file.name for file in base.iterdir())
    for target in (base, base / "config.json"):
        with pytest.raises(UserError) as error:
            export(base, target)
        assert "is there already" in error.value.problems[0].what
    assert sorted(file.name for file in base.iterdir()) == before
    (tmp_path / "empty").mkdir()
    assert export(base, tmp_path / "empty").files


def test_what_is_written_wrong_is_refused(tmp_path: Path):
    base = small_model(tmp_path / "base", "chatglm2")
    for options, word in (
        ({"dtype": "float8"}, "float8"),
        ({"max_shard_size": "big"}, "big"),
        ({"max_shard_size": "0GB"}, "0GB"),
        ({"checkpoint": str(tmp_path)}, "config.json"),
    ):
        (problem,) = refused(base, tmp_path / "out", **options)
        assert word in problem.what + problem.where
    (problem,) = refused(tmp_path / "nowhere", tmp_path / "out")
    assert "there is no such folder" in problem.why


def test_an_adapter_that_is_no_plain_one_or_of_another_base_is_refused(tmp_path: Path):
    base = small_model(tmp_path / "base", "chatglm2")
    other = small_model(tmp_path / "other", "chatglm2", hidden_size=64)
    tuned = lora(base, tmp_path / "dora", ["query_key_value"], use_dora=True)
    assert "use_dora" in refused(tuned, tmp_path / "out")[0].what
    tuned = lora(base, tmp_path / "tuned", ["query_key_value"])
    (problem,) = refused(other, tmp_path / "out", checkpoint=str(tuned))
    assert "does not fit" in problem.what
    file = tuned / "adapter_config.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "base_model_name_or_path": None}))
    (problem,) = refused(tuned, tmp_path / "out")
    assert "--checkpoint" in problem.fix


def test_a_disk_that_is_full_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    base = small_model(tmp_path / "base", "chatglm2")
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(write.shutil, "disk_usage", lambda _: usage)
    (problem,) = refused(base, tmp_path / "out")
    assert "1000 B free" in problem.what


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    base = small_model(tmp_path / "base", "chatglm2")

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "write_shards", interrupted)
    assert main(["export", str(base), str(tmp_path / "out")]) == 130
    assert {path.name for path in tmp_path.iterdir()} == {"base"}


def test_weights_that_are_damaged_are_told_as_when_they_are_loaded(tmp_path: Path):
    base = small_model(tmp_path / "base", "chatglm2")
    file = base / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    (problem,) = refused(base, tmp_path / "out", layout="hf")
    assert "cut off" in problem.what


# --- the command line


def test_the_command_line_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    base = small_model(tmp_path / "base", "chatglm2")
    out = tmp_path / "out"
    line = ["export", str(base), str(out), "--layout=hf", "--max-shard-size", "20KB"]
    assert main(line) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{out}: ") and "note: the tokenizer is the published one" in printed
    assert main(line) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize("line", [[], ["model"], ["a", "b", "c"], ["a", "b", "--layuot", "hf"]])
def test_words_that_are_no_export_are_refused(line: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["export", *line]) == 2
    told = capsys.readouterr().err
    assert "`foretune export` is given" in told
    assert ("did you mean --layout?" in told) == ("--layuot" in line)


def test_the_help_names_every_option_without_torch():
    program = (
        "import sys, foretune.cli\n"
        "assert foretune.cli.main(['export', '--help']) == 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    options = ("--layout", "--checkpoint", "--dtype", "--max_shard_size")
    assert all(option in done.stdout for option in options)
