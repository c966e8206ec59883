"""What every unit of a model does on a text."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cratelm.errors import InputError
from cratelm.interface.frames import to_frame
from cratelm.units.unit_site import Site

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Peak:
    """A unit's highest activation on a text.

    >>> import cratelm
    >>> cratelm.Peak(unit="1/37", activation=2.5, token=" good", position=3).unit
    '1/37'
    """

    unit: str
    """`layer/unit`."""
    activation: float
    token: str
    """The token that it is on."""
    position: int
    """Of that token, from 0."""


@dataclass(frozen=True, eq=False)
class Activations:
    """The activations of every unit on each token of a text; the model's start token is left out.

    In a notebook the strongest units are shown over the text.

    >>> import cratelm
    >>> acts = cratelm.open(STUDY).model("crate").activations("the film was good")
    >>> acts["0/3"].shape == (len(acts.tokens),)
    True
    >>> acts.frame().shape == (len(acts.tokens), sum(site.units for site in acts.sites))
    True
    """

    tokens: list[str]
    """(T,): as a person reads them."""
    sites: tuple[Site, ...]
    """Where each layer's units are."""
    values: tuple[np.ndarray, ...]
    """By layer, (T, units) float32 each."""

    def __getitem__(self, address: str | int) -> np.ndarray:
        """A unit's activations by `layer/unit`, (T,), or a layer's by its number, (T, units).

        Raises InputError where there is none.
        """
        layer, *unit = [int(part) if part.isdecimal() else -1 for part in str(address).split("/")]
        if not 0 <= layer < len(self.values):
            raise InputError(f"there is no layer {str(address)!r}: there are {len(self.values)}, counted from 0.")
        if not unit:
            return self.values[layer]
        if len(unit) > 1 or not 0 <= unit[0] < self.sites[layer].units:
            raise InputError(f"there is no unit {address!r}: give layer/unit; it has {self.sites[layer].units} units.")
        return self.values[layer][:, unit[0]]

    def top(self, count: int = 10) -> list[Peak]:
        """The units with the highest activations, the highest first; of equal ones, the first in order.

        Sites have scales of their own: compare units of one layer, or divide by what a recording's statistics call
        the maximum.

        >>> import cratelm
        >>> acts = cratelm.open(STUDY).model("crate").activations("the film was good")
        >>> len(acts.top(3))
        3
        """
        peaks = [values.max(0) for values in self.values]
        order = np.argsort(-np.concatenate(peaks), kind="stable")[:count]
        begins = np.cumsum([0, *(len(values) for values in peaks)])
        layers = np.searchsorted(begins, order, side="right") - 1
        return [self._peak(int(layer), int(at - begins[layer])) for layer, at in zip(layers, order, strict=True)]

    def _peak(self, layer: int, unit: int) -> Peak:
        values = self.values[layer][:, unit]
        position = int(values.argmax())
        return Peak(f"{layer}/{unit}", float(values[position]), self.tokens[position], position)

    @property
    def table(self) -> pa.Table:
        """A row a token and a column a unit, named `layer/unit`, as pyarrow has it; the first column is `token`."""
        columns = {
            f"{layer}/{unit}": values[:, unit]
            for layer, values in enumerate(self.values)
            for unit in range(values.shape[1])
        }
        return pa.table({"token": self.tokens} | columns)

    def frame(self) -> "pd.DataFrame":
        """The same as a DataFrame: the tokens are its index, together with their positions."""
        frame = to_frame(self.table).set_index("token", append=True)
        return frame.rename_axis(["position", "token"])

    def __repr__(self) -> str:
        units = sum(site.units for site in self.sites)
        return f"<activations of {units:,} units in {len(self.sites)} layers on {len(self.tokens)} tokens>"

    def _repr_html_(self) -> str:
        from cratelm.notebook.activations_view import activations_view

        top = self.top(10)
        return activations_view(self.tokens, [(peak.unit, self[peak.unit].tolist()) for peak in top])
