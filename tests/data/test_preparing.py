"""Files to examples: honest counts, limits, processes, and the first example as text."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from foretune.data import prepare as module
from foretune.data.encoded import family_of
from foretune.data.examples import Ragged
from foretune.data.measure import measure
from foretune.data.prepare import prepare
from foretune.data.show import first_example_text
from foretune.errors import UserError
from foretune.facts import Damage
from foretune.params.run import Run

from .conftest import data_of

LONG = "你好" * 40
ROWS = [
    {"prompt": "你好", "response": "a"},
    {"prompt": "", "response": "a"},
    {"prompt": LONG, "response": "a"},
    {"prompt": "你好", "response": LONG},
    {"prompt": LONG, "response": LONG},
    {"prompt": "a", "response": "你好"},
]
LIMITS = {"max_source_length": 30, "max_target_length": 30}


def prepared(file, tok, *, split="train", teacher_forced=None, **settings):
    return prepare(
        file,
        data_of(**settings),
        tok,
        split=split,
        teacher_forced=teacher_forced,
        progress=False,
    )


def test_every_row_is_accounted_for(small, write):
    tok, file = small("chatglm2"), write("t.json", [*ROWS, {"prompt": 1, "response": "a"}])
    facts = prepared(file, tok, bad_rows="skip", **LIMITS).facts
    assert (facts.file, facts.rows, facts.bad, facts.empty, facts.examples) == (file, 7, 1, 1, 5)
    assert facts.damage == Damage(
        prompts_cut=2,
        questions_cut=2,
        answers_cut=2,
        dropped=0,
        prompt_over=28,
        answer_over=11,
        lines=(3, 4, 5),
    )
    dropped = prepared(file, tok, bad_rows="skip", overlong="drop", **LIMITS).facts
    assert (dropped.rows, dropped.examples) == (7, 2)
    assert dropped.damage == Damage(dropped=3, lines=(3, 4, 5))


def test_tokens_are_counted_as_the_trainer_sees_them(small, write):
    tok, file = small("chatglm"), write("t.json", ROWS[:2])
    found = prepared(file, tok, **LIMITS)
    assert found.dataset[0] == {
        "input_ids": [5, 319, 1601, 1604, 92, 1605],
        "labels": [-100, -100, -100, 1604, 92, 1605],
    }
    facts = found.facts
    assert (facts.tokens, facts.trained_tokens, facts.longest) == (6, 3, 6)
    assert facts.padded_tokens == 60


def test_trained_pads_are_counted_where_they_are_part_of_every_example(small, write):
    file = write("t.json", ROWS[:1])
    official = {"protocol": "official", "ignore_pad_in_loss": False}
    facts = prepared(file, small("chatglm"), **official, **LIMITS).facts
    assert facts.trained_tokens == 3 + (60 - 6)
    # Of ChatGLM2 every label counts but the first, which nothing predicts.
    facts = prepared(file, small("chatglm2"), **official, **LIMITS).facts
    assert facts.trained_tokens == facts.padded_tokens - 1 == 60


def test_rows_to_generate_from_are_cut_and_never_dropped(small, write):
    tok, file = small("chatglm2"), write("t.json", ROWS)
    found = prepared(file, tok, split="predict", overlong="drop", **LIMITS)
    assert (found.facts.examples, found.facts.damage.dropped) == (5, 0)
    assert found.facts.damage.prompts_cut == 2
    assert found.facts.trained_tokens is None and found.facts.padded_tokens is None
    assert found.dataset[4]["labels"] == tok.encode("你好")
    forced = prepared(file, tok, split="evaluate", teacher_forced=True, **LIMITS)
    assert forced.dataset[4] == prepared(file, tok, **LIMITS).dataset[4]


def test_long_rows_can_be_refused_all_at_once(small, write):
    file = write("t.json", ROWS)
    with pytest.raises(UserError) as caught:
        prepared(file, small("chatglm2"), overlong="refuse", **LIMITS)
    problems = caught.value.problems
    assert [problem.where for problem in problems] == [f"{file}:{line}" for line in (3, 4, 5)]
    assert "prompt by " in problems[0].what and "answer" not in problems[0].what
    assert " and answer by " in problems[2].what
    many = write("many.json", [ROWS[2]] * 50)
    with pytest.raises(UserError) as caught:
        prepared(many, small("chatglm2"), overlong="refuse", **LIMITS)
    assert caught.value.problems[-1].what == "30 more rows longer than the limits"


def test_a_run_without_examples_is_refused(small, write):
    file = write("t.json", ROWS[2:3])
    with pytest.raises(UserError, match="all 1 row are longer"):
        prepared(file, small("chatglm2"), overlong="drop", **LIMITS)


@pytest.mark.parametrize("protocol", ["official", "default"])
@pytest.mark.parametrize("family", ["chatglm", "chatglm2", "chatglm3"])
def test_limits_without_room_for_text_are_refused(small, write, family, protocol):
    file, tok = write("t.json", ROWS), small(family)
    source, target = family_of(tok).least_lengths(tok, data_of(protocol=protocol))
    with pytest.raises(UserError) as caught:
        prepared(
            file,
            tok,
            protocol=protocol,
            max_source_length=source - 1,
            max_target_length=target - 1,
            max_eval_target_length=1,
        )
    assert [problem.where for problem in caught.value.problems] == [
        "data.max_source_length",
        "data.max_target_length",
        "data.max_eval_target_length",
    ]


@pytest.mark.parametrize("overlong", ["cut", "drop"])
def test_several_processes_give_the_same_examples(small, write, monkeypatch, overlong):
    monkeypatch.setattr(module, "LARGE", 10)
    monkeypatch.setattr(module, "CHUNK", 7)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    file, tok = write("t.json", ROWS * 20), small("chatglm2")
    one = prepared(file, tok, overlong=overlong, **LIMITS)
    two = prepared(file, tok, overlong=overlong, workers=2, **LIMITS)
    assert one.facts == two.facts
    assert len(one.dataset) == len(two.dataset) == (100 if overlong == "cut" else 40)
    assert all(one.dataset[i] == two.dataset[i] for i in range(len(one.dataset)))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
def test_an_interrupt_ends_the_encoding_without_noise_from_the_children(small, write):
    file = write("t.json", ROWS[:1] * 100_000)
    folder = small("chatglm2").name_or_path
    program = f"""
import os, signal, threading
from foretune.data import prepare as module
from foretune.data.prepare import prepare
from foretune.params.data import Data
from foretune.tokenizers import ChatGLMTokenizer
tok = ChatGLMTokenizer.from_pretrained({folder!r}, family="chatglm2")
os.cpu_count = lambda: 2
module.CHUNK = 50
data = Data(prompt_column="prompt", response_column="response", workers=2)
threading.Timer(0.4, os.killpg, (0, signal.SIGINT)).start()
try:
    prepare({file!r}, data, tok, split="train", progress=False)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        start_new_session=True,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("interrupted\n", "", 0)


def test_the_progress_bar_is_drawn_on_a_terminal_only(small, write, capfd):
    file = write("t.json", ROWS)
    prepare(file, data_of(**LIMITS), small("chatglm2"), split="train", progress=True)
    assert capfd.readouterr().err == ""


def test_examples_are_reached_from_both_ends_and_end(small, write):
    dataset = prepared(write("t.json", ROWS), small("chatglm2"), **LIMITS).dataset
    assert dataset[-1] == dataset[4]
    with pytest.raises(IndexError):
        dataset[5]
    assert len(list(dataset)) == 5


def test_ragged_rows_join():
    rows = [[1, 2], [], [3]]
    joined = Ragged.joined([Ragged.of(rows), Ragged.of([]), Ragged.of([[4]])])
    assert [joined[i].tolist() for i in range(len(joined))] == [*rows, [4]]
    assert joined.values.dtype == np.int32


def test_the_first_example_is_shown_with_its_trained_part_marked(small, write):
    tok, file = small("chatglm"), write("t.json", ROWS)
    assert first_example_text(prepared(file, tok, **LIMITS).dataset, tok).splitlines() == [
        "the first example: 6 tokens, 3 trained, between ⟦⟧",
        "你好[gMASK]⟦<sop>a<eop>⟧",
    ]
    tok = small("chatglm2")
    shown = first_example_text(prepared(file, tok, **LIMITS).dataset, tok)
    assert shown.endswith("\n[gMASK]sop[Round 1]\n\n问：你好\n\n答：⟦a</s>⟧")


def test_measuring_takes_the_files_that_the_run_uses(small, write):
    tok, file = small("chatglm2"), write("t.json", ROWS)
    run = Run().set(
        {
            "data.train": file,
            "data.validation": file,
            "data.test": file,
            "data.prompt_column": "prompt",
            "data.response_column": "response",
            "data.max_train_rows": 3,
            "launch.train": True,
            "launch.processes": 4,
            "launch.nodes": 2,
        }
    )
    facts = measure(run, lambda: tok, progress=False)
    assert facts.devices == 8
    assert facts.train is not None and facts.train.examples == 2
    assert facts.validation is None and facts.test is None
    asked = {"record.eval_strategy": "steps", "launch.predict": True}
    facts = measure(run.set(asked), lambda: tok, progress=False)
    assert facts.validation is not None and facts.validation.trained_tokens is not None
    assert facts.test is not None and facts.test.trained_tokens is None
    generating = measure(run.set({**asked, "generate.enabled": True}), lambda: tok, progress=False)
    assert generating.validation is not None and generating.validation.trained_tokens is None


# figures of the shared sample of AdvertiseGen, with the limits of the authors' train.sh
ADVERTS = {
    ("chatglm", 64, "official"): (76501, 47867, 102400, 11, 11, 446),
    ("chatglm", 64, "default"): (76501, 47867, 102400, 11, 11, 446),
    ("chatglm2", 128, "official"): (102725, 61725, 154400, 135, 81, 5),
    ("chatglm2", 128, "default"): (102725, 61725, 154400, 135, 135, 5),
    ("chatglm3", 128, "official"): (98350, 63292, 154400, 0, 0, 5),
    ("chatglm3", 128, "default"): (98350, 63348, 154400, 4, 4, 3),
}


@pytest.mark.parametrize(("case", "expected"), ADVERTS.items())
def test_the_sample_of_adverts_is_counted(full, shared, case, expected):
    family, target, protocol = case
    facts = prepared(
        str(shared / "data" / "advertisegen" / "dev-800.json"),
        full(family),
        prompt_column="content",
        response_column="summary",
        max_source_length=64,
        max_target_length=target,
        protocol=protocol,
    ).facts
    damage = facts.damage
    assert (facts.rows, facts.bad, facts.empty, facts.examples) == (800, 0, 0, 800)
    assert expected == (
        facts.tokens,
        facts.trained_tokens,
        facts.padded_tokens,
        damage.prompts_cut,
        damage.questions_cut,
        damage.answers_cut,
    )
