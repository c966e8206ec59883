"""How long whole commands take, and how much memory: python benchmarks/commands.py help|smoke|laptop

Limits that we hold ourselves to, on 2 cores without a GPU: help 1 s, smoke 60 s, laptop 15 minutes and 3 GB.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = {
    "help": ["--help"],
    "smoke": ["study", "--preset", "smoke", "--out", "OUT"],
    "laptop": ["study", "--preset", "laptop", "--out", "OUT"],
}


def main(name: str, runs: int) -> None:
    """Time one command as a person runs it: a new process, and for a study a new folder."""
    program = str(Path(sys.executable).with_name("cratelm"))
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            arguments = [argument.replace("OUT", f"{folder}/study") for argument in COMMANDS[name]]
            began = time.monotonic()
            subprocess.run([program, *arguments], check=True, stdout=subprocess.DEVNULL)
            seconds = time.monotonic() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        print(f"cratelm {' '.join(COMMANDS[name])}: {seconds:.2f} s, peak {peak:.2f} GB")


if __name__ == "__main__":
    main(sys.argv[1], runs=1 if sys.argv[1] == "laptop" else 3)
