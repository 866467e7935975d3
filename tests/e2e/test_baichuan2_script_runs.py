"""Baichuan2's fine-tuning script from file to report: train, and answer with what came out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from small_models import small_model
from small_runs import foretune

SCRIPT = """\
hostfile=""
deepspeed --hostfile=$hostfile fine-tune.py  \\
    --report_to "none" \\
    --data_path "{folder}/chats.json" \\
    --model_name_or_path "{folder}/base" \\
    --output_dir "{folder}/output" \\
    --model_max_length 32 \\
    --num_train_epochs 1 \\
    --per_device_train_batch_size 3 \\
    --gradient_accumulation_steps 1 \\
    --save_strategy epoch \\
    --learning_rate 2e-2 \\
    --lr_scheduler_type constant \\
    --adam_beta1 0.9 \\
    --adam_beta2 0.98 \\
    --adam_epsilon 1e-8 \\
    --max_grad_norm 1.0 \\
    --weight_decay 1e-4 \\
    --warmup_ratio 0.0 \\
    --logging_steps 1 \\
    --gradient_checkpointing True \\
    --disable_tqdm True
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small random Baichuan2-13B, six conversations and the script."""
    small_model(tmp_path / "base", "baichuan2")
    texts = [("你好", "您好！", f"问题{n}", "答案" * (n + 1)) for n in range(6)]
    chats = [
        {
            "id": str(n),
            "conversations": [
                {"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(row)
            ],
        }
        for n, row in enumerate(texts)
    ]
    (tmp_path / "chats.json").write_text(json.dumps(chats, ensure_ascii=False), encoding="utf-8")
    (tmp_path / "train.sh").write_text(SCRIPT.format(folder=tmp_path))
    return tmp_path


def report_of(folder: Path, name: str = "report") -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("method", "protocol"), [("lora", "default"), ("full", "default"), ("full", "official")]
)
def test_the_script_trains_as_forecast_and_its_result_answers(
    folder: Path, method: str, protocol: str
):
    script, output = folder / "train.sh", folder / "output"
    lora = ["--use_lora", "True"] if method == "lora" else []
    asked = [*lora, "--data.protocol", protocol]
    assert foretune("train", script, *asked) == 0
    report = report_of(output)
    assert report["ended"] == "finished"
    assert [row["name"] for row in report["comparison"] if row["agrees"] is False] == []
    compared = {row["name"]: row["actual"] for row in report["comparison"]}
    assert compared["optimization steps"] == 2
    losses = [row["loss"] for row in report["history"] if "loss" in row]
    assert len(losses) == 2 and losses[1] < losses[0]
    checkpoint = output / "checkpoint-2"
    if method == "lora":
        adapter = load_file(checkpoint / "adapter_model.safetensors")
        assert {tuple(tensor.shape) for tensor in adapter.values()} == {(1, 32), (96, 1)}
        assert compared["trainable parameters"] == 2 * (32 + 96)
    else:
        assert json.loads((checkpoint / "config.json").read_text())["auto_map"]
    tuned = "method.checkpoint" if method == "lora" else "model.path"
    told = [f"{tuned}={checkpoint}", f"data.test={folder / 'chats.json'}"]
    told += ["data.max_source_length=24", "data.max_target_length=24", "data.max_predict_rows=3"]
    assert foretune("evaluate", script, *asked, "--set", *told) == 0
    lines = (output / "generated_predictions.txt").read_text("utf-8").splitlines()
    assert [json.loads(line)["labels"] for line in lines] == ["答案" * n for n in (1, 2, 3)]
    assert report_of(output, "evaluation")["metrics"]["predict_samples"] == 3


def test_data_that_is_not_there_is_told_with_the_line_that_names_it(folder: Path, capsys):
    (folder / "chats.json").unlink()
    assert foretune("train", str(folder / "train.sh")) == 2
    told = capsys.readouterr().err
    assert f"there is no file chats.json\n  where: {folder}/chats.json, named in " in told
    assert "train.sh:4 (--data_path " in told
    assert foretune("plan", str(folder / "train.sh"), "--lang", "en") == 0
    planned = " ".join(capsys.readouterr().out.split())  # its lines wrap
    assert "chats.json is not here (" in planned and "train.sh:4 (--data_path " in planned
    assert "neither rows nor max_steps are known" in planned
