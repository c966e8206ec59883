"""How sparse a code is, what objective it lowers, and how alike a dictionary's atoms are."""

import math

import torch
from torch.nn import functional as F


def hoyer(code: torch.Tensor) -> torch.Tensor:
    """Hoyer's sparsity of codes (..., h): (sqrt h - |a|_1 / |a|_2) / (sqrt h - 1); 1 for one unit, 0 for all alike.

    NaN for a code that is 0 everywhere (Hoyer, JMLR 2004).
    """
    root = math.sqrt(code.shape[-1])
    return (root - code.abs().sum(-1) / code.norm(dim=-1)) / (root - 1)


def lasso(x: torch.Tensor, code: torch.Tensor, dictionary: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """The objective 1/2 |x - D A|^2 + sum lambda A of each token, (...,), which ISTA lowers.

    x (..., d), code A (..., h), `dictionary` D transposed (h, d), `threshold` lambda: a number or one a unit, (h,).
    """
    return (x - code @ dictionary).square().sum(-1) / 2 + (threshold * code.abs()).sum(-1)


def solve_lasso(x: torch.Tensor, dictionary: torch.Tensor, threshold: torch.Tensor, steps: int = 300) -> torch.Tensor:
    """The non-negative code (..., h) that minimises the objective, by FISTA (Beck & Teboulle, 2009) from 0."""
    step = 1 / largest_eigenvalue(dictionary)
    code = ahead = torch.zeros(*x.shape[:-1], len(dictionary), dtype=x.dtype, device=x.device)
    momentum = 1.0
    for _ in range(steps):
        unexplained = x - ahead @ dictionary
        moved = F.relu(ahead + step * (F.linear(unexplained, dictionary) - threshold))
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / following * (moved - code)
        code, momentum = moved, following
    return code


def largest_eigenvalue(dictionary: torch.Tensor) -> float:
    """That of D D^T, for a dictionary (h, d): each ISTA step lowers the objective if eta times it is below 2."""
    return torch.linalg.matrix_norm(dictionary.double(), 2).item() ** 2


def coherence(dictionary: torch.Tensor) -> dict[str, float]:
    """How alike the atoms (h, d) are: the largest and the mean |cosine| of two, and the least that the largest can be.

    The last is Welch's bound, sqrt((h - d) / (d (h - 1))), and 0 for no more atoms than dimensions.
    """
    atoms, width = dictionary.shape
    unit = F.normalize(dictionary.double(), dim=1)
    cosines = (unit @ unit.T).abs()
    cosines.fill_diagonal_(0)
    bound = math.sqrt(max(atoms - width, 0) / (width * (atoms - 1)))
    return {
        "coherence": cosines.max().item(),
        "mean_cosine": cosines.sum().item() / (atoms * (atoms - 1)),
        "welch_bound": bound,
    }
