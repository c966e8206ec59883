"""Names of models: what they make, and what is refused with its reason."""

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from cratelm.cli import run
from cratelm.errors import InputError
from cratelm.models import BaselineForCausalLM, CrateForCausalLM
from cratelm.models.build import build_config, build_model
from cratelm.models.load import load_causal_lm
from cratelm.models.official import export_official
from cratelm.models.save import save_model
from cratelm.presets import StudyConfig
from tests.models.test_variants import SHAPE, WINDOWED, noisy


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("crate-complete+decoupled=true", "nothing is decoded"),
        ("crate-complete+dictionary_size=64", "as many atoms as the width"),
        ("crate-complete+learned=true", "fixed numbers"),
        ("crate-learned+ista_threshold=0", "must be above 0"),
        ("crate+query_rank=4", "means nothing with attention 'mssa'"),
        ("crate-query+query_rank=32", "below hidden_size 32"),
        ("crate+attention=none", "attention is one of"),
        ("crate+ista_steps=0", "ista_steps must be 1 or more"),
        ("crate+ista_steps=1001", "at most 1,000"),
        ("crate+dictionary_size=-3", "dictionary_size must be 1 or more"),
        ("crate+layer_norm_eps=-1", "must be above 0"),
        ("crate+initializer_range=-1", "must be 0 or more"),
        ("gpt2+intermediate_size=0", "intermediate_size must be 1 or more"),
        ("gpt2+id2label=3", "is not a setting of the architecture"),
        ("gpt2+dtype=none", "is not a setting of the architecture"),
        ("crate+ista_stepz=3", "Did you mean ista_steps"),
        ("crate+ista_steps=many", "ista_steps"),
        ("gpt2+topk=4", "it is for 'topk'"),
        ("gpt2-topk+topk=129", "not from 1 to the hidden layer's 128"),
        ("gpt2-topk+l1_penalty=0.1", "topk is sparse by itself"),
        ("gpt2+l1_penalty=-1", "0 or more"),
        ("gpt2+attention=tied", "attention is separate"),
        ("gpt2+residual=true", "no setting 'residual'"),
        ("crate+hidden_size=64", "belongs to the shape"),
        ("crate+sliding_window=0", "must be 1, the token itself, or more"),
    ],
)
def test_settings_that_mean_nothing_are_refused_with_the_reason(name, message) -> None:
    with pytest.raises(InputError, match=message) as refused:
        build_config(name, SHAPE, 61, 0)
    assert name in str(refused.value)


@pytest.mark.parametrize(
    "name", ["crates", "crate+", "crate+ista_steps", "crate+a=b/c", "crate+../x=1", "", "crate:a=1"]
)
def test_names_that_are_none_are_refused_at_once(name) -> None:
    with pytest.raises(InputError, match=r"unknown model|is not a setting"):
        StudyConfig(models=f"gpt2,{name}")


def test_a_study_refuses_a_meaningless_model_before_it_makes_anything(tmp_path, capsys) -> None:
    out = tmp_path / "study"
    assert run(["study", "--preset", "smoke", "--models", "crate,gpt2+topk=4", "--out", str(out)]) == 2
    assert "it is for 'topk'" in capsys.readouterr().err.replace("\n", " ")
    assert not out.exists()


@pytest.mark.parametrize(
    "name", ["crate-alpha", "crate-1step", "gpt2-topk", "gpt2-l1", "gpt2-mssa", *WINDOWED, "gpt2+bias=true"]
)
def test_what_the_official_code_would_compute_differently_is_not_exported(name, tmp_path) -> None:
    model = build_model(name, SHAPE, 61, 0, seed=1)
    if name == "gpt2+bias=true":
        export_official(model, tmp_path / "out.pt")
        return
    with pytest.raises(InputError, match="official repository"):
        export_official(model, tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()


def test_weights_without_a_variants_tensor_are_refused_not_made_up(tmp_path) -> None:
    save_model(noisy("crate-alpha"), tmp_path, {})
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["model.layers.1.coding.decoding_dictionary"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"missing keys: model\.layers\.1\.coding\.decoding_dictionary"):
        load_causal_lm(tmp_path)


def test_base_models_are_of_the_class_that_they_were() -> None:
    built = {name: type(build_model(name, SHAPE, 61, 0, seed=1)) for name in ("crate", "crate-4step", "gpt2")}
    assert built == {"crate": CrateForCausalLM, "crate-4step": CrateForCausalLM, "gpt2": BaselineForCausalLM}
    assert AutoModelForCausalLM.from_config(build_config("crate-alpha", SHAPE, 61, 0)).config.decoupled
