"""The architectures are exactly the published ones."""

import math

import pytest
import torch
from transformers import AutoModelForCausalLM

from cratelm.models import BaselineConfig, BaselineForCausalLM, CrateConfig, CrateForCausalLM
from cratelm.models.build import build_model
from cratelm.shapes import ShapeConfig

SMALL = {"vocab_size": 97, "hidden_size": 24, "num_attention_heads": 3, "max_position_embeddings": 20}
# Paper, model configurations; without positions: get_num_params of nanoGPT. Vocabulary padded to 50,304.
PUBLISHED = [
    ("1L", 128, 4, 1, 6_538_112, 6_669_184, 6_635_904, 6_766_976),
    ("2L", 128, 4, 2, 6_637_056, 6_768_128, 6_832_768, 6_963_840),
    ("3L", 128, 4, 3, 6_736_000, 6_867_072, 7_029_632, 7_160_704),
    ("S", 768, 12, 6, 59_891_712, 60_678_144, 81_110_784, 81_897_216),
    ("B", 768, 12, 12, 81_148_416, 81_934_848, 123_587_328, 124_373_760),
]


@pytest.mark.parametrize(("name", "d", "heads", "layers", "crate", "crate_all", "gpt", "gpt_all"), PUBLISHED)
def test_parameter_counts_are_the_published_ones(name, d, heads, layers, crate, crate_all, gpt, gpt_all) -> None:
    sizes = {"vocab_size": 50304, "hidden_size": d, "num_attention_heads": heads, "num_hidden_layers": layers}
    with torch.device("meta"):
        ours = CrateForCausalLM(CrateConfig(**sizes)).num_parameters()
        rival = BaselineForCausalLM(BaselineConfig(**sizes)).num_parameters()
    assert (ours - 1024 * d, ours, rival - 1024 * d, rival) == (crate, crate_all, gpt, gpt_all)


@pytest.mark.parametrize("name", ["crate", "gpt2"])
def test_the_loss_is_the_cross_entropy_of_the_next_token(name: str) -> None:
    model = build_model(name, ShapeConfig(width=16, heads=2, context=12), 50, 0, seed=1)
    ids = torch.randint(0, 50, (3, 12), generator=torch.Generator().manual_seed(2))
    log_probabilities = model.eval()(input_ids=ids).logits.log_softmax(-1)
    expected = -log_probabilities[:, :-1].gather(-1, ids[:, 1:, None]).mean()
    trained = model.train()
    shifted = torch.nn.functional.pad(ids[:, 1:], (0, 1), value=-100)
    for output in (trained(input_ids=ids, labels=ids), trained(input_ids=ids, shift_labels=shifted)):
        torch.testing.assert_close(output.loss, expected)
        assert output.logits is None
    summed = trained(input_ids=ids, labels=ids, num_items_in_batch=torch.tensor(66)).loss
    torch.testing.assert_close(summed, expected * 33 / 66)


def test_weights_are_a_function_of_the_seed_and_leave_other_draws_alone() -> None:
    shape = ShapeConfig(width=16, heads=2, context=12)
    before = torch.random.get_rng_state()
    first, same, other = (build_model("crate", shape, 50, 0, seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first.model.layers[0].coding.dictionary, same.model.layers[0].coding.dictionary)
    assert not torch.equal(first.model.layers[0].coding.dictionary, other.model.layers[0].coding.dictionary)


def test_the_dictionary_begins_with_atoms_of_norm_near_the_square_root_of_two() -> None:
    model = build_model("crate", ShapeConfig(width=128, heads=4), 50, 0, seed=1)
    atoms = model.model.layers[0].coding.dictionary.norm(dim=1)
    assert atoms.mean().item() == pytest.approx(math.sqrt(2), abs=0.02)


@pytest.mark.parametrize("name", ["crate", "gpt2"])
def test_a_saved_model_comes_back_the_same_with_its_head_stored_once(name: str, tmp_path) -> None:
    model = build_model(name, ShapeConfig(width=16, heads=2, context=12), 50, 0, seed=1).eval()
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = torch.arange(12)[None]
    assert torch.equal(loaded(input_ids=ids).logits, model(input_ids=ids).logits)
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight
    stored = (tmp_path / "model.safetensors").stat().st_size
    assert stored < 4 * sum(parameter.numel() for parameter in model.parameters()) + 8192


@pytest.mark.parametrize("name", ["crate", "gpt2"])
def test_greedy_generation_with_a_cache_equals_without(name: str) -> None:
    model = build_model(name, ShapeConfig(width=16, heads=2, context=32), 50, 0, seed=1).eval()
    prompt = torch.tensor([[3, 1, 4, 1, 5]])
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    assert torch.equal(
        model.generate(prompt, use_cache=True, **options), model.generate(prompt, use_cache=False, **options)
    )


@pytest.mark.parametrize("config", [CrateConfig, BaselineConfig])
@pytest.mark.parametrize(
    "numbers", [{"hidden_size": 10, "num_attention_heads": 3}, {"num_attention_heads": 4, "num_key_value_heads": 2}]
)
def test_numbers_that_do_not_fit_are_refused(config, numbers) -> None:
    with pytest.raises(Exception, match=r"multiple|grouped"):
        config(**numbers)
