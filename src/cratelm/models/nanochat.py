"""CRATE-alpha from a checkpoint of nanochat-crate-a (github.com/modularflow/nanochat-crate-a).

A folder of such checkpoints holds `model_NNNNNN.pt`, a state dict, and `meta_NNNNNN.json`, whose `model_config` has the
sizes; `optim_*.pt` is not read. The tokenizer, `tokenizer.pkl`, is a pickle that can run code, and is never opened.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError

from cratelm.errors import InputError, setting_fault
from cratelm.files import read_object
from cratelm.models import NanochatCrateConfig, NanochatCrateForCausalLM
from cratelm.models.checkpoint_file import (
    Tensors,
    load_exactly,
    plain_names,
    read_checkpoint,
    require_numbers,
    require_tensor,
)
from cratelm.models.configuration_nanochat_crate import FULL, SLIDING
from cratelm.ranges import shown

NAME = re.compile(r"model_(\d+)\.pt")
SIZES = {
    "sequence_len": "max_position_embeddings",
    "vocab_size": "vocab_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_embd": "hidden_size",
}
OPTIONS: dict[str, Any] = {
    "window_pattern": "L",
    "odl_expansion": 4,
    "odl_use_residual": True,
    "odl_use_relu": True,
    "ista_step_size": 0.1,
    "ista_lambda": 0.1,
}
"""What `model_config` may say as well, and what nanochat-crate-a takes where it does not."""
UNREAD = ("n_kv_head", "ista_mode")
"""Settings that its model never reads."""
LARGEST = 2**31
MOST = {"n_layer": 1000}
"""Sizes that are no model's, which would take all memory before the tensors are looked at."""
PADDED_TO = 64
"""Its embedding and head have rows up to a multiple of this; those beyond the vocabulary are never read."""
LAYER = {
    "mssa.qkv.weight": "attention.subspace_proj.weight",
    "mssa.c_proj.weight": "attention.output_proj.weight",
    "odl.D_enc.weight": "coding.dictionary",
    "odl.D_dec.weight": "coding.decoding_dictionary",
    "odl.threshold": "coding.threshold",
}
SCALARS = {"resid_lambdas": "stream_scale", "x0_lambdas": "entry_scale"}


def nanochat_file(path: Path) -> Path | None:
    """The checkpoint that a path means: the file, or the newest step in a folder; None where it is of another kind."""
    if not path.is_dir():
        return path if NAME.fullmatch(path.name) else None
    steps = {int(match[1]): file for file in path.iterdir() if (match := NAME.fullmatch(file.name))}
    return steps[max(steps)] if steps else None


def meta_name(name: str) -> str:
    """The name of the file next to a checkpoint that has its sizes."""
    return re.sub(r"model_(\d+)\.pt$", r"meta_\1.json", name)


def import_nanochat(path: Path) -> NanochatCrateForCausalLM:
    """The model of a checkpoint file, with the same logits.

    Raises InputError naming the file, setting or tensor that is missing, unknown or of the wrong size.
    """
    settings = _settings(path.with_name(meta_name(path.name)))
    try:
        config = _config(settings)
    except (ValueError, TypeError, StrictDataclassError) as error:
        raise InputError(f"{path}: its model_config describes no model: {setting_fault(error)}") from error
    tensors = _read(path, config)
    model = NanochatCrateForCausalLM(config)
    load_exactly(model, _to_ours(tensors, config), str(path))
    return model


def _settings(meta: Path) -> dict[str, Any]:
    """`model_config` with what it leaves out; InputError names a setting that is missing, unknown or no such thing."""
    if not meta.is_file():
        raise InputError(f"{meta}: there is no such file. nanochat writes it next to the checkpoint; it has the sizes.")
    stated = read_object(meta, model_config=dict)["model_config"]
    if missing := [name for name in SIZES if name not in stated]:
        raise InputError(f"{meta}: model_config has no {missing[0]!r}.")
    if unknown := sorted(stated.keys() - SIZES.keys() - OPTIONS.keys() - set(UNREAD)):
        raise InputError(f"{meta}: model_config has {', '.join(unknown)}, which CRATE-alpha does not know.")
    settings = OPTIONS | stated
    _require_kinds(meta, settings)
    return settings


def _require_kinds(meta: Path, settings: dict[str, Any]) -> None:
    for name in (*SIZES, "odl_expansion"):
        if type(settings[name]) is not int or not 1 <= settings[name] <= MOST.get(name, LARGEST):
            raise InputError(
                f"{meta}: model_config gives {name} {shown(settings[name])}; it must be a whole number from 1 to "
                f"{MOST.get(name, LARGEST):,}."
            )
    for name, usual in OPTIONS.items():
        if not isinstance(settings[name], (int, float) if type(usual) is float else type(usual)):
            raise InputError(f"{meta}: model_config gives {name} {shown(settings[name])}, where {usual!r} is usual.")
    if not re.fullmatch("[LS]+", settings["window_pattern"].upper()):
        raise InputError(
            f"{meta}: model_config gives window_pattern {shown(settings['window_pattern'])}; it is made of L and S."
        )


def _config(settings: dict[str, Any]) -> NanochatCrateConfig:
    types = layer_types(settings["window_pattern"], settings["n_layer"], settings["sequence_len"])
    fixed = settings["ista_step_size"] * settings["ista_lambda"]
    return NanochatCrateConfig(
        **{ours: settings[theirs] for theirs, ours in SIZES.items()},
        dictionary_size=settings["odl_expansion"] * settings["n_embd"],
        residual=settings["odl_use_residual"],
        soft_threshold=None if settings["odl_use_relu"] else float(fixed),
        layer_types=types,
        # So many tokens before a token, and itself.
        sliding_window=settings["sequence_len"] // 2 + 1 if SLIDING in types else None,
    )


def layer_types(pattern: str, layers: int, length: int) -> list[str]:
    """Which layers see half of `length` tokens, by a pattern of L and S that is repeated; the last one sees all."""
    kinds = [SLIDING if pattern.upper()[layer % len(pattern)] == "S" else FULL for layer in range(layers)]
    return [*kinds[:-1], FULL] if length > 1 else [FULL] * layers


def _read(path: Path, config: NanochatCrateConfig) -> Tensors:
    """The state dict, every tensor of which is known, present and of its right shape."""
    stored = read_checkpoint(path)
    if not isinstance(stored, dict):
        raise InputError(f"{path} is not a checkpoint of nanochat: it holds no state dict.")
    tensors = {name: require_tensor(path, name, of) for name, of in plain_names(path, stored).items()}
    if not any(name.endswith(".odl.D_enc.weight") for name in tensors):
        raise InputError(
            f"{path} holds no CRATE-alpha: no tensor is named transformer.h.0.odl.D_enc.weight. Other models of "
            "nanochat can be measured once they are saved for transformers, which has them as `nanochat`."
        )
    _require_shapes(path, tensors, _shapes(config))
    for name, tensor in tensors.items():
        require_numbers(path, name, tensor)
    return tensors


def _require_shapes(path: Path, tensors: Tensors, shapes: Mapping[str, tuple[int, ...]]) -> None:
    for problem, names in (("lacks", shapes.keys() - tensors.keys()), ("has unknown", tensors.keys() - shapes.keys())):
        if names:
            raise InputError(f"{path} {problem} {', '.join(sorted(names))}.")
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise InputError(
                f"{path}: {name} has the shape {tuple(tensors[name].shape)}, and {meta_name(path.name)} says {shape}."
            )


def _shapes(config: NanochatCrateConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a checkpoint, by its name there."""
    width, units, layers = config.hidden_size, config.dictionary_size or 0, config.num_hidden_layers
    rows = -(-config.vocab_size // PADDED_TO) * PADDED_TO
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("transformer.wte.weight", "lm_head.weight"), (rows, width))
    shapes |= dict.fromkeys(SCALARS, (layers,))
    square = (width, width)
    layer = dict(zip(LAYER, (square, square, (units, width), (width, units), (units,)), strict=True))
    return shapes | {f"transformer.h.{i}.{name}": shape for i in range(layers) for name, shape in layer.items()}


def _to_ours(theirs: Tensors, config: NanochatCrateConfig) -> Tensors:
    ours = {
        "model.embed_tokens.weight": theirs["transformer.wte.weight"][: config.vocab_size],
        "lm_head.weight": theirs["lm_head.weight"][: config.vocab_size],
    }
    for index in range(config.num_hidden_layers):
        layer = {our: theirs[f"transformer.h.{index}.{their}"] for their, our in LAYER.items()}
        layer["coding.decoding_dictionary"] = layer["coding.decoding_dictionary"].T
        if config.soft_threshold is not None:
            del layer["coding.threshold"]  # theirs is not read either
        layer |= {our: theirs[their][index : index + 1] for their, our in SCALARS.items()}
        ours |= {f"model.layers.{index}.{name}": tensor for name, tensor in layer.items()}
    return ours
