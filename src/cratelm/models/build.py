"""A new model from a name, a shape and a seed."""

from dataclasses import fields

import torch
from huggingface_hub.errors import StrictDataclassError

from cratelm.errors import InputError, setting_fault
from cratelm.families import FAMILIES, Settings
from cratelm.models.configuration_decoder import DecoderConfig
from cratelm.models.decoder import DecoderForCausalLM
from cratelm.shapes import ShapeConfig, model_settings


def build_model(name: str, shape: ShapeConfig, vocabulary: int, end_of_text: int, seed: int) -> DecoderForCausalLM:
    """A model with random weights, which are a function of the arguments alone."""
    return untrained(build_config(name, shape, vocabulary, end_of_text), seed)


def _own(config_class: type[DecoderConfig]) -> set[str]:
    """The settings that a configuration and its bases here declare, without those that transformers gives to all."""
    ours = (base for base in config_class.__mro__ if issubclass(base, DecoderConfig))
    return {name for base in ours for name in vars(base).get("__annotations__", {})}


def build_config(name: str, shape: ShapeConfig, vocabulary: int, end_of_text: int) -> DecoderConfig:
    """The configuration of a model; raises InputError, with the reason, where the name's settings make none."""
    base, settings = model_settings(name)
    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": shape.context,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
    }
    if given := sorted(settings.keys() & sizes.keys()):
        raise InputError(f"model {name!r}: {given[0]} belongs to the shape, which all models of a comparison share.")
    config_class = _config_class(base, settings)
    if foreign := sorted(settings.keys() & {field.name for field in fields(config_class)} - _own(config_class)):
        raise InputError(f"model {name!r}: {foreign[0]} is not a setting of the architecture.")
    numbers = {field.name for field in fields(config_class) if field.type is float}
    settings = {
        key: float(value) if key in numbers and type(value) is int else value for key, value in settings.items()
    }
    try:
        return config_class(**sizes | settings)  # type: ignore[bad-argument-type]
    except (StrictDataclassError, ValueError, TypeError) as error:
        raise InputError(f"model {name!r}: {setting_fault(error)}.") from error


def untrained(config: DecoderConfig, seed: int) -> DecoderForCausalLM:
    """A model as it begins: random weights, a function of the configuration and the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        family = next(family for family in FAMILIES if family.model_type == config.model_type)
        return family.load("causal_lm")(config)


def _config_class(base: str, settings: Settings) -> type[DecoderConfig]:
    """CRATE's own class as long as it knows all the settings, so that the paper's model stays itself."""
    classes = [family.load("configuration") for family in FAMILIES if family.base == base]
    return next((known for known in classes if settings.keys() <= {one.name for one in fields(known)}), classes[-1])
