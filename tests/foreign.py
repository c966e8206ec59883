"""Other projects in environments of their own, where their requirements clash with ours."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.shared import locked


def environment(config: pytest.Config, *requirements: str, beside_ours: bool = False) -> Path:
    """The Python of an environment that holds these packages, made once and kept in pytest's cache.

    With `beside_ours` it sees the packages of this environment too, and installs what they lack. Skips the test,
    saying so, where the packages cannot be had.
    """
    folder = config.cache.mkdir(requirements[0].replace("=", "-"))
    with locked(folder.with_name(f"{folder.name}.lock")):  # two workers may ask for it at once
        return _installed(folder, requirements, beside_ours)


def _installed(folder: Path, requirements: tuple[str, ...], beside_ours: bool) -> Path:
    python, done = folder / "bin" / "python", folder / "installed"
    if done.is_file() and done.read_text() == str(requirements):
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    if beside_ours:
        (own,) = folder.glob("lib/python*/site-packages")
        (own / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    result = subprocess.run(pip, capture_output=True, text=True)
    if result.returncode:
        pytest.skip(f"{requirements[0]} cannot be installed: {result.stderr.strip().splitlines()[-1]}")
    done.write_text(str(requirements))
    return python
