"""A model reads text, and what the measures need is added up: so much a layer, whatever the length of the text."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from cratelm.analysis.parts import Parts, layer_parts, step_and_threshold
from cratelm.analysis.sparsity import hoyer, lasso


class LayerSums:
    """Sums over tokens at one layer, in float64."""

    def __init__(self, parts: Parts, sample: int):
        self.parts, self.sample = parts, sample
        self.tokens = 0
        self.second_moments: dict[str, torch.Tensor] = {}
        """(d, d) by place, `before` the layer and `between` its half-blocks: sum z z^T of tokens of norm 1."""
        self.active = self.hoyer = 0.0
        self.silent = 0
        """Tokens at which no unit is active."""
        self.objectives: list[float] = []
        """By the number of ISTA steps done."""
        self.inputs: torch.Tensor | None = None
        """The first `sample` inputs of the sparse block, (sample, d)."""
        self._path: list[torch.Tensor] = []

    def add_moment(self, place: str, stream: torch.Tensor) -> None:
        """See the stream (B, T, d) at a place; the start token is left out, everywhere."""
        self.second_moments[place] = self.second_moments.get(place, 0) + second_moment(stream)

    def add_input(self, x: torch.Tensor) -> None:
        """See what the sparse block reads, (B, T, d)."""
        x = x.float()
        self._path = [x]
        kept = 0 if self.inputs is None else len(self.inputs)
        if kept < self.sample:
            rows = x[:, 1:].flatten(0, 1)[: self.sample - kept]
            self.inputs = rows if self.inputs is None else torch.cat([self.inputs, rows])

    def add_step(self, code: torch.Tensor) -> None:
        """See the code (B, T, h) after a step before the last."""
        self._path.append(code.float())

    def add_code(self, code: torch.Tensor) -> None:
        """See the units (B, T, h)."""
        # Without the start token, which is no text.
        measured = code[:, 1:].flatten(0, 1).float()  # (tokens, h)
        self.tokens += len(measured)
        self.active += (measured != 0).sum().item()
        sparsity = hoyer(measured.double())
        # A code of zeros has no sparsity.
        self.silent += int(sparsity.isnan().sum())
        self.hoyer += sparsity.nan_to_num(0).sum().item()
        if self.parts.coding is not None:
            self._add_objectives(code.float())

    def _add_objectives(self, code: torch.Tensor) -> None:
        coding = self.parts.coding
        dictionary, (_, threshold) = coding.dictionary.float(), step_and_threshold(coding)
        x, *codes = [part[:, 1:] for part in (*self._path, code)]
        # ISTA begins at 0, that of the d x d dictionary at x itself.
        start = x if x.shape[-1] == code.shape[-1] else torch.zeros_like(codes[-1])
        objectives = [lasso(x, step, dictionary, threshold).double().sum().item() for step in (start, *codes)]
        self.objectives = [a + b for a, b in zip(self.objectives or [0.0] * len(objectives), objectives, strict=True)]


def second_moment(stream: torch.Tensor) -> torch.Tensor:
    """(B, T, d) to sum z z^T, (d, d) float64, over all tokens but the first of each row, scaled to norm 1."""
    unit = F.normalize(stream[:, 1:].double(), dim=-1).flatten(0, 1)
    return unit.T @ unit


@torch.no_grad()
def observe(
    model: PreTrainedModel, batches: Iterator[torch.Tensor], sample: int, advance: Callable[[int], object]
) -> tuple[list[LayerSums], torch.Tensor]:
    """The sums of every layer over batches of token ids (B, T), each row after a start token that is not measured.

    Also the second moment (d, d) of the stream after the last layer. `advance` is told the tokens of each batch.
    """
    layers = [LayerSums(parts, sample) for parts in layer_parts(model)]
    final = torch.zeros(model.config.hidden_size, model.config.hidden_size, dtype=torch.float64, device=model.device)

    def add_final(stream: torch.Tensor) -> None:
        final.add_(second_moment(stream))

    with _watching(model, layers, add_final):
        for ids in batches:
            model.model(input_ids=ids.to(model.device), use_cache=False)
            advance(ids[:, 1:].numel())
    return layers, final


@contextmanager
def _watching(model: PreTrainedModel, layers: list[LayerSums], add_final: Callable) -> Iterator[None]:
    """Calls the sums wherever a layer has something for them."""

    def reads(module: nn.Module, see: Callable) -> torch.utils.hooks.RemovableHandle:
        return module.register_forward_pre_hook(lambda _, inputs: see(inputs[0]))

    def gives(module: nn.Module, see: Callable) -> torch.utils.hooks.RemovableHandle:
        return module.register_forward_hook(lambda _, inputs, output: see(output))

    hooks = [reads(model.model.norm, add_final)]
    for sums in layers:
        parts = sums.parts
        hooks.append(reads(parts.first_norm, lambda stream, sums=sums: sums.add_moment("before", stream)))
        hooks.append(reads(parts.second_norm, lambda stream, sums=sums: sums.add_moment("between", stream)))
        hooks.append(gives(parts.code, sums.add_code))
        if parts.coding is not None:
            hooks.append(reads(parts.coding, sums.add_input))
            hooks += [gives(earlier, sums.add_step) for earlier in parts.coding.earlier_codes]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
