"""How much faster this processor multiplies in bf16 than in float32: measured once a machine.

Some processors have the instructions and are slower with them: products of 2,048 x 2,048 reached 152 GFLOP/s in bf16
and 318 in float32 on one of Intel's with avx512_bf16 and no AMX, and 1,600 and 300 on one with AMX.
"""

import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from cratelm.errors import InputError
from cratelm.files import cache_folder, read_object, write_json

SIZE, TURNS = 1024, 5
"""Rows and columns of the two factors, and how often each kind of product is timed: a tenth of a second in all."""


def bf16_gain() -> float:
    """The time of a product in float32 over that in bf16; kept in the user's cache folder, for all later trainings."""
    file, key = _cache(), json.dumps({"processor": _processor(), "torch": torch.__version__})
    known = _known(file)
    if key not in known:
        known[key] = round(_measured(), 2)
        _keep(file, known)
    return known[key]


def _cache() -> Path:
    return cache_folder() / "bf16.json"


def _known(file: Path) -> dict[str, Any]:
    try:
        return read_object(file) if file.is_file() else {}
    except InputError:  # damaged: nothing is lost by measuring again, and what is found takes its place
        return {}


def _keep(file: Path, known: dict[str, Any]) -> None:
    """Write what is known; where that cannot be, the next run measures again."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, known)
    except OSError:
        return


def _processor() -> str:
    """The processor's name and instructions, as Linux gives them; the architecture elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    kinds = ("model name", "flags")  # machines in a cloud may share a name and differ in what they can do
    return " ".join(next((line for line in lines if line.startswith(kind)), "") for kind in kinds)


def _measured() -> float:
    plain = torch.ones(SIZE, SIZE), torch.ones(SIZE, SIZE)
    short = plain[0].bfloat16(), plain[1].bfloat16()
    with _one_thread():
        # In turn, and the shortest of each: what else the machine does then hardly matters.
        turns = [(_seconds(*plain), _seconds(*short)) for _ in range(1 + TURNS)]
    in_float32, in_bf16 = (min(times) for times in zip(*turns, strict=True))
    return in_float32 / in_bf16


@contextmanager
def _one_thread() -> Iterator[None]:
    """Products on one core: several threads wait for each other, longest where somebody else computes too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _seconds(left: torch.Tensor, right: torch.Tensor) -> float:
    start = time.perf_counter()
    left @ right
    return time.perf_counter() - start
