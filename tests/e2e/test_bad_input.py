"""Every kind of bad input is told of in four parts, and leaves every folder as it was."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from small_models import VOCABULARIES
from small_runs import adverts, foretune, listing, trained, training, write_rows


@dataclass
class Setup:
    """A run that would work: a case spoils one thing about it, and may return further words."""

    folder: Path
    model: Path

    @property
    def rows(self) -> Path:
        return self.folder / "train.json"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def change_config(self, **keys: Any) -> None:
        file = self.model / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))

    def cut(self, name: str, keep: float) -> None:
        content = (self.model / name).read_bytes()
        (self.model / name).write_bytes(content[: int(len(content) * keep)])


Spoil = Callable[[Setup], list[Any] | None]
CASES: dict[str, tuple[str, Spoil]] = {}
"""What is wrong -> what is said of it, and how it is brought about."""


def case(named: str) -> Callable[[Spoil], Spoil]:
    def keep(spoil: Spoil) -> Spoil:
        CASES[spoil.__name__] = (named, spoil)
        return spoil

    return keep


# The command line


@case("--learning_rote")
def an_unknown_flag(setup: Setup):
    return ["--learning_rote", "1e-3"]


@case("there is no parameter 'batch.mirco'")
def an_unknown_path(setup: Setup):
    return ["--set", "batch.mirco=3"]


@case("batch.micro = 'many' cannot be used")
def a_value_that_is_no_number(setup: Setup):
    return ["--set", "batch.micro=many"]


@case("method.prefix.length = '0' cannot be used")
def a_prefix_of_no_length(setup: Setup):
    return ["--pre_seq_len", "0"]


@case("where: command line (--optim optimal)")
def an_unknown_optimizer(setup: Setup):
    return ["--optim", "optimal"]


@case("schedule.name = 'sideways' cannot be used")
def an_unknown_schedule(setup: Setup):
    return ["--lr_scheduler_type", "sideways"]


@case("record.output is not given")
def no_output_folder(setup: Setup):
    return drop("--output_dir")


@case("data.test is not given")
def nothing_to_predict(setup: Setup):
    return ["--do_predict"]


@case("data.validation is not given")
def nothing_to_evaluate_on_the_way(setup: Setup):
    return ["--eval_strategy", "steps"]


@case("data.prompt_column is not given")
def no_prompt_column(setup: Setup):
    return drop("--prompt_column")


@case("transformers refuses these training arguments")
def tf32_on_a_cpu(setup: Setup):
    return ["--tf32", "true", "--use_cpu"]


@case("install what is lacking, or leave use_liger_kernel out")
def kernels_that_are_not_installed(setup: Setup):
    return ["--use_liger_kernel", "true"]


@case("transformers refuses these training arguments")
def a_best_model_without_evaluation(setup: Setup):
    return ["--load_best_model_at_end"]


@case("where: command line (--lr_scheduler_type cosine_with_min_lr)")
def a_schedule_without_its_lowest_rate(setup: Setup):
    return ["--lr_scheduler_type", "cosine_with_min_lr"]


@case("no evaluation measures 'blue'")
def a_metric_that_nobody_measures(setup: Setup):
    return ["--metric_for_best_model", "blue"]


@case("where: command line (--generation_config nowhere.json)")
def a_generation_config_that_is_not_there(setup: Setup):
    return ["--generation_config", "nowhere.json"]


@case("where: command line (--model.attention flash_attention_2)")
def an_attention_that_the_model_does_not_have(setup: Setup):
    return ["--model.attention", "flash_attention_2"]


@case("where: command line (--fsdp full_shard)")
def sharding_in_one_process(setup: Setup):
    return ["--fsdp", "full_shard"]


@case("there is no checkpoint in")
def nothing_to_go_on_from(setup: Setup):
    return ["--resume_from_checkpoint", "true"]


@case("nothing can be written into")
def an_output_folder_that_is_a_file(setup: Setup):
    return ["--output_dir", setup.rows]


@case("nothing can be written into")
def an_output_folder_inside_a_file(setup: Setup):
    return ["--output_dir", setup.rows / "out"]


@case("4 examples do not fill one batch")
def a_batch_that_never_fills(setup: Setup):
    return ["--dataloader_drop_last", "--per_device_train_batch_size", "5"]


@case("leaves no room for an answer within 10")
def no_room_for_an_answer(setup: Setup):
    more = ["--do_predict", "--test_file", setup.rows, "--predict_with_generate"]
    return [*more, "--generate.max_length", "10"]


@case("where: command line (--max_target_length 1)")
def no_room_for_a_target(setup: Setup):
    return ["--max_target_length", "1"]


@case("every weight is to train, and they are held in 4 bits")
def packed_weights_that_are_to_train(setup: Setup):
    return ["--quantization_bit", "4", *drop("--pre_seq_len")]


@case("no module of the model is called 'q_proj'")
def an_unknown_target_of_lora(setup: Setup):
    return ["--lora_target", "q_proj", *drop("--pre_seq_len")]


@case("checkpoint-3000 holds no prefix")
def a_checkpoint_that_is_not_there(setup: Setup):
    return ["--ptuning_checkpoint", setup.folder / "checkpoint-3000"]


# The data


@case("there is no column 'contents'")
def a_missing_column(setup: Setup):
    return ["--prompt_column", "contents"]


@case("train.json:3")
def a_broken_line(setup: Setup):
    lines = setup.rows.read_text("utf-8").splitlines()
    lines[2] = lines[2][:-5]
    setup.rows.write_text("\n".join(lines), encoding="utf-8")


@case("summary is a number: 7")
def a_number_for_a_text(setup: Setup):
    write_rows(setup.rows, [*adverts(2), {"content": "裙", "summary": 7}])


@case("this row is a list")
def a_row_that_is_a_list(setup: Setup):
    write_rows(setup.rows, [*adverts(2), ["裙", "子"]])


@case("this file is empty")
def an_empty_file(setup: Setup):
    setup.rows.write_text("")


@case("none can be used")
def only_empty_answers(setup: Setup):
    write_rows(setup.rows, [{"content": "裙", "summary": ""}] * 3)


@case("trian.json")
def a_file_that_is_not_there(setup: Setup):
    return ["--train_file", setup.folder / "trian.json"]


@case("longer than its limits")
def rows_that_are_not_to_be_cut(setup: Setup):
    return ["--data.overlong", "refuse"]


# The model


@case("there is no folder")
def a_model_folder_that_is_not_there(setup: Setup):
    return ["--model_name_or_path", setup.folder / "chatgml"]


@case("could not be downloaded")
def a_hub_model_that_cannot_be_reached(setup: Setup):
    return ["--model_name_or_path", "nobody/no-such-model"]


@case("config.json")
def no_config(setup: Setup):
    (setup.model / "config.json").unlink()


@case("config.json")
def a_broken_config(setup: Setup):
    setup.cut("config.json", 0.5)


@case("num_attention_heads")
def heads_that_do_not_divide(setup: Setup):
    setup.change_config(num_attention_heads=5)


@case("num_layers")
def a_text_for_a_number_of_layers(setup: Setup):
    setup.change_config(num_layers="many")


@case("")
def an_empty_model_folder(setup: Setup):
    shutil.rmtree(setup.model)
    setup.model.mkdir()


@case("holds no weights")
def no_weights(setup: Setup):
    (setup.model / "model.safetensors").unlink()


@case("model.safetensors is cut off: 1 tensor of it is damaged")
def truncated_safetensors(setup: Setup):
    setup.cut("model.safetensors", 0.7)


@case("pytorch_model.bin is damaged or no weight file")
def a_truncated_bin(setup: Setup):
    file = setup.model / "model.safetensors"
    torch.save(load_file(file), setup.model / "pytorch_model.bin")
    file.unlink()
    setup.cut("pytorch_model.bin", 0.7)


@case("model-00002-of-00002.safetensors is missing")
def a_missing_shard(setup: Setup):
    (setup.model / "model.safetensors").rename(setup.model / "model-00001-of-00002.safetensors")
    parts = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index = setup.model / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": parts}))


@case("config.json describes")
def weights_of_other_sizes(setup: Setup):
    setup.change_config(num_layers=3)


@case("tokenizer.model is here, and not ice_text.model")
def the_vocabulary_of_another_model(setup: Setup):
    (setup.model / "ice_text.model").unlink()
    shutil.copy(VOCABULARIES["chatglm2"][0], setup.model / "tokenizer.model")


@case("tokens, the embedding 64 rows")
def a_vocabulary_larger_than_the_embedding(setup: Setup):
    setup.change_config(vocab_size=64)


@case("ice_text.model")
def a_vocabulary_that_is_none(setup: Setup):
    (setup.model / "ice_text.model").write_bytes(b"no sentencepiece at all")


@case("the tokenizer has no end token")
def a_model_of_another_kind(setup: Setup):
    return ["--model_name_or_path", llama(setup.folder / "llama")]


def llama(folder: Path) -> Path:
    """A small Llama with a tokenizer of its own."""
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from tokenizers import Tokenizer, models

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    config = LlamaConfig(**sizes, num_attention_heads=2, vocab_size=9)
    LlamaForCausalLM(config).save_pretrained(folder)
    plain = Tokenizer(models.WordLevel({"裙": 0, "<unk>": 1}, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=plain).save_pretrained(folder)
    return folder


DROPPED = "drop:"


def drop(flag: str) -> list[str]:
    """A flag of the usual ones that is left out."""
    return [f"{DROPPED}{flag}"]


def spoiled(line: list[str], more: list[Any]) -> list[str]:
    """The words of a run with more behind them, and some left out."""
    dropped = {str(w).removeprefix(DROPPED) for w in more if str(w).startswith(DROPPED)}
    for flag in dropped:
        at = line.index(flag)
        del line[at : at + 2]
    return line + [str(word) for word in more if not str(word).startswith(DROPPED)]


def assert_told(err: str, named: str) -> None:
    """Every problem has its four parts, and one of them is the one that was brought about."""
    problems = re.split(r"(?m)^error: ", err)[1:]
    assert problems, err[-2000:]
    for problem in problems:
        what, *rest = problem.splitlines()
        parts = [line.strip().partition(":")[::2] for line in rest if line.startswith("  ")]
        found = {name: text.strip() for name, text in parts if name in ("where", "why", "fix")}
        assert what.strip() and all(found.get(name) for name in ("where", "why", "fix")), problem
    assert any(named in problem for problem in problems), err[-2000:]


@pytest.mark.parametrize("kind", CASES)
def test_bad_input_is_told_of_and_nothing_is_written(tmp_path: Path, base, capsys, kind):
    named, spoil = CASES[kind]
    setup = Setup(tmp_path, tmp_path / "model")
    shutil.copytree(base("chatglm"), setup.model)
    setup.out.mkdir()
    (setup.out / "kept.txt").write_text("of an earlier run")
    line = training(setup.folder, setup.model, rows=4)
    line = spoiled(line, spoil(setup) or [])
    before = listing(tmp_path)
    assert foretune("train", *line) == 2
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    assert_told(told.err, named)
    assert listing(tmp_path) == before


def test_all_kinds_were_tried():
    assert len(CASES) >= 40


def test_an_output_folder_that_was_not_there_is_not_made(tmp_path: Path, base):
    line = training(tmp_path, base("chatglm"), prompt_column="contents")
    assert foretune("train", *line) == 2
    assert not (tmp_path / "out").exists()


def test_several_mistakes_are_told_of_together(tmp_path: Path, base, capsys):
    line = training(tmp_path, base("chatglm"), learning_rote=1, pre_seq_len=0, fp_16=True)
    assert foretune("train", *line) == 2
    told = capsys.readouterr().err
    assert all(name in told for name in ("learning_rote", "fp_16", "method.prefix.length"))


@pytest.mark.parametrize("what", ["checkpoint", "weights", "wrong length"])
def test_bad_input_of_an_evaluation_is_told_of(tmp_path: Path, base, capsys, what):
    trained(tmp_path, base("chatglm2"), max_steps=1)
    checkpoint = tmp_path / "out" / "checkpoint-1"
    more: list[Any] = []
    if what == "checkpoint":
        for name in ("prefix_encoder.safetensors", "pytorch_model.bin"):
            (checkpoint / name).write_bytes((checkpoint / name).read_bytes()[:100])
    elif what == "weights":
        config = json.loads((checkpoint / "config.json").read_text())
        config["_name_or_path"] = str(tmp_path / "moved")
        (checkpoint / "config.json").write_text(json.dumps(config))
    else:
        more = ["--pre_seq_len", 9]
    line = training(
        tmp_path, checkpoint, do_train=None, pre_seq_len=None, test_file=tmp_path / "train.json"
    )
    before = listing(tmp_path)
    assert foretune("evaluate", *line, *more) == 2
    told = capsys.readouterr().err
    named = {"checkpoint": "is damaged", "weights": "moved", "wrong length": "does not fit"}
    assert_told(told, named[what])
    assert listing(tmp_path) == before
