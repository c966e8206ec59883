"""What a unit is said to write is what a small real intervention on it does, on models of several makers."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedModel,
)

from cratelm.models.build import build_model
from cratelm.sae.attach import attach_saes
from cratelm.shapes import ShapeConfig
from cratelm.units.directions import unit_directions
from cratelm.units.sites import at_sites
from cratelm.units.unembedding import find_unembedding, token_effects

VOCABULARY, WIDTH, UNITS, LAYERS = 97, 16, 24, 3
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
}
GROUPED = SIZES | {"intermediate_size": UNITS, "num_key_value_heads": 2, "pad_token_id": 0}
GEMMA = GROUPED | {"head_dim": 8}


def ours(name: str) -> PreTrainedModel:
    return build_model(name, ShapeConfig(layers=LAYERS, width=WIDTH, heads=2, context=32), VOCABULARY, 0, 0)


MAKERS: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCABULARY, n_embd=WIDTH, n_layer=LAYERS, n_head=2, n_positions=32, n_inner=UNITS)
    ),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**GROUPED)),
    "gemma": lambda: GemmaForCausalLM(GemmaConfig(**GEMMA)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**GEMMA, final_logit_softcapping=30.0)),
    "olmo2": lambda: Olmo2ForCausalLM(Olmo2Config(**GROUPED)),
    "phi": lambda: PhiForCausalLM(PhiConfig(**GROUPED)),
    "neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES, intermediate_size=UNITS)),
    "opt": lambda: OPTForCausalLM(OPTConfig(**SIZES, ffn_dim=UNITS, word_embed_proj_dim=WIDTH)),
    "granite": lambda: GraniteForCausalLM(GraniteConfig(**GROUPED, residual_multiplier=0.3, logits_scaling=4.0)),
    "cohere": lambda: CohereForCausalLM(CohereConfig(**GROUPED, logit_scale=0.25)),
    "crate": lambda: ours("crate"),
    "gpt2 of ours": lambda: ours("gpt2"),
}


@pytest.fixture(scope="module")
def models() -> dict[str, PreTrainedModel]:
    """Every model with random weights, norms and biases included."""
    made = {}
    for name, make in MAKERS.items():
        torch.manual_seed(0)
        model = make().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.15)
        made[name] = model
    return made


# The site in the last block, and how many units it has.
FIXED = [
    ("gpt2", "transformer.h.2.mlp.act", UNITS),
    ("gpt2", "transformer.h.2.mlp.c_proj", WIDTH),
    ("gpt2", "transformer.h.2.mlp", WIDTH),
    ("gpt2", "transformer.h.2", WIDTH),
    ("llama", "model.layers.2.mlp.down_proj:in", UNITS),
    ("llama", "model.layers.2.mlp.down_proj", WIDTH),
    ("llama", "model.layers.2.mlp", WIDTH),
    ("gemma", "model.layers.2.mlp.down_proj", WIDTH),
    ("gemma2", "model.layers.2", WIDTH),
    ("gemma2", "model.layers.2.post_feedforward_layernorm", WIDTH),
    ("gemma2", "model.layers.2.mlp.down_proj:in", UNITS),
    ("gemma2", "model.layers.2.mlp.down_proj", WIDTH),
    ("olmo2", "model.layers.2.mlp.down_proj:in", UNITS),
    ("phi", "model.layers.2.mlp.activation_fn", UNITS),
    ("phi", "model.layers.2.mlp.fc2", WIDTH),
    ("phi", "model.layers.2.self_attn", WIDTH),
    ("phi", "model.layers.2.self_attn.dense", WIDTH),
    ("neox", "gpt_neox.layers.2.mlp.act", UNITS),
    ("neox", "gpt_neox.layers.2.attention", WIDTH),
    ("opt", "model.decoder.layers.2", WIDTH),
    ("opt", "model.decoder.layers.2.activation_fn", UNITS),
    ("granite", "model.layers.2.mlp.down_proj", WIDTH),
    ("cohere", "model.layers.2.mlp", WIDTH),
    ("crate", "model.layers.2.coding.code", 4 * WIDTH),
    ("gpt2 of ours", "model.layers.2.mlp.hidden", 4 * WIDTH),
]


def intervened(model: PreTrainedModel, site: str, unit: int, step: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The change of the last token's logits for a step of one unit there, and the logits' part that a norm divides."""
    ids = torch.arange(6)[None] + 3
    cap = getattr(model.config, "final_logit_softcapping", None)

    def logits(change: float) -> torch.Tensor:
        def visit(name: str, output: torch.Tensor) -> torch.Tensor:
            changed = output.clone()
            changed[0, -1, unit] += change
            return changed

        with torch.no_grad(), at_sites(model, [site], visit):
            found = model(input_ids=ids, use_cache=False).logits[0, -1].double()
        return cap * torch.atanh(found / cap) if cap else found

    return logits(step) - logits(-step), logits(0)


@pytest.mark.parametrize(("name", "site", "units"), FIXED, ids=[f"{name} {site}" for name, site, _ in FIXED])
def test_the_predicted_change_of_logits_is_that_of_a_small_intervention(models, name, site, units) -> None:
    model = deepcopy(models[name]).double()
    directions = unit_directions(model, site)
    assert directions is not None
    assert directions.shape == (units, WIDTH)
    unembedding = find_unembedding(model)
    assert unembedding is not None
    seen: list[torch.Tensor] = []
    block = ".".join(site.split(".")[: 1 + site.split(".").index("2")])
    behind = f"{block}.post_feedforward_layernorm"  # a norm on what the MLP puts out
    divide = [*([behind] if behind in dict(model.named_modules()) else []), block]
    with torch.no_grad(), at_sites(model, divide, lambda _, output: seen.append(output[0, -1])):
        model(input_ids=torch.arange(6)[None] + 3, use_cache=False)
    for unit in (0, 1, units - 1):
        change, _ = intervened(model, site, unit, 1e-2)
        change = change - change.mean()
        # A norm divides by the size of what it reads as well, which takes away some of what that itself says.
        parts = torch.stack([unembedding.effects(vector) for vector in (directions[unit], *seen)])
        share = torch.linalg.lstsq(parts.T, change[:, None]).solution[:, 0]
        torch.testing.assert_close(parts.T @ share, change, atol=1e-3 * float(change.abs().max()), rtol=0)
        assert share[0] > 0


NOT_FIXED = [
    ("llama", "model.layers.1.mlp.act_fn"),
    ("llama", "model.layers.1.mlp.up_proj"),
    ("llama", "model.layers.1.mlp.gate_proj"),
    ("llama", "model.layers.1.self_attn.v_proj"),
    ("llama", "model.layers.1.self_attn.q_proj"),
    ("llama", "model.layers.1.input_layernorm"),
    ("llama", "model.embed_tokens"),
    ("llama", "model.norm"),
    ("gemma", "model.layers.1.mlp.act_fn"),
    ("gemma2", "model.layers.1.mlp.act_fn"),
    ("gpt2", "transformer.h.1.mlp.c_fc"),
    ("gpt2", "transformer.h.1.ln_2"),
    ("gpt2", "transformer.h.1.attn.c_attn"),
    ("neox", "gpt_neox.layers.1.attention.query_key_value"),
    ("crate", "model.layers.1.attention"),
    ("crate", "model.layers.1.coding.earlier_codes.0"),
]


@pytest.mark.parametrize(("name", "site"), NOT_FIXED, ids=[" ".join(pair) for pair in NOT_FIXED])
def test_a_unit_that_writes_no_fixed_direction_has_none(models, name, site) -> None:
    assert unit_directions(models[name], site) is None


@pytest.mark.parametrize(
    ("name", "complete"), [("crate-complete", True), ("crate-decoupled", False), ("crate-residual", False)]
)
def test_variants_write_what_their_block_decodes_by(name, complete) -> None:
    model = ours(name).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    coding = model.model.layers[1].coding
    expected = torch.eye(WIDTH) if complete else getattr(coding, "decoding_dictionary", None)
    expected = coding.dictionary if expected is None else expected
    torch.testing.assert_close(unit_directions(model, "model.layers.1.coding.code"), expected.detach())


class Sae(torch.nn.Module):
    """A dictionary of 40 latents."""

    def __init__(self, coordinates: int):
        super().__init__()
        self.W_dec = torch.nn.Parameter(torch.randn(40, coordinates))
        self.hook_sae_acts_pre = torch.nn.Identity()
        self.cfg = type("Configuration", (), {"d_in": coordinates})

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.hook_sae_acts_pre(x @ self.W_dec.T).relu()

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents @ self.W_dec + 0.5


@pytest.mark.parametrize("substitute", [False, True])
@pytest.mark.parametrize(("site", "width"), [("attn", WIDTH), ("mlp.c_proj", WIDTH), ("mlp.act", UNITS), ("", WIDTH)])
def test_latents_write_their_decoder_rows_on_through_what_the_site_enters(site, width, substitute) -> None:
    torch.manual_seed(0)
    model = MAKERS["gpt2"]().eval()
    base = f"transformer.h.1.{site}".rstrip(".")
    sae = Sae(width)
    attach_saes(model, {base: sae}, substitute)
    rows = sae.W_dec.detach()
    expected = rows @ model.transformer.h[1].mlp.c_proj.weight.detach() if site == "mlp.act" else rows
    found = unit_directions(model, f"{base}.sae.latents")
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert unit_directions(model, f"{base}.sae.latents", signed=True).shape == (80, WIDTH)


def test_latents_before_a_nonlinearity_have_no_direction() -> None:
    torch.manual_seed(0)
    model = MAKERS["gpt2"]().eval()
    attach_saes(model, {"transformer.h.1.mlp.c_fc": Sae(UNITS)})
    assert unit_directions(model, "transformer.h.1.mlp.c_fc.sae.latents") is None


@pytest.mark.parametrize("name", MAKERS)
def test_the_unembedding_is_measured_for_every_maker(models, name) -> None:
    model = models[name]
    norm = {"gemma": lambda w: 1 + w, "gemma2": lambda w: 1 + w}.get(name, lambda w: w)
    found = find_unembedding(model)
    assert found is not None
    last = [module for module in model.base_model.modules() if "norm" in type(module).__name__.lower()]
    names = [n for n, m in model.base_model.named_modules() if m in last and "layers." not in n and "h." not in n]
    weight = model.base_model.get_submodule(names[-1]).weight.detach()
    factor = {"granite": 0.25, "cohere": 0.25}.get(name, 1.0)
    torch.testing.assert_close(found.scale.float(), factor * norm(weight).float(), atol=1e-4, rtol=1e-4)
    assert found.centred == (name not in ("llama", "gemma", "gemma2", "granite", "olmo2"))


def test_directions_of_another_width_have_no_effects(models) -> None:
    assert token_effects(models["llama"], torch.ones(3, WIDTH + 1)) is None
