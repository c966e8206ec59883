"""Numbers out of the logits with and without a unit."""

import numpy as np
import torch
from scipy.stats import rankdata

TOP = 10
"""Tokens each way that the unembedding says a unit raises and lowers most."""


def added(before: torch.Tensor, without: torch.Tensor) -> torch.Tensor:
    """What a unit adds to the logits (points, V), 0 on average: a softmax ignores what all logits have in common."""
    difference = before.double() - without.double()
    return difference - difference.mean(-1, keepdim=True)


def size(change: torch.Tensor) -> np.ndarray:
    """How far logits move, the root mean square over tokens of a change (points, V): (points,)."""
    return change.square().mean(-1).sqrt().numpy()


def loss_added(before: torch.Tensor, without: torch.Tensor, target: np.ndarray) -> np.ndarray:
    """By how much the loss on the next tokens (points,) grows without a unit: (points,), in nats."""
    rows = torch.arange(len(target))
    chances = [logits.double().log_softmax(-1)[rows, torch.from_numpy(target)] for logits in (before, without)]
    return (chances[0] - chances[1]).numpy()


def rank_correlation(lens: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Spearman's rho over tokens of what the unembedding says (V,) and each change (points, V): (points,)."""
    said, seen = rankdata(lens), rankdata(change, axis=-1)
    said, seen = said - said.mean(), seen - seen.mean(-1, keepdims=True)
    spread = np.sqrt((said**2).sum() * (seen**2).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 0, seen @ said / spread, 0.0)


def share_as_said(lens: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The share of the TOP tokens each way that move as the unembedding (V,) says, for changes (points, V): (points,).

    0.5 is chance.
    """
    order = np.argsort(lens, kind="stable")
    top = min(TOP, len(lens) // 2)
    raised, lowered = change[:, order[-top:]] > 0, change[:, order[:top]] < 0
    return np.concatenate([raised, lowered], axis=1).mean(1)
