"""A forward pass in which all that is not linear between one layer's units and the next is held at its value.

Attention weights and the division of each norm are constants, and each site's units are variables of their own. Every
pre-activation is then an affine function of the units before it, and its derivatives are exact weights. The first ISTA
steps' ReLUs, and other activations within a layer, enter by their derivative, which is exact for what is linear in
pieces.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface
from transformers.modeling_utils import AttentionInterface

from cratelm.errors import InputError
from cratelm.units.directions import norm_scale

FROZEN = "cratelm_frozen"
"""The name under which transformers knows the attention below."""
KEPT = 2**22
"""Attention weights of one layer that are kept: those of 12 heads on 591 tokens, 17 MB."""
_SEE: ContextVar[Callable[[torch.Tensor], torch.Tensor]] = ContextVar("what becomes of the heads' outputs")
EAGER = ("eager_attention_forward", "eager_attention")
"""What a model's module calls its own attention in plain products."""


class _Weighted(torch.autograd.Function):
    """Values (B, heads, T, p) weighted by constants (B, heads, T, T).

    Weights of more than `KEPT` numbers are computed again where a derivative is asked for: those of a deep model on a
    long text would fill the memory.
    """

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        ctx.set_materialize_grads(False)
        weights = compute()
        ctx.weights = (lambda: weights) if weights.numel() <= KEPT else compute
        return weights @ values

    @staticmethod
    def backward(ctx: Any, *derivatives: torch.Tensor | None) -> tuple[torch.Tensor | None, None]:
        (derivative,) = derivatives
        return None if derivative is None else ctx.weights().transpose(-1, -2) @ derivative, None


def _attend(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, **settings: Any
) -> tuple[torch.Tensor, None]:
    """The model's own attention weights as constants, times the values: (B, T, heads, p)."""

    def weights() -> torch.Tensor:
        with torch.no_grad():
            return _own_attention(module)(module, query, key, value, mask, **settings)[1]

    values = value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)  # heads may share their values
    out = cast(torch.Tensor, _Weighted.apply(values, weights)).transpose(1, 2)
    return _SEE.get()(out).contiguous(), None


def _own_attention(module: nn.Module) -> Callable[..., Any]:
    code = sys.modules[type(module).__module__]
    own = next((getattr(code, name) for name in EAGER if hasattr(code, name)), None)
    if own is None:  # a subclass whose base is elsewhere
        bases = (sys.modules[base.__module__] for base in type(module).__mro__)
        own = next(getattr(base, name) for base in bases for name in EAGER if hasattr(base, name))
    return own


AttentionInterface.register(FROZEN, _attend)
AttentionMaskInterface.register(FROZEN, ALL_MASK_ATTENTION_FUNCTIONS["eager"])


@contextmanager
def frozen(model: PreTrainedModel, see: Callable[[int, torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """While this context is open, the model's attention weights and norms' divisions are constants in derivatives.

    `see` is given the number of each attention as it is called and its heads' outputs (B, T, heads, p), and gives what
    takes their place.

    Raises InputError for a model whose norms or attention are of a kind that is not known.
    """
    before = model.config._attn_implementation or "eager"
    numbers = iter(range(sys.maxsize))
    with ExitStack() as undo:
        for name, module in norms_of(model):
            undo.callback(module.register_forward_hook(_frozen_norm(model, name, module)).remove)
        model.set_attn_implementation(FROZEN)
        if model.config._attn_implementation != FROZEN:  # transformers only warns
            kind = model.config.model_type
            raise InputError(
                f"a {kind} model has an attention of its own, whose weights cannot be held at their values."
            )
        undo.callback(model.set_attn_implementation, before)
        undo.callback(_SEE.reset, _SEE.set(lambda out: see(next(numbers), out)))
        yield


def norms_of(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The norms of the hidden states; those of single heads act on attention weights, which are constants.

    Raises InputError where a model's norms are not modules with weights.
    """
    named = [(name, module) for name, module in model.named_modules() if "norm" in type(module).__name__.lower()]
    width = model.config.get_text_config().hidden_size  # type: ignore[union-attr]
    found = [(name, m) for name, m in named if any(len(p) == width for p in m.parameters())]
    if not found:
        raise InputError("this model's norms are not modules with weights: what they divide by cannot be held.")
    return found


def _frozen_norm(model: PreTrainedModel, name: str, norm: nn.Module) -> Callable[..., torch.Tensor]:
    if isinstance(norm, nn.LayerNorm):
        return _layer_norm
    scale = norm_scale(norm, model)
    if scale is None:
        raise InputError(f"{name} ({type(norm).__name__}) is a norm of a kind that is not known here.")

    def root_mean_square(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        x = inputs[0]
        size = _ratio(output.detach(), x.detach() * scale)
        return x * scale * size

    return root_mean_square


def _layer_norm(norm: nn.LayerNorm, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    centred = inputs[0] - inputs[0].mean(-1, keepdim=True)
    inverse = (centred.detach().square().mean(-1, keepdim=True) + norm.eps).rsqrt()
    scaled = centred * inverse * norm.weight
    return scaled if norm.bias is None else scaled + norm.bias


def _ratio(output: torch.Tensor, unscaled: torch.Tensor) -> torch.Tensor:
    """What each token was divided by, the other way round: (…, 1)."""
    return (output * unscaled).sum(-1, keepdim=True) / unscaled.square().sum(-1, keepdim=True)
