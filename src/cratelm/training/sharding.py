"""A model whose weights are shared out over the processes (FSDP2), and the whole model again."""

from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import FSDPModule
from transformers import TrainerCallback, TrainerControl, TrainerState

from cratelm.errors import InputError, RunError
from cratelm.models.decoder import DecoderForCausalLM
from cratelm.training.config import TrainingConfig
from cratelm.training.processes import rank, world_size

FSDP: dict[str, Any] = {"fsdp": True, "fsdp_config": {"version": 2, "state_dict_type": "FULL_STATE_DICT"}}
"""FSDP2 by accelerate, a group a layer; a checkpoint holds whole tensors."""


def sharding_arguments(config: TrainingConfig) -> dict[str, Any]:
    """What the Trainer is told; raises InputError where there is nothing to share out."""
    if not config.sharded:
        return {}
    if world_size() == 1 or not torch.cuda.is_available():
        raise InputError(
            "--training.sharded shares weights out over several GPUs: start it by torchrun, accelerate or srun on a "
            "machine that has them, or leave it out."
        )
    return FSDP


class RequireSharded(TrainerCallback):
    """Raises RunError where sharding was asked for and has not taken place: accelerate may fall back in silence."""

    def on_train_begin(self, args, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        """Every layer has to be a group of its own, and so has the rest."""
        model: DecoderForCausalLM = kwargs["model"]
        layers = model.config.num_hidden_layers
        groups = sum(isinstance(module, FSDPModule) for module in model.modules())
        if groups < layers + 1:
            raise RunError(f"FSDP made {groups} groups of a model with {layers} layers: nothing would be shared out.")


def whole(model: DecoderForCausalLM) -> DecoderForCausalLM:
    """The model itself, or of a sharded one a copy in the first process's memory; every process has to call this."""
    if not isinstance(model, FSDPModule):
        return model
    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    copy = type(model)(model.config).to("cpu")
    if not rank():
        copy.load_state_dict(state)
        copy.tie_weights()
    return copy
