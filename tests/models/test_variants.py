"""Each variant is its own formula, differs in what its name says, and is a transformers model like the others."""

import copy

import pytest
import torch

from cratelm.families import MODELS
from cratelm.models import CrateForCausalLM, CrateVariantForCausalLM
from cratelm.models.build import build_config, build_model
from cratelm.models.decoder import DecoderForCausalLM
from cratelm.models.load import load_causal_lm
from cratelm.models.save import save_model
from cratelm.shapes import ShapeConfig
from cratelm.units.signs import known_sign
from cratelm.units.sites import at_sites, find_sites
from tests.formulas import variant_logits
from tests.models.test_ecosystem import require_loads_without_us

SHAPE = ShapeConfig(layers=2, width=32, heads=4, context=48)
FORMULAS = {
    "crate": {},
    "crate-1step": {"steps": 1},
    "crate-4step": {"steps": 4},
    "crate-learned": {},
    "crate-residual": {"residual": True},
    "crate-decoupled": {},
    "crate-alpha": {"residual": True},
    "crate-query": {},
    "crate-untied": {},
    "crate-separate": {},
    "crate-alpha-query": {"residual": True},
    "crate-alpha-separate": {"residual": True},
    "crate-complete": {"complete": True, "steps": 1},
    "crate-rotary": {"rotary": True},
    "crate-alpha-rotary": {"rotary": True, "residual": True},
    "crate-untied+rotary=true+sliding_window=3": {"rotary": True, "window": 3},
    "gpt2": {},
    "gpt2-topk": {"k": 8},
    "gpt2-l1": {},
    "gpt2-mssa": {},
    "crate+ista_threshold=0": {"lam": 0.0},
    "crate+ista_threshold=0.4+dictionary_size=40": {"lam": 0.4},
    "crate+ista_step_size=0.05": {"eta": 0.05},
    "crate-complete+ista_steps=3+residual=true": {"complete": True, "steps": 3, "residual": True},
    "crate-learned+decoupled=true+attention=low-rank-query": {},
    "gpt2-topk+topk=3+attention=mssa": {"k": 3},
    "crate+sliding_window=1": {"window": 1},
    "crate+sliding_window=2": {"window": 2},
    "gpt2+sliding_window=1": {"window": 1},
    "gpt2+sliding_window=3": {"window": 3},
}
WINDOWED = [name for name in FORMULAS if "sliding_window" in name]
VARIANTS = [name for name in FORMULAS if name not in ("crate", "gpt2") and "=" not in name]


def noisy(name: str) -> DecoderForCausalLM:
    """A small model of that name whose every weight is away from where it began."""
    model = build_model(name, SHAPE, 61, 0, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model.eval()


@pytest.fixture
def prompt() -> torch.Tensor:
    return torch.tensor([[3, 1, 4, 1, 5, 9], [2, 7, 1, 8, 2, 8]])


def test_every_name_has_a_formula() -> None:
    assert MODELS.keys() <= FORMULAS.keys()


@pytest.mark.parametrize(("name", "formula"), FORMULAS.items())
def test_logits_are_those_of_the_formula_in_plain_tensors(name, formula, prompt) -> None:
    model = noisy(name)
    with torch.no_grad():
        expected = torch.stack([variant_logits(dict(model.state_dict()), ids, 2, 4, **formula) for ids in prompt])
        torch.testing.assert_close(model(prompt).logits, expected, atol=1e-4, rtol=1e-4)
        model.set_attn_implementation("eager")
        torch.testing.assert_close(model(prompt).logits, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in VARIANTS if name.startswith("crate-")])
def test_a_variant_computes_something_else_than_crate(name, prompt) -> None:
    model, crate = noisy(name), noisy("crate")
    shared = {key: tensor for key, tensor in model.state_dict().items() if key in crate.state_dict()}
    if name == "crate-complete":
        assert model.model.layers[0].coding.dictionary.shape == (32, 32)
        return
    crate.load_state_dict(shared)
    assert not torch.allclose(model(prompt).logits, crate(prompt).logits, atol=1e-2)


def test_a_variant_without_options_is_crate(prompt) -> None:
    variant = build_model("crate+residual=false", SHAPE, 61, 0, seed=1).eval()
    crate = build_model("crate", SHAPE, 61, 0, seed=1).eval()
    assert (type(variant), type(crate)) == (CrateVariantForCausalLM, CrateForCausalLM)
    assert variant.state_dict().keys() == crate.state_dict().keys()
    assert torch.equal(variant(prompt).logits, crate(prompt).logits)


@pytest.mark.parametrize("name", ["crate-decoupled", "crate-learned"])
def test_decoupled_and_learned_variants_begin_as_crate(name, prompt) -> None:
    variant, crate = (build_model(which, SHAPE, 61, 0, seed=1).eval() for which in (name, "crate"))
    torch.testing.assert_close(variant(prompt).logits, crate(prompt).logits)


def test_one_decoupled_step_of_size_one_with_a_residual_is_a_relu_mlp(prompt) -> None:
    """With attention's projections apart this is the whole way from CRATE to GPT-2."""
    name = "crate-alpha-separate+ista_steps=1+ista_step_size=1+ista_threshold=0"
    ours, gpt2 = noisy(name), build_model("gpt2+bias=true", SHAPE, 61, 0, seed=1).eval()
    renamed = {}
    for key, tensor in ours.state_dict().items():
        for old, new in (
            ("subspace_proj", "value_proj"),
            ("coding_norm", "mlp_norm"),
            ("coding.dictionary", "mlp.up_proj.weight"),
        ):
            key = key.replace(old, new)
        turned = key.replace("coding.decoding_dictionary", "mlp.down_proj.weight")
        renamed[turned] = tensor.T if turned != key else tensor
    biases = {key: torch.zeros_like(tensor) for key, tensor in gpt2.state_dict().items() if key not in renamed}
    assert all(key.endswith("bias") for key in biases)
    gpt2.load_state_dict(renamed | biases)
    torch.testing.assert_close(ours(prompt).logits, gpt2(prompt).logits, atol=1e-4, rtol=1e-4)


def test_topk_leaves_k_units_a_token_and_passes_gradients_to_them_alone() -> None:
    hidden = build_model("gpt2-topk+topk=5", SHAPE, 61, 0, seed=1).model.layers[0].mlp.hidden
    x = (torch.randn(3, 7, 128, generator=torch.Generator().manual_seed(0)) + 1).requires_grad_()
    out = hidden(x)
    out.sum().backward()
    assert ((out > 0).sum(-1) == 5).all()
    assert torch.equal(x.grad, (out > 0).float())
    assert not hidden(-torch.ones(1, 1, 128)).any()  # negative values stay out even where nothing else is left


def test_the_l1_penalty_is_added_to_the_training_loss_alone(prompt) -> None:
    model = noisy("gpt2-l1+l1_penalty=0.25")
    seen = []
    with torch.no_grad(), at_sites(model, find_sites(model), lambda _, output: seen.append(output)):
        plain = model(prompt, labels=prompt).loss
    penalty = 0.25 * sum(hidden.abs().sum() / 12 for hidden in seen)
    torch.testing.assert_close(model.train()(prompt, labels=prompt).loss, plain + penalty)
    # A batch that is a third of the tokens of a step pays a third of the step's penalty.
    part = model(prompt, labels=prompt, num_items_in_batch=torch.tensor(30)).loss
    torch.testing.assert_close(part, plain / 3 + penalty / 3)
    assert model.eval()(prompt, labels=prompt).loss == plain
    copy.deepcopy(model)  # no graph is left behind


@pytest.mark.parametrize("name", [*VARIANTS, *WINDOWED])
@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_generation_with_a_cache_equals_generation_without(name, prompt, cache) -> None:
    model = noisy(name)
    options = {"max_new_tokens": 10, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    plain = model.generate(prompt, use_cache=False, **options)
    kept = model.generate(prompt, cache_implementation=cache if cache == "static" else None, **options)
    assert torch.equal(plain, kept)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_checkpointing_changes_no_gradient(name, prompt) -> None:
    model = noisy(name).train()

    def gradients() -> list[torch.Tensor]:
        model.zero_grad()
        model(prompt, labels=prompt).loss.backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    plain = gradients()
    assert all(gradient.any() for gradient in plain)
    model.activation_checkpointing_enable()
    for one, other in zip(plain, gradients(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", [*VARIANTS, *WINDOWED])
def test_the_whole_model_compiles_as_one_graph(name, prompt) -> None:
    model = noisy(name).train()
    expected = model(prompt, labels=prompt).loss
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    loss = compiled(prompt, labels=prompt).loss
    loss.backward()
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_default_sites_are_the_last_code_never_negative_and_can_be_clamped(name, prompt) -> None:
    model = noisy(name)
    sites = find_sites(model)
    place = "coding.code" if name.startswith("crate") else "mlp.hidden"
    assert sites == [f"model.layers.{layer}.{place}" for layer in range(2)]
    seen = []
    with at_sites(model, sites, lambda _, output: seen.append(output)):
        before = model(prompt).logits
    units = 32 if name == "crate-complete" else 128
    assert all(output.shape == (2, 6, units) and (output >= 0).all() for output in seen)
    assert all(
        known_sign(model, site) is False for site in sites
    )  # or each would be recorded as two units, one of them dead
    with at_sites(model, sites[-1:], lambda _, output: output + 1):
        assert not torch.allclose(model(prompt).logits, before)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_saved_variant_comes_back_the_same(name, prompt, tmp_path) -> None:
    model = noisy(name)
    save_model(model, tmp_path, {})
    loaded = load_causal_lm(tmp_path).eval()
    assert type(loaded) is type(model)
    expected = model.config.to_dict() | {"architectures": [type(model).__name__]}
    assert loaded.config.to_dict() == expected | {"_name_or_path": loaded.config.name_or_path}
    assert torch.equal(loaded(prompt).logits, model(prompt).logits)


@pytest.mark.processes
def test_saved_variants_carry_their_code_and_load_where_we_are_not(prompt, tmp_path) -> None:
    folders = [tmp_path / name for name in ("crate-alpha-query", "crate-complete", "gpt2-topk+attention=mssa")]
    for folder in folders:
        model = noisy(folder.name)
        save_model(model, folder, {})
        torch.save(model(prompt[:1]).logits, folder.with_suffix(".pt"))
    require_loads_without_us(*folders)


@pytest.mark.parametrize("name", ["crate-alpha-query", "crate-learned", "gpt2-l1"])
def test_tensor_parallel_plans_name_modules_that_are_there(name) -> None:
    model = build_model(name, SHAPE, 61, 0, seed=1)
    names = {module.replace(".0.", ".*.") for module, _ in model.model.named_modules()}
    split = {rule for rule in model.config.base_model_tp_plan if rule in names}
    linear = {f"layers.*.attention.{part}" for part in ("output_proj",)}
    assert linear <= split


def test_topk_is_not_split_over_devices_because_the_largest_of_all_are_not_the_largest_of_a_part() -> None:
    plan = build_config("gpt2-topk", SHAPE, 61, 0).base_model_tp_plan
    assert plan and not any("mlp" in rule for rule in plan)
    assert any("mlp" in rule for rule in build_config("gpt2", SHAPE, 61, 0).base_model_tp_plan)


def test_among_like_tokens_head_k_looks_k_tokens_back() -> None:
    model = build_model("crate-rotary", SHAPE, 61, 0, seed=1).eval()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        model.model.embed_positions.weight.zero_()
        attention = model(torch.full((1, 20), 7), output_attentions=True).attentions[0][0]  # (K, T, T)
    for head, weights in enumerate(attention):
        assert weights[3:].argmax(-1).tolist() == [at - head for at in range(3, 20)]
