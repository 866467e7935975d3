"""Small models of every family, with weights that make every part of them matter."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from foretune.models.hf import native_model, published_config
from foretune.params.arch import family_of
from tiny_baichuan import ALIBI, ROTARY
from tiny_chatglm import CHATGLM, CHATGLM2, Build

torch.set_num_threads(1)  # for models this small, threads only wait for each other


TINY = {"chatglm": CHATGLM, "chatglm2": CHATGLM2, "baichuan2_7b": ROTARY, "baichuan2_13b": ALIBI}


@pytest.fixture(params=list(TINY))
def family(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The config.json of a small model of each family in turn."""
    return TINY[request.param]


@pytest.fixture
def build() -> Build:
    """Makes a model from a config.json, with random weights large enough to matter."""

    def make(config: dict[str, Any], seed: int = 0, **changes: Any) -> Any:
        config = {**config, **changes}
        architecture = family_of(config)
        assert architecture is not None
        model = native_model(architecture)(published_config(architecture).from_dict(config))
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data = 1 + 0.1 * noise if parameter.data.std() == 0 else 0.2 * noise
        return model.eval()

    return make
