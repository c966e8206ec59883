"""Models of other makers give the right numbers, or are refused: layouts, stored types, positions, padded heads."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import (
    BertConfig,
    BertLMHeadModel,
    FalconConfig,
    FalconForCausalLM,
    OpenAIGPTConfig,
    OpenAIGPTLMHeadModel,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    RobertaConfig,
    RobertaForCausalLM,
)
from transformers.modeling_outputs import BaseModelOutput

from cratelm.artifacts import Artifact
from cratelm.cli import run
from cratelm.corpus.read_tokens import read_train
from cratelm.corpus.training_windows import Windows
from cratelm.errors import InputError
from cratelm.models.load import load_causal_lm
from cratelm.models.subject import require_embedding
from cratelm.records.config import RecordConfig
from cratelm.records.recording import Recording
from cratelm.sae.open import load_network
from cratelm.sae.stream import ActivationStream
from cratelm.training.text_losses import context_length
from cratelm.units.clamp import Clamp, clamped
from cratelm.units.directions import unit_directions
from cratelm.units.sites import at_sites
from cratelm.units.steer import next_words, steer
from cratelm.units.unembedding import find_unembedding, token_effects
from tests.language_models import VOCABULARY, bytes_tokenizer, random_gpt2

SIZES = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"max_position_embeddings": 32}


def saved(model: PreTrainedModel, folder: Path) -> Path:
    model.save_pretrained(folder)
    bytes_tokenizer().save_pretrained(folder)
    return folder


def changed_weights(folder: Path, change) -> None:
    file = folder / "model.safetensors"
    save_file({name: change(name, tensor) for name, tensor in load_file(file).items()}, file, {"format": "pt"})


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.int16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_weights_in_few_bits_are_refused_by_name(kind, tmp_path: Path) -> None:
    folder = saved(random_gpt2(), tmp_path / "model")
    changed_weights(folder, lambda name, w: (100 * w).to(kind) if name.endswith("h.1.mlp.c_fc.weight") else w)
    with pytest.raises(InputError, match=r"is quantised: transformer\.h\.1\.mlp\.c_fc\.weight is stored as"):
        load_causal_lm(folder)


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.float16])
def test_weights_in_floating_point_are_loaded_as_they_are_stored(kind, tmp_path: Path) -> None:
    folder = saved(random_gpt2(), tmp_path / "model")
    changed_weights(folder, lambda name, w: w.to(kind))
    stored, found = load_file(folder / "model.safetensors"), dict(load_causal_lm(folder).state_dict())
    assert all(torch.equal(found[name], tensor.float()) for name, tensor in stored.items())


def test_a_bidirectional_model_is_no_subject_of_a_recording(tmp_path: Path) -> None:
    folder = saved(BertLMHeadModel(BertConfig(**SIZES, intermediate_size=24)), tmp_path / "model")
    with pytest.raises(InputError, match="sees later tokens"):
        load_network(folder)


def test_a_context_is_as_long_as_the_table_of_positions_allows(tmp_path: Path, capsys) -> None:
    torch.manual_seed(0)
    settings = RobertaConfig(**SIZES, intermediate_size=24, is_decoder=True, pad_token_id=1)
    model = RobertaForCausalLM(settings).eval()
    assert context_length(model) == 30
    assert model(input_ids=torch.full((1, 30), 7)).logits.isfinite().all()
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, 31), 7))
    (tmp_path / "a.txt").write_text("the film was long, and the plot of it was as bad as a plot can be.")
    assert run(["eval", str(saved(model, tmp_path / "model")), "--on", str(tmp_path / "a.txt"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["context"] == 30
    assert context_length(random_gpt2(n_positions=32)) == 32


def test_a_block_that_adds_in_place_has_the_directions_of_its_weights() -> None:
    torch.manual_seed(0)
    model = FalconForCausalLM(FalconConfig(**SIZES)).eval()
    found = unit_directions(model, "transformer.h.1.mlp.act")
    assert found is not None
    torch.testing.assert_close(found, model.transformer.h[1].mlp.dense_4h_to_h.weight.detach().T)
    for site in ("transformer.h.1.mlp", "transformer.h.1.mlp.dense_4h_to_h"):
        torch.testing.assert_close(unit_directions(model, site), torch.eye(16))


def test_a_head_behind_a_projection_has_no_unembedding() -> None:
    settings = OPTConfig(**SIZES, ffn_dim=24, word_embed_proj_dim=8, do_layer_norm_before=False)
    assert find_unembedding(OPTForCausalLM(settings).eval()) is None


def test_a_module_that_layers_share_has_no_one_activation_a_token(tokens: Artifact) -> None:
    model = random_gpt2(vocab_size=300, n_positions=80)
    model.transformer.h[1].mlp = model.transformer.h[0].mlp
    recording = Recording(RecordConfig(sites="*.mlp.act"), Path(), tokens)
    recording.__dict__.update(network=model, start=0)
    with pytest.raises(InputError, match=r"h\.0\.mlp\.act is called 2 times in a pass"):
        _ = recording.sites
    stream = ActivationStream(model, ["transformer.h.0.mlp.act"], Windows(read_train(tokens), 16, 8, 0), 64, 0)
    with pytest.raises(InputError, match="gives 128 activations for 64 tokens"):
        stream.block(0)


def test_a_feed_forward_in_chunks_is_read_whole(tmp_path: Path) -> None:
    settings = {"intermediate_size": 24, "is_decoder": True, "chunk_size_feed_forward": 2}
    folder = saved(BertLMHeadModel(BertConfig(**SIZES, **settings)), tmp_path / "model")
    shapes = []
    site = "bert.encoder.layer.0.intermediate"
    with at_sites(model := load_causal_lm(folder).eval(), [site], lambda _, output: shapes.append(output.shape)):
        model(input_ids=torch.full((1, 6), 7))
    assert shapes == [(1, 6, 24)]


@torch.no_grad()
def test_an_output_in_a_list_is_clamped_as_a_real_change_of_it() -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
    model, ids = OpenAIGPTLMHeadModel(OpenAIGPTConfig(**sizes)).eval(), torch.tensor([[3, 1, 4]])
    with clamped(model, ["transformer.h.1.attn"], [Clamp.parse("0/5+=2")]):
        found = model(ids).logits
    model.transformer.h[1].attn.c_proj.bias[5] += 2
    torch.testing.assert_close(found, model(ids).logits)


def test_an_output_with_names_keeps_them() -> None:
    class Named(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> BaseModelOutput:
            return BaseModelOutput(last_hidden_state=x, hidden_states=(x,))

    model = torch.nn.Sequential(Named())
    with at_sites(model, ["0"], lambda _, x: x + 1):
        found = model(torch.zeros(1, 2, 3))
    assert found.last_hidden_state.sum() == 6 and found.hidden_states[0].sum() == 0


def test_what_steering_raises_and_lowers_are_tokens_not_rows_of_a_padded_head() -> None:
    model, tokenizer = random_gpt2(vocab_size=VOCABULARY + 40), bytes_tokenizer()
    steered = steer(model, tokenizer, ["transformer.h.0.mlp.act"], [Clamp.parse("0/1=8")], "the", 10**4, 0)
    names = {token for token, _ in next_words(model, tokenizer, "the", 10**4)}
    assert len(steered.raised) == len(steered.lowered) == VOCABULARY
    assert "None" not in names | {change.token for change in (*steered.raised, *steered.lowered)}


@torch.no_grad()
def test_a_continuation_is_made_of_tokens_alone() -> None:
    model, tokenizer = (
        random_gpt2(vocab_size=VOCABULARY + 40, n_positions=64, tie_word_embeddings=False),
        bytes_tokenizer(),
    )
    clamp = [Clamp.parse("0/1*=1")]
    plain = steer(model, tokenizer, ["transformer.h.0.mlp.act"], clamp, "the", 0, 8)
    model.lm_head.weight[VOCABULARY:] = 100 * model.lm_head.weight[:40].abs()
    model.lm_head.weight[VOCABULARY + 1 :] *= -1
    found = steer(model, tokenizer, ["transformer.h.0.mlp.act"], clamp, "the", 0, 8)
    ids, beyond = tokenizer("the")["input_ids"], 0
    ids = torch.tensor([[0, *ids]])
    for _ in range(8):
        logits = model(ids).logits[0, -1]
        beyond += int(logits.argmax() >= VOCABULARY)
        ids = torch.cat([ids, logits[:VOCABULARY].argmax()[None, None]], 1)
    assert beyond > 0
    assert found.continuation == found.steered_continuation == tokenizer.decode(ids[0, -8:]) == plain.continuation


@torch.no_grad()
def test_effects_on_tokens_are_0_on_average_over_the_tokens_of_a_padded_head() -> None:
    model = random_gpt2(vocab_size=VOCABULARY + 40, tie_word_embeddings=False)
    model.lm_head.weight[VOCABULARY:] = 50.0
    directions = torch.eye(16)
    found = token_effects(model, directions, VOCABULARY)
    norm = F.layer_norm(directions, (16,)) * directions.std(-1, correction=0, keepdim=True)
    expected = (norm * model.transformer.ln_f.weight) @ model.lm_head.weight[:VOCABULARY].T
    assert found is not None
    torch.testing.assert_close(found, expected - expected.mean(-1, keepdim=True), atol=1e-4, rtol=1e-3)


def test_text_with_tokens_beyond_the_embedding_is_refused_with_what_to_do(tokens: Artifact, tmp_path, capsys) -> None:
    said = rf"{tokens.path} has 300 tokens, and the model's embedding 299 rows.* give the text itself"
    with pytest.raises(InputError, match=said):
        require_embedding(tokens, 300, 299)
    require_embedding(tokens, 300, 300)
    random_gpt2(vocab_size=299, n_positions=80).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").write_bytes((tokens.path / "tokenizer.json").read_bytes())
    asked = ["record", str(tmp_path / "model"), "--text", str(tokens.path), "--out", str(tmp_path / "out")]
    assert run(asked) == 2
    assert "tokenizer.json and config.json do not fit each other" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("site", ["transformer.h.0.mlp.c_fc", "lm_head", "transformer.wpe"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_steer_refuses_a_model_one_weight_of_which_is_not_finite(site, value, tmp_path: Path, capsys) -> None:
    model = random_gpt2(tie_word_embeddings=False)
    with torch.no_grad():
        model.get_submodule(site).weight[1, 1] = value
    saved(model, tmp_path / "model")
    assert run(["steer", str(tmp_path / "model"), "0/1=2", "--prompt", "the", "--json"]) == 2
    said = capsys.readouterr()
    assert "its weights are damaged" in " ".join(said.err.split()) and said.out == ""
