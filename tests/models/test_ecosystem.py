"""Whatever works with a transformers model works with ours."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, StaticCache
from transformers.models.auto import AutoModel, AutoModelForCausalLM

from cratelm.cli import run
from cratelm.errors import InputError
from cratelm.models import (
    BaselineConfig,
    BaselineForCausalLM,
    CrateConfig,
    CrateForCausalLM,
    NanochatCrateConfig,
    NanochatCrateForCausalLM,
)
from cratelm.models.decoder import DecoderForCausalLM
from cratelm.models.load import load_causal_lm
from cratelm.models.openai import import_gpt2
from cratelm.models.save import save_model
from cratelm.units.sites import at_sites, find_sites

SIZES = {"vocab_size": 61, "hidden_size": 32, "num_attention_heads": 4, "max_position_embeddings": 48}
OPTIONS = {"max_new_tokens": 16, "eos_token_id": None, "pad_token_id": 0}


WINDOWS = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4}
MADE = {
    "crate": lambda: CrateForCausalLM(CrateConfig(**SIZES)),
    "gpt2": lambda: BaselineForCausalLM(BaselineConfig(**SIZES)),
    "nanochat-crate": lambda: NanochatCrateForCausalLM(NanochatCrateConfig(**SIZES, **WINDOWS)),
}


@pytest.fixture(params=MADE)
def model(request) -> DecoderForCausalLM:
    return made(request.param)


def made(name: str) -> DecoderForCausalLM:
    """A small model whose predictions are far from uniform."""
    torch.manual_seed(0)
    model = MADE[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


@pytest.fixture
def prompt() -> torch.Tensor:
    return torch.tensor([[3, 1, 4, 1, 5, 9], [2, 7, 1, 8, 2, 8]])


@pytest.mark.parametrize("how", [{"do_sample": False}, {"do_sample": True, "top_k": 5}, {"num_beams": 3}])
@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_generation_with_a_cache_equals_generation_without(model, prompt, how, cache) -> None:
    torch.manual_seed(1)
    plain = model.generate(prompt, use_cache=False, **how, **OPTIONS)
    torch.manual_seed(1)
    kept = model.generate(prompt, cache_implementation=cache if cache == "static" else None, **how, **OPTIONS)
    assert torch.equal(plain, kept)


def test_a_static_caches_logits_equal_those_without(model, prompt) -> None:
    cache = StaticCache(config=model.config, max_cache_len=12)
    first = model(prompt[:, :4], past_key_values=cache, use_cache=True).logits
    second = model(prompt[:, 4:], past_key_values=cache, use_cache=True).logits
    torch.testing.assert_close(torch.cat([first, second], 1), model(prompt).logits, atol=1e-5, rtol=1e-5)


def test_left_padding_changes_no_generated_token(model, prompt) -> None:
    alone = model.generate(prompt[:1, 2:], do_sample=False, **OPTIONS)[:, 4:]
    padded = torch.cat([torch.tensor([[0, 0, *prompt[0, 2:].tolist()]]), prompt[1:]])
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6])
    together = model.generate(padded, attention_mask=mask, do_sample=False, **OPTIONS)
    assert torch.equal(alone[0], together[0, 6:])


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["eager", "flex_attention"])
def test_every_attention_implementation_gives_the_same_logits(model, prompt, implementation) -> None:
    with torch.no_grad():  # torch's flex attention has no backward on a CPU
        expected = model(prompt).logits
        model.set_attn_implementation(implementation)
        torch.testing.assert_close(model(prompt).logits, expected, atol=1e-5, rtol=1e-5)


def test_hidden_states_and_attentions_are_recorded(model, prompt) -> None:
    model.set_attn_implementation("eager")
    out = model(prompt, output_hidden_states=True, output_attentions=True)
    assert [state.shape for state in out.hidden_states] == [(2, 6, 32)] * 3
    assert all(torch.allclose(weights.sum(-1), torch.ones(2, 4, 6)) for weights in out.attentions)


def test_gradient_checkpointing_changes_no_gradient(model, prompt) -> None:
    def gradients() -> list[torch.Tensor]:
        model.zero_grad()
        model.train()(prompt, labels=prompt).loss.backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    plain = gradients()
    model.activation_checkpointing_enable()
    for one, other in zip(plain, gradients(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_the_whole_model_compiles_as_one_graph(model, prompt) -> None:
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    expected = model.train()(prompt, labels=prompt).loss
    torch.testing.assert_close(compiled(prompt, labels=prompt).loss, expected, atol=1e-5, rtol=1e-5)


def test_ids_and_embeddings_of_them_give_the_same(model, prompt) -> None:
    embedded = model.model.embed_tokens(prompt)
    torch.testing.assert_close(model(inputs_embeds=embedded).logits, model(prompt).logits)
    with pytest.raises(ValueError, match="exactly one"):
        model(input_ids=prompt, inputs_embeds=embedded)


WITHOUT_US = """
import sys
sys.modules["cratelm"] = None  # an import of it fails
from pathlib import Path
import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM
ids = torch.tensor([[3, 1, 4, 1, 5, 9]])
for folder in map(Path, sys.argv[1:]):
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    torch.testing.assert_close(model(ids).logits, torch.load(folder.with_suffix(".pt")))
    hidden = AutoModel.from_pretrained(folder, trust_remote_code=True)(ids).last_hidden_state
    assert hidden.shape == (1, 6, 32)
    try:
        AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False)
    except ValueError as refused:
        assert "trust_remote_code" in str(refused)
    else:
        raise AssertionError("ran the folder's code without being asked to")
"""


def require_loads_without_us(*folders: Path) -> None:
    """Refuse folders of models that do not give, without cratelm, the logits in the file beside them."""
    environment = {"HF_HOME": str(folders[0].parent / "cache"), "HF_HUB_OFFLINE": "1", "PATH": ""}
    subprocess.run([sys.executable, "-c", WITHOUT_US, *map(str, folders)], env=environment, check=True)


@pytest.mark.processes
def test_saved_folders_carry_their_code_and_load_where_we_are_not(prompt, tmp_path) -> None:
    for name in MADE:
        model = made(name)
        save_model(model, tmp_path / name, {"Trained on": "nothing"})
        torch.save(model(prompt[:1]).logits, tmp_path / f"{name}.pt")
    require_loads_without_us(*(tmp_path / name for name in MADE))  # one process: its start takes longest


def test_a_saved_folder_says_what_it_is_and_loads_as_its_own_class(model, tmp_path) -> None:
    save_model(model, tmp_path / "model", {"Trained on": "nothing"})
    assert "Trained on" in (tmp_path / "model" / "README.md").read_text()
    assert type(AutoModel.from_pretrained(tmp_path / "model")) is type(model.model)
    assert type(AutoModelForCausalLM.from_pretrained(tmp_path / "model")) is type(model)


@pytest.fixture(scope="module")
def openai_folder(tmp_path_factory) -> Path:
    """A small GPT-2 of transformers' own, with weights large enough for every term to matter."""
    folder = tmp_path_factory.mktemp("gpt2")
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(GPT2Config(vocab_size=61, n_positions=48, n_embd=32, n_layer=3, n_head=4))
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    theirs.save_pretrained(folder)
    return folder


def test_openais_gpt2_has_the_same_logits_in_our_baseline(openai_folder, prompt) -> None:
    theirs = GPT2LMHeadModel.from_pretrained(openai_folder).eval()
    ours = import_gpt2(str(openai_folder)).eval()
    assert ours.num_parameters() == theirs.num_parameters()
    torch.testing.assert_close(ours(prompt).logits, theirs(prompt).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast"])
def test_a_gpt2_of_any_activation_that_is_accepted_has_the_same_logits(activation, openai_folder, prompt, tmp_path):
    theirs = GPT2LMHeadModel.from_pretrained(openai_folder, activation_function=activation).eval()
    theirs.save_pretrained(tmp_path)
    ours = import_gpt2(str(tmp_path)).eval()
    torch.testing.assert_close(ours(prompt).logits, theirs(prompt).logits, atol=1e-4, rtol=1e-4)


def harm_folder(folder: Path, harm: str) -> None:
    """Spoil a GPT-2's folder in one way."""
    from safetensors.torch import load_file, save_file

    tensors, config = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
    if harm == "untied":
        tensors["lm_head.weight"] = torch.randn_like(tensors["transformer.wte.weight"])
        config["tie_word_embeddings"] = False
    elif harm == "untied, but called tied":
        tensors["lm_head.weight"] = torch.randn_like(tensors["transformer.wte.weight"])
    elif harm == "missing":
        del tensors["transformer.h.1.mlp.c_fc.weight"]
    elif harm == "unexpected":
        tensors["transformer.h.1.gate.weight"] = torch.ones(2)
    elif harm == "misshaped":
        tensors["transformer.wpe.weight"] = torch.ones(40, 32)
    elif harm == "swish":
        config["activation_function"] = "swish"
    elif harm == "scaled by the layer":
        config["scale_attn_by_inverse_layer_idx"] = True
    else:
        config = {"model_type": "gpt_neo", "architectures": ["GPTNeoForCausalLM"]}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("untied", "its head differs from its token embedding"),
        ("untied, but called tied", "its head differs from its token embedding"),
        ("missing", r"missing keys: transformer\.h\.1\.mlp\.c_fc\.weight"),
        ("unexpected", r"unexpected keys: .*h\.1\.gate\.weight"),
        ("misshaped", r"wpe\.weight"),
        ("swish", "its activation_function swish is none of relu, gelu"),
        ("scaled by the layer", "attention scaled by the layer"),
        ("another model", "holds a gpt_neo model"),
    ],
)
def test_a_gpt2_that_would_lose_something_is_refused_by_name(harm, message, openai_folder, tmp_path) -> None:
    shutil.copytree(openai_folder, tmp_path / "model")
    harm_folder(tmp_path / "model", harm)
    with pytest.raises(InputError, match=message):
        import_gpt2(str(tmp_path / "model"))


def test_the_command_imports_openais_gpt2(openai_folder, prompt, tmp_path) -> None:
    assert run(["import", str(openai_folder), str(tmp_path / "ours")]) == 0
    ours = load_causal_lm(tmp_path / "ours").eval()
    expected = GPT2LMHeadModel.from_pretrained(openai_folder).eval()(prompt).logits
    torch.testing.assert_close(ours(prompt).logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda tensors: tensors.pop("model.layers.1.attention.output_proj.weight"),
            r"missing keys: .*\.output_proj\.",
        ),
        (lambda tensors: tensors.update(extra=torch.zeros(2)), "unexpected keys: extra"),
    ],
)
def test_weights_that_do_not_fit_are_named_not_made_up(model, tmp_path, harm, message) -> None:
    from safetensors.torch import load_file, save_file

    save_model(model, tmp_path, {})
    tensors = load_file(tmp_path / "model.safetensors")
    harm(tensors)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=message):
        load_causal_lm(tmp_path)


@pytest.mark.parametrize("harm", ["cut", "huge header", "gone", "pickle"])
def test_a_damaged_or_hostile_weights_file_is_named(model, tmp_path, harm) -> None:
    save_model(model, tmp_path / "model", {})
    file = tmp_path / "model" / "model.safetensors"
    data = file.read_bytes()
    if harm == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif harm == "huge header":
        file.write_bytes((2**62).to_bytes(8, "little") + data[8:])
    else:
        file.unlink()
        if harm == "pickle":
            torch.save({}, tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_causal_lm(tmp_path / "model")


def test_a_folder_that_is_no_model_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match=r"config\.json is missing"):
        load_causal_lm(tmp_path)


def test_sites_of_our_models_and_of_any_other_are_found_by_a_glob(openai_folder, prompt) -> None:
    crate = CrateForCausalLM(CrateConfig(**SIZES, num_hidden_layers=1, ista_steps=3)).eval()
    places = ["attention.subspace_proj", "attention", "coding.earlier_codes.0", "coding.earlier_codes.1", "coding.code"]
    names = [f"model.layers.0.{place}" for place in places] + ["model.layers.0"]
    assert all(find_sites(crate, name) == [name] for name in names)
    theirs = GPT2LMHeadModel.from_pretrained(openai_folder).eval()
    sites = find_sites(theirs)
    assert sites == [f"transformer.h.{layer}.mlp.act" for layer in range(3)]
    for network, chosen in ((crate, names), (theirs, [*sites, "transformer.h.1", "transformer.h.1.attn"])):
        seen = {}
        with at_sites(network, chosen, lambda name, output, seen=seen: seen.update({name: output.shape})):
            before = network(prompt).logits
        assert seen.keys() == set(chosen)
        assert all(shape[:2] == (2, 6) for shape in seen.values())
        for name in chosen:
            with at_sites(network, [name], lambda _, output: output + torch.linspace(-1, 1, output.shape[-1])):
                assert not torch.allclose(network(prompt).logits, before), name


def test_the_codes_of_the_ista_steps_follow_from_one_another() -> None:
    torch.manual_seed(0)
    coding = CrateForCausalLM(CrateConfig(**SIZES, num_hidden_layers=1, ista_steps=3)).model.layers[0].coding
    seen = []
    names = ["earlier_codes.0", "earlier_codes.1", "code"]
    x = torch.randn(2, 5, 32)
    with torch.no_grad(), at_sites(coding, names, lambda name, output: seen.append(output)):
        out = coding(x)
    dictionary, previous = coding.dictionary, torch.zeros(2, 5, 128)
    for code in seen:
        gradient = (previous @ dictionary - x) @ dictionary.T
        torch.testing.assert_close(code, torch.relu(previous - 0.1 * gradient - 0.01))
        previous = code
    torch.testing.assert_close(out, previous @ dictionary)


def test_an_id_outside_the_vocabulary_is_named(model) -> None:
    for wrong in (61, -1):
        with pytest.raises(ValueError, match=f"token id {wrong} is outside the vocabulary of 61"):
            model(torch.tensor([[3, wrong]]))


def test_an_input_longer_than_the_context_is_named(model) -> None:
    with pytest.raises(ValueError, match="the input is 49 tokens long; the model's context holds 48"):
        model(torch.zeros(1, 49, dtype=torch.int64))
    with pytest.raises(ValueError, match="the model's context holds 48"):
        model.generate(torch.ones(1, 40, dtype=torch.int64), max_new_tokens=20, eos_token_id=None, pad_token_id=0)


@pytest.mark.parametrize("config", [CrateConfig, BaselineConfig])
def test_an_unknown_setting_is_refused_with_the_nearest_name(config) -> None:
    with pytest.raises(ValueError, match=r"no setting 'hiden_size'\. Did you mean hidden_size\?"):
        config(hiden_size=4)
