"""What one GPU does: python benchmarks/gpu.py FOLDER [PART …] [--small]

train-2l, train-6l, train-12l   Training steps of CRATE and GPT-2 at the paper's sizes, compiled, in bf16, 16 windows of
                                1,024 tokens: tokens a second, and the share of the device's dense bf16 speed (MFU). At
                                12 layers at least 40%.
record-2l, record-12l           Both passes of a recording against one bare forward pass without the LM head over the
                                same text: at least 45% of its speed.
score                           Units a second that are explained and scored.
fp16                            `cratelm train` in fp16; without a GPU it is refused in one line.
one-process-group               A DDP process group of one process (NCCL on a GPU, gloo elsewhere) gives the losses of
                                the plain loop.
tests                           The tests marked cuda.

All parts together are sized for 12 minutes on an H100 or H200; no such device has run them yet. Each part is a process
of its own, and its result goes at once into docs/benchmarks/gpu-DEVICE.json. A part that is there already is left out
unless it is named, so a run that was stopped goes on where it was. FOLDER keeps the text and the random models. --small
is for a machine without a GPU: small models of two layers, little text, and no statement about speed.

Operations are counted as they are, head and the whole attention matrix included; a backward pass has twice as many.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import torch
from gpu_parts import DEVICE, LARGE, PARTS, ROOT, SMALL, Row, run_command

from cratelm.artifacts import read_json, write_json


def table(rows: list[Row]) -> str:
    """Rows as a table of markdown."""
    head = list(dict.fromkeys(column for row in rows for column in row))
    lines = [head, ["---"] * len(head), *([str(row.get(column, "")) for column in head] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def device_name() -> str:
    """The GPU's name, or cpu."""
    return torch.cuda.get_device_name() if DEVICE.type == "cuda" else DEVICE.type


def results_file(small: bool) -> Path:
    """Where the results of this device are kept."""
    slug = re.sub(r"[^a-z0-9]+", "-", device_name().lower()).strip("-")
    return ROOT / "docs" / "benchmarks" / f"gpu-{slug}{'-small' if small else ''}.json"


def keep(path: Path, name: str, result: dict[str, Any]) -> None:
    """Add a part's result to the file."""
    parts = read_json(path)["parts"] if path.is_file() else {}
    write_json(path, {"device": device_name(), "torch": torch.__version__, "parts": parts | {name: result}})


def run_part(name: str, folder: Path, small: bool) -> dict[str, Any]:
    """A part in a process of its own: its rows, or the end of what it said."""
    began = time.monotonic()
    done = run_command([sys.executable, __file__, str(folder), "--only", name, *(["--small"] if small else [])])
    result: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "seconds": round(time.monotonic() - began)}
    if done.returncode:
        return result | {"error": done.stderr.splitlines()[-5:]}
    return result | {"rows": json.loads(done.stdout.splitlines()[-1])}


def main(folder: Path, names: list[str], small: bool) -> None:
    """Run what is named, or what is not there yet, and print each part's table when it is done."""
    path = results_file(small)
    done = read_json(path)["parts"] if path.is_file() else {}
    for name in names or [part for part in PARTS if "rows" not in done.get(part, {})]:
        result = run_part(name, folder, small)
        keep(path, name, result)
        shown = table(result["rows"]) if "rows" in result else "\n".join(result["error"])
        print(f"\n{name}, {result['seconds']} s\n\n{shown}", flush=True)
    print(f"\n{path}")


if __name__ == "__main__":
    given = argparse.ArgumentParser()
    given.add_argument("folder", type=Path)
    given.add_argument("parts", nargs="*", choices=[[], *PARTS])
    given.add_argument("--small", action="store_true")
    given.add_argument("--only", choices=list(PARTS), help=argparse.SUPPRESS)
    asked = given.parse_args()
    where = asked.folder.resolve()
    if asked.only:
        print(json.dumps(PARTS[asked.only](where, SMALL if asked.small else LARGE)))
    else:
        main(where, asked.parts, asked.small)
