"""A model back from its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel

import cratelm.models  # noqa: F401 (registers our models with AutoModel)
from cratelm.artifacts import Artifact, read_object
from cratelm.errors import InputError, first_line
from cratelm.greedy import forget_generation_settings
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


def load_causal_lm(folder: Path) -> PreTrainedModel:
    """The causal language model in a folder, in float32. Nothing in the folder is executed.

    Raises InputError where the folder holds none, or a damaged one.
    """
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} holds no model: config.json is missing.")
    _require_sizes(folder)
    require_unquantised(folder)
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # so that the report names them: see below
            output_loading_info=True,
        )
    except Exception as error:  # transformers raises nearly anything where a config.json makes no sense
        raise InputError(f"the model in {folder} cannot be loaded: {_reason(error)}") from error
    require_fitting(report, str(folder))
    forget_generation_settings(model)
    # Settings of a config.json that change the form of outputs, not their numbers.
    model.config.return_dict, model.config.output_hidden_states = True, False
    for module in model.modules():  # in chunks, a site would be called for some tokens at a time
        if hasattr(module, "chunk_size_feed_forward"):
            module.chunk_size_feed_forward = 0
    return model


def require_fitting(report: Mapping[str, Any], source: str) -> None:
    """Raise InputError, naming the tensors, where weights did not fit a model; `report` is what loading them gave.

    transformers fills what is missing with random numbers and goes on.
    """
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[problem]:
            names = ", ".join(sorted(_named(found) for found in report[problem]))
            raise InputError(
                f"the weights in {source} do not fit its config.json; {problem.replace('_', ' ')}: {names}"
            )


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
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt") as weights:
                kinds = {name: weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118
        except (OSError, SafetensorError):
            continue  # loading it says what is wrong
        for name, kind in kinds.items():
            if kind not in PLAIN and not name.endswith("bias"):
                raise InputError(
                    f"{file} is quantised: {name} is stored as {kind}. Models are measured in float32; save this one "
                    "dequantised, with weights in float32, bfloat16 or float16."
                )


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


def load_model(artifact: Artifact) -> PreTrainedModel:
    """A trained model, ready to be measured: on the GPU if there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_causal_lm(artifact.path / "model").eval()
    nn.Module.to(model, device)
    return model
