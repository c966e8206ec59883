"""An excerpt of a unit: some tokens, and what the unit does on each."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Excerpt:
    """A piece of text that was kept of a unit.

    >>> import cratelm
    >>> unit = cratelm.open(STUDY).unit("crate/0/3")
    >>> first = unit.excerpts("top", half="score")[0]
    >>> len(first.tokens) == len(first.activations)
    True
    """

    half: str
    """`explain`, which explainers saw, or `score`."""
    kind: str
    """`top`, `random`, `interval` or `other`."""
    interval: int | None
    """Which part of the unit's range it was drawn for; None where its kind has no parts."""
    document: int
    """The document that it is of, counted in its half."""
    tokens: list[str]
    """(T,): as a person reads them."""
    activations: np.ndarray
    """(T,) float32."""
    expected: dict[str, np.ndarray] = field(default_factory=dict)
    """What each explanation expects, by explainer: (T,) float64 each; nothing in a recording that is not explained."""

    @property
    def text(self) -> str:
        """The tokens in one."""
        return "".join(self.tokens)

    def __repr__(self) -> str:
        peak = int(self.activations.argmax())
        return f"<{self.kind} excerpt, {self.activations[peak]:.3g} on {self.tokens[peak]!r}: {self.text[:60]!r}>"
