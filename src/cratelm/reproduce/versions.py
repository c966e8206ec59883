"""Which versions of torch the results were made with, next to the version that the package demands."""

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import requires


def torch_versions(used: Sequence[str]) -> str:
    """A sentence on the version of torch of each cell: how many cells ran on which, and what the package demands.

    It is empty where there are no cells.
    """
    if not used:
        return ""
    counts = Counter(used).most_common()
    listed = ", ".join(f"{count} of {len(used)} cells on {version}" for version, count in counts)
    return f"By version of torch: {listed}. The package demands torch {demanded('torch')}."


def demanded(package: str) -> str:
    """The versions of a dependency that cratelm's metadata allow, such as `<2.14,>=2.13`."""
    lines = [line.partition(";")[0].strip() for line in requires("cratelm") or ()]
    return next(line.removeprefix(package) for line in lines if line.startswith((f"{package}<", f"{package}>")))
