"""The explainers that there are."""

from cratelm.explain.explainer import Explainer
from cratelm.registry import chosen, registered

# Explainer is abstract, and `type[T]` takes no abstract class; instances of its subclasses are looked for.
_RESERVED = ("unit", "sentences")
"""A column and a file of every folder of explanations."""
EXPLAINERS: dict[str, Explainer] = registered(
    "cratelm.explain.explainers",
    Explainer,  # type: ignore[type-abstract]
    "cratelm.explainers",
    _RESERVED,
)
"""By name, in the order in which tables show them."""


def explainers_named(names: str) -> list[Explainer]:
    """The explainers of some names with commas between them; InputError names one that there is not."""
    return chosen(names, EXPLAINERS, "explainer")
