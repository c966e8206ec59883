"""What this machine can do: bf16, compilation."""

import os
import shutil
import sysconfig
from pathlib import Path

import torch

from cratelm.errors import InputError
from cratelm.training.config import TrainingConfig


def use_bf16(config: TrainingConfig) -> bool:
    """Whether to train in bf16: as told, or where the hardware computes in it."""
    if config.precision != "auto":
        return config.precision == "bf16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def use_fp16(config: TrainingConfig) -> bool:
    """Whether to train in fp16, which takes a GPU."""
    if config.precision == "fp16" and not torch.cuda.is_available():
        raise InputError("--training.precision fp16 needs a GPU: choose bf16, fp32 or auto.")
    return config.precision == "fp16"


def use_compile(config: TrainingConfig) -> bool:
    """Whether to compile the model: as told, or where that is possible."""
    return config.compile == "yes" or (config.compile == "auto" and missing_for_compile() is None)


def missing_for_compile() -> str | None:
    """What torch.compile would need and this machine lacks, or None."""
    if torch.cuda.is_available():
        return None
    if not any(shutil.which(compiler) for compiler in (os.environ.get("CXX", ""), "g++", "clang++") if compiler):
        return "a C++ compiler (Debian, Ubuntu: apt-get install g++)"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Python's headers (Debian, Ubuntu: apt-get install python3-dev)"
    return None
