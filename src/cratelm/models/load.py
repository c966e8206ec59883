"""A model back from its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel

import cratelm.models  # noqa: F401 (registers our models with AutoModel)
from cratelm.artifacts import Artifact
from cratelm.errors import InputError, first_line
from cratelm.greedy import forget_generation_settings


def load_causal_lm(folder: Path) -> PreTrainedModel:
    """The causal language model in a folder, in float32. Nothing in the folder is executed.

    Raises InputError where the folder holds none, or a damaged one.
    """
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} holds no model: config.json is missing.")
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
    except (OSError, ValueError, SafetensorError, RuntimeError) as error:
        raise InputError(f"the model in {folder} cannot be loaded: {first_line(error)}") from error
    require_fitting(report, str(folder))
    forget_generation_settings(model)
    # Settings of a config.json that change the form of outputs, not their numbers.
    model.config.return_dict, model.config.output_hidden_states = True, False
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


def load_model(artifact: Artifact) -> PreTrainedModel:
    """A trained model, ready to be measured: on the GPU if there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_causal_lm(artifact.path / "model").eval()
    nn.Module.to(model, device)
    return model
