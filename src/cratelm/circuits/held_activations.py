"""Activations within an MLP, held: a gate is a constant, and any other activation multiplies by a constant.

A unit behind a gate, an activation of one projection times another, is then a sum; and what passes through an MLP
between two layers of latents is linear.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import torch
from torch import nn

from cratelm.units.places import INPUT
from cratelm.units.signs import ACTIVATIONS

GATED = f"mlp.down_proj{INPUT}"
"""Where the units of an MLP with a gate are: what its last projection reads."""
GATES = {"gate_proj", "gate_up_proj"}
"""Modules that an MLP has if it has a gate; the second is both projections in one."""
GATING = ("act_fn", "activation_fn")
"""What the activation of such an MLP is called."""


def has_gate(model: nn.Module, site: str) -> bool:
    """Whether the units of a site are an activation of one projection times another."""
    return site.endswith(GATED) and _gating(model.get_submodule(site.removesuffix(f".down_proj{INPUT}"))) is not None


@contextmanager
def held_activations(model: nn.Module) -> Iterator[None]:
    """While this context is open, the model's activations are constants, or factors, in derivatives."""
    gates = {gate for mlp in model.modules() if (gate := _gating(mlp)) is not None}
    others = {module for module in model.modules() if isinstance(module, ACTIVATIONS)} - gates
    with ExitStack() as undo:
        # First of all hooks: an autoencoder on an activation's output would otherwise be taken for the activation.
        for gate in gates:
            held = gate.register_forward_hook(lambda module, given, output: output.detach(), prepend=True)
            undo.callback(held.remove)
        for module in others:
            undo.callback(module.register_forward_hook(_as_factor, prepend=True).remove)
        yield


def _gating(mlp: nn.Module) -> nn.Module | None:
    """An MLP's activation, if what it gives is a gate."""
    if GATES.isdisjoint(name for name, _ in mlp.named_children()):
        return None
    return next((getattr(mlp, name) for name in GATING if hasattr(mlp, name)), None)


def _as_factor(module: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    return cast(torch.Tensor, _Factor.apply(given[0], output.detach()))


class _Factor(torch.autograd.Function):
    """What comes out; its derivative is what comes out of each number for what went in.

    Where a function is not 0 at 0, what it adds there is a constant.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, output)
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *derivatives: torch.Tensor | None) -> tuple[torch.Tensor | None, None]:
        (derivative,) = derivatives
        if derivative is None:
            return None, None
        x, output = (saved.detach() for saved in ctx.saved_tensors)
        return derivative * torch.where(x == 0, 0, output / x), None
