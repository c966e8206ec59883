"""Models by name and size.

A name is a base and the settings in which it differs: `crate-alpha` is short for `crate+residual=true+decoupled=true`.
Further settings of the base's configuration follow a `+` each: `crate-alpha+ista_threshold=0.4`. What is written after
`--models` is the model's name everywhere, in folders too.
"""

import json
import re
from dataclasses import dataclass
from typing import Annotated

from cratelm.errors import InputError
from cratelm.families import FAMILIES, MODELS, Settings
from cratelm.ranges import Configuration, shown, whole

LARGEST_SETTING = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ShapeConfig(Configuration):
    """The size of a model, the same for every model of a comparison."""

    layers: Annotated[int, whole(1, 1000)] = 2
    """L, the number of layers."""
    width: Annotated[int, whole(1, 2**16)] = 128
    """d, the width of the token stream; a layer has 4 d units."""
    heads: Annotated[int, whole(1, 2**16)] = 4
    """K, the number of attention heads (for CRATE, of subspaces)."""
    context: Annotated[int, whole(1, 2**20)] = 256
    """The longest input in tokens."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise InputError(f"shape: width {self.width}, heads {self.heads}: make width a multiple of heads.")


def require_model(name: str) -> str:
    """Refuse a model name that there is none of, or that is not written as names are."""
    model_settings(name)
    return name


def model_settings(name: str) -> tuple[str, Settings]:
    """The base of a model's name, `crate` or `gpt2`, and the settings in which the model differs from it.

    Raises InputError for a model or a setting that is not known.
    """
    known, *further = name.split("+")
    if known not in MODELS:
        raise InputError(f"unknown model {known!r}: choose from {', '.join(MODELS)}.")
    settings = dict(MODELS[known])
    for setting in further:
        key, value = _parse(name, setting)
        settings[key] = value
    return next(family.base for family in FAMILIES if known in family.names), settings


def _parse(name: str, setting: str) -> tuple[str, bool | int | float | str]:
    """A setting's key and value: a number, true, false or a word."""
    match = re.fullmatch(r"([a-z][a-z0-9_]*)=([A-Za-z0-9.-]+)", setting)
    if match is None:
        raise InputError(
            f"model {name!r}: {setting!r} is not a setting. Write NAME+KEY=VALUE, such as crate+ista_threshold=0.4."
        )
    try:
        value = json.loads(match[2])
    except ValueError:
        return match[1], match[2]
    if not isinstance(value, bool) and not abs(value) <= LARGEST_SETTING:  # NaN is not
        raise InputError(f"model {shown(name)}: {match[1]} must be a number of at most {LARGEST_SETTING:,}.")
    return match[1], value
