"""Rules about rows, special tokens, records and names, on files as people have them."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import foretune
from foretune.check.finding import Finding
from foretune.check.rules.examples import CHATGLM, CHATGLM2
from foretune.formats.read import read_sound
from foretune.params.record import TRACKERS
from foretune.train.examine import examine


def found_in(*files: Path, **settings: Any) -> dict[str, Finding]:
    """The first finding of each rule."""
    run, problems = read_sound(*files, set=settings)
    findings = examine(run, problems)
    return {one.code: one for one in reversed(findings)}


def written(folder: Path, **files: Any) -> list[Path]:
    made = [folder / f"{name}.json" for name in files]
    for path, content in zip(made, files.values(), strict=True):
        path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return made


def script(folder: Path, *flags: str) -> Path:
    file = folder / "train.sh"
    file.write_text("python3 main.py \\\n    " + " \\\n    ".join(["--do_train", *flags]) + "\n")
    return file


def test_the_trackers_are_those_of_the_installed_transformers():
    spec = find_spec("transformers")
    assert spec is not None and spec.origin is not None
    file = Path(spec.origin).parent / "integrations" / "integration_utils.py"
    known = re.search(r"INTEGRATION_TO_CALLBACK = \{(.*?)\}", file.read_text("utf-8"), re.DOTALL)
    assert known is not None
    assert set(TRACKERS) >= set(re.findall(r'"(\w+)":', known[1]))
    assert len(TRACKERS) == len(set(TRACKERS)) == 14


def test_padding_that_is_the_end_in_config_json_is_no_finding(shared):
    folder = shared / "inputs"
    files = [folder / "chatglm2-6b-finetuned/config.json", folder / "chatglm2-6b/train.sh"]
    for protocol in ("default", "official"):
        found = found_in(*files, **{"data.protocol": protocol})
        assert found
        assert not [one for one in found if one.startswith("I")]


def test_odd_rows_are_told_at_their_lines(tmp_path):
    rows = [
        {"q": "a", "r": "b"},
        {"q": "c", "r": "c"},
        {"q": "a", "r": "b"},
        {"q": "", "r": "d"},
    ]
    file = tmp_path / "rows.json"
    file.write_text("\n".join(map(json.dumps, rows)))
    settings = {
        "launch.train": True,
        "data.train": str(file),
        "data.prompt_column": "q",
        "data.response_column": "r",
    }
    found = {one.code: one for one in foretune.check(foretune.read(set=settings))}
    assert (found["T107"].origin.file, found["T107"].origin.line) == (str(file), 3)
    assert found["T108"].origin.line == 2
    assert "1 of 4 rows" in found["T111"].what.en
    assert found["T107"].severity == found["T111"].severity == "warning"


def test_conversations_out_of_turn_are_counted_apart(tmp_path):
    user, answer = {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}
    talks = [[user, answer], [answer, user], [user, user, answer]]
    (file,) = written(tmp_path, talks=[{"messages": talk} for talk in talks])
    settings = {
        "launch.train": True,
        "data.train": str(file),
        "data.messages_column": "messages",
        "data.bad_rows": "skip",
    }
    found = {one.code: one for one in foretune.check(foretune.read(set=settings))}
    assert "2 for turns out of order" in found["T110"].what.en


def test_files_of_two_models_contradict_each_other(tmp_path):
    config, generation, tokenizer = written(
        tmp_path,
        config=CHATGLM2,
        generation_config={"do_sample": True, "eos_token_id": [7], "top_p": 0.8},
        tokenizer_config={"added_tokens_decoder": {"65024": {"content": "<new>"}}},
    )
    found = found_in(config, generation, tokenizer)
    assert (found["I103"].origin.file, found["I103"].origin.line) == (str(generation), 3)
    assert (found["I108"].severity, found["I108"].origin.file) == ("error", str(tokenizer))
    assert not found_in(config).keys() & {"I103", "I108"}


def test_ids_of_two_releases_of_chatglm_are_an_error_each(tmp_path):
    (config,) = written(tmp_path, config={**CHATGLM, "bos_token_id": 150004, "vocab_size": 150528})
    run, problems = read_sound(config)
    wrong = [one for one in examine(run, problems) if one.code == "I106"]
    keys = ["eos_token_id", "mask_token_id", "gmask_token_id"]
    assert sorted(one.origin.spelling for one in wrong) == sorted(keys)
    assert all(one.severity == "error" for one in wrong)


def test_old_idle_and_doubled_names_are_told_at_their_lines(tmp_path):
    file = script(
        tmp_path,
        "--train_file a.json",
        "--evaluation_strategy epoch",
        "--validation_file b.json",
        "--overwrite_cache",
        "--max_steps 10",
        "--max_steps 20",
    )
    found = found_in(file)
    lines = {code: found[code].origin.line for code in ("N101", "N102", "N105")}
    assert lines == {"N101": 4, "N102": 6, "N105": 8}
    assert found["N101"].field == "record.eval_strategy"
    assert "eval_strategy" in found["N101"].fix.en
    assert found["N102"].field == "argument.overwrite_cache"
    assert json.loads(json.dumps(found["N102"].as_dict("zh")))["value"] is None


def test_a_mistyped_key_of_config_json_is_a_warning_that_names_the_right_one(tmp_path):
    keys = {key: CHATGLM2[key] for key in CHATGLM2 if key != "seq_length"}
    (config,) = written(tmp_path, config={**keys, "seq_lenght": 8192, "mine": 1})
    run, problems = read_sound(config)
    found = [one for one in examine(run, problems) if one.code == "N104"]
    assert {(one.field, one.severity) for one in found} == {
        ("config.seq_lenght", "warning"),
        ("config.mine", "note"),
    }
    assert "seq_length" in next(one for one in found if one.severity == "warning").fix.en


def test_a_run_that_keeps_the_best_is_held_against_what_transformers_asks(tmp_path):
    wanted = ("--train_file a.json", "--validation_file b.json", "--load_best_model_at_end")
    cases = {
        ("--eval_strategy steps", "--eval_steps 200", "--save_steps 500"): {"W204"},
        ("--eval_strategy epoch", "--save_steps 500"): {"W203"},
        ("--save_strategy epoch",): {"W203"},
        ("--eval_strategy epoch", "--save_strategy epoch", "--metric_for_best_model f1"): {"W205"},
        (
            "--eval_strategy epoch",
            "--save_strategy epoch",
            "--metric_for_best_model perplexity",
        ): {"W206"},
        ("--eval_strategy epoch", "--save_strategy epoch"): set(),
        ("--eval_strategy steps", "--eval_steps 250", "--save_steps 500"): set(),
    }
    for flags, codes in cases.items():
        found = found_in(script(tmp_path, *wanted, *flags))
        assert {one.code for one in found.values() if one.severity == "error"} == codes, flags
    assert len(cases) == 7


def test_published_and_made_up_configs_raise_no_alarm(shared):
    seen = 0
    for config in sorted((shared / "golden").glob("*/config.json")):
        alarms = [one for one in found_in(config).values() if one.severity != "note"]
        assert not alarms, (config, alarms)
        seen += 1
    assert seen >= 20
