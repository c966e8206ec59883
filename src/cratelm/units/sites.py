"""Where a model's units are, and the one call site at which they are read and clamped.

A site is a module whose output, or with `:in` after its name whose input, holds units in its last dimension. Sites are
named by a place that every architecture has (places.py), or by a glob over module names, so that any transformers
model can be read as it is.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from cratelm.errors import InputError
from cratelm.families import family_of
from cratelm.units.places import INPUT, NEURONS, PLACES, require_place

LATENTS = "*.sae.latents"
"""Where sparse autoencoders are attached: their latents (sae/attach.py)."""

Visit = Callable[[str, torch.Tensor], torch.Tensor | None]
"""Called with a site's name and its output (batch, tokens, units); gives what to put in its place, or None."""


def find_sites(model: PreTrainedModel, pattern: str | None = None) -> list[str]:
    """The names of the sites that `pattern` means, a place or a glob, in the model's order.

    By default a layer's code or the neurons of its MLP, or the latents of the autoencoders where there are some.

    Raises InputError, naming what there is, where nothing matches.
    """
    names = [name for name, _ in model.named_modules() if name]
    pattern = pattern or _default(model, names)
    if pattern in PLACES:
        return require_place(model, model.config.model_type, pattern)
    found = [name for name in names if fnmatchcase(name, pattern.removesuffix(INPUT))]
    if not found:
        raise InputError(
            f"no site matches {pattern!r}. Give {', '.join(PLACES)}, or a glob over the model's modules: "
            f"{', '.join(names)}"
        )
    return [name + INPUT for name in found] if pattern.endswith(INPUT) else found


def _default(model: PreTrainedModel, names: list[str]) -> str:
    if any(fnmatchcase(name, LATENTS) for name in names):
        return LATENTS
    family = family_of(model.config.model_type)
    return NEURONS if family is None else family.sites


@contextmanager
def at_sites(model: nn.Module, names: Sequence[str], visit: Visit) -> Iterator[None]:
    """While this context is open, every forward pass calls `visit` at each of the sites.

    What `visit` returns replaces the site's activations: returning nothing reads, returning a tensor clamps. Where a
    module works on (batch * tokens, units), as OPT's do, `visit` gets and gives (batch, tokens, units).
    """
    with ExitStack() as hooks:
        for name in names:
            for handle in hook_site(model, name, visit):
                hooks.callback(handle.remove)
        yield


def hook_site(model: nn.Module, name: str, visit: Visit) -> list[RemovableHandle]:
    """Call `visit` at a site in every forward pass, until the handles are removed."""
    shapes: list[torch.Size] = []  # (batch, tokens) of what the model reads at present

    def see(first: torch.Tensor) -> torch.Tensor | None:
        flat = first.dim() == 2 and bool(shapes) and len(first) == shapes[-1].numel()
        replaced = visit(name, first.unflatten(0, shapes[-1]) if flat else first)
        return replaced.flatten(0, 1) if flat and replaced is not None else replaced

    def at_output(module: nn.Module, inputs: object, output: Any) -> Any:
        if isinstance(output, torch.Tensor):
            return see(output)
        # Attention and other people's blocks give their output with more beside it.
        replaced = see(output[0])
        return None if replaced is None else with_first(output, replaced)

    def at_input(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Any:
        replaced = see(inputs[0])
        return None if replaced is None else (replaced, *inputs[1:])

    def note_shape(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        shapes[:] = [inputs[0].shape] if inputs and inputs[0].dim() == 2 else []

    module = model.get_submodule(name.removesuffix(INPUT))
    at_site = (
        module.register_forward_pre_hook(at_input) if name.endswith(INPUT) else module.register_forward_hook(at_output)
    )
    if not isinstance(model, PreTrainedModel):
        return [at_site]
    return [at_site, model.get_input_embeddings().register_forward_pre_hook(note_shape)]


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
