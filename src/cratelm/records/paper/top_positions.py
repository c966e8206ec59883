"""Each unit's positions with the highest activations: neighbours and all."""

import numpy as np
import torch

from cratelm.records.paper.stream_windows import Windows
from cratelm.records.top import TopExcerpts

TOP = 50
"""Top windows of each unit and length that are kept."""


class TopPositions(TopExcerpts):
    """The `count` positions of each unit with the highest activations, ties to the earlier; silent ones too.

    Positions come in ascending order within a stretch of text. Every one counts as a group of its own, so that
    none makes room for another.
    """

    def __init__(self, units: int, count: int = TOP):
        super().__init__(units, count)
        self.threshold = np.full(units, -1, np.float32)

    def see(self, activations: torch.Tensor, first: int, windows: Windows) -> None:
        """See activations (tokens, units) of the positions from `first` on; those without a whole window are none."""
        begin = max(windows.before - first, 0)
        end = min(windows.before + windows.count - first, len(activations))
        while begin < end:
            # Few at first: until thresholds rise, everything is a candidate.
            chunk = activations[begin : min(end, begin + max(self.count, first + begin))]
            above = (chunk > torch.from_numpy(self.threshold).to(chunk.device)).nonzero()
            position, unit = above.T.cpu().numpy()
            value = chunk[above[:, 0], above[:, 1]].cpu().numpy()
            position = position + first + begin
            self._waiting.append((unit, value, position, position, np.zeros(len(unit), np.int8)))
            if sum(len(rows[0]) for rows in self._waiting) > self.units * self.count // 2:
                self.settle()
            begin += len(chunk)

    def _one_of_a_group(self, rows: list[np.ndarray], order: np.ndarray) -> np.ndarray:
        """All: neighbours are none of each other's business."""
        return order
