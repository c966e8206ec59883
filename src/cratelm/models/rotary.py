"""Rotary positions (Su et al., arXiv 2104.09864): pairs of a head's coordinates are turned by the token's position."""

import torch

ROTARY_BASE = 10000.0


def rotary_tables(positions: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of what each pair of a head's coordinates is turned by at positions (…, T): (…, T, width / 2)
    each."""
    channels = torch.arange(0, width, 2, device=positions.device, dtype=torch.float32)
    angles = positions[..., None].float() * ROTARY_BASE ** -(channels / width)
    return angles.cos(), angles.sin()


def rotate(w: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """Turn the pairs (i, i + p / 2) of a head's coordinates, (B, K, T, p), clockwise."""
    cosines, sines = cosines.to(w.dtype), sines.to(w.dtype)
    first, second = w.chunk(2, dim=-1)
    return torch.cat([first * cosines + second * sines, second * cosines - first * sines], dim=-1)
