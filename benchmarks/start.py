"""How long commands take before they do their work: python benchmarks/start.py STUDY [NAME…]

STUDY is a finished one of the preset `smoke` or `laptop`. Printed: processor seconds (user and system) and wall
seconds, the lowest of 3. Work on the other cores makes processor seconds up to half as long again. Limits that we hold
ourselves to, without such work: `show` 0.6 s, `steer` 3 s, `import cratelm` 0.05 s more than Python itself takes.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

RUNS = 3
HELP = ("explain", "score", "record", "steer", "view", "train", "study", "measure")
CODE = "from cratelm.cli import main; main()"
IMPORT = "import cratelm"


def main(study: Path, names: list[str]) -> None:
    """Print a row a command, each run as a person runs it."""
    model = str(study / "models/crate/model")
    commands = {f"{name} --help": [name, "--help"] for name in HELP} | {
        "show": ["show", str(study), "crate/0/3"],
        "steer": ["steer", model, "0/3=8", "--prompt", "The film was"],
        "record": ["record", model, "--text", str(study / "tokens"), "--out", "OUT/records"],
        "view, first page": ["view", str(study), "--port", "PORT"],
        "demo, first page": ["demo", "--no-browser", "--port", "PORT"],
        "demo, first time": ["demo", "--no-browser", "--port", "PORT"],
    }
    commands[IMPORT] = []
    for name in names or commands:
        code = IMPORT if name == IMPORT else CODE
        runs = [_timed(commands[name], code, fresh=name == "demo, first time") for _ in range(RUNS)]
        processor, wall = (min(seconds) for seconds in zip(*runs, strict=True))
        print(f"{name:18} {processor:6.2f} s of the processor, {wall:6.2f} s", flush=True)


def _timed(arguments: list[str], code: str, fresh: bool) -> tuple[float, float]:
    """Processor and wall seconds of one new process; of a `fresh` one the cache folder is empty."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        filled = [port if part == "PORT" else part.replace("OUT", folder) for part in arguments]
        environment = os.environ | ({"XDG_CACHE_HOME": folder} if fresh else {})
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-c", code, *filled],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if "PORT" in arguments:
            _wait_for_first_page(f"http://127.0.0.1:{port}")
            process.terminate()
        used = os.wait4(process.pid, 0)[2]
        return used.ru_utime + used.ru_stime, time.monotonic() - began


def _wait_for_first_page(address: str) -> None:
    """Ask until the page, the study and a layer were answered."""
    for path in ("/", "/api/study", "/api/crate/0"):
        while True:
            try:
                urllib.request.urlopen(address + path).read()
                break
            except OSError:
                time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
