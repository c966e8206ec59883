"""Checkpoints of the official repository (crate-lm/crate-lm, a descendant of nanoGPT), in and out.

Such a file is a pickled dictionary with `model_args` and `model`; it is read with weights_only, so that nothing in it
can run. Every tensor of it must be known, present and of its right shape.
"""

import re
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError

from cratelm.errors import InputError, setting_fault
from cratelm.models import BaselineConfig, BaselineForCausalLM, CrateConfig, CrateForCausalLM
from cratelm.models.checkpoint_file import (
    Tensors,
    load_exactly,
    plain_names,
    read_checkpoint,
    require_numbers,
    require_tensor,
)
from cratelm.models.configuration_decoder import DecoderConfig
from cratelm.models.decoder import DecoderForCausalLM
from cratelm.ranges import shown

OUTER = {
    "transformer.wte.weight": "model.embed_tokens.weight",
    "transformer.wpe.weight": "model.embed_positions.weight",
    "transformer.ln_f": "model.norm",
}
CRATE_LAYER = {
    "prenorm_1": "attention_norm",
    "attn.c_attn": "attention.subspace_proj",
    "attn.c_proj": "attention.output_proj",
    "prenorm_2": "coding_norm",
    "ista.weight": "coding.dictionary",
}
GPT_LAYER = {
    "ln_1": "attention_norm",
    "attn.c_proj": "attention.output_proj",
    "ln_2": "mlp_norm",
    "mlp.c_fc": "mlp.up_proj",
    "mlp.c_proj": "mlp.down_proj",
}
QKV = ("query", "key", "value")
SIZES = {
    "vocab_size": "vocab_size",
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "block_size": "max_position_embeddings",
}
ACTIVATIONS = {
    "relu": "the official repository's",
    "gelu": "nanoGPT's",
    "gelu_new": "OpenAI's and nanoGPT's first",
}
"""The hidden layer of a GPT, and whose code has it."""


def import_official(path: Path, activation: str | None = None) -> DecoderForCausalLM:
    """The model of an official checkpoint, or of one in nanoGPT's layout, with the same logits.

    A GPT checkpoint does not say what the `activation` of its hidden layer is. Raises InputError naming the file, key
    or tensor that is wrong or missing, and where the activation has to be told.
    """
    arguments, tensors = _read(path)
    crate = any(name.endswith("ista.weight") for name in tensors)
    if not crate and arguments.get("bias") and not any(name.endswith(".bias") for name in tensors):
        raise InputError(f"{path} lacks all biases, and its model_args say that the model has some.")
    _require_activation(path, crate, activation)
    try:
        model = _empty_model(_sizes(path, arguments), tensors, crate, activation)
    except (ValueError, TypeError, StrictDataclassError) as error:
        raise InputError(f"{path}: its model_args describe no model: {setting_fault(error)}") from error
    load_exactly(model, _to_ours(path, tensors, crate), str(path))
    return model


def _empty_model(
    sizes: dict[str, Any], tensors: Tensors, crate: bool, activation: str | None
) -> CrateForCausalLM | BaselineForCausalLM:
    if crate:
        return CrateForCausalLM(CrateConfig(**sizes))
    bias = any(name.endswith(".mlp.c_fc.bias") for name in tensors)
    return BaselineForCausalLM(BaselineConfig(**sizes, bias=bias, activation=str(activation)))


def _require_activation(path: Path, crate: bool, activation: str | None) -> None:
    """Refuse an activation that is missing, unknown or means nothing."""
    if crate and activation is not None:
        raise InputError(f"{path} holds a CRATE, whose code is the one its equations give: leave --activation out.")
    if not crate and activation not in ACTIVATIONS:
        known = "; ".join(f"{name}, {of}" for name, of in ACTIVATIONS.items())
        if activation is not None:
            raise InputError(f"--activation {activation} is not known here. Give one of: {known}.")
        raise InputError(
            f"{path} holds a GPT and does not say which activation it was trained with. "
            f"Give --activation NAME: {known}."
        )


def _sizes(path: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """What `model_args` says in our words; InputError names what is missing there or would change the model."""
    if missing := [name for name in SIZES if name not in arguments]:
        raise InputError(f"{path}: model_args has no {missing[0]!r}.")
    if unknown := sorted(str(name) for name in arguments if name not in (*SIZES, "bias", "dropout")):
        raise InputError(f"{path}: model_args has {', '.join(unknown)}, which these models do not know.")
    for name in SIZES:
        if type(arguments[name]) is not int or arguments[name] < 1:
            raise InputError(f"{path}: model_args gives {name} {shown(arguments[name])}; it must be a whole number.")
    return {ours: arguments[theirs] for theirs, ours in SIZES.items()}


def export_official(model: DecoderForCausalLM, path: Path) -> None:
    """Write a model as an official checkpoint holds it, without optimizer state.

    Raises InputError for a model that the official code would compute differently.
    """
    config = model.config
    require_official(cast(DecoderConfig, config))
    require_tied(model.lm_head.weight, model.model.embed_tokens.weight, "the model")
    arguments = {
        "n_layer": config.num_hidden_layers,
        "n_head": config.num_attention_heads,
        "n_embd": config.hidden_size,
        "block_size": config.max_position_embeddings,
        "bias": bool(getattr(config, "bias", False)),
        "vocab_size": config.vocab_size,
        "dropout": 0.0,
    }
    torch.save({"model_args": arguments, "model": _to_official(dict(model.state_dict()))}, path)


def require_official(config: DecoderConfig) -> None:
    """Refuse what an official checkpoint cannot say: its code has these numbers built in."""
    sizes = {"hidden_size": config.hidden_size, "num_attention_heads": config.num_attention_heads}
    if isinstance(config, BaselineConfig):
        published: DecoderConfig = BaselineConfig(**sizes)
        fixed = ("intermediate_size", "activation", "attention", "l1_penalty")
    elif type(config) is CrateConfig:
        published = CrateConfig(**sizes)
        fixed = ("dictionary_size", "ista_steps", "ista_step_size", "ista_threshold")
    else:
        raise InputError(f"a {config.model_type} model has no place in the official repository's format.")
    for name in (*fixed, "layer_norm_eps", "sliding_window"):
        ours, theirs = getattr(config, name), getattr(published, name)
        if ours != theirs:
            raise InputError(f"the official repository's code has {name} {theirs}; this model has {ours}.")


def require_tied(head: torch.Tensor, embedding: torch.Tensor, source: str) -> None:
    """Refuse a model whose head is not its token embedding: ours have no place for such a head."""
    if not torch.equal(head, embedding):
        raise InputError(
            f"{source}: its head differs from its token embedding (lm_head.weight from wte.weight), and the head of "
            "these models is tied. A folder of transformers can be recorded as it is, without an import."
        )


def _read(path: Path) -> tuple[dict[str, Any], Tensors]:
    checkpoint = read_checkpoint(path)
    if not isinstance(checkpoint, dict) or not {"model", "model_args"} <= checkpoint.keys():
        raise InputError(f"{path} is not an official checkpoint: it has no `model` and `model_args`.")
    if not isinstance(checkpoint["model"], dict) or not isinstance(checkpoint["model_args"], dict):
        raise InputError(f"{path} is not an official checkpoint: its `model` and `model_args` are not dictionaries.")
    tensors = plain_names(path, checkpoint["model"])
    return checkpoint["model_args"], {name: of for name, of in tensors.items() if not _is_mask(path, name, of)}


def _is_mask(path: Path, name: str, stored: Any) -> bool:
    """Whether a tensor is the causal mask (1, 1, T, T) that nanoGPT stores without flash attention: it is no weight.

    Raises InputError for another mask, which these models would not follow, and for what holds no plain numbers.
    """
    tensor = require_tensor(path, name, stored)
    if name.endswith(".attn.bias") and tensor.ndim == 4:
        if not torch.equal(tensor.bool(), torch.ones(1, 1, *tensor.shape[2:], dtype=torch.bool).tril()):
            raise InputError(f"{path}: the mask {name} is not causal, and these models see all earlier tokens alone.")
        return True
    require_numbers(path, name, tensor)
    return False


def _to_ours(path: Path, tensors: Tensors, crate: bool) -> Tensors:
    tensors = dict(tensors)
    for name in ("lm_head.weight", "transformer.wte.weight"):
        if name not in tensors:
            raise InputError(f"{path} lacks {name}.")
    require_tied(tensors.pop("lm_head.weight"), tensors["transformer.wte.weight"], str(path))
    ours: Tensors = {}
    for name, tensor in tensors.items():
        split = re.fullmatch(r"transformer\.h\.(\d+)\.attn\.c_attn\.(weight|bias)", name)
        if split and not crate:
            for part, piece in zip(QKV, tensor.chunk(3), strict=True):
                ours[f"model.layers.{split[1]}.attention.{part}_proj.{split[2]}"] = piece.clone()
        else:
            ours[_our_name(name, CRATE_LAYER if crate else GPT_LAYER)] = tensor
    return ours


def _our_name(name: str, layer: dict[str, str]) -> str:
    inner = re.fullmatch(r"transformer\.h\.(\d+)\.(.+)", name)
    if inner:
        for theirs, ours in layer.items():
            if inner[2] == theirs or inner[2].startswith(theirs + "."):
                return f"model.layers.{inner[1]}.{ours}{inner[2][len(theirs) :]}"
    for theirs, ours in OUTER.items():
        if name == theirs or name.startswith(theirs + "."):
            return ours + name[len(theirs) :]
    return name


def _to_official(tensors: Tensors) -> Tensors:
    crate = any(name.endswith("coding.dictionary") for name in tensors)
    layer = {ours: theirs for theirs, ours in (CRATE_LAYER if crate else GPT_LAYER).items()}
    outer = {ours: theirs for theirs, ours in OUTER.items()}
    official: Tensors = {}
    for name, tensor in tensors.items():
        inner = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", name)
        split = re.fullmatch(r"attention\.(query|key|value)_proj\.(weight|bias)", inner[2]) if inner else None
        if inner and split:
            parts = [tensors[f"model.layers.{inner[1]}.attention.{part}_proj.{split[2]}"] for part in QKV]
            official[f"transformer.h.{inner[1]}.attn.c_attn.{split[2]}"] = torch.cat(parts)
        elif inner:
            ours = next(prefix for prefix in layer if inner[2] == prefix or inner[2].startswith(prefix + "."))
            official[f"transformer.h.{inner[1]}.{layer[ours]}{inner[2][len(ours) :]}"] = tensor
        elif name == "lm_head.weight":
            official[name] = tensor
        else:
            ours = next(prefix for prefix in outer if name.startswith(prefix))
            official[outer[ours] + name[len(ours) :]] = tensor
    return official
