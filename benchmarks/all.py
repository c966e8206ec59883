"""Every benchmark in turn, with the machine that it ran on: python benchmarks/all.py STUDY [NAME…]

STUDY is a finished study of the preset `laptop`. Run it on a machine without other work: all of them take hours. NAMEs
are those of RUNS, such as `table` or `models-step`. What each printed is kept as it is in docs/benchmarks/MACHINE.json;
a run of some benchmarks leaves the others' results there. One that fails is recorded so, and the next one runs.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
RUNS: dict[str, list[str]] = {
    "circuits": ["circuits.py", "STUDY/models/crate/model"],
    "commands-help": ["commands.py", "help"],
    "commands-smoke": ["commands.py", "smoke"],
    "commands-laptop": ["commands.py", "laptop"],
    "data": ["data.py"],
    "family": ["family.py"],
    "judges": ["judges.py"],
    "large_vocabulary": ["large_vocabulary.py", "FOLDER"],
    "learning_rate": ["learning_rate.py", "STUDY/tokens", "FOLDER"],
    "models-block": ["models.py", "block"],
    "models-step": ["models.py", "step"],
    "models-generate": ["models.py", "generate"],
    "record_bytes": ["record_bytes.py"],
    "records-speed": ["records.py", "speed"],
    "records-memory": ["records.py", "memory"],
    "records-official": ["records.py", "official"],
    "sae": ["sae.py", "STUDY/models/crate", "STUDY/tokens"],
    "start": ["start.py", "STUDY"],
    "table": ["table.py"],
    "training": ["training.py"],
    "viewer": ["viewer.py", "STUDY"],
    "viewer-list": ["viewer.py", "list"],
    "waiting": ["waiting.py"],
}
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
"""What a processor can do that changes how fast matrices are multiplied."""
SIZE = 2048


def main(study: Path, names: list[str]) -> None:
    """Run the benchmarks of these names, or all, and keep what they print."""
    machine = describe_machine()
    slug = re.sub(r"[^a-z0-9]+", "-", machine["processor"].lower()).strip("-")
    file = HERE.parent / "docs" / "benchmarks" / f"{slug}.json"
    file.parent.mkdir(exist_ok=True)
    results = json.loads(file.read_text())["benchmarks"] if file.is_file() else {}
    print(json.dumps(machine, indent=1))
    for name in names or RUNS:
        results[name] = run_benchmark(RUNS[name], study) | {"torch": torch.__version__}
        # After each: a run that is stopped keeps what it has.
        file.write_text(json.dumps({"machine": machine, "benchmarks": results}, indent=1, ensure_ascii=False) + "\n")
        print_result(name, results[name])
    print(file)


def run_benchmark(command: list[str], study: Path) -> dict[str, Any]:
    """The lines that one benchmark printed, its seconds, and whether it failed."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [part.replace("STUDY", str(study)).replace("FOLDER", folder) for part in command[1:]]
        began = time.monotonic()
        done = subprocess.run([sys.executable, HERE / command[0], *arguments], capture_output=True, text=True)
    result: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "seconds": round(time.monotonic() - began, 1)}
    result |= {"failed": done.returncode != 0, "lines": done.stdout.splitlines()}
    return result | ({"error": done.stderr.splitlines()[-5:]} if done.returncode else {})


def print_result(name: str, result: dict[str, Any]) -> None:
    """A benchmark's part of the table."""
    print(f"\n{name}: {result['seconds']} s{', FAILED' if result['failed'] else ''}")
    for line in result["lines"] + result.get("error", []):
        print(f"    {line}", flush=True)


def describe_machine() -> dict[str, Any]:
    """The processor's name, its cores and flags, and how many operations a second products of matrices reach."""
    information = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    found = dict(re.findall(r"^(model name|flags|Features)\s*:\s*(.*)$", information, re.MULTILINE))
    flags = f"{found.get('flags', '')} {found.get('Features', '')}".split()
    return {
        "processor": found.get("model name", platform.processor() or platform.machine()),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "fp32_gflops": product_speed(torch.float32),
        "bf16_gflops": product_speed(torch.bfloat16),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def product_speed(kind: torch.dtype, rounds: int = 5) -> int:
    """Billions of operations a second of the fastest product of two matrices of 2048 x 2048."""
    one, other = (torch.randn(SIZE, SIZE).to(kind) for _ in range(2))
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        one @ other
        seconds.append(time.perf_counter() - began)
    return round(2 * SIZE**3 / min(seconds) / 1e9)


if __name__ == "__main__":
    if unknown := set(sys.argv[2:]) - RUNS.keys():
        sys.exit(f"unknown benchmarks {', '.join(sorted(unknown))}: choose from {', '.join(RUNS)}.")
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
