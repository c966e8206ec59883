"""Where a model's units are, and the one call site at which they are read and clamped.

A site is a module whose output holds units in its last dimension. Sites are named by a glob over module names, so
that any transformers model can be read as it is.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from cratelm.errors import InputError
from cratelm.families import FAMILIES

DEFAULT_SITES = {"gpt2": "transformer.h.*.mlp.act"} | {family.model_type: family.sites for family in FAMILIES}
"""By model type: those of models that are trained elsewhere, and ours (families.py)."""

LATENTS = "*.sae.latents"
"""Where sparse autoencoders are attached: their latents (sae/attach.py)."""

Visit = Callable[[str, torch.Tensor], torch.Tensor | None]
"""Called with a site's name and its output (batch, tokens, units); gives what to put in its place, or None."""


def find_sites(model: PreTrainedModel, pattern: str | None = None) -> list[str]:
    """The names of the modules that match `pattern`, in the model's order.

    By default a layer's code, or the latents of the autoencoders where there are some.

    Raises InputError, naming what there is, where nothing matches.
    """
    names = [name for name, _ in model.named_modules() if name]
    latents = any(fnmatchcase(name, LATENTS) for name in names)
    pattern = pattern or (LATENTS if latents else DEFAULT_SITES.get(model.config.model_type))
    if pattern is None:
        raise InputError(f"a {model.config.model_type} model has no default sites: name them, such as '*.mlp.act'.")
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise InputError(f"no site matches {pattern!r}. The model's modules are: {', '.join(names)}")
    return found


@contextmanager
def at_sites(model: nn.Module, names: Sequence[str], visit: Visit) -> Iterator[None]:
    """While this context is open, every forward pass calls `visit` at each of the sites.

    What `visit` returns replaces the site's output: returning nothing reads, returning a tensor clamps.
    """

    def hook_for(name: str):
        def hook(module: nn.Module, inputs: object, output: Any) -> Any:
            if isinstance(output, torch.Tensor):
                return visit(name, output)
            # Attention and other people's blocks give their output with more beside it.
            replaced = visit(name, output[0])
            return None if replaced is None else with_first(output, replaced)

        return hook

    hooks = [model.get_submodule(name).register_forward_hook(hook_for(name)) for name in names]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def with_first(output: Any, first: torch.Tensor) -> Any:
    """What a module gives with another first element, of the same kind: the code after it may need a list or names."""
    if isinstance(output, ModelOutput):
        return type(output)(**(dict(output) | {next(iter(output)): first}))
    return [first, *output[1:]] if isinstance(output, list) else (first, *output[1:])


def require_units(name: str, output: torch.Tensor) -> None:
    """Refuse a site whose output is not (batch, tokens, units), such as a router's (tokens, units); InputError."""
    if not isinstance(output, torch.Tensor) or output.dim() != 3:
        shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise InputError(
            f"{name} gives {shape}, where units are read from outputs (batch, tokens, units). Name other modules in "
            "--sites."
        )
