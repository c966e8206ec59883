"""The explainers that there are."""

from cratelm.errors import InputError
from cratelm.explain.explainer import Explainer
from cratelm.registry import registered

# Explainer is abstract, and `type[T]` takes no abstract class; instances of its subclasses are looked for.
EXPLAINERS: dict[str, Explainer] = registered("cratelm.explain.explainers", Explainer, "cratelm.explainers")  # type: ignore[type-abstract]
"""By name, in the order in which tables show them."""


def explainers_named(names: str) -> list[Explainer]:
    """The explainers of some names with commas between them; InputError names one that there is not."""
    found = []
    for name in (name.strip() for name in names.split(",")):
        if name not in EXPLAINERS:
            raise InputError(f"unknown explainer {name!r}: choose from {', '.join(EXPLAINERS)}.")
        found.append(EXPLAINERS[name])
    return found
