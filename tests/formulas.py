"""The published formulas in plain tensors, one sequence at a time: what the models are held against."""

import math

import torch

Tensors = dict[str, torch.Tensor]


def norm(x: torch.Tensor, w: Tensors, name: str) -> torch.Tensor:
    """LayerNorm with epsilon 1e-5; a missing bias is 0."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * w[f"{name}.weight"] + w.get(
        f"{name}.bias", 0
    )


def linear(x: torch.Tensor, w: Tensors, name: str) -> torch.Tensor:
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
    """Causal attention, head by head: (T, d)."""
    out = []
    for q_h, k_h, v_h in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True):
        scores = q_h @ k_h.T / math.sqrt(q_h.shape[-1])
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), float("-inf"))
        out.append(scores.softmax(-1) @ v_h)
    return torch.cat(out, -1)


def ista(y: torch.Tensor, w: torch.Tensor, eta: float = 0.1, lam: float = 0.1) -> torch.Tensor:
    """Two steps in the paper's five-product form; w is (h, d)."""
    z1 = torch.relu(eta * (y @ w.T) - eta * lam)
    z2 = torch.relu(z1 + eta * (y @ w.T - z1 @ w @ w.T) - eta * lam)
    return z2 @ w


def official_logits(w: Tensors, ids: torch.Tensor, layers: int, heads: int) -> torch.Tensor:
    """The logits of an official checkpoint, CRATE or GPT with ReLU, from its own tensors: (T, V)."""
    crate = any(name.endswith("ista.weight") for name in w)
    x = w["transformer.wte.weight"][ids] + w["transformer.wpe.weight"][: len(ids)]
    for i in range(layers):
        h = f"transformer.h.{i}."
        if crate:
            u = linear(norm(x, w, h + "prenorm_1"), w, h + "attn.c_attn")
            x = x + linear(attend(u, u, u, heads), w, h + "attn.c_proj")
            x = ista(norm(x, w, h + "prenorm_2"), w[h + "ista.weight"])
        else:
            q, k, v = linear(norm(x, w, h + "ln_1"), w, h + "attn.c_attn").chunk(3, -1)
            x = x + linear(attend(q, k, v, heads), w, h + "attn.c_proj")
            x = x + linear(torch.relu(linear(norm(x, w, h + "ln_2"), w, h + "mlp.c_fc")), w, h + "mlp.c_proj")
    return norm(x, w, "transformer.ln_f") @ w["transformer.wte.weight"].T
