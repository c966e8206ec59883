"""How a model is loaded: the type of its weights, the device, parts of it elsewhere, and buffers beside its weights."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from accelerate import dispatch_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from cratelm.artifacts import Artifact, read_json, write_json
from cratelm.cli import run
from cratelm.errors import InputError
from cratelm.loading import Loading
from cratelm.models.devices import device_of
from cratelm.models.load import load_causal_lm
from cratelm.models.subject import ForeignModel, require_embedding
from cratelm.records.config import RecordConfig
from cratelm.records.logits import read_logits
from cratelm.records.pass1_statistics import FirstPass
from cratelm.records.record import record
from cratelm.records.recording import Recording
from cratelm.records.store import read_excerpts
from cratelm.training.evaluate_texts import evaluate_texts, open_language_model
from cratelm.units.clamp import Clamp
from cratelm.units.steer import steer
from tests.foreign_models import random_model
from tests.language_models import bytes_tokenizer, random_gpt2
from tests.shared import Shared

CONFIG = RecordConfig(tokens=3000, top=4, random=4, short_random=4, pool=20, histogram=4, table_units=2, logits=3)
OPTIONS = ["--tokens", "3000", "--top", "4", "--random", "4", "--short-random", "4", "--pool", "20"]
OPTIONS += ["--histogram", "4", "--table-units", "2", "--logits", "3"]
COMMANDS = ["eval", "steer", "record", "sae", "analyze", "measure"]


@pytest.fixture(scope="module")
def folder(shared: Shared, tokens: Artifact) -> Path:
    """A model with the corpus's tokenizer."""

    def make(out: Path) -> None:
        random_gpt2(vocab_size=300, n_positions=80, initializer_range=0.2).save_pretrained(out)
        shutil.copyfile(tokens.path / "tokenizer.json", out / "tokenizer.json")

    return shared.folder("loading-gpt2", make)


def arguments(command: str, folder: Path, tokens: Artifact, out: Path) -> list[str]:
    """What each command needs."""
    given = {"eval": ["--on", str(tokens.path / "counts.json")], "steer": ["0/1=2", "--prompt", "the"]}
    made = ["--text", str(tokens.path), "--out", str(out)]
    return [command, str(folder), *given.get(command, made)]


def refusal(capsys) -> str:
    """What was said on stderr behind the progress: one message."""
    said = capsys.readouterr().err
    assert said.count("cratelm: ") == 1 and "Traceback" not in said
    return said.partition("cratelm: ")[2]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_are_held_in_the_type_that_was_asked_for(dtype, folder: Path) -> None:
    model = load_causal_lm(folder, Loading(dtype=dtype))
    assert {weight.dtype for weight in model.parameters()} == {getattr(torch, dtype)}


def test_auto_is_the_type_that_config_json_says(folder: Path, tmp_path: Path) -> None:
    load_causal_lm(folder, Loading(dtype="bfloat16")).save_pretrained(tmp_path)
    assert load_causal_lm(tmp_path, Loading(dtype="auto")).dtype == torch.bfloat16
    assert load_causal_lm(tmp_path).dtype == torch.float32


def test_records_in_few_bits_keep_the_models_own_activations_as_float32(folder, tokens, tmp_path, quiet) -> None:
    config = RecordConfig(**{**vars(CONFIG), "dtype": "bfloat16"})
    made, plain = (
        record(one, ForeignModel(folder, {}), tokens, tmp_path / one.dtype, quiet) for one in (config, CONFIG)
    )
    rows, expected = (read_excerpts(records, 1, "score", "random", excerpt=64) for records in (made, plain))
    values = torch.from_numpy(rows.activations.copy())
    assert torch.equal(values, values.bfloat16().float())  # which float32's are not
    assert abs(rows.activations - expected.activations).max() < 0.1
    assert made.config["dtype"] == "bfloat16" and read_logits(made, 1)


def test_a_recording_goes_on_in_its_own_type_alone(folder, tokens, tmp_path, capsys) -> None:
    asked = [*arguments("record", folder, tokens, tmp_path / "out"), *OPTIONS]
    assert run([*asked, "--dtype", "bfloat16"]) == 0
    assert run([*asked, "--dtype", "float32"]) == 2
    assert "config.dtype: 'bfloat16' there, 'float32' asked for" in refusal(capsys)


def test_a_result_of_before_types_could_be_chosen_is_one_in_float32(folder, tokens, tmp_path, capsys) -> None:
    asked = [*arguments("record", folder, tokens, tmp_path / "out"), *OPTIONS]
    assert run(asked) == 0
    manifest = read_json(tmp_path / "out" / "manifest.json")
    del manifest["config"]["dtype"]
    write_json(tmp_path / "out" / "manifest.json", manifest)
    assert run(asked) == 0
    assert run([*asked, "--dtype", "float16"]) == 2


def test_the_loss_in_few_bits_is_near_that_in_float32(folder, tokens, tmp_path, capsys) -> None:
    (tmp_path / "a.txt").write_text("the film was long, and the plot of it was as bad as a plot can be.")
    found = {}
    for dtype in ("float32", "bfloat16", "float16"):
        assert run(["eval", str(folder), "--on", str(tmp_path / "a.txt"), "--dtype", dtype, "--json"]) == 0
        figures = json.loads(capsys.readouterr().out)
        assert figures["dtype"] == dtype
        found[dtype] = figures["nats_per_token"]["mean"]
    assert len(set(found.values())) == 3
    assert max(found.values()) - min(found.values()) < 0.05


def test_a_type_that_the_device_cannot_compute_in_is_refused(folder, tokens, tmp_path, monkeypatch, capsys) -> None:
    def lack(*_, **__):
        raise RuntimeError("\"addmm_impl_cpu_\" not implemented for 'Half'")

    monkeypatch.setattr("transformers.models.gpt2.modeling_gpt2.GPT2MLP.forward", lack)
    asked = [*arguments("record", folder, tokens, tmp_path / "out"), "--dtype", "float16"]
    assert run(asked) == 2
    assert "--dtype float16: a gpt2 model cannot run in torch.float16 on cpu" in refusal(capsys)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("device", "message"),
    [("cuda:99", "no such device"), ("tpu", "is not a device"), ("cuda:x", "is not a device")],
)
def test_a_device_that_is_not_there_is_refused_before_anything_is_made(
    command, device, message, folder, tokens, tmp_path, capsys
) -> None:
    asked = arguments(command, folder, tokens, tmp_path / "out")
    assert run([*asked, "--device", device]) == 2
    assert f"--device {device}" in (said := refusal(capsys)).replace("'", "") and message in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps"])
def test_a_kind_of_device_that_the_machine_lacks_is_refused(device, folder, monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(InputError, match=r"this machine has no such device .* It has 1 cpu\."):
        load_causal_lm(folder, Loading(device=device))


def test_a_step_carries_its_type_and_device_to_any_process(folder, tokens, tmp_path, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr("cratelm.records.recording.load_network", lambda _, loading: asked.append(loading))
    config = RecordConfig(dtype="bfloat16")
    work = pickle.loads(pickle.dumps(FirstPass(config, folder, tokens.path, tmp_path, "cpu")))
    _ = work.recording.network
    assert asked == [Loading(dtype="bfloat16", device="cpu")]


@pytest.fixture
def offloaded(folder: Path, tmp_path: Path):
    """The same model, some of whose layers lie on the disk."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    parts = {"transformer.wte": "disk", "transformer.wpe": "cpu", "transformer.h.0": "disk", "transformer.h.1": "cpu"}
    parts |= {"transformer.ln_f": "disk", "lm_head": "disk"}
    dispatched = dispatch_model(model, parts, main_device="cpu", offload_dir=tmp_path / "parts", force_hooks=True)
    assert dispatched.device.type == "meta" and device_of(dispatched).type == "cpu"
    return dispatched


def test_a_model_in_parts_has_the_units_of_the_whole_one(offloaded, folder, tokens) -> None:
    seen = {}
    for name, network in (("whole", load_causal_lm(folder)), ("parts", offloaded)):
        recording = Recording(CONFIG, folder, tokens)
        recording.__dict__["network"] = network
        found = seen.setdefault(name, [])
        recording.run(recording.shards[0], lambda batch, layer, x, found=found: found.append(x.clone()), lambda: None)
    assert len(seen["whole"]) > 0
    assert all(torch.equal(one, other) for one, other in zip(seen["whole"], seen["parts"], strict=True))


def test_a_model_in_parts_is_steered_and_evaluated_as_the_whole_one(offloaded, folder, quiet) -> None:
    network, tokenizer = open_language_model(folder)
    sites, clamps = ["transformer.h.0.mlp.act", "transformer.h.1.mlp.act"], [Clamp.parse("0/3=5"), Clamp.parse("1/2=9")]
    whole, parts = (steer(model, tokenizer, sites, clamps, "the film", 5, 4) for model in (network, offloaded))
    assert whole == parts and whole.divergence > 0
    texts = ["the film was long", "a plot"]
    whole, parts = (evaluate_texts(model, tokenizer, texts, None, False, quiet) for model in (network, offloaded))
    assert whole == parts


def test_a_model_that_is_spread_out_gives_what_the_whole_one_gives(folder, tmp_path, capsys) -> None:
    (tmp_path / "a.txt").write_text("the film was long")
    losses = []
    for device in ("cpu", "spread"):
        assert run(["eval", str(folder), "--on", str(tmp_path / "a.txt"), "--device", device, "--json"]) == 0
        losses.append(json.loads(capsys.readouterr().out)["nats_per_token"]["mean"])
    assert losses[0] == pytest.approx(losses[1], abs=0 if not torch.cuda.is_available() else 1e-4)


def test_weights_that_may_lie_on_the_disk_are_not_read_off(folder, tokens, tmp_path, capsys) -> None:
    asked = arguments("record", folder, tokens, tmp_path / "out")
    assert run([*asked, "--logits", "3", "--device", "spread"]) == 2
    assert "--logits reads the weights themselves" in refusal(capsys)
    assert not list(tmp_path.iterdir())


def written_with(model, more: dict[str, torch.Tensor], folder: Path) -> Path:
    """A model's folder whose file holds more tensors than its weights."""
    model.save_pretrained(folder)
    file = folder / "model.safetensors"
    save_file(load_file(file) | more, file, {"format": "pt"})
    return folder


MASK = torch.ones(1, 1, 32, 32).tril()
BUFFERS = {
    "gpt2": {"transformer.h.0.attn.bias": MASK, "transformer.h.1.attn.masked_bias": torch.tensor(-1e4)},
    "gpt_neo": {
        "transformer.h.0.attn.attention.bias": MASK.byte(),
        "transformer.h.1.attn.attention.masked_bias": torch.tensor(-1e9),
    },
    "gptj": {"transformer.h.0.attn.bias": MASK.bool(), "transformer.h.0.attn.masked_bias": torch.tensor(-1e9)},
    "gpt_neox": {
        "gpt_neox.layers.0.attention.bias": MASK.bool(),
        "gpt_neox.layers.0.attention.masked_bias": torch.tensor(-1e9),
        "gpt_neox.layers.1.attention.rotary_emb.inv_freq": torch.ones(4),
    },
    "llama": {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)},
    "bert": {"bert.embeddings.position_ids": torch.arange(32)[None]},
}


@pytest.mark.parametrize("kind", BUFFERS)
def test_buffers_that_older_checkpoints_hold_are_no_weights(kind, tmp_path: Path) -> None:
    model = random_model(kind, **({"is_decoder": True} if kind == "bert" else {}))
    found = load_causal_lm(written_with(model, BUFFERS[kind], tmp_path / "model"))
    assert all(torch.equal(one, found.state_dict()[name]) for name, one in model.state_dict().items())


@pytest.mark.parametrize(
    ("kind", "name", "tensor"),
    [
        ("gptj", "transformer.h.0.attn.bias", torch.ones(16)),
        ("gpt_neo", "transformer.h.0.attn.attention.bias", torch.ones(16)),
        ("gptj", "transformer.h.0.attn.q_proj.bias", torch.ones(16)),
        ("llama", "model.layers.0.mlp.rotary.weight", torch.ones(16, 16)),
    ],
)
def test_weights_that_a_model_has_no_place_for_are_refused_by_name(kind, name, tensor, tmp_path: Path) -> None:
    folder = written_with(random_model(kind), {name: tensor}, tmp_path / "model")
    with pytest.raises(InputError, match=f"unexpected keys: {name}"):
        load_causal_lm(folder)


def with_special(tokens: Artifact, names: list[str], folder: Path) -> Artifact:
    """Tokens whose tokenizer has more special tokens behind its last."""
    shutil.copytree(tokens.path, folder)
    tokenizer = bytes_tokenizer().backend_tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(names)
    tokenizer.save(str(folder / "tokenizer.json"))
    return Artifact(folder, tokens.manifest)


def test_a_padding_token_beyond_the_embedding_is_never_read_and_no_fault(tokens, tmp_path) -> None:
    padded = with_special(tokens, ["<pad>", "<mask>"], tmp_path / "tokens")
    require_embedding(padded, 302, 300, start=0)
    with pytest.raises(InputError, match="has 302 tokens, and the model's embedding 299 rows"):
        require_embedding(padded, 302, 299, start=0)


def test_a_special_token_beyond_the_embedding_that_begins_texts_is_named(tokens, tmp_path) -> None:
    padded = with_special(tokens, ["<pad>", "<s>"], tmp_path / "tokens")
    with pytest.raises(InputError, match=r"the special token <s> has the id 301, and the model's embedding 300 rows"):
        require_embedding(padded, 302, 300, start=301)


def test_a_model_whose_padding_token_lies_beyond_its_embedding_is_recorded(folder, corpus_file, tmp_path) -> None:
    model = shutil.copytree(folder, tmp_path / "model")
    tokenizer = bytes_tokenizer().backend_tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.add_special_tokens(["<pad>"])
    tokenizer.save(str(model / "tokenizer.json"))
    assert run(["record", str(model), "--text", str(corpus_file), *OPTIONS, "--out", str(tmp_path / "out")]) == 0
    assert run(["steer", str(model), "0/1=2", "--prompt", "the film"]) == 0
