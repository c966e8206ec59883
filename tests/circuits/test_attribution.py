"""Contributions add up, and equal what the equations of a layer give when they are written out."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPTJConfig,
    GPTJForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
)

from cratelm.circuits.attribution import Target, attribute, attribute_heads
from cratelm.circuits.graph import trace
from cratelm.circuits.tape import Tape, preactivation_of
from cratelm.circuits.tree import lines_of
from cratelm.circuits.write_graph import write_circuit_tracer, write_graphml
from cratelm.errors import InputError
from cratelm.models import CrateConfig, CrateForCausalLM
from cratelm.models.build import build_model
from cratelm.shapes import ShapeConfig
from cratelm.units.sites import find_sites
from tests import language_models

VOCABULARY, LENGTH = 31, 11
SHAPE = ShapeConfig(layers=3, width=16, heads=2, context=16)


def drawn(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The model with weights, biases and norms at random, so that nothing is 0 or 1 by chance."""
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        weight.data += 0.3 * torch.randn(weight.shape, generator=generator)
    return model.eval()


def text(seed: int = 0) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (LENGTH,), generator=torch.Generator().manual_seed(seed))


def tape_of(model, at: int = -1) -> Tape:
    return Tape.of(model, find_sites(model), text(), at)


MODELS = ["crate", "crate-1step", "crate-4step", "crate-alpha", "crate-learned", "crate-separate", "crate-complete"]
MODELS += ["crate+sliding_window=2", "gpt2", "gpt2-mssa"]


@pytest.mark.parametrize("name", MODELS)
def test_reading_a_text_frozen_gives_the_model_s_own_logits_and_activations(name) -> None:
    model = drawn(build_model(name, SHAPE, VOCABULARY, 0, 0))
    with torch.inference_mode():
        expected = model(input_ids=text()[None]).logits[0]
    for at in (0, 6, -1):
        torch.testing.assert_close(tape_of(model, at).logits.detach(), expected[at], rtol=1e-4, atol=1e-4)
    assert model.config._attn_implementation == "sdpa"
    assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("name", MODELS)
@given(seed=st.integers(0, 2**16), unit=st.integers(0, 15), position=st.integers(0, LENGTH - 1))
@settings(max_examples=5, deadline=None)
def test_for_every_unit_the_constant_is_what_biases_alone_contribute(name, seed, unit, position) -> None:
    model = drawn(build_model(name, SHAPE, VOCABULARY, 0, 0), seed)
    tape = Tape.of(model, find_sites(model), text(seed))
    for layer in range(3):
        found = attribute(tape, Target(layer, unit, position))
        assert found.constant == pytest.approx(by_biases(model, tape, layer, unit, position), rel=1e-3, abs=2e-4)


def by_biases(model, tape: Tape, layer: int, unit: int, position: int) -> float:
    """What biases and thresholds add to a pre-activation, by a second pass in which they alone are not 0.

    In the frozen model a pre-activation is affine in its variables and biases, so it is the value with all variables
    at 0. The norms' divisions and attention weights are those of the first pass.
    """
    return float(constant_pass(model, tape)[layer][position, unit])


def constant_pass(model, tape: Tape) -> list[torch.Tensor]:
    """Every layer's pre-activations (T, units) with all units and embeddings at 0, written out layer by layer."""
    baseline = hasattr(model.model.layers[0], "mlp")
    hidden = torch.zeros_like(tape.entry[0])
    true, found = tape.entry[0].detach(), []
    for number, block in enumerate(model.model.layers):
        true, hidden, step = frozen_block(model, tape, block, number, true, hidden, baseline)
        found.append(step)
    return found


def norm(layer: torch.nn.LayerNorm, true: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """A layer norm of x that divides by what it divides the true values by."""
    scale = (true.var(-1, unbiased=False, keepdim=True) + layer.eps).sqrt()
    scaled = (x - x.mean(-1, keepdim=True)) / scale * layer.weight
    return scaled if layer.bias is None else scaled + layer.bias


def frozen_block(model, tape, block, number, true, hidden, baseline):
    """One block on the true values, and on others with its attention weights, norms and active units held."""
    with torch.no_grad():
        read = F.layer_norm(true, true.shape[-1:], block.attention_norm.weight, block.attention_norm.bias, 1e-5)
        query, key, value = block.attention.project(read[None])
        weights = query @ key.transpose(2, 3) * block.attention.scaling
        far = torch.arange(LENGTH)[:, None] - torch.arange(LENGTH)
        window = block.attention.sliding_window or LENGTH
        weights = weights.masked_fill((far < 0) | (far >= window), -torch.inf).softmax(-1)
        of_zero = block.attention.project(norm(block.attention_norm, true, hidden)[None])[2]
        out = [block.attention.output_proj((weights @ v).transpose(1, 2).flatten(2))[0] for v in (value, of_zero)]
        true, hidden = true + out[0], hidden + out[1]
        inner = block.mlp_norm if baseline else block.coding_norm
        x, y = norm(inner, true, true), norm(inner, true, hidden)
        if baseline:
            return true + block.mlp(x), hidden, block.mlp.up_proj(y)  # its units are variables, and 0
        _, step = ista(block.coding, x, y)
        carried = block.coding(x[None])[0]
        residual = getattr(block, "residual", False)
        return (true + carried if residual else carried), (hidden if residual else 0 * hidden), step


def ista(coding, x, y):
    """The steps on x, and on y with the active units of x: the last pre-activation of y."""
    eta, threshold = coding.step_size, coding.threshold
    if getattr(coding, "step_size_log_ratio", None) is not None:
        eta, threshold = coding.step_sizes_and_thresholds()
    d = coding.dictionary
    complete = type(coding).__name__ == "CompleteSparseCoding"

    def go(code, z):
        return code + eta * ((z - code @ d) @ d.T - threshold)

    true, other = (go(x, x), go(y, y)) if complete else (eta * (x @ d.T - threshold), eta * (y @ d.T - threshold))
    for _ in coding.earlier_codes:
        active = (true > 0).float()
        true, other = go(true * active, x), go(other * active, y)
    return true, other


def test_contributions_of_a_crate_layer_equal_its_equations_written_out() -> None:
    model = drawn(build_model("crate-1step", SHAPE, VOCABULARY, 0, 0))
    tape, block, position, unit = tape_of(model), model.model.layers[1], 7, 5
    with torch.no_grad():
        codes, atoms = tape.units[0][0], model.model.layers[0].coding.dictionary
        z = codes @ atoms
        read = norm(block.attention_norm, z, z)
        query, key, value = block.attention.project(read[None])
        weights = (query @ key.transpose(2, 3) * block.attention.scaling)[0, :, position, : position + 1].softmax(-1)
        out = (weights[:, None] @ value[0, :, : position + 1]).flatten()
        moved = z[position] + block.attention.output_proj(out)
        scale = (moved.var(unbiased=False) + 1e-5).sqrt()
        back = 0.1 * block.coding.dictionary[unit] * block.coding_norm.weight / scale
        back = back - back.mean()
        direct = codes[position] * (atoms @ back)
        for head in range(2):
            columns = slice(8 * head, 8 * head + 8)
            own = block.attention.output_proj.weight[:, columns].T @ back
            own = (block.attention.subspace_proj.weight[columns].T @ own) * block.attention_norm.weight
            sigma = (z.var(-1, unbiased=False) + 1e-5).sqrt()
            by_position = (
                weights[head, :, None]
                / sigma[: position + 1, None]
                * (codes[: position + 1] @ torch.diag(atoms @ (own - own.mean())))
            )
            found = attribute_heads(tape, Target(1, unit, position))[1, head].units[0]
            torch.testing.assert_close(found[: position + 1], by_position, rtol=1e-3, atol=1e-5)
    whole = attribute(tape, Target(1, unit, position))
    torch.testing.assert_close(whole.direct[0][position], direct, rtol=1e-3, atol=1e-5)
    assert not whole.direct[0][:position].any() and not whole.units[0][position + 1 :].any()


@pytest.mark.parametrize("name", ["crate", "gpt2"])
def test_heads_and_the_direct_part_are_the_whole(name) -> None:
    tape = tape_of(drawn(build_model(name, SHAPE, VOCABULARY, 0, 0)))
    target = Target(2, 3, 9)
    whole, heads = attribute(tape, target), attribute_heads(tape, target)
    for layer in whole.units:
        together = whole.direct.get(layer, 0) + sum(head.units.get(layer, 0) for head in heads.values())
        torch.testing.assert_close(together, whole.units[layer], rtol=1e-4, atol=1e-5)


def test_attention_weights_that_are_computed_again_give_what_those_that_are_kept_give(monkeypatch) -> None:
    model = drawn(build_model("gpt2", SHAPE, VOCABULARY, 0, 0))
    kept = attribute(tape_of(model), Target(2, 3, 9))
    monkeypatch.setattr("cratelm.circuits.frozen.KEPT", 0)
    again = attribute(tape_of(model), Target(2, 3, 9))
    for one, other in zip(kept.parts(), again.parts(), strict=True):
        assert torch.equal(one, other)
    assert again.units[0][:9].any()  # attention has a part in it


def test_a_difference_of_two_logits_is_the_difference_of_their_contributions() -> None:
    tape = tape_of(drawn(build_model("gpt2", SHAPE, VOCABULARY, 0, 0)), 8)
    both = attribute(tape, Target(None, 4, 8, against=9))
    one, other = (attribute(tape, Target(None, token, 8)) for token in (4, 9))
    assert both.value == pytest.approx(one.value - other.value, rel=1e-4)
    torch.testing.assert_close(both.units[1], one.units[1] - other.units[1], rtol=1e-3, atol=1e-5)


def test_a_transformers_gpt2_adds_up_and_names_the_part_of_a_signed_coordinate() -> None:
    model = drawn(language_models.random_gpt2(n_positions=16))
    tape = Tape.of(model, find_sites(model), text())
    width = tape.units[0].shape[-1]
    negative, positive = (attribute(tape, Target(1, unit, 6)) for unit in (3 + width, 3))
    assert negative.value == pytest.approx(-positive.value)
    graph = trace(tape, text(), Target(1, 3, 6), depth=2, width=5)
    assert all(value >= 0 for node, value in graph.activations.items() if node != graph.target)


@pytest.mark.parametrize("target", [Target(3, 0, 0), Target(0, 64, 0), Target(0, 0, LENGTH), Target(0, -1, 0)])
def test_what_is_not_on_the_tape_is_refused(target) -> None:
    model = drawn(CrateForCausalLM(CrateConfig(vocab_size=VOCABULARY, hidden_size=16, num_attention_heads=2)))
    tape = Tape.of(model, find_sites(model)[:3], text())
    with pytest.raises(InputError, match="there is no"):
        attribute(tape, target)


GATED = {
    "llama": {},
    "mistral": {"sliding_window": 4},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "sliding_window": 4},
    "gemma3_text": {"head_dim": 8, "sliding_window": 4},
    "phi3": {"pad_token_id": 0},
    "olmo2": {},
    "smollm3": {},
    "granite": {},
}
"""Model types with gated MLPs, and what their configurations have to be told."""


def gated(kind: str) -> torch.nn.Module:
    """A small model of a type, without biases, so that nothing but tokens and units contributes."""
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = AutoConfig.for_model(
        kind, vocab_size=VOCABULARY, num_key_value_heads=1, **{"pad_token_id": None} | shape | GATED[kind]
    )
    model = drawn(AutoModelForCausalLM.from_config(config))
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            weight.data.zero_()
    return model


@pytest.mark.parametrize("kind", GATED)
def test_behind_a_gate_that_is_held_units_are_the_sum_of_their_contributions_alone(kind) -> None:
    tape = tape_of(gated(kind))
    for layer, unit, position in [(0, 3, 7), (1, 5, 9), (1, 5, 0)]:
        found = attribute(tape, Target(layer, unit, position))
        assert abs(found.constant) < 1e-4 * max(1, abs(found.value))
        assert found.value == pytest.approx(float(tape.units[layer].detach()[0, position, unit]))
        assert float(found.positions.abs().max()) < 1e-6  # positions enter by rotations of the attention alone


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_what_a_unit_behind_a_gate_gets_from_below_is_its_gate_times_what_is_projected(kind) -> None:
    """Layer 1's unit, by the part of layer 0's units that goes straight up: written out with weights."""
    model = gated(kind)
    tape, position, unit = tape_of(model), 7, 5
    seen: dict[str, torch.Tensor] = {}
    below, block = model.model.layers[0], model.model.layers[1]
    inner = getattr(block, "pre_feedforward_layernorm", block.post_attention_layernorm)
    handles = [
        inner.register_forward_hook(lambda module, given, output: seen.update(given=given[0], normed=output)),
        block.mlp.act_fn.register_forward_hook(lambda module, given, output: seen.update(gate=output)),
    ]
    if kind == "gemma2":
        after = below.post_feedforward_layernorm
        handles.append(after.register_forward_hook(lambda m, given, output: seen.update(ratio=output / given[0])))
    with torch.no_grad():
        model(input_ids=text()[None])
        ratio = seen.get("ratio", torch.ones(1, LENGTH, 16))[0, position]
        scale = (seen["normed"] / seen["given"])[0, position]
        written = tape.units[0][0, position, :, None] * below.mlp.down_proj.weight.T * ratio
        by_hand = seen["gate"][0, position, unit] * (written * scale) @ block.mlp.up_proj.weight[unit]
    for handle in handles:
        handle.remove()
    found = attribute(tape, Target(1, unit, position)).direct[0][position]
    torch.testing.assert_close(found, by_hand, rtol=1e-3, atol=1e-5)


def test_units_that_are_no_single_sum_are_refused_with_the_sites_that_work() -> None:
    model = language_models.random_gpt2()
    with pytest.raises(InputError, match=r"mlp\.act"):
        preactivation_of(model, "transformer.h.0.mlp.c_proj")


def test_a_model_whose_attention_cannot_be_held_is_refused() -> None:
    config = GPTJConfig(vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=16, rotary_dim=4)
    model = GPTJForCausalLM(config).eval()
    with pytest.raises(InputError, match="an attention of its own"):
        Tape.of(model, find_sites(model), text())


def test_contributions_in_a_model_with_rotary_positions_and_no_biases_leave_no_constant() -> None:
    model = GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=VOCABULARY, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
        )
    ).eval()
    for name, weight in model.named_parameters():
        weight.data += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
        if name.endswith("bias"):
            weight.data.zero_()
    found = attribute(tape_of(model), Target(1, 3, 7))
    assert abs(found.constant) < 1e-4 * max(1, abs(found.value))


def test_a_graph_adds_up_at_every_node_and_never_goes_upwards(tmp_path) -> None:
    tape = tape_of(drawn(build_model("gpt2", SHAPE, VOCABULARY, 0, 0)), 10)
    graph = trace(tape, text(), Target(None, 5, 10), depth=3, width=4)
    for node, one in graph.traces.items():
        total = sum(edge.contribution for edge in one.edges) + one.others + one.constant
        assert total == pytest.approx(one.value, rel=1e-4, abs=1e-4)
        assert all(edge.source.layer < node.layer and edge.source.position <= node.position for edge in one.edges)
    tokens = [f"<{token}>&" for token in graph.ids]
    assert len(list(lines_of(graph, tokens, "x"))) > len(graph.traces)
    write_circuit_tracer(graph, tokens, tmp_path / "graph.json")
    document = json.loads((tmp_path / "graph.json").read_text())
    names = {node["node_id"] for node in document["nodes"]}
    assert {link[end] for link in document["links"] for end in ("source", "target")} <= names
    write_graphml(graph, tokens, tmp_path / "graph.graphml")
    networkx = pytest.importorskip("networkx")
    read = networkx.read_graphml(tmp_path / "graph.graphml")
    assert set(read.nodes) == names and len(read.edges) == len(document["links"])
