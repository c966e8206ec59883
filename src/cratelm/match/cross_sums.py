"""Sums over text that give the correlation of every unit of one model with every unit of another."""

import numpy as np
import torch

from cratelm.stats import NEGLIGIBLE


class CrossSums:
    """Streams activations of both models on the same tokens; memory is 16 bytes for a pair of units.

    The control pairs the first model's activations with the second's on another text of the batch: what units have in
    common without reading the same. A batch of one text is shifted against itself by half its length.
    """

    def __init__(self) -> None:
        self.count = 0
        self._shifts: tuple[torch.Tensor, torch.Tensor] | None = None
        self._sums: list[torch.Tensor] = []

    def see(self, first: torch.Tensor, second: torch.Tensor) -> None:
        """Activations on one batch: (contexts, tokens, units of the first model) and (…, units of the second)."""
        if first.shape[:2] != second.shape[:2]:
            raise ValueError(f"activations of {first.shape[:2]} and {second.shape[:2]} tokens are not of the same text")
        other = second.roll(1, 0) if len(second) > 1 else second.roll(second.shape[1] // 2, 1)
        x, y, z = (values.flatten(0, 1).float() for values in (first, second, other))
        if self._shifts is None:
            self._shifts = x.mean(0), y.mean(0)
        # Near their means: products in float32 then keep the digits that a correlation needs.
        x, y, z = x - self._shifts[0], y - self._shifts[1], z - self._shifts[1]
        found = [x.sum(0), (x * x).sum(0), y.sum(0), (y * y).sum(0), x.T @ y, x.T @ z]
        if not self._sums:
            self._sums = [torch.zeros_like(part, dtype=torch.float64) for part in found]
        for total, part in zip(self._sums, found, strict=True):
            total += part.double()
        self.count += len(x)

    def correlations(self) -> tuple[np.ndarray, np.ndarray]:
        """Pearson's r of all pairs, and of the control's: (units of the first, units of the second) each.

        NaN where a unit does not vary.
        """
        sum_x, square_x, sum_y, square_y, product, of_others = (part.cpu().numpy() for part in self._sums)
        scale_x, scale_y = (self._scale(*sums) for sums in ((sum_x, square_x), (sum_y, square_y)))
        means = np.outer(sum_x, sum_y) / self.count
        paired, control = ((sums - means) / np.outer(scale_x, scale_y) for sums in (product, of_others))
        return np.clip(paired, -1, 1), np.clip(control, -1, 1)

    def _scale(self, total: np.ndarray, squares: np.ndarray) -> np.ndarray:
        varying = squares - total**2 / self.count
        return np.where(varying > NEGLIGIBLE * squares, np.sqrt(np.maximum(varying, 0)), np.nan)
