"""Hidden layers of the baseline that are kept sparse: the rivals of ISTA."""

import torch
from torch import nn
from torch.nn import functional as F


class TopK(nn.Module):
    """The k largest of a token's values, where they are positive (arXiv 2506.21468); values equal to the k-th stay."""

    def __init__(self, k: int):
        super().__init__()
        self.k = k

    def forward(self, x):
        """(B, T, h) to (B, T, h), of which k a token are not 0."""
        least = x.detach().topk(self.k, dim=-1, sorted=False).values.amin(-1, keepdim=True)  # (B, T, 1)
        return torch.where(x >= least, F.relu(x), 0)


class PenalisedReLU(nn.Module):
    """A ReLU that remembers, in training, the mean over tokens of its output's L1 norm, for the loss to add."""

    def __init__(self):
        super().__init__()
        self.norm: torch.Tensor | None = None

    def forward(self, x):
        """(B, T, h) to (B, T, h)."""
        hidden = F.relu(x)
        if self.training:
            self.norm = hidden.float().sum(-1).mean()
        return hidden

    def take_norm(self):
        """The norm of the last pass, forgotten here, so that its graph is not kept."""
        norm, self.norm = self.norm, None
        return norm
