"""What this machine can do, and does faster: bf16, compilation."""

import os
import shutil
import sysconfig
from dataclasses import replace
from pathlib import Path

import torch

from cratelm.errors import InputError
from cratelm.files import read_object, write_json
from cratelm.training.bf16_probe import bf16_gain
from cratelm.training.config import TrainConfig, TrainingConfig

LEAST_GAIN = 1.15
"""How many times as fast bf16 has to be on a CPU: less is not worth its rounding."""
BEGUN = "precision.json"
"""The file of an unfinished training that says in which precision it was begun."""


def settled(config: TrainConfig, folder: Path | None = None) -> TrainConfig:
    """The configuration with a precision in place of `auto`: what `folder` was begun with, else the faster one."""
    begun = folder / BEGUN if folder is not None else None
    if config.training.precision != "auto":
        return config
    if begun is not None and begun.is_file():
        precision = read_object(begun, precision=str)["precision"]
    else:
        precision = "bf16" if _bf16_pays() else "fp32"
        if begun is not None:
            write_json(begun, {"precision": precision})
    return replace(config, training=replace(config.training, precision=precision))


def _bf16_pays() -> bool:
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    able = torch.cpu.get_capabilities().get("avx512_bf16")
    return bool(able) and bf16_gain() >= LEAST_GAIN


def use_fp16(config: TrainingConfig) -> bool:
    """Whether to train in fp16; InputError where that is asked for without a GPU."""
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
