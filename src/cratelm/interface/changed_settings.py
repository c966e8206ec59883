"""Settings as keyword arguments: the names of the command line, in Python.

A table of settings is a dictionary: `--training.tokens 100000` is `training={"tokens": 100_000}`. Settings that have no
table on the command line (`--corpus`, `--llm`) have none here.
"""

from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_args, get_origin

from cyclopts import Parameter

from cratelm.errors import InputError
from cratelm.ranges import Configuration, field_hints, shown, unwrapped

C = TypeVar("C", bound=Configuration)


def changed(settings: C, changes: Mapping[str, Any]) -> C:
    """The settings with some of them changed, by name.

    Raises InputError for a name that is not a setting, and for a value that does not fit.
    """
    direct: dict[str, Any] = {}
    by_part: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        part = _part_of(settings, name, value)
        (direct if part is None else by_part.setdefault(part, {}))[name] = value
    made = {name: _value(settings, name, value) for name, value in direct.items()}
    made |= {part: changed(getattr(settings, part), some) for part, some in by_part.items()}
    return replace(settings, **made)  # type: ignore[bad-specialization]  every Configuration is a dataclass


def _part_of(settings: Configuration, name: str, value: Any) -> str | None:
    """The part without a table of its own that has a setting of that name; None where the settings have it."""
    hints = field_hints(type(settings))
    open_parts = [part for part, hint in hints.items() if _has_no_table(hint)]
    # CorpusConfig is the field `corpus`, and has one of that name: which is meant, the value says.
    if not (name in hints and (name not in open_parts or is_dataclass(value))):
        for part in open_parts:
            if name in field_hints(type(getattr(settings, part))):
                return part
        _require_name(settings, name, hints, open_parts)
    return None


def _require_name(settings: Configuration, name: str, hints: Mapping[str, Any], open_parts: list[str]) -> None:
    if name in hints:
        return
    names = [*hints, *(inner for part in open_parts for inner in field_hints(type(getattr(settings, part))))]
    near = get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]}?" if near else f" There are {', '.join(names)}."
    raise InputError(f"there is no setting {shown(name)}.{hint}")


def _has_no_table(hint: Any) -> bool:
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return any(isinstance(note, Parameter) and note.name == ("*",) for note in notes)


def _value(settings: Configuration, name: str, value: Any) -> Any:
    """A dictionary as the table that it changes; anything else as it is."""
    kind, _ = unwrapped(field_hints(type(settings))[name])
    table = isinstance(kind, type) and is_dataclass(kind)
    return changed(getattr(settings, name), value) if table and isinstance(value, Mapping) else value
