"""The range of every numeric setting: declared with its field, shown in --help, enforced in one place.

A field or a command's parameter is declared as `Annotated[int, whole(1, 1000)]` or `Annotated[float, number(above=0)]`.
The command line and a TOML file are checked when a value is parsed, and name the setting in full; a configuration that
is made in Python is checked by `Configuration.__post_init__`. Both ask the same `Range`.
"""

import math
import types
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from cyclopts import Parameter, Token

from cratelm.errors import InputError

MOST = 10**15
"""The largest count that is taken anywhere: no disk holds more tokens."""
MOST_SEED = 2**63 - 1
"""Seeds are kept in 64 bits, with a sign."""


@dataclass(frozen=True)
class Range:
    """Which numbers a setting takes. NaN and infinities are never among them."""

    kind: type
    """`int` or `float`."""
    least: float
    most: float
    above: bool = False
    """`least` itself is refused."""
    below: bool = False
    """`most` itself is refused."""

    def __contains__(self, value: Any) -> bool:
        if not _is_number(value, self.kind) or (type(value) is float and not math.isfinite(value)):
            return False
        low = value > self.least if self.above else value >= self.least
        return low and (value < self.most if self.below else value <= self.most)

    def __str__(self) -> str:
        low = f"above {self.least:,}" if self.above else f"{self.least:,} or more"
        return f"{low}, {'below' if self.below else 'at most'} {self.most:,}"

    def __call__(self, hint: Any, value: Any) -> None:
        """cyclopts's validator; raises ValueError, to which cyclopts adds the setting's name and value."""
        if value is not None and value not in self:
            raise ValueError(f"It must be {self}.")

    def beside(self, default: Any) -> str:
        """The default with the range, for --help; a largest number that nobody reaches is not worth its line."""
        limits = str(self).split(",")[0] if self.most in (MOST, MOST_SEED) else str(self)
        return f"{'unset' if default is None else default}; {limits}"


def whole(least: int, most: int = MOST) -> Parameter:
    """A whole number from `least` to `most`."""
    limits = Range(int, least, most)
    return Parameter(validator=limits, converter=_whole, show_default=limits.beside)


def number(
    *, least: float | None = None, above: float | None = None, most: float | None = None, below: float | None = None
) -> Parameter:
    """A number between the ends that are named; `above` and `below` are not in the range themselves."""
    low, high = least if above is None else above, most if below is None else below
    limits = Range(
        float,
        -MOST if low is None else low,
        MOST if high is None else high,
        above=above is not None,
        below=below is not None,
    )
    return Parameter(validator=limits, show_default=limits.beside)


def _whole(hint: Any, tokens: Sequence[Token]) -> int:
    """cyclopts would round 2.9 to 3."""
    text = tokens[0].value
    try:
        return int(text)
    except ValueError as error:
        raise ValueError(f"{shown(text)} is not a whole number.") from error


Seed = Annotated[int, whole(0, MOST_SEED)]
"""Of any draw."""


class Configuration:
    """The base of every configuration: a dataclass whose values fit the types and ranges of its fields."""

    def __post_init__(self) -> None:
        """Raises InputError, naming the field, where a value does not fit. Call it first where you override it."""
        for name, hint in field_hints(type(self)).items():
            wrong = misfit(hint, getattr(self, name))
            if wrong:
                raise InputError(f"{type(self).__name__}.{name} is {shown(getattr(self, name))}; it must be {wrong}.")


@lru_cache(maxsize=64)
def field_hints(settings: type) -> dict[str, Any]:
    """The type of each field of a dataclass, with its annotations."""
    hints = get_type_hints(settings, include_extras=True)
    return {field.name: hints[field.name] for field in fields(settings)}


def misfit(hint: Any, value: Any) -> str | None:
    """What a value must be to fit a type hint, or None where it does."""
    hint, limits = unwrapped(hint)
    if get_origin(hint) in (Union, types.UnionType):
        if value is None:
            return None
        (hint,) = (part for part in get_args(hint) if part is not type(None))
        hint, inner = unwrapped(hint)
        limits = limits or inner
    if limits is not None:
        return None if value in limits else f"{'a whole number, ' if limits.kind is int else ''}{limits}"
    return None if _fits(hint, value) else _needed(hint)


def unwrapped(hint: Any) -> tuple[Any, Range | None]:
    """A type hint without its annotations, and the range among them."""
    if get_origin(hint) is not Annotated:
        return hint, None
    plain, *notes = get_args(hint)
    checks = [check for note in notes if isinstance(note, Parameter) for check in _validators(note)]
    return plain, next((check for check in checks if isinstance(check, Range)), None)


def shown(value: Any) -> str:
    """A value in a message: in one line, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _validators(parameter: Parameter) -> Sequence[Any]:
    validator = parameter.validator
    return validator if isinstance(validator, tuple) else (validator,)


def _fits(hint: Any, value: Any) -> bool:
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if hint in (int, float):
        return _is_number(value, hint)
    return not isinstance(hint, type) or isinstance(value, hint)


def _needed(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    if is_dataclass(hint):
        return f"a table of settings ({', '.join(field.name for field in fields(hint))})"
    names = {bool: "true or false", str: "text", Path: "a path", int: "a whole number", float: "a number"}
    return names.get(hint, f"a {getattr(hint, '__name__', hint)}")


def _is_number(value: Any, kind: type) -> bool:
    """Whether a value is a number of that kind; True and False are none, though Python counts with them."""
    return type(value) is int or (kind is float and type(value) is float)
