"""Finding what is registered: objects of one kind in a package's modules, and those that other packages offer."""

import importlib
import pkgutil
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, TypeVar

from cratelm.errors import InputError


class Named(Protocol):
    """What can be registered."""

    @property
    def name(self) -> str:
        """By which it is found; one of each name."""
        ...

    @property
    def order(self) -> int:
        """Its place in tables: the lowest first."""
        ...


class Described(Named, Protocol):
    """What a help text can list."""

    @property
    def help(self) -> str:
        """One line, for people."""
        ...


NAME = r"[a-z0-9-]+"
"""A name becomes part of file names, of keys and of lists with commas."""

T = TypeVar("T", bound=Named)


def registered(package: str, kind: type[T], group: str, reserved: tuple[str, ...] = ()) -> dict[str, T]:
    """By name, the objects of a kind that are bound in the modules of `package` or are entry points of `group`.

    A file in the package is enough to add one; so is an installed package with an entry point. Raises InputError for
    an entry point that cannot be loaded, is of another kind, or takes a name that is taken or `reserved`.
    """
    by_name: dict[str, T] = {}
    for candidate in sorted([*_own(package, kind), *_offered(kind, group)], key=lambda candidate: candidate.order):
        require_name(candidate.name, f"one of {group}", reserved)
        # One object may be bound in several modules, where one of them imports it from another.
        if by_name.setdefault(candidate.name, candidate) is not candidate:
            raise InputError(f"{candidate.name!r} is registered twice as {group}. Uninstall the package that adds it.")
    return by_name


def require_name(name: str, what: str, reserved: tuple[str, ...] = ()) -> str:
    """The name of something that is registered; InputError where it cannot be one."""
    if not re.fullmatch(NAME, name) or name in reserved:
        raise InputError(f"{name!r} cannot be the name of {what}. Use the letters a to z, digits and hyphens.")
    return name


def listed(members: Iterable[Described]) -> str:
    """Each by its name and its line, for a help text."""
    return " ".join(f"`{member.name}`: {member.help.rstrip('.')}." for member in members)


def chosen(names: str, members: Mapping[str, T], what: str) -> list[T]:
    """Those of some names with commas between them, each once; InputError names one that there is not."""
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",")))
    if unknown := [name for name in wanted if name not in members]:
        known = ", ".join(members)
        raise InputError(f"unknown {what} {unknown[0]!r}: choose from {known}, or install the package that adds it.")
    return [members[name] for name in wanted]


def _own(package: str, kind: type[T]) -> list[T]:
    folder = importlib.import_module(package).__path__
    modules = [importlib.import_module(f"{package}.{module.name}") for module in pkgutil.iter_modules(folder)]
    return [value for module in modules for value in vars(module).values() if isinstance(value, kind)]


def _offered(kind: type[T], group: str) -> list[T]:
    return [_loaded(point, kind, group) for point in entry_points(group=group)]


def _loaded(point: EntryPoint, kind: type[T], group: str) -> T:
    package = point.dist.name if point.dist else point.value
    try:
        loaded = point.load()
    except Exception as error:  # whatever another project's module raises
        raise InputError(f"{package} offers {point.name!r} as {group}, but fails to load: {error}.") from error
    if not isinstance(loaded, kind):
        raise InputError(f"{package} offers {point.name!r} as {group}, but it is not an instance of {kind.__name__}.")
    return loaded
