"""How a model is loaded: which version of it, held in which type, and which processor runs it."""

import re
from dataclasses import dataclass
from typing import Literal

from cratelm.errors import InputError
from cratelm.ranges import Configuration, shown

Dtype = Literal["float32", "auto", "bfloat16", "float16"]
"""The type of a model's weights and of its forward pass; `auto` is what config.json says, or the weights are stored in.

Statistics are float64 whatever it is, and activations are handed on as float32.
"""
SPREAD = "spread"
"""The device that means all GPUs together, and main memory for the rest."""
DEVICES = re.compile(rf"auto|cpu|mps|cuda(:[0-9]{{1,3}})?|{SPREAD}")


def require_device_name(device: str) -> None:
    """Refuse what names no device; raises InputError."""
    if not DEVICES.fullmatch(device):
        raise InputError(f"--device {shown(device)} is not a device: give auto, cpu, cuda, cuda:N, mps or {SPREAD}.")


@dataclass(frozen=True, kw_only=True)
class Loading(Configuration):
    """All that a model is loaded by, whatever loads it."""

    dtype: Dtype = "float32"
    device: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_device_name(self.device)


DEFAULT_LOADING = Loading()


@dataclass(frozen=True, kw_only=True)
class OpeningConfig(Configuration):
    """Where a command finds its model and runs it; the results are of the files that it finds."""

    revision: str | None = None
    """The commit, branch or tag of a model of the hub; by default its main branch."""
    device: str = "auto"
    """Where the model runs: `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:N`, `mps`, or `spread`: on all GPUs
    together, for a model that does not fit on one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_device_name(self.device)

    def loading(self, dtype: Dtype) -> Loading:
        """What the model is then loaded by."""
        return Loading(dtype=dtype, device=self.device)


DEFAULT_OPENING = OpeningConfig()
