"""Every numeric option of every command, as the command line knows it."""

import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

from cratelm.cli import app
from cratelm.ranges import Range, unwrapped


def plain(hint: Any) -> tuple[Any, Range | None]:
    """A type without its annotations and without None, and its range."""
    hint, limits = unwrapped(hint)
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
        hint, inner = unwrapped(hint)
        limits = limits or inner
    return hint, limits


def typed_options() -> Iterator[tuple[str, str, Any, Range | None]]:
    """Each command's options: its name, the option's, its type, and its range where it has one."""
    for command in app:
        if not command.startswith("-"):
            for argument in app[command].assemble_argument_collection():
                yield command, argument.names[0], *plain(argument.field_info.annotation)


def numeric_options() -> list[tuple[str, str, Range]]:
    """Those that have a range."""
    return [(command, name, limits) for command, name, _, limits in typed_options() if limits is not None]
