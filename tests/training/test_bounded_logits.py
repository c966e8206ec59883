"""Losses whose logits are computed some at a time are those of all logits at once, in every architecture."""

import pytest
import torch
from torch.nn import functional as F

from cratelm.errors import InputError
from cratelm.training import bounded_logits
from cratelm.training.bounded_logits import token_losses
from cratelm.training.text_losses import context_length
from tests.foreign_models import random_model

KINDS = {
    "gpt2": {},
    "opt": {},
    "gemma2": {"final_logit_softcapping": 3.0},
    "granite": {"logits_scaling": 4.0},
    "cohere": {"logit_scale": 0.5},
    "bloom": {},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at_once", [1, 64 * 5, 2**27])
def test_the_losses_do_not_depend_on_how_many_logits_are_computed_at_once(kind, at_once, monkeypatch) -> None:
    model = random_model(kind, **KINDS[kind])
    ids = torch.randint(64, (1, 13), generator=torch.Generator().manual_seed(1))
    targets = torch.cat([ids[:, 1:], torch.tensor([[-100]])], 1)
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits
        expected = F.cross_entropy(logits[0], targets[0], reduction="none")
        monkeypatch.setattr(bounded_logits, "LOGITS_AT_ONCE", at_once)
        largest: list[int] = []
        hook = model.get_output_embeddings().register_forward_hook(
            lambda module, given, output: largest.append(output.numel())
        )
        losses, right = token_losses(model, ids, targets)
        hook.remove()
    assert losses[0].tolist() == pytest.approx(expected.tolist(), rel=1e-5, abs=1e-6)
    assert torch.equal(right, logits.argmax(-1) == targets)
    assert max(largest) <= max(at_once, 64)


def test_a_model_without_positions_reads_as_much_as_is_asked_for() -> None:
    model = random_model("bloom")
    assert context_length(model, 100) == 100
    with pytest.raises(InputError, match=r"max_position_embeddings .* is missing. Add it, or give --context"):
        context_length(model)
    model.config.seq_length = 48
    assert [context_length(model), context_length(model, 100), context_length(model, 7)] == [48, 48, 7]
