"""The explainers that there are."""

from cratelm.explain.explainer import Explainer
from cratelm.registry import chosen, registered

# Explainer is abstract, and `type[T]` takes no abstract class; instances of its subclasses are looked for.
_KEPT = ("unit", "sentences")
"""A column and a file of every folder of explanations."""
_REPORTED = (
    "model",
    "layer",
    "metric",
    "protocol",
    "explainer",
    "units",
    "score",
    "shuffled",
    "ceiling",
    "dead",
    "silent",
)
"""Columns of the report's main table that a name could be, where an explainer's scores stand under its own."""
EXPLAINERS: dict[str, Explainer] = registered(
    "cratelm.explain.explainers",
    Explainer,  # type: ignore[type-abstract]
    "cratelm.explainers",
    (*_KEPT, *_REPORTED),
)
"""By name, in the order in which tables show them."""


def explainers_named(names: str) -> list[Explainer]:
    """The explainers of some names with commas between them; InputError names one that there is not."""
    return chosen(names, EXPLAINERS, "explainer")


COMPARED = tuple(
    name
    for name, explainer in EXPLAINERS.items()
    if explainer.role == "explainer"
    and explainer.sees == "excerpts"
    and not explainer.in_words
    and type(explainer).__module__.startswith("cratelm.")
)
"""What a study has to be explained by: not those of other packages, so that installing one changes no study, and none
that needs more than excerpts. A report shows all explainers that units have."""
