"""What the last k tokens tell: exact where the model's own window says it, at the original positions."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from cratelm.artifacts import Artifact, open_artifact
from cratelm.models.build import build_model
from cratelm.models.subject import ForeignModel
from cratelm.records.config import RecordConfig
from cratelm.records.context import LAST, read_context, read_units_context
from cratelm.records.context_pass import ContextPass, takes_positions
from cratelm.records.context_sample import APART, MOST, Positions, sample_positions
from cratelm.records.record import record
from cratelm.records.recording import Recording, load_state
from cratelm.records.write_context import document_sums, reaches, squared
from cratelm.shapes import ShapeConfig
from tests.foreign_models import random_model

CONFIG = RecordConfig(top=6, random=6, short_random=6, pool=40, histogram=8, table_units=16, batch=640, tokens=4000)


def save(model: torch.nn.Module, tokens: Artifact, folder: Path) -> Path:
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((tokens.path / "tokenizer.json").read_bytes())
    return folder


def window_model(name: str, layers: int, window: int, tokens: Artifact, folder: Path) -> Path:
    """One of ours that attends to `window` tokens, with weights large enough for text and positions to matter."""
    shape = ShapeConfig(layers=layers, width=16, heads=2, context=80)
    model = build_model(f"{name}+sliding_window={window}", shape, 300, 0, seed=0)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() == 2:
                weights.normal_(std=0.7)
    return save(model, tokens, folder)


def work_on(model: Path, tokens: Artifact, folder: Path, config: RecordConfig = CONFIG) -> ContextPass:
    folder.mkdir()
    work = ContextPass(config, model, tokens.path, folder)
    for number in range(len(work.shards)):
        work(number)
    return work


def read_of(work: ContextPass, layer: int = 0) -> np.ndarray:
    """(1 + LAST, positions, units)."""
    shards = range(len(work.shards))
    return np.concatenate([load_state(work.result(number), str(layer))[""].numpy() for number in shards], axis=1)


@pytest.mark.parametrize("name", ["crate", "gpt2"])
@pytest.mark.parametrize(("layers", "window", "needed"), [(1, 1, 1), (1, 4, 4), (2, 3, 5), (2, 5, 9)])
def test_a_model_that_sees_a_window_is_told_by_as_many_tokens(
    name, layers, window, needed, tokens, tmp_path, quiet
) -> None:
    """Each layer adds a window less one: what it attends to has seen a window itself."""
    folder = window_model(name, layers, window, tokens, tmp_path / "model")
    records = record(CONFIG, ForeignModel(folder, {}), tokens, tmp_path / "records", quiet)
    known = read_context(records)
    assert known is not None
    assert known["places"] == "original"
    last = known["layers"][-1]
    assert last["units"] > 0
    for k, mean, low, high in zip(LAST, last["mean"], last["low"], last["high"], strict=True):
        if k >= needed:
            assert mean == pytest.approx(1, abs=1e-4)
            assert low == pytest.approx(1, abs=1e-3)
        if k < window:
            assert mean < 0.999
        assert low <= high
    rows = [row for row in pq.read_table(records.path / "context.parquet").to_pylist() if row["layer"] == layers - 1]
    assert len(rows) == last["units"]
    for row in rows:
        expected = next((k for k, r2 in zip(LAST, row["r2"], strict=True) if r2 >= 0.9), None)
        assert row["reach"] == expected
        assert read_units_context(records, layers - 1)[row["unit"]]["reach"] == expected


def test_inputs_stand_at_their_original_positions_or_the_r2_of_one_token_would_not_be_1(tokens, tmp_path) -> None:
    """Of a model whose units depend on token and position alone, each read at another position would differ."""
    folder = window_model("gpt2", 1, 1, tokens, tmp_path / "model")
    whole, one, *_ = read_of(work_on(folder, tokens, tmp_path / "told"))
    np.testing.assert_allclose(one, whole, rtol=1e-3, atol=1e-4)
    untold = ContextPass(CONFIG, folder, tokens.path, tmp_path / "untold")
    untold.__dict__["told"] = False
    untold.folder.mkdir()
    for number in range(len(untold.shards)):
        untold(number)
    assert np.abs(read_of(untold)[1] - whole).max() > 0.1


def test_positions_with_fewer_tokens_before_them_are_read_as_they_are(tokens, tmp_path) -> None:
    folder = window_model("gpt2", 2, 80, tokens, tmp_path / "model")
    work = work_on(folder, tokens, tmp_path / "work")
    place = np.concatenate([some.place for some in work.shards])
    whole, *cuts = read_of(work)
    for k, cut in zip(LAST, cuts, strict=True):
        early = place + 1 <= k  # the start token is not counted
        assert np.array_equal(cut[early], whole[early])
        if k < 32:
            assert np.abs(cut[~early] - whole[~early]).max() > 1e-3
    assert (place + 1 <= 32).any()


def test_what_is_read_with_all_tokens_is_what_is_recorded(tokens, tmp_path) -> None:
    folder = window_model("crate", 2, 80, tokens, tmp_path / "model")
    work = work_on(folder, tokens, tmp_path / "work")
    recording = Recording(CONFIG, folder, tokens)
    seen = {}
    for shard in (shard for shard in recording.shards if shard.half.name == "score"):

        def see(batch, layer, activations) -> None:
            if layer == 1:
                seen.update(zip(batch.tolist(), activations.numpy().copy(), strict=True))

        recording.run(shard, see, lambda: None)
    context, place = (np.concatenate([getattr(some, n) for some in work.shards]) for n in ("context", "place"))
    expected = np.stack([seen[c][p][work.units[1]] for c, p in zip(context.tolist(), place.tolist(), strict=True)])
    np.testing.assert_allclose(read_of(work, 1)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "takes"), [("gpt2", True), ("llama", True), ("gemma2", True), ("bloom", False), ("mamba", False)]
)
def test_models_are_told_positions_where_they_take_them(kind: str, takes: bool) -> None:
    assert takes_positions(random_model(kind)) == takes


@pytest.mark.parametrize(("kind", "moves"), [("llama", False), ("gptj", False), ("gpt2", True)])
def test_rotary_positions_give_the_same_wherever_the_window_stands(kind, moves, tokens, tmp_path) -> None:
    folder = save(random_model(kind, 300, max_position_embeddings=80), tokens, tmp_path / "model")
    recording, found = Recording(CONFIG, folder, tokens), []
    ids = torch.arange(1, 9)[None]
    with torch.inference_mode():
        for first in (0, 20):
            places = torch.arange(first, first + 8)[None]
            recording.read(ids, lambda layer, some: found.append(some), position_ids=places)
    half = len(found) // 2
    apart = max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(found[:half], found[half:], strict=True))
    assert apart > 1e-3 if moves else apart < 1e-4


def test_a_model_without_positions_is_read_from_0_and_says_so(tokens, tmp_path, quiet) -> None:
    folder = save(random_model("bloom", 300), tokens, tmp_path / "model")
    records = record(replace(CONFIG, context=80), ForeignModel(folder, {}), tokens, tmp_path / "records", quiet)
    assert read_context(records)["places"] == "from 0"


def test_r2_of_series_by_hand() -> None:
    generator = np.random.default_rng(0)
    x = np.maximum(generator.normal(size=(50, 4)), 0)
    x[:, 3] = 0.5
    y = np.stack([2 * x[:, 0] + 1, generator.normal(size=50), np.full(50, 3.0), x[:, 0]], axis=1)
    document = generator.integers(7, size=50)
    sums = document_sums(x, y, document, 9)
    found = squared(sums.sum(0))
    assert found[0] == pytest.approx(1)
    assert found[1] == pytest.approx(np.corrcoef(x[:, 1], y[:, 1])[0, 1] ** 2)
    assert found[2] == 0  # what the cut input gives does not vary
    assert np.isnan(found[3])  # the unit does not
    mine = document == 4
    assert sums[4, 1, 5] == pytest.approx((x[mine, 1] * y[mine, 1]).sum())
    assert not sums[7:].any()


def test_a_unit_reaches_back_to_the_first_k_that_is_enough() -> None:
    r2 = np.array([[0.95, 0.1, 0.2, np.nan], [1, 0.2, 0.95, np.nan], [1, 0.3, 0.8, 1], *[[1, 0.89, 1, 1]] * 3])
    np.testing.assert_array_equal(reaches(r2), [1, np.inf, 2, np.nan])


def test_positions_are_a_bounded_sample_by_seed(tokens, tmp_path, small_study, study) -> None:
    model = open_artifact(study / "models" / "crate", "model")
    half = Recording(small_study.records, model.path / "model", tokens).halves["score"]
    positions = sample_positions(half, 0)
    assert len(positions.context) <= MOST + half.contexts.length.max() // APART
    assert (positions.place < half.contexts.length[positions.context]).all()
    pairs = set(zip(positions.context.tolist(), positions.place.tolist(), strict=True))
    assert len(pairs) == len(positions.context)
    again = sample_positions(half, 1)
    assert pairs != set(zip(again.context.tolist(), again.place.tolist(), strict=True))
    parts = list(positions.split(5))
    assert np.array_equal(np.concatenate([part.place for part in parts]), positions.place)
    assert len(list(Positions(np.zeros(9, np.int64), np.arange(9)).split(2))) == 1


def test_nothing_is_measured_where_no_unit_has_a_table(tokens, tmp_path, quiet) -> None:
    folder = window_model("crate", 1, 1, tokens, tmp_path / "model")
    records = record(replace(CONFIG, table_units=0), ForeignModel(folder, {}), tokens, tmp_path / "records", quiet)
    assert read_context(records) is None
    assert read_units_context(records, 0) == {}


def test_a_study_of_latents_measures_them(latents_study: Path) -> None:
    (folder, *_) = sorted((latents_study / "records").glob("*sae*"))
    layers = json.loads((folder / "context.json").read_text())["layers"]
    assert all(layer["units"] + layer["unknown"] > 0 for layer in layers)
