"""chat and stream_chat: what the model is asked, where it stops, and what is told of its answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from foretune.errors import UserError
from foretune.models.dialogue import ValidScores, stream
from foretune.models.loading import load_model
from foretune.tokenizers import ChatGLMTokenizer
from small_models import FIXTURES, small_model

ROLES = ("<|user|>", "<|observation|>")
SPEAK_IN_ROLES = ("chatglm3", "glm4")


@pytest.fixture(scope="module", params=["chatglm", "chatglm2", "chatglm3", "glm4"])
def speaker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Any, Any]:
    """The name of a family, a small model of it and its tokenizer."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "chatglm3":
        small_model(folder, "chatglm2", fixture=FIXTURES / "chatglm3_fixture.json")
    else:
        small_model(folder, request.param)
    tokenizer = ChatGLMTokenizer.from_pretrained(folder, family=request.param)
    config = json.loads((folder / "config.json").read_text())
    if len(tokenizer) > config.get("padded_vocab_size", len(tokenizer)):
        pytest.skip("the small model has no rows for the role tokens")
    return request.param, load_model(folder, dtype=torch.float32).eval(), tokenizer


class Says(LogitsProcessor):
    """Makes a model say the given ids and nothing else."""

    def __init__(self, prompt: int, ids: list[int]) -> None:
        self.prompt, self.ids = prompt, ids

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = torch.full_like(scores, -1e4)
        scores[:, self.ids[input_ids.shape[1] - self.prompt]] = 0
        return scores


def scripted(model: Any, tokenizer: Any, query: str, history: Any, text: str, stop: int) -> Any:
    """The processor that makes the next answer ``text``, ended by ``stop``."""
    if hasattr(tokenizer, "build_chat_input"):
        prompt = tokenizer.build_chat_input(query, history=history)["input_ids"]
    else:
        prompt = tokenizer([tokenizer.build_prompt(query, history)], return_tensors="pt").input_ids
    ids = tokenizer.encode(text, add_special_tokens=False)
    return LogitsProcessorList([Says(prompt.shape[1], [*ids, stop])])


def history_of(name: str, *turns: tuple[str, str]) -> list[Any]:
    if name not in SPEAK_IN_ROLES:
        return list(turns)
    return [
        message
        for query, answer in turns
        for message in (
            {"role": "user", "content": query},
            {"role": "assistant", "metadata": "", "content": answer},
        )
    ]


def test_a_chat_gives_the_response_and_the_longer_history(speaker: tuple[str, Any, Any]):
    name, model, tokenizer = speaker
    for history in ([], history_of(name, ("你好", "好"))):
        before = list(history)
        says = scripted(model, tokenizer, "再见", history, "好的", tokenizer.eos_token_id)
        response, told = model.chat(tokenizer, "再见", history=history, logits_processor=says)
        assert response == "好的"
        assert told == [*history, *history_of(name, ("再见", "好的"))]
        assert history == before


def test_a_stream_grows_to_what_a_chat_gives(speaker: tuple[str, Any, Any]):
    _, model, tokenizer = speaker
    says = scripted(model, tokenizer, "你好", [], "好的, 再见", tokenizer.eos_token_id)
    told = list(model.stream_chat(tokenizer, "你好", logits_processor=says))
    whole = model.chat(tokenizer, "你好", logits_processor=says)
    assert told[-1] == whole
    assert len(told) >= 3
    assert all(not response.endswith("\N{REPLACEMENT CHARACTER}") for response, _ in told)
    assert [response for response, _ in told] == sorted((r for r, _ in told), key=len)


def test_models_with_roles_stop_at_the_next_role(speaker: tuple[str, Any, Any]):
    name, model, tokenizer = speaker
    if name not in SPEAK_IN_ROLES:
        assert not hasattr(tokenizer, "build_chat_input")
        return
    for role in ROLES:
        says = scripted(model, tokenizer, "你好", [], "好", tokenizer.get_command(role))
        response, told = model.chat(tokenizer, "你好", logits_processor=says)
        assert response == "好" and len(told) == 2
    says = scripted(model, tokenizer, "3", [], "好", tokenizer.eos_token_id)
    _, told = model.chat(tokenizer, "3", role="observation", logits_processor=says)
    assert told[0] == {"role": "observation", "content": "3"}


def test_the_published_sampling_holds_unless_another_is_given(
    speaker: tuple[str, Any, Any], monkeypatch: pytest.MonkeyPatch
):
    name, model, tokenizer = speaker
    seen: list[dict[str, Any]] = []

    def generate(self: Any, **kwargs: Any) -> torch.Tensor:
        seen.append(kwargs)
        return kwargs["input_ids"]

    monkeypatch.setattr(type(model), "generate", generate)
    model.chat(tokenizer, "你好")
    model.chat(tokenizer, "你好", top_p=0.5, do_sample=False)
    published = {"chatglm": (2048, 0.7, 0.95)}.get(name, (8192, 0.8, 0.8))
    model.chat(tokenizer, "你好", max_new_tokens=7)
    first, second, third = seen
    assert (first["max_length"], first["top_p"], first["temperature"]) == published
    assert first["do_sample"] and first["num_beams"] == 1
    assert not second["do_sample"] and "top_p" not in second
    assert third["max_new_tokens"] == 7 and "max_length" not in third


def test_a_chat_reads_words_as_text_unless_the_published_protocol_is_asked_for(
    speaker: tuple[str, Any, Any], monkeypatch: pytest.MonkeyPatch
):
    name, model, tokenizer = speaker
    seen: list[list[int]] = []

    def generate(self: Any, **kwargs: Any) -> torch.Tensor:
        seen.append(kwargs["input_ids"][0].tolist())
        return kwargs["input_ids"]

    monkeypatch.setattr(type(model), "generate", generate)
    named = "a[MASK]</s><sop><n><|user|>"
    for query in (named, "你好, b"):
        for said in ("好", query):
            history = history_of(name, (query, said))
            model.chat(tokenizer, query, history)
            model.chat(tokenizer, query, history, protocol="published")
            plain, published = seen[-2:]
            asked = tokenizer.decode(plain)
            assert query in asked
            assert (plain == published) == (query != named or name != "chatglm")
            if name == "chatglm":
                prompt = tokenizer.build_prompt(query, history)
                assert published == tokenizer([prompt])["input_ids"][0]
                assert tokenizer.mask_token_id not in plain
                assert plain.count(tokenizer.bos_token_id) == 1
    assert len(seen) == 8
    with pytest.raises(UserError, match="'official'"):
        model.chat(tokenizer, "你好", protocol="official")


def test_overflown_scores_become_token_five():
    scores = torch.tensor([[0.0, torch.nan, 1.0, 2.0, 3.0, 4.0, 5.0]])
    assert ValidScores()(scores, scores).argmax().item() == 5
    fine = torch.tensor([[0.0, -torch.inf, 1.0, 2.0, 3.0, 4.0, 5.0]])
    assert ValidScores()(fine, fine) is fine


def test_an_error_while_streaming_reaches_the_reader(speaker: tuple[str, Any, Any]):
    _, model, _ = speaker
    with pytest.raises(ValueError, match="do_everything"):
        list(stream(model, input_ids=torch.tensor([[1, 2]]), do_everything=True))


def test_a_stream_that_is_closed_ends_the_generation(speaker: tuple[str, Any, Any]):
    _, model, tokenizer = speaker
    steps: list[int] = []

    class Counts(LogitsProcessor):
        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            steps.append(1)
            return torch.where(torch.arange(scores.shape[-1]) == 7, 0.0, -1e4).expand_as(scores)

    told = model.stream_chat(
        tokenizer, "你好", max_length=500, logits_processor=LogitsProcessorList([Counts()])
    )
    next(told)
    told.close()
    assert len(steps) < 400


def test_the_saved_folder_speaks_as_the_model_did(speaker: tuple[str, Any, Any], tmp_path: Path):
    _, model, tokenizer = speaker
    model.save_pretrained(tmp_path)
    again = load_model(tmp_path, dtype=torch.float32).eval()
    settings = {"do_sample": False, "max_length": 60}
    expected = model.chat(tokenizer, "你好", **settings)
    assert again.chat(tokenizer, "你好", **settings) == expected
