"""The explainers that there are."""

from cratelm.errors import InputError
from cratelm.explain.explainer import Explainer
from cratelm.registry import registered

# Explainer is abstract, and `type[T]` takes no abstract class; instances of its subclasses are looked for.
EXPLAINERS: dict[str, Explainer] = registered("cratelm.explain.explainers", Explainer, "cratelm.explainers")  # type: ignore[type-abstract]
"""By name, in the order in which tables show them."""

if taken := {"unit", "sentences"} & EXPLAINERS.keys():  # a column and a file of every explanation folder
    raise InputError(f"an installed package adds an explainer {taken.pop()!r}, a name that explanations need.")


def explainers_named(names: str) -> list[Explainer]:
    """The explainers of some names with commas between them; InputError names one that there is not."""
    found = []
    for name in dict.fromkeys(name.strip() for name in names.split(",")):
        if name not in EXPLAINERS:
            raise InputError(
                f"unknown explainer {name!r}: choose from {', '.join(EXPLAINERS)}, or install the package that adds it."
            )
        found.append(EXPLAINERS[name])
    return found
