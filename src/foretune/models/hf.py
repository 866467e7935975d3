"""transformers' config classes, made from the declarations in params/arch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ClassVar

from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel

from ..params.arch import Architecture, Family, Shape, families, family_of, read_architecture

KEPT_BY_TRANSFORMERS = (
    "model_type", "architectures", "auto_map",
    "name_or_path", "torch_dtype", "transformers_version", "quantization_config",
    "from_model_config", "id2label", "label2id", "num_labels", "problem_type",
)  # fmt: skip


class PublishedConfig(PreTrainedConfig):
    """A config whose keys are those of the published config.json; keys of others are kept as they
    are.
    """

    architecture: ClassVar[type[Architecture]]
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]

    @property
    def shape(self) -> Shape:
        """The sizes of the model. Raises UserError where a value cannot be."""
        declared, _ = read_architecture(self.to_dict())
        assert declared is not None, "to_dict writes the keys that a family is known by"
        return declared.shape

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **kwargs: Any) -> Any:
        """The config of the family that the keys belong to: several share one model_type."""
        family = family_of(config_dict)
        if family is None or family is cls.architecture or family not in native_families():
            twice = [key for key in cls.architecture.second_names if key in config_dict]
            return super().from_dict({**config_dict, "said_twice": twice}, **kwargs)
        return published_config(family).from_dict(config_dict, **kwargs)

    def to_diff_dict(self) -> dict[str, Any]:
        """What is saved; the dtype under the key that every version of transformers reads, and what
        was said under two names under both.
        """
        output = super().to_diff_dict()
        output |= {key: getattr(self, key) for key in output.pop("said_twice", ())}
        if (dtype := output.pop("dtype", None)) is not None:
            output["torch_dtype"] = dtype
        return output


def module_name(family: type[Family]) -> str:
    """Where the family's model is, or would be: in the file that has the name of the one in
    params/arch.
    """
    return f"{__package__}.{family.__module__.rpartition('.')[2]}"


def family_module(family: type[Family]) -> ModuleType:
    """The file with the family's model."""
    return import_module(module_name(family))


def published_config(family: type[Family]) -> type[PublishedConfig]:
    """The config class of a family."""
    return next(
        found
        for found in vars(family_module(family)).values()
        if getattr(found, "architecture", None) is family
    )


def config_of(architecture: type[Architecture]) -> type[PublishedConfig]:
    """The base of a config class: the declared keys with the same annotations and defaults."""
    fields = {
        name: field
        for name, field in architecture.model_fields.items()
        if name not in KEPT_BY_TRANSFORMERS and name not in architecture.second_names
    }
    return type(
        f"{architecture.__name__}Keys",
        (PublishedConfig,),
        {
            "__module__": __name__,
            "__doc__": architecture.__doc__,
            "__annotations__": {name: field.annotation for name, field in fields.items()},
            "architecture": architecture,
            "model_type": architecture.model_fields["model_type"].default,
            **{name: field.default for name, field in fields.items()},
        },
    )


def native_families() -> tuple[type[Architecture], ...]:
    """The families that have a model file here."""
    return tuple(
        family
        for family in families()
        if issubclass(family, Architecture) and find_spec(module_name(family)) is not None
    )


def native_model(family: type[Architecture]) -> type[PreTrainedModel]:
    """The class of a family that generates text."""
    return next(
        found
        for found in vars(family_module(family)).values()
        if isinstance(found, type)
        and issubclass(found, PreTrainedModel)
        and issubclass(found, GenerationMixin)
    )


def native_classifier(family: type[Architecture]) -> type[PreTrainedModel] | None:
    """The class of a family that sorts texts into classes; None where it has none."""
    return next(
        (
            found
            for name, found in vars(family_module(family)).items()
            if name.endswith("ForSequenceClassification")
        ),
        None,
    )
