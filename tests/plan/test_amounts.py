"""The amounts of a run are what the counts and the forecast say, each with its formula."""

from __future__ import annotations

import pytest

from foretune.explain.entry import of_config, of_run
from foretune.explain.example import example
from foretune.params.arch import families, family_of
from foretune.params.arch.chatglm2 import ChatGLM2
from foretune.params.arch.llama3 import ModelArgs
from foretune.plan.counts import (
    model_parameters,
    parameters_of_prefix,
    parameters_of_projected_prefix,
)
from foretune.plan.parameters import prefix_parameters


@pytest.mark.parametrize("family", families(), ids=lambda family: family.__name__)
def test_the_parameters_of_a_formula_are_those_that_were_counted(family):
    assert family_of(family.published) is family
    shape = family.model_validate(family.published).shape
    assert model_parameters(shape) == shape.num_parameters
    assert parameters_of_prefix(128, shape) == prefix_parameters(shape, 128, projection=False)
    projected = prefix_parameters(shape, 128, projection=True)
    assert parameters_of_projected_prefix(128, shape) == projected


def test_published_models_have_their_published_counts():
    counts = {
        family.__name__: family.model_validate(family.published).shape.num_parameters
        for family in families()
    }
    assert counts["ChatGLM"] == 6_173_286_400
    assert counts["ChatGLM2"] == 6_243_584_000
    assert counts["Baichuan"] == 13_896_668_160
    assert counts["ModelArgs"] == 8_030_261_248


@pytest.mark.parametrize("name", ["batch.micro", "method.prefix.length", "batch.eval"])
def test_every_amount_of_a_run_is_said_in_both_languages_with_its_numbers(name: str):
    planned, _ = example(of_run(name))
    assert len(planned.amounts) >= 12
    for amount in planned.amounts.values():
        assert amount.text_in("en").endswith(amount.shown)
        assert amount.label("zh") != amount.label("en")
        assert amount.shown_in("zh")


def test_a_model_alone_has_no_gradients():
    planned, _ = example(of_config(ChatGLM2, "hidden_size"))
    assert "kv_cache_bytes" in planned.amounts and "gradient_bytes" not in planned.amounts


def test_only_metas_files_have_metas_amounts():
    with_meta, _ = example(of_config(ModelArgs, "dim"))
    without, _ = example(of_config(ChatGLM2, "hidden_size"))
    theirs = {"meta_cache_bytes", "ffn_hidden_dim"}
    assert theirs <= with_meta.amounts.keys() and not theirs & without.amounts.keys()
