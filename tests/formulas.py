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


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, window: int | None = None) -> torch.Tensor:
    """Causal attention, head by head, over all tokens so far or the last `window`: (T, d)."""
    out = []
    for q_h, k_h, v_h in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True):
        scores = q_h @ k_h.T / math.sqrt(q_h.shape[-1])
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), float("-inf"))
        if window is not None:
            scores = scores.masked_fill(torch.ones_like(scores).tril(-window).bool(), float("-inf"))
        out.append(scores.softmax(-1) @ v_h)
    return torch.cat(out, -1)


def ista(y: torch.Tensor, w: torch.Tensor, eta: float = 0.1, lam: float = 0.1) -> torch.Tensor:
    """Two steps in the paper's five-product form; w is (h, d)."""
    z1 = torch.relu(eta * (y @ w.T) - eta * lam)
    z2 = torch.relu(z1 + eta * (y @ w.T - z1 @ w @ w.T) - eta * lam)
    return z2 @ w


def gelu(x: torch.Tensor) -> torch.Tensor:
    """x times the normal distribution function."""
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def gelu_new(x: torch.Tensor) -> torch.Tensor:
    """Its approximation by a hyperbolic tangent."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def official_logits(w: Tensors, ids: torch.Tensor, layers: int, heads: int, activation=torch.relu) -> torch.Tensor:
    """The logits of an official checkpoint, CRATE or GPT, from its own tensors: (T, V)."""
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
            x = x + linear(activation(linear(norm(x, w, h + "ln_2"), w, h + "mlp.c_fc")), w, h + "mlp.c_proj")
    return norm(x, w, "transformer.ln_f") @ w["transformer.wte.weight"].T


def sparse_code(y: torch.Tensor, w: torch.Tensor, eta, lam, steps: int, start: torch.Tensor | None = None) -> list:
    """The codes of the proximal steps, one after another, from 0 or from `start`; w is (h, d), eta and lam numbers or
    (h,)."""
    code = y.new_zeros(len(y), len(w)) if start is None else start
    codes = []
    for _ in range(steps):
        code = (code - eta * ((code @ w - y) @ w.T) - eta * lam).clamp(min=0)
        codes.append(code)
    return codes


def variant_attention(
    x: torch.Tensor, w: Tensors, name: str, heads: int, window: int | None = None, rotary: bool = False
) -> torch.Tensor:
    """MSSA and its relatives: what has no projection of its own is w; a query may have a low-rank addition; rotary
    positions turn queries of head k as if they stood k tokens earlier."""
    u = linear(x, w, f"{name}.subspace_proj")
    q = linear(x, w, f"{name}.query_proj") if f"{name}.query_proj.weight" in w else u
    k = linear(x, w, f"{name}.key_proj") if f"{name}.key_proj.weight" in w else u
    if f"{name}.query_up_proj.weight" in w:
        q = u + x @ (w[f"{name}.query_up_proj.weight"] @ w[f"{name}.query_down_proj.weight"]).T
    if rotary:
        q = torch.cat([turned_from(head, -number) for number, head in enumerate(q.chunk(heads, -1))], -1)
        k = torch.cat([turned_from(head, 0) for head in k.chunk(heads, -1)], -1)
    return linear(attend(q, k, u, heads, window), w, f"{name}.output_proj")


def turned_from(w: torch.Tensor, first: int) -> torch.Tensor:
    """One head, (T, p), turned by positions from `first` on, as complex numbers in double precision."""
    half = w.shape[-1] // 2
    angles = (torch.arange(len(w)).double()[:, None] + first) / 10000 ** (torch.arange(half).double() / half)
    product = torch.complex(w[:, :half].double(), w[:, half:].double()) * torch.polar(torch.ones_like(angles), -angles)
    return torch.cat([product.real, product.imag], -1).to(w.dtype)


def variant_coding(y: torch.Tensor, w: Tensors, name: str, complete: bool = False, steps: int = 2, **numbers):
    """The sparse block: ISTA from 0 over an overcomplete dictionary, or from y over a complete one."""
    dictionary = w[f"{name}.dictionary"]
    eta = numbers.get("eta", 0.1) * w.get(f"{name}.step_size_log_ratio", torch.zeros(1)).exp()
    lam = numbers.get("lam", 0.1) * w.get(f"{name}.threshold_log_ratio", torch.zeros(1)).exp()
    if complete:
        return sparse_code(y, dictionary, eta, lam, steps, start=y)[-1]
    return sparse_code(y, dictionary, eta, lam, steps)[-1] @ w.get(f"{name}.decoding_dictionary", dictionary)


def rival_mlp(y: torch.Tensor, w: Tensors, name: str, k: int | None = None) -> torch.Tensor:
    """A ReLU MLP, or one of which the k largest hidden values of a token remain."""
    hidden = linear(y, w, f"{name}.up_proj")
    if k is not None:
        keep = torch.zeros_like(hidden)
        for token, places in enumerate(hidden.argsort(-1, descending=True)[:, :k]):
            keep[token, places] = 1
        hidden = hidden * keep
    return linear(hidden.clamp(min=0), w, f"{name}.down_proj")


def variant_logits(
    w: Tensors,
    ids: torch.Tensor,
    layers: int,
    heads: int,
    residual: bool = False,
    k: int | None = None,
    window: int | None = None,
    rotary: bool = False,
    **coding,
) -> torch.Tensor:
    """The logits of any of our models from its own tensors: (T, V)."""
    x = w["model.embed_tokens.weight"][ids] + w["model.embed_positions.weight"][: len(ids)]
    for i in range(layers):
        h = f"model.layers.{i}."
        y = norm(x, w, h + "attention_norm")
        if h + "attention.subspace_proj.weight" in w:
            x = x + variant_attention(y, w, h + "attention", heads, window, rotary)
        else:
            q, key, v = (linear(y, w, f"{h}attention.{part}_proj") for part in ("query", "key", "value"))
            x = x + linear(attend(q, key, v, heads, window), w, h + "attention.output_proj")
        if h + "mlp.up_proj.weight" in w:
            x = x + rival_mlp(norm(x, w, h + "mlp_norm"), w, h + "mlp", k)
        else:
            coded = variant_coding(norm(x, w, h + "coding_norm"), w, h + "coding", **coding)
            x = x + coded if residual else coded
    return norm(x, w, "model.norm") @ w["model.embed_tokens.weight"].T


def root_mean_square(x: torch.Tensor) -> torch.Tensor:
    """x divided by the root of its mean square."""
    return x / (x.pow(2).mean(-1, keepdim=True) + torch.finfo(torch.float32).eps).sqrt()


def turned(w: torch.Tensor) -> torch.Tensor:
    """Rotary positions of one head, (T, p), as complex numbers; cosines and sines are rounded to bfloat16."""
    half = w.shape[-1] // 2
    angles = torch.arange(len(w)).float()[:, None] / 10000 ** (torch.arange(half).float() / half)
    turn = torch.complex(angles.cos().bfloat16().float(), -angles.sin().bfloat16().float())
    product = torch.complex(w[:, :half], w[:, half:]) * turn
    return torch.cat([product.real, product.imag], -1)


def nanochat_attention(u: torch.Tensor, heads: int, before: int) -> torch.Tensor:
    """Each token attends to itself and to `before` tokens before it, head by head, token by token: (T, d)."""
    out = []
    for head in u.chunk(heads, -1):
        w = root_mean_square(turned(head))
        rows = []
        for t in range(len(w)):
            seen = w[max(0, t - before) : t + 1]
            rows.append((seen @ w[t] / math.sqrt(w.shape[-1])).softmax(0) @ seen)
        out.append(torch.stack(rows))
    return torch.cat(out, -1)


def nanochat_logits(
    w: Tensors,
    ids: torch.Tensor,
    heads: int,
    length: int,
    vocabulary: int,
    pattern: str = "SSSL",
    relu: bool = True,
    residual: bool = True,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits (T, V) and codes (T, h) by layer of a CRATE-alpha checkpoint of nanochat, from its own tensors."""
    layers = len(w["resid_lambdas"])
    first = x = root_mean_square(w["transformer.wte.weight"].float()[ids])
    codes = []
    for i in range(layers):
        h = f"transformer.h.{i}."
        x = w["resid_lambdas"][i] * x + w["x0_lambdas"][i] * first
        short = pattern[i % len(pattern)] == "S" and i < layers - 1
        attended = nanochat_attention(
            linear(root_mean_square(x), w, h + "mssa.qkv"), heads, length // 2 if short else length
        )
        x = x + linear(attended, w, h + "mssa.c_proj")
        projected = linear(root_mean_square(x), w, h + "odl.D_enc")
        soft = projected.sign() * (projected.abs() - 0.1 * 0.1).clamp(min=0)
        codes.append((projected - w[h + "odl.threshold"]).clamp(min=0) if relu else soft)
        coded = linear(codes[-1], w, h + "odl.D_dec")
        x = x + coded if residual else coded
    return 15 * torch.tanh(root_mean_square(x) @ w["lm_head.weight"][:vocabulary].T / 15), codes
