"""A checkpoint of the hub in one command, against a stand-in with a file of the paper's layout at a small size."""

from pathlib import Path

import pytest
import torch

from cratelm.cli import run
from cratelm.corpus.model_tokenizer import open_model_tokenizer
from cratelm.errors import InputError
from cratelm.models.hub_checkpoint import newest
from cratelm.models.load import load_causal_lm
from tests import nanochat_checkpoints
from tests.corpus.test_hub import COMMIT
from tests.formulas import nanochat_logits, official_logits
from tests.hub_commands import ask
from tests.models import test_official
from tests.models.test_official import HEADS, LAYERS, official, saved

PAPERS = "ckpt-crate-12l-overparam-600000.pt"


def checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """What the official trainer writes: weights and two moments of each, over GPT-2's tokens, padded."""
    tensors = official("crate")
    weights = [torch.nn.Parameter(tensor) for name, tensor in tensors.items() if name != "lm_head.weight"]
    optimizer = torch.optim.AdamW(weights)
    sum(weight.sum() for weight in weights).backward()
    optimizer.step()
    saved({f"_orig_mod.{name}": tensor for name, tensor in tensors.items()}, path, "crate", vocab_size=test_official.V)
    whole = torch.load(path) | {"optimizer": optimizer.state_dict(), "best_val_loss": torch.tensor(2.5)}
    torch.save(whole | {"config": {"dataset": "pile", "learning_rate": 6e-4}, "iter_num": 600000}, path)
    return tensors


@pytest.mark.processes
def test_the_newest_checkpoint_of_a_repository_becomes_a_model_with_gpt2s_tokenizer(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(test_official, "V", 50304)
    repository, out = tmp_path / "repository", tmp_path / "out"
    repository.mkdir()
    tensors = checkpoint(repository / PAPERS)
    (repository / "ckpt-crate-12l-overparam-60000.pt").write_bytes(b"an older one, which is not fetched")
    (repository / "README.md").write_text("about")
    older = "hub:owner/name:ckpt-crate-12l-overparam-60000.pt"
    made, refused, missing = ask(
        repository,
        ["import", "hub:owner/name", str(out)],
        ["import", older, str(tmp_path / "older")],
        ["import", "hub:owner/name:ckpt.pt", str(tmp_path / "none")],
    )
    assert made.status == 0, made.error
    assert f"hub:owner/name@{COMMIT}:{PAPERS}" in (out / "README.md").read_text()
    ids = torch.tensor(open_model_tokenizer(out)("The film was long").input_ids)
    assert ids.tolist() == [464, 2646, 373, 890]  # GPT-2's
    expected = official_logits(tensors, ids, LAYERS, HEADS, torch.relu)
    torch.testing.assert_close(load_causal_lm(out).eval()(ids[None]).logits[0], expected, atol=1e-4, rtol=1e-4)
    assert refused.status == 2 and "cannot be read as a checkpoint of tensors alone" in refused.error
    assert missing.status == 2 and f"holds no ckpt.pt. It holds README.md, {PAPERS[:10]}" in missing.error


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["ckpt.pt"], "ckpt.pt"),
        (["a/12l-90.pt", "a/12l-600000.pt", "a/12l-3000.pt"], "a/12l-600000.pt"),
    ],
)
def test_the_highest_step_is_the_newest(names, chosen) -> None:
    assert newest("owner/name", names) == chosen


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "holds no checkpoint: no file ends in .pt"),
        (["ckpt.pt", "ckpt-60.pt"], "Say which: hub:owner/name:ckpt.pt"),
        (["a-60.pt", "b-60.pt"], "Say which"),
    ],
)
def test_what_has_no_newest_step_is_asked_about(names, message) -> None:
    with pytest.raises(InputError, match=message):
        newest("owner/name", names)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hub:JackBAI/CRATE-GPT-12L-Pile-600000steps", "the hub is off: HF_HUB_OFFLINE=0 turns it on"),
        ("hub:nothing", "write hub:OWNER/NAME[@REVISION][:FILE]"),
    ],
)
def test_the_hub_is_off_unless_asked_for(address, message, tmp_path, capsys) -> None:
    assert run(["import", address, str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.processes
def test_a_checkpoint_over_other_tokens_than_gpt2s_is_refused(tmp_path) -> None:
    (tmp_path / "repository").mkdir()
    checkpoint(tmp_path / "repository" / PAPERS)
    (refused,) = ask(tmp_path / "repository", ["import", "hub:owner/name", str(tmp_path / "out")])
    assert refused.status == 2 and "61 tokens, and GPT-2's tokenizer has 50257" in refused.error


@pytest.mark.processes
def test_a_repository_of_nanochat_checkpoints_becomes_a_model_with_its_own_tokenizer(tmp_path) -> None:
    repository, out = tmp_path / "repository", tmp_path / "out"
    tokenizer = nanochat_checkpoints.tokenizer(["the film was long and good"], size=280)
    tensors, rows = nanochat_checkpoints.weights(280), {"vocab_size": 280}
    nanochat_checkpoints.saved(tensors, repository / "base" / "d5", 20, **rows)
    nanochat_checkpoints.saved({}, repository / "base" / "d5", 5, **rows)
    for name in ("base/d5/optim_000020_rank0.pt", "token_bytes.pt", "base/d5/tokenizer.pkl"):
        (repository / name).write_bytes(b"never fetched")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    asked = ["import", "hub:owner/name", str(out)]
    refused, given = ask(repository, asked, [*asked, "--tokenizer", str(tmp_path / "tokenizer.json")])
    assert refused.status == 2 and "holds no tokenizer.json. Give --tokenizer FILE" in refused.error
    assert given.status == 0, given.error
    assert f"hub:owner/name@{COMMIT}:base/d5/model_000020.pt" in (out / "README.md").read_text()
    ids = torch.tensor(open_model_tokenizer(out)("the film").input_ids)
    expected, _ = nanochat_logits(tensors, ids, nanochat_checkpoints.HEADS, nanochat_checkpoints.LENGTH, 280)
    torch.testing.assert_close(load_causal_lm(out).eval()(ids[None]).logits[0], expected, atol=1e-4, rtol=1e-4)
    tokenizer.save(str(repository / "base" / "d5" / "tokenizer.json"))
    (beside,) = ask(repository, ["import", "hub:owner/name", str(tmp_path / "second")])
    assert beside.status == 0, beside.error
    assert sorted(path.name for path in (tmp_path / "home").rglob("snapshots/*/base/d5/*")) == [
        "meta_000020.json", "model_000020.pt", "tokenizer.json",
    ]  # fmt: skip


def test_a_tokenizer_that_is_given_is_put_beside_an_official_model(tmp_path, capsys) -> None:
    nanochat_checkpoints.tokenizer(["the film"], size=270).save(str(tmp_path / "tokenizer.json"))
    path = saved(official("crate"), tmp_path / "ckpt.pt", "crate")
    options = ["--tokenizer", str(tmp_path / "tokenizer.json")]
    assert run(["import", str(path), str(tmp_path / "out"), *options]) == 2
    assert "has 270 tokens, and ckpt.pt has rows for 61" in " ".join(capsys.readouterr().err.split())
    tensors = official("crate")
    tensors["transformer.wte.weight"] = tensors["lm_head.weight"] = torch.randn(270, test_official.D)
    saved(tensors, path, "crate", vocab_size=270)
    assert run(["import", str(path), str(tmp_path / "out"), *options]) == 0
    assert open_model_tokenizer(tmp_path / "out")("the").input_ids
