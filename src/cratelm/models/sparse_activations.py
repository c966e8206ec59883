"""Activations that are 0 for most units: the ReLU of ISTA, and what the baseline has in its place."""

import torch
from torch import nn
from torch.nn import functional as F


class _Rectify(torch.autograd.Function):
    """A ReLU whose derivative is read from its result, which the products behind it keep anyhow.

    torch's own derivative is a mask of truth values, which compiled code for processors writes and reads one by one: in
    a training step at the laptop's shape these masks took 40% of the time.
    """

    @staticmethod
    def forward(ctx, x):
        code = F.relu(x)
        ctx.save_for_backward(code)
        return code

    @staticmethod
    def backward(ctx, *gradients):
        (code,), (gradient,) = ctx.saved_tensors, gradients
        return gradient * code.sign()  # 1 where it fires, else 0


def rectify(x: torch.Tensor) -> torch.Tensor:
    """max(x, 0), like torch's relu; faster in compiled training."""
    return _Rectify.apply(x)


class Rectified(nn.ReLU):
    """The module of `rectify`."""

    def forward(self, input):
        """(B, T, h) to (B, T, h)."""
        return rectify(input)


class TopK(nn.Module):
    """The k largest of a token's values, where they are positive (arXiv 2506.21468); values equal to the k-th stay."""

    def __init__(self, k: int):
        super().__init__()
        self.k = k

    def forward(self, x):
        """(B, T, h) to (B, T, h), of which k a token are not 0."""
        least = x.detach().topk(self.k, dim=-1, sorted=False).values.amin(-1, keepdim=True)  # (B, T, 1)
        return torch.where(x >= least, rectify(x), 0)


class PenalisedReLU(nn.Module):
    """A ReLU that remembers, in training, the mean over tokens of its output's L1 norm, for the loss to add."""

    def __init__(self):
        super().__init__()
        self.norm: torch.Tensor | None = None

    def forward(self, x):
        """(B, T, h) to (B, T, h)."""
        hidden = rectify(x)
        if self.training:
            self.norm = hidden.float().sum(-1).mean()
        return hidden

    def take_norm(self):
        """The norm of the last pass, forgotten here, so that its graph is not kept."""
        norm, self.norm = self.norm, None
        return norm
