"""Checkpoints of the official repository (crate-lm/crate-lm, a descendant of nanoGPT), in and out.

Such a file is a pickled dictionary with `model_args` and `model`; it is read with weights_only, so that nothing in it
can run. Every tensor of it must be known, present and of its right shape.
"""

import pickle
import re
from pathlib import Path
from typing import Any, cast

import torch

from cratelm.errors import InputError, first_line
from cratelm.models import BaselineConfig, BaselineForCausalLM, CrateConfig, CrateForCausalLM
from cratelm.models.configuration_decoder import DecoderConfig
from cratelm.models.decoder import DecoderForCausalLM

Tensors = dict[str, torch.Tensor]

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


def import_official(path: Path) -> DecoderForCausalLM:
    """The model of an official checkpoint; raises InputError naming the file, key or tensor that is wrong."""
    arguments, tensors = _read(path)
    crate = any(name.endswith("ista.weight") for name in tensors)
    try:
        sizes = {
            "vocab_size": arguments["vocab_size"],
            "hidden_size": arguments["n_embd"],
            "num_hidden_layers": arguments["n_layer"],
            "num_attention_heads": arguments["n_head"],
            "max_position_embeddings": arguments["block_size"],
        }
    except KeyError as error:
        raise InputError(f"{path}: model_args has no {error.args[0]!r}.") from error
    if crate:
        model: DecoderForCausalLM = CrateForCausalLM(CrateConfig(**sizes))
    else:
        model = BaselineForCausalLM(BaselineConfig(**sizes, bias=bool(arguments.get("bias", False))))
    load_exactly(model, _to_ours(tensors, crate), str(path))
    return model


def export_official(model: DecoderForCausalLM, path: Path) -> None:
    """Write a model as an official checkpoint holds it, without optimizer state.

    Raises InputError for a model that the official code would compute differently.
    """
    config = model.config
    require_official(cast(DecoderConfig, config))
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


def load_exactly(model: DecoderForCausalLM, tensors: Tensors, source: str) -> None:
    """Fill a model with tensors, each of which must be known, present and of its right shape."""
    wanted = dict(model.state_dict())
    wanted.pop("lm_head.weight")
    for problem, names in (("lacks", wanted.keys() - tensors.keys()), ("has unknown", tensors.keys() - wanted.keys())):
        if names:
            raise InputError(f"{source} {problem} {', '.join(sorted(names))}.")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(wanted[name].shape)}"
            raise InputError(f"{source}: {name} has the shape {shapes}.")
    model.load_state_dict(tensors, strict=False)  # all but the head, which is the token embedding
    model.tie_weights()


def _read(path: Path) -> tuple[dict[str, Any], Tensors]:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read as a checkpoint of tensors alone: {first_line(error)}") from error
    if not isinstance(checkpoint, dict) or not {"model", "model_args"} <= checkpoint.keys():
        raise InputError(f"{path} is no official checkpoint: it has no `model` and `model_args`.")
    tensors = {name.removeprefix("_orig_mod."): tensor for name, tensor in checkpoint["model"].items()}
    # nanoGPT without flash attention stores its causal mask as a buffer; the mask is no weight.
    return checkpoint["model_args"], {k: v for k, v in tensors.items() if not k.endswith(".attn.bias")}


def _to_ours(tensors: Tensors, crate: bool) -> Tensors:
    tensors = dict(tensors)
    head = tensors.pop("lm_head.weight", None)
    embedding = tensors.get("transformer.wte.weight")
    if head is not None and (embedding is None or not torch.equal(head, embedding)):
        raise InputError("lm_head.weight differs from transformer.wte.weight: the head of these models is tied.")
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
