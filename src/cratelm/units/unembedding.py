"""What a direction in the hidden states does to the next token's logits, through the unembedding alone.

The layers between and the last norm's division are left out (the "logit lens", nostalgebraist 2020). What the last norm
multiplies by is measured, not read from a weight: some norms scale by 1 + w, some have no weight at all.
"""

from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel

from cratelm.units.places import block_names
from cratelm.units.sites import at_sites

SIZE = 1000.0
"""How large the hidden states are that a norm is measured at: so large that its epsilon is nothing."""


@dataclass(frozen=True)
class Unembedding:
    """The last norm without its division, and the head."""

    centred: bool
    """The norm takes the mean over coordinates away."""
    scale: torch.Tensor
    """(d,): what it multiplies by, times what the model multiplies its logits by."""
    head: torch.Tensor
    """(V, d)."""

    def effects(self, directions: torch.Tensor, tokens: int | None = None) -> torch.Tensor:
        """What directions (..., d) do to each token's logit, (..., V), 0 on average.

        With `tokens`, of the first so many: a head may be padded beyond the tokenizer's vocabulary.
        """
        found = (_centred(directions, self.centred) * self.scale) @ self.head[:tokens].T
        return found - found.mean(-1, keepdim=True)


def token_effects(model: PreTrainedModel, directions: torch.Tensor, tokens: int | None = None) -> torch.Tensor | None:
    """`Unembedding.effects` of a model; None where its last norm and head are of a kind that is not known.

    None as well where the directions are not of the hidden states.
    """
    found = find_unembedding(model)
    return None if found is None or len(found.scale) != directions.shape[-1] else found.effects(directions, tokens)


@torch.inference_mode()
def find_unembedding(model: PreTrainedModel) -> Unembedding | None:
    """Measure what comes after a model's last block; None where that is no norm and linear head."""
    head, block = model.get_output_embeddings(), _last_block(model)
    if not isinstance(head, nn.Linear) or block is None:
        return None
    probes = _probes(head.weight)
    if probes.shape[-1] != _block_width(model, block):  # as where a projection lies between them
        return None
    normed, logits = _outputs(model, head, block, probes)
    if normed is None or normed.shape != probes.shape or not torch.allclose(normed[3], normed[4], rtol=1e-3, atol=1e-5):
        return None
    found = _measured_norm(probes, normed)
    factor = _factor(model, head, normed, logits)
    if found is None or factor is None:
        return None
    return Unembedding(found[0], (found[1] * factor).to(head.weight), head.weight.detach())


def _last_block(model: PreTrainedModel) -> str | None:
    """The last of the model's blocks."""
    return next(reversed(block_names(model)), None)


def _block_width(model: PreTrainedModel, block: str) -> int:
    """How many coordinates the hidden states after a block have."""
    seen: list[int] = []
    with at_sites(model, [block], lambda _, output: seen.append(output.shape[-1])):
        model.base_model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=model.device), use_cache=False)
    return seen[0] if seen else 0


def _probes(weight: torch.Tensor) -> torch.Tensor:
    """Hidden states (5, d): signs at random, their opposite, the same moved by a constant, and others twice."""
    generator = torch.Generator().manual_seed(0)
    signs = torch.randn(weight.shape[1], generator=generator).sign()
    others = torch.randn(weight.shape[1], generator=generator)
    return SIZE * torch.stack([signs, -signs, signs + 0.5, others, others]).double().to(weight.device)


def _outputs(
    model: PreTrainedModel, head: nn.Module, block: str, probes: torch.Tensor
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """What the head reads and the model puts out for hidden states after the last block: (5, d) | None and (5, V)."""
    seen: list[torch.Tensor] = []
    hook = head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][0]))
    ids = torch.zeros(1, len(probes), dtype=torch.long, device=model.device)
    try:
        with at_sites(model, [block], lambda _, output: probes[None].to(output)):
            logits = model(input_ids=ids, use_cache=False).logits[0]
    finally:
        hook.remove()
    return seen[0].double() if seen else None, logits.double()


def _measured_norm(probes: torch.Tensor, normed: torch.Tensor) -> tuple[bool, torch.Tensor] | None:
    """Whether a norm centres, and what it multiplies by, (d,); None where it does something else as well."""
    centred = torch.allclose(normed[0], normed[2], rtol=1e-3, atol=1e-5)
    shift = (normed[0] + normed[1]) / 2
    scale = (normed[0] - shift) / _divided(probes[0], centred)
    expected = _divided(probes[3], centred) * scale + shift
    fits = torch.allclose(normed[3], expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    return (centred, scale) if fits else None


def _divided(hidden: torch.Tensor, centred: bool) -> torch.Tensor:
    hidden = _centred(hidden, centred)
    return hidden / hidden.square().mean().sqrt()


def _centred(hidden: torch.Tensor, centred: bool) -> torch.Tensor:
    return hidden - hidden.mean(-1, keepdim=True) if centred else hidden


def _factor(model: PreTrainedModel, head: nn.Linear, normed: torch.Tensor, logits: torch.Tensor) -> float | None:
    """What a model multiplies its head's outputs by; a cap on the logits is undone; None where it does more."""
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    plain = normed @ head.weight.double().T  # (5, V)
    bias = 0 if head.bias is None else head.bias.double()
    factor = 1.0 if cap else float((plain * (logits - bias)).sum() / plain.square().sum())
    expected = factor * plain + bias
    expected = cap * torch.tanh(expected / cap) if cap else expected
    return factor if torch.allclose(logits, expected, rtol=1e-3, atol=1e-4 * float(logits.abs().max())) else None
