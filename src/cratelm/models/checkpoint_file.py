"""Checkpoint files of other projects, as tensors alone: nothing in them is run, and every tensor has its place."""

from pathlib import Path
from typing import Any

import torch

from cratelm.errors import InputError, first_line
from cratelm.models.decoder import DecoderForCausalLM

Tensors = dict[str, torch.Tensor]


def read_checkpoint(path: Path) -> Any:
    """What a file of torch.save holds; InputError where there is none, or it holds more than tensors and numbers."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises nearly anything where a file is no pickle
        raise InputError(f"{path} cannot be read as a checkpoint of tensors alone: {first_line(error)}") from error


def plain_names(path: Path, stored: dict[Any, Any]) -> dict[str, Any]:
    """A state dict without the prefix that compiled models put before names; InputError where one is there twice."""
    plain: dict[str, Any] = {}
    for name, value in stored.items():
        short = str(name).removeprefix("_orig_mod.")
        if short in plain:
            raise InputError(f"{path} holds {short} twice, with and without `_orig_mod.`. Keep one of the two.")
        plain[short] = value
    return plain


def require_tensor(path: Path, name: str, value: Any) -> torch.Tensor:
    """The value; InputError where it is not a tensor."""
    if not isinstance(value, torch.Tensor):
        raise InputError(f"{path}: {name} is not a tensor.")
    return value


def require_numbers(path: Path, name: str, tensor: torch.Tensor) -> None:
    """Refuse a tensor that is quantised, or stored without its numbers or sparsely."""
    if not tensor.is_floating_point() or tensor.element_size() < 2:
        raise InputError(f"{path}: {name} is of {tensor.dtype}. Save the checkpoint dequantised, in float32.")
    if tensor.is_meta or tensor.layout != torch.strided:
        raise InputError(f"{path}: {name} is stored without its numbers, or sparsely. Save it as a dense tensor.")


def load_exactly(model: DecoderForCausalLM, tensors: Tensors, source: str) -> None:
    """Fill a model with tensors by name.

    Raises InputError where one is missing, unknown, of another shape than the model's, or not finite.
    """
    wanted = dict(model.state_dict())
    if model.config.tie_word_embeddings:  # the head is the token embedding
        wanted.pop("lm_head.weight")
    for problem, names in (("lacks", wanted.keys() - tensors.keys()), ("has unknown", tensors.keys() - wanted.keys())):
        if names:
            raise InputError(f"{source} {problem} {', '.join(sorted(names))}.")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(wanted[name].shape)}"
            raise InputError(f"{source}: {name} has the shape {shapes}.")
        if not tensor.isfinite().all():
            raise InputError(f"{source}: {name} holds numbers that are not finite: it is damaged.")
    model.load_state_dict(tensors, strict=False)
    model.tie_weights()
