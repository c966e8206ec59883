"""The processors that a model can run on."""

import torch
from transformers import PreTrainedModel

from cratelm.errors import InputError
from cratelm.loading import SPREAD


def find_device(name: str) -> torch.device:
    """The device of that name; `auto` and `spread` begin on a GPU if there is one. InputError where it is not there."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name in ("auto", SPREAD):
        return torch.device("cuda" if gpus else "cpu")
    there = {"cpu": 1, "cuda": gpus, "mps": int(torch.backends.mps.is_available())}
    device = torch.device(name)
    if (device.index or 0) >= there[device.type]:
        counted = ", ".join(f"{count} {kind}" for kind, count in there.items() if count)
        raise InputError(
            f"--device {name}: this machine has no such device that PyTorch {torch.__version__} can use. It has "
            f"{counted}. Leave --device out, or give one of these."
        )
    return device


def device_of(model: PreTrainedModel) -> torch.device:
    """Where a model takes its tokens; of one that is spread out, where its embedding runs."""
    hook = getattr(model.get_input_embeddings(), "_hf_hook", None)
    device = getattr(hook, "execution_device", None)
    return model.device if device is None else torch.device(device)


def require_float64(name: str) -> None:
    """Refuse a device that is not there, or that cannot compute in float64 what stays with the model; InputError."""
    if find_device(name).type == "mps":
        raise InputError(f"--device {name} has no float64, in which this command computes: give cpu.")
