"""A model back from its folder."""

from pathlib import Path

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
            output_loading_info=True,
        )
    except (OSError, ValueError, SafetensorError, RuntimeError) as error:
        raise InputError(f"the model in {folder} cannot be loaded: {first_line(error)}") from error
    # transformers fills what is missing with random numbers and goes on.
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[problem]:
            names = ", ".join(sorted(str(name) for name in report[problem]))
            raise InputError(
                f"the weights in {folder} do not fit its config.json; {problem.replace('_', ' ')}: {names}"
            )
    forget_generation_settings(model)
    # Settings of a config.json that change the form of outputs, not their numbers.
    model.config.return_dict, model.config.output_hidden_states = True, False
    return model


def load_model(artifact: Artifact) -> PreTrainedModel:
    """A trained model, ready to be measured: on the GPU if there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_causal_lm(artifact.path / "model").eval()
    nn.Module.to(model, device)
    return model
