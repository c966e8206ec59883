"""A model back from its folder."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel

import cratelm.models  # noqa: F401 (registers our models with AutoModel)
from cratelm.artifacts import read_object
from cratelm.errors import InputError, first_line
from cratelm.greedy import forget_generation_settings
from cratelm.loading import DEFAULT_LOADING, SPREAD, Loading
from cratelm.models.devices import device_of, find_device
from cratelm.ranges import shown

LAYERS = {"num_hidden_layers", "n_layer", "num_layers"}
SIZES = LAYERS | {
    "hidden_size",
    "n_embd",
    "intermediate_size",
    "num_attention_heads",
    "n_head",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "n_positions",
}
"""What config.json calls the sizes of a model; transformers takes any value, and fails late or never."""
LARGEST = 2**31
PLAIN = ("F64", "F32", "BF16", "F16", "I64", "I32", "BOOL")
"""The types of safetensors that hold numbers as they are. In fewer bits they are quantised, and scaled by others."""


BUFFERS = re.compile(r"(.*\.)?(masked_bias|causal_mask|rotary(_emb)?\.inv_freq|position_ids)")
"""Tensors that no model learns, which older checkpoints hold in addition to the weights."""
MASKS = re.compile(r"(.*\.)?(attn|attention)\.bias")
"""Another one where it is (1, 1, tokens, tokens), and a weight where it is not."""


def load_causal_lm(folder: Path, loading: Loading = DEFAULT_LOADING) -> PreTrainedModel:
    """The causal language model in a folder, as `loading` says. Nothing in the folder is executed.

    Raises InputError where the folder holds none, or a damaged one, or the device is not there or cannot compute it.
    """
    device = find_device(loading.device)
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} holds no model: config.json is missing.")
    _require_sizes(folder)
    require_unquantised(folder)
    model, report = _read(folder, loading)
    require_fitting(report, str(folder), _masks(folder))
    forget_generation_settings(model)
    _give_plain_outputs(model)
    if loading.device != SPREAD:
        nn.Module.to(model, device)
    if loading.dtype != "float32":
        _require_computable(model, loading)
    return model.eval()


def _read(folder: Path, loading: Loading) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The model in the main memory, or spread out, and what transformers says of how its weights fitted."""
    try:
        return AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=loading.dtype if loading.dtype == "auto" else getattr(torch, loading.dtype),
            device_map="auto" if loading.device == SPREAD else None,
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # so that the report names them: see below
            output_loading_info=True,
        )
    except Exception as error:  # transformers raises nearly anything where a config.json makes no sense
        raise InputError(f"the model in {folder} cannot be loaded: {_reason(error)}") from error


def _give_plain_outputs(model: Any) -> None:
    """Undo settings of a config.json that change the form of outputs, not their numbers."""
    model.config.return_dict, model.config.output_hidden_states = True, False
    for module in model.modules():  # in chunks, a site would be called for some tokens at a time
        if hasattr(module, "chunk_size_feed_forward"):
            module.chunk_size_feed_forward = 0


@torch.inference_mode()
def _require_computable(model: PreTrainedModel, loading: Loading) -> None:
    """Refuse a type in which the device lacks an operation of the model, seen on two tokens."""
    try:
        model(input_ids=torch.zeros(1, 2, dtype=torch.long, device=device_of(model)), use_cache=False)
    except RuntimeError as error:  # NotImplementedError is one
        if "not implemented for" not in str(error) and not isinstance(error, NotImplementedError):
            raise
        raise InputError(
            f"--dtype {loading.dtype}: a {model.config.model_type} model cannot run in {model.dtype} on "
            f"{device_of(model)} ({first_line(error)}). Give another --dtype or --device."
        ) from error


def require_fitting(report: Mapping[str, Any], source: str, masks: frozenset[str] = frozenset()) -> None:
    """Raise InputError, naming the tensors, where weights did not fit a model; `report` is what loading them gave.

    transformers fills what is missing with random numbers and goes on. Buffers that the model does without, by their
    names or in `masks`, are no weights.
    """
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        found = [key for key in report[problem] if problem != "unexpected_keys" or not _is_buffer(key, masks)]
        if found:
            names = ", ".join(sorted(_named(key) for key in found))
            raise InputError(
                f"the weights in {source} do not fit its config.json; {problem.replace('_', ' ')}: {names}"
            )


def _is_buffer(name: str, masks: frozenset[str]) -> bool:
    return name in masks or BUFFERS.fullmatch(name) is not None


def _masks(folder: Path) -> frozenset[str]:
    """The tensors in a folder that are masks of attention by their names and shapes."""
    shapes = {name: stored.get_shape() for _, name, stored in _stored(folder) if MASKS.fullmatch(name)}
    return frozenset(name for name, shape in shapes.items() if len(shape) == 4 and shape[:2] == [1, 1])


def _named(found: str | tuple) -> str:
    """A tensor's name; of one that has another size, both sizes as well."""
    if isinstance(found, str):
        return found
    name, theirs, ours = found
    return f"{name} {tuple(theirs)}, not {tuple(ours)}"


def _reason(error: Exception) -> str:
    """What transformers says, unless it points at a report that nobody sees."""
    said = first_line(error)
    return "its weights have other shapes than config.json says" if "above report" in said else said


def _require_sizes(folder: Path) -> None:
    """Refuse sizes that are no sizes, and more layers than there are weights for, before memory is taken."""
    config = read_object(folder / "config.json")
    tensors = _count_tensors(folder)
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for name in SIZES & part.keys():
            value = part[name]
            most = tensors if tensors and name in LAYERS else LARGEST
            if value is not None and not isinstance(value, list) and (type(value) is not int or not 1 <= value <= most):
                raise InputError(
                    f"{folder / 'config.json'}: {name} is {shown(value)}; it must be a whole number from 1 to {most:,}."
                )


def require_unquantised(folder: Path) -> None:
    """Refuse weights in few bits: transformers would take the bare numbers for weights, or skip what scales them.

    Old checkpoints of GPT-2 keep the mask of attention in bytes, as a `bias`, which is no weight.
    """
    for file, name, stored in _stored(folder):
        if stored.get_dtype() not in PLAIN and not name.endswith("bias") and not BUFFERS.fullmatch(name):
            raise InputError(
                f"{file} is quantised: {name} is stored as {stored.get_dtype()}. Such weights are not measured; save "
                "this model dequantised, with weights in float32, bfloat16 or float16."
            )


def _stored(folder: Path) -> Iterator[tuple[Path, str, Any]]:
    """Each tensor of the safetensors in a folder: its file, its name, and a slice that knows its type and shape.

    A damaged file is passed over: loading it says what is wrong.
    """
    for file in sorted(folder.glob("*.safetensors")):
        with suppress(OSError, SafetensorError), safe_open(file, framework="pt") as weights:
            yield from [(file, name, weights.get_slice(name)) for name in weights.keys()]  # noqa: SIM118


def _count_tensors(folder: Path) -> int:
    """How many tensors the weights hold; 0 where that is not known."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return len(read_object(index, weight_map=dict)["weight_map"])
    try:
        with safe_open(folder / "model.safetensors", framework="pt") as weights:
            return len(weights.keys())
    except (OSError, SafetensorError):
        return 0
