"""What a command writes on stdout for other programs: JSON, valid whatever the numbers and the terminal are."""

import json
import math
import sys
from typing import Any


def print_json(value: Any) -> None:
    """Print a value as JSON in ASCII, so that no terminal's encoding and no character of data can spoil it."""
    sys.stdout.write(json.dumps(finite(value), indent=2, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """The same value with None for NaN and infinities, which JSON has no words for."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
