"""Units of two models are matched by what they do on the same text."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cratelm.cli import run
from cratelm.match.cross_sums import CrossSums
from cratelm.models.load import load_causal_lm
from cratelm.models.save import save_model


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_streamed_correlations_are_those_of_all_tokens_at_once(seed: int, contexts: int) -> None:
    generator = np.random.default_rng(seed)
    # Large means beside small variances: what float32 sums of raw values would lose.
    first = generator.normal(100, 1, (4, contexts, 6, 3)) @ generator.normal(size=(3, 5))
    second = np.maximum(generator.normal(size=(4, contexts, 6, 2)) + first[..., :2] / 50, 0)
    second[..., 1] = 0  # never varies
    sums = CrossSums()
    for batch in range(4):
        sums.see(torch.from_numpy(first[batch]).float(), torch.from_numpy(second[batch]).float())
    paired, control = sums.correlations()
    other = np.stack([np.roll(part, 1, 0) if contexts > 1 else np.roll(part, 3, 1) for part in second])
    for found, rival in ((paired, second), (control, other)):
        expected = np.corrcoef(first.reshape(-1, 5).T, rival.reshape(-1, 2)[:, :1].T)[:5, 5]
        assert found[:, 0] == pytest.approx(expected, abs=2e-4, nan_ok=True)
        assert np.isnan(found[:, 1]).all()


def matched(first: Path, second: Path, text: Path, out: Path) -> tuple[dict, dict[str, np.ndarray]]:
    command = ["match", str(first), str(second), "--text", str(text), "--out", str(out), "--tokens", "3000"]
    assert run(command) == 0
    table = pq.read_table(out / "matches.parquet")
    columns = {name: table[name].to_numpy() for name in table.column_names}
    return json.loads((out / "matches.json").read_text()), columns


def test_units_of_a_model_find_themselves_in_a_copy_whose_units_stand_in_another_order(study: Path, tmp_path) -> None:
    trained = study / "models" / "crate" / "model"
    model = load_causal_lm(trained)
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(model.model.layers[0].coding.dictionary.shape[0], generator=generator)
    with torch.no_grad():
        for layer in model.model.layers:
            # Two trained units may fire on one token alone, and then either is the other's partner with r = 1.
            layer.coding.dictionary.normal_(std=0.2, generator=generator)
    of_copy = load_causal_lm(trained)
    of_copy.load_state_dict(model.state_dict())
    with torch.no_grad():
        for layer in of_copy.model.layers:
            layer.coding.dictionary.copy_(layer.coding.dictionary[order])
    for made, folder in ((model, tmp_path / "model"), (of_copy, tmp_path / "copy")):
        save_model(made, folder, {})
        (folder / "tokenizer.json").write_bytes((trained / "tokenizer.json").read_bytes())
    found, columns = matched(tmp_path / "model", tmp_path / "copy", study / "tokens", tmp_path / "out")
    first = columns["side"] == "first"
    lives = first & (columns["r"] > 0.999)  # a unit that never fires has no partner
    assert lives.sum() > 0.8 * first.sum()
    assert (columns["partner_layer"][lives] == columns["layer"][lives]).all()
    assert (order.numpy()[columns["partner_unit"][lives].astype(int)] == columns["unit"][lives]).all()
    assert columns["mutual"][lives].all()
    of_all = found["first"]["layers"][-1]
    assert of_all["shares"]["0.9"]["partner"]["share"] > 0.99
    assert of_all["shares"]["0.9"]["control"]["share"] < 0.1


def test_matching_the_other_way_round_gives_the_same_partners(study: Path, tmp_path) -> None:
    found, columns = matched(
        study / "models" / "crate" / "model", study / "models" / "gpt2" / "model", study / "tokens", tmp_path / "out"
    )
    again, other = matched(
        study / "models" / "gpt2" / "model", study / "models" / "crate" / "model", study / "tokens", tmp_path / "back"
    )
    assert found["tokens"] == again["tokens"]
    for name in ("unit", "partner_layer", "partner_unit", "mutual"):
        one, two = columns[name][columns["side"] == "first"], other[name][other["side"] == "second"]
        assert np.array_equal(one, two, equal_nan=name.startswith("partner"))
    share = found["first"]["layers"][-1]["shares"]["0.5"]["partner"]
    assert share["low"] <= share["share"] <= share["high"]


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--sites", "nothing*"], "no site matches"), (["--tokens", "0"], "--tokens")],
)
def test_what_cannot_be_matched_is_answered_by_one_line(options, message, study: Path, tmp_path, capsys) -> None:
    folder = str(study / "models" / "crate" / "model")
    command = ["match", folder, folder, "--text", str(study / "tokens"), "--out", str(tmp_path / "out"), *options]
    assert run(command) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_models_of_unlike_contexts_read_the_shorter_one(study: Path, tmp_path) -> None:
    folder = study / "models" / "crate" / "model"
    model = load_causal_lm(folder)
    fewer = model.config.max_position_embeddings * 3 // 4
    model.config.max_position_embeddings = fewer
    positions = model.model.embed_positions
    positions.weight = torch.nn.Parameter(positions.weight[:fewer].clone())
    save_model(model, tmp_path / "short", {})
    (tmp_path / "short" / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    found, columns = matched(folder, tmp_path / "short", study / "tokens", tmp_path / "out")
    first = (columns["side"] == "first") & ~np.isnan(columns["r"])
    assert found["tokens"] > 0
    assert columns["r"][first].min() > 0.999  # the same weights on the same places of the same contexts
