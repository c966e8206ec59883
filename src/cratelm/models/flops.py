"""What a model costs: floating-point operations and memory, counted on the meta device, where nothing is computed."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils.flop_counter import FlopCounterMode

from cratelm.models.build import build_model
from cratelm.models.decoder import DecoderForCausalLM
from cratelm.shapes import ShapeConfig


def meta_model(name: str, shape: ShapeConfig, vocabulary: int) -> DecoderForCausalLM:
    """A model without weights, with attention in plain products, which can be counted."""
    with torch.device("meta"):
        model = build_model(name, shape, vocabulary, 0, 0)
    model.set_attn_implementation("eager")
    return model.train()


def forward_flops(model: DecoderForCausalLM, context: int) -> float:
    """Operations of the matrix products of one forward pass, head included, a token: 2 for each multiply-add.

    CRATE uses its dictionary several times a token, so 2 N for N weights is too little for it. Attention is counted
    over the whole context, as a kernel without a causal mask computes it.
    """
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(**_inputs(1, context), use_cache=False)
    return counter.get_total_flops() / context


def activation_bytes(model: DecoderForCausalLM, rows: int, context: int) -> int:
    """Bytes that a forward pass of `rows` windows keeps for the backward one, uncompiled, in the weights' precision."""
    inputs = _inputs(rows, context)
    weights = {id(parameter) for parameter in model.parameters()}
    with _saved(weights) as sizes:
        model(**inputs, labels=inputs["input_ids"], use_cache=False)
    return sum(sizes.values())


def _inputs(rows: int, context: int) -> dict[str, torch.Tensor]:
    """Windows without values; with a mask that is given, transformers makes none, for which it would read values."""
    ids = torch.zeros(rows, context, dtype=torch.long, device="meta")
    return {"input_ids": ids, "attention_mask": torch.zeros(rows, 1, context, context, device="meta")}


@contextmanager
def _saved(weights: set[int]) -> Iterator[dict[int, int]]:
    """The bytes of each tensor that autograd keeps, by its storage; weights are there anyway."""
    sizes: dict[int, int] = {}
    kept: list[torch.Tensor] = []  # a storage that were freed could lend its number to the next one

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        base = tensor._base if tensor._base is not None else tensor
        if id(base) not in weights:
            storage = tensor.untyped_storage()
            sizes[storage._cdata] = storage.nbytes()
            kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes
