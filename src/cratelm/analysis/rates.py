"""Coding rates of tokens, whole and in subspaces (sparse rate reduction, arXiv 2311.13110, equations 4 to 6).

Tokens have norm 1 here, as the theory assumes, so a rate does not depend on the scale of a model's stream. With N
tokens z_i of d coordinates and C = 1/N sum z_i z_i^T, all that a rate needs of them is C.
"""

import torch


def coding_rate(covariance: torch.Tensor, epsilon: float) -> float:
    """R(Z) = 1/2 logdet(I + d / (N eps^2) Z Z^T), in nats: how many the tokens need, told apart to within epsilon.

    `covariance` (d, d) is C; it may also be that of coordinates in a subspace, whose dimension then stands for d.
    """
    dimension = len(covariance)
    identity = torch.eye(dimension, dtype=covariance.dtype, device=covariance.device)
    return 0.5 * torch.logdet(identity + dimension / epsilon**2 * covariance).item()


def subspace_rates(covariance: torch.Tensor, bases: torch.Tensor, epsilon: float) -> list[float]:
    """The K terms of R^c(Z; U) = sum_k 1/2 logdet(I + p / (N eps^2) U_k^T Z Z^T U_k), for `bases` (K, d, p)."""
    return [coding_rate(basis.T @ covariance @ basis, epsilon) for basis in bases]


def orthonormal(projection: torch.Tensor, heads: int) -> torch.Tensor:
    """Orthonormal bases (K, d, p) of the subspaces that the K slices of a projection's weight (K p, d) span.

    The theory's U_k are orthonormal; trained ones are not, and their scale would be measured in place of the tokens.
    """
    slices = projection.double().unflatten(0, (heads, -1)).transpose(1, 2)  # (K, d, p)
    return torch.linalg.qr(slices).Q


def subspace_overlap(bases: torch.Tensor) -> float:
    """The mean over pairs of heads of |U_i^T U_j|^2 / p, for bases (K, d, p); NaN for one head.

    It is 0 for orthogonal subspaces, 1 for equal ones, and p / d by chance.
    """
    heads, _, dimension = bases.shape
    if heads == 1:
        return float("nan")
    products = torch.einsum("idp,jdq->ijpq", bases, bases).square().sum((2, 3)) / dimension  # (K, K)
    return ((products.sum() - products.diagonal().sum()) / (heads * (heads - 1))).item()
