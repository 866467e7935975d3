"""A published script as it stands, from file to report: train, go on, predict."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from foretune.formats.read import read
from small_models import small_model
from small_runs import foretune, prefix_of, write_rows

NAMES = {"chatglm": "chatglm-6b", "chatglm2": "chatglm2-6b"}
SCRIPTS = {
    "chatglm": """\
PRE_SEQ_LEN=8
LR=2e-2

CUDA_VISIBLE_DEVICES=0 python3 main.py \\
    --do_train \\
    --train_file AdvertiseGen/train.json \\
    --validation_file AdvertiseGen/dev.json \\
    --prompt_column content \\
    --response_column summary \\
    --overwrite_cache \\
    --model_name_or_path THUDM/chatglm-6b \\
    --output_dir output/adgen-chatglm-6b-pt-$PRE_SEQ_LEN-$LR \\
    --overwrite_output_dir \\
    --max_source_length 24 \\
    --max_target_length 24 \\
    --per_device_train_batch_size 1 \\
    --per_device_eval_batch_size 1 \\
    --gradient_accumulation_steps 4 \\
    --predict_with_generate \\
    --max_steps 3000 \\
    --logging_steps 10 \\
    --save_steps 1000 \\
    --learning_rate $LR \\
    --pre_seq_len $PRE_SEQ_LEN \\
    --quantization_bit 4
""",
}
SCRIPTS["chatglm2"] = SCRIPTS["chatglm"].replace(
    "CUDA_VISIBLE_DEVICES=0 python3 main.py",
    "torchrun --standalone --nnodes=1 --nproc-per-node=1 main.py",
)
PREDICT = """\
PRE_SEQ_LEN=8
CHECKPOINT=adgen
STEP=3000

CUDA_VISIBLE_DEVICES=0 python3 main.py \\
    --do_predict \\
    --validation_file AdvertiseGen/dev.json \\
    --test_file AdvertiseGen/dev.json \\
    --overwrite_cache \\
    --prompt_column content \\
    --response_column summary \\
    --model_name_or_path ./output/$CHECKPOINT/checkpoint-$STEP  \\
    --output_dir ./output/$CHECKPOINT \\
    --overwrite_output_dir \\
    --max_source_length 24 \\
    --max_target_length 24 \\
    --per_device_eval_batch_size 1 \\
    --predict_with_generate \\
    --pre_seq_len $PRE_SEQ_LEN \\
    --quantization_bit 4
"""


def report_of(folder: Path, name: str = "report") -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text("utf-8"))


def train_go_on_and_predict(
    folder: Path, model: Path, script: Path, predict: Path, rows: Path, named: str
) -> None:
    """Trains through a script; again up to half and on; and predicts with what came out, named as
    the "model" or as the "checkpoint".
    """
    data = [f"data.train={rows}", f"data.validation={rows}"]
    steps = ["schedule.max_steps=4", "record.save_steps=2", "record.log_steps=1"]

    def train(output: Path, *more: str) -> dict[str, Any]:
        told = [f"model.path={model}", f"record.output={output}", *data, *steps, *more]
        assert foretune("train", script, "--set", *told) == 0
        return report_of(output)

    whole = train(folder / "whole")
    assert whole["ended"] == "finished"
    assert [row["name"] for row in whole["comparison"] if row["agrees"] is False] == []
    assert whole["training_log"]["forecast"] == whole["training_log"]["actual"]
    (folder / "half").mkdir()
    shutil.copytree(folder / "whole" / "checkpoint-2", folder / "half" / "checkpoint-2")
    resumed = train(folder / "half", "record.resume=true")
    assert [row["loss"] for row in resumed["history"] if "loss" in row] == [
        row["loss"] for row in whole["history"] if "loss" in row
    ]
    ours, theirs = (prefix_of(folder / name / "checkpoint-4") for name in ("half", "whole"))
    assert ours.keys() == theirs.keys() == {"transformer.prefix_encoder.embedding.weight"}
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    told = [f"data.test={rows}", f"data.validation={rows}", "data.max_predict_rows=2"]
    checkpoint = folder / "half" / "checkpoint-4"
    if named == "model":
        told.append(f"model.path={checkpoint}")
    else:
        told += [f"model.path={model}", f"method.checkpoint={checkpoint}"]
    assert foretune("train", predict, "--set", f"record.output={folder / 'half'}", *told) == 0
    lines = (folder / "half" / "generated_predictions.txt").read_text("utf-8").splitlines()
    assert [list(json.loads(line)) for line in lines] == [["labels", "predict"]] * 2
    assert report_of(folder / "half", "evaluation")["metrics"]["predict_samples"] == 2
    assert report_of(folder / "half")["ended"] == "finished"  # of the training, still there


@pytest.mark.parametrize("named", ["model", "checkpoint"])
@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_a_script_trains_goes_on_and_predicts(tmp_path: Path, base, family, named):
    script, predict = tmp_path / "train.sh", tmp_path / "evaluate.sh"
    script.write_text(SCRIPTS[family])
    predict.write_text(PREDICT)
    rows = write_rows(tmp_path / "rows.json", 6)
    train_go_on_and_predict(tmp_path, base(family), script, predict, rows, named)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_the_published_script_trains_goes_on_and_predicts_with_the_real_vocabulary(
    tmp_path: Path, shared: Path, family
):
    """Only paths, max_steps, save_steps and logging_steps are overridden."""
    golden, vocabularies = shared / "golden" / "tokenizers", shared / "tokenizers"
    if family == "chatglm":
        made = {
            "vocabulary": vocabularies / "chatglm-6b-standin" / "ice_text.model",
            "fixture": golden / "chatglm1_standin_fullvocab.json",
            "vocab_size": 130528,
        }
    else:
        made = {
            "vocabulary": vocabularies / "chatglm3-6b" / "tokenizer.model",
            "fixture": golden / "chatglm3_fullvocab.json",
            "padded_vocab_size": 65024,
        }
    model = small_model(tmp_path / "base", family, num_layers=3, spread=8, **made)
    adverts = (shared / "data" / "advertisegen" / "dev-800.json").read_text("utf-8")
    rows = tmp_path / "rows.json"
    rows.write_text("\n".join(adverts.splitlines()[:40]), encoding="utf-8")
    script = shared / "inputs" / NAMES[family] / "train.sh"
    predict = shared / "inputs" / "chatglm-6b" / "evaluate.sh"
    named = "model" if family == "chatglm" else "checkpoint"
    train_go_on_and_predict(tmp_path, model, script, predict, rows, named)
    assert len(report_of(tmp_path / "whole")["actual"]) >= 12


def as_pasted(text: str) -> str:
    """A script in one line, as copying it from a web page leaves it."""
    return text.replace("\\\n", "\\").replace("\n\n", " ").replace("\n", " ").strip()


def settings_of(script: Path) -> dict[str, object]:
    run = read(script)
    return {setting.path: run.get(setting.path) for setting in run.settings}


def test_a_script_flattened_by_copy_and_paste_is_the_same_run(tmp_path: Path):
    whole, flat = tmp_path / "train.sh", tmp_path / "pasted.sh"
    whole.write_text(SCRIPTS["chatglm"])
    flat.write_text(as_pasted(SCRIPTS["chatglm"]))
    assert len(flat.read_text().splitlines()) == 1
    assert settings_of(flat) == settings_of(whole)
    assert len(settings_of(whole)) >= 20


def test_the_script_as_pasted_is_the_run_of_the_published_one(shared: Path):
    folder = shared / "inputs" / "chatglm-6b"
    pasted = settings_of(folder / "train-as-pasted.sh")
    assert pasted == settings_of(folder / "train.sh")
    assert len(pasted) >= 20 and pasted["method.prefix.length"] == 128


def test_a_pasted_script_trains_as_the_whole_one_and_the_report_says_what_was_mended(
    tmp_path: Path, base
):
    script = tmp_path / "pasted.sh"
    script.write_text(as_pasted(SCRIPTS["chatglm"]))
    rows = write_rows(tmp_path / "rows.json", 4)
    told = [f"model.path={base('chatglm')}", f"data.train={rows}", "schedule.max_steps=1"]
    assert foretune("train", script, "--set", *told, f"record.output={tmp_path / 'out'}") == 0
    report = report_of(tmp_path / "out")
    assert report["forecast"]["trainable parameters"] == report["actual"]["trainable parameters"]
    assert any("line" in note for note in report["notes"])


def block_of(text: str) -> list[str]:
    """The trainer's block in a text, with what the forecast says beside it."""
    lines = text.splitlines()
    start = lines.index("***** Running training *****")
    end = next((i for i in range(start + 1, len(lines)) if not lines[i].startswith("  ")), None)
    return lines[start:end]


def without_tokens(lines: list[str]) -> list[str]:
    """Lines that can be known without encoding the rows."""
    return [line for line in lines if "rows.json" not in line and " tokens " not in line]


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_plan_says_what_train_says_before_it_starts(
    tmp_path: Path, base: Callable[[str], Path], capsys, family, tokens
):
    script = tmp_path / "train.sh"
    script.write_text(SCRIPTS[family])
    rows = write_rows(tmp_path / "rows.json", 6)
    told = [f"model.path={base(family)}", f"data.train={rows}", f"record.output={tmp_path / 'o'}"]
    told += ["schedule.max_steps=2", "data.validation=none.json"]
    assert foretune("plan", script, *(["--tokens"] if tokens else []), "--set", *told) == 0
    planned = block_of(capsys.readouterr().out)
    assert not (tmp_path / "o").exists()
    assert foretune("train", script, "--set", *told) == 0
    said = block_of(capsys.readouterr().out)
    assert len(planned) >= 11
    if tokens:
        assert planned == said
    else:
        assert without_tokens(planned) == without_tokens(said)
