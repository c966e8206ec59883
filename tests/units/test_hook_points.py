"""TransformerLens's hook points on models of transformers: against its own bridge, for every family of models."""

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedModel

from cratelm.errors import InputError
from cratelm.units.hook_points import HOOK_POINTS, hooks_of, site_of_hook
from cratelm.units.sites import at_sites
from tests.foreign_models import random_model
from tests.language_models import bytes_tokenizer
from tests.units.test_places import PROJECTIONS, ids

MORE = ("glm4", "exaone4", "mpt", "xglm", "mixtral")
ABSENT = {"opt": "mlp.hook_in", "xglm": "mlp.hook_in", "mixtral": "mlp.hook_post"}
"""What the bridge does not have, or the model itself."""


def bridged(kind: str, folder) -> TransformerBridge:
    random_model(kind).save_pretrained(folder)
    bytes_tokenizer().save_pretrained(folder)
    return TransformerBridge.boot_transformers(str(folder), device="cpu", dtype=torch.float32)


def read(model: PreTrainedModel, hook: str) -> torch.Tensor:
    """What is read here at a hook point: (batch, tokens, units)."""
    seen: list[torch.Tensor] = []
    with torch.no_grad(), at_sites(model, [site_of_hook(model, hook)], lambda _, output: seen.append(output.clone())):
        model(input_ids=ids(), use_cache=False)
    return seen[0]


@pytest.mark.parametrize("kind", [*PROJECTIONS, *MORE])
def test_a_hook_point_of_every_family_is_read_where_transformerlens_reads_it(kind: str, tmp_path) -> None:
    model, bridge = random_model(kind), bridged(kind, tmp_path)
    with torch.no_grad():
        _, cache = bridge.run_with_cache(ids(), prepend_bos=False)
    compared = [hook for hook in HOOK_POINTS if hook != ABSENT.get(kind)]
    assert {f"blocks.N.{hook}" for hook in compared} <= set(hooks_of(model))
    for hook in [f"blocks.{layer}.{hook}" for hook in compared for layer in range(2)]:
        found = read(model, hook)
        expected = cache[hook].reshape(found.shape)  # heads lie side by side
        tolerance = 1e-5 if kind != "cohere" else 2e-3  # the bridge's attention differs by 7e-4 there
        torch.testing.assert_close(found, expected, atol=tolerance, rtol=1e-4)


@pytest.mark.parametrize("hook", ["blocks.0.hook_mlp_in", "blocks.2.hook_resid_pre", "hook_embed", "nonsense"])
def test_a_hook_point_that_is_not_known_is_refused_with_those_that_are(hook: str) -> None:
    with pytest.raises(InputError, match=rf"reads or writes {hook}.*blocks\.N\.hook_resid_pre.*N from 0 to 1"):
        site_of_hook(random_model("llama"), hook)


def test_a_module_s_own_name_is_a_hook_point() -> None:
    model = random_model("llama")
    for name in ("model.layers.1.mlp", "model.layers.0.self_attn.o_proj:in"):
        assert site_of_hook(model, name) == name


def test_blocks_that_end_in_a_norm_have_none() -> None:
    assert hooks_of(random_model("bert", is_decoder=True)) == []
