"""`cratelm record --protocol paper`: the published windows and selections, compared with keeping everything."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cratelm.artifacts import Artifact, open_artifact
from cratelm.cli import run
from cratelm.corpus.read_tokens import Side, read_side
from cratelm.errors import InputError
from cratelm.records.config import RecordConfig
from cratelm.records.hash_sampling import draw_pool
from cratelm.records.paper import stream_windows as windows
from cratelm.records.paper.quantiles import DRAWN, bin_of, draw_quantiles, exact_ranks, silent_shares
from cratelm.records.paper.stream_windows import ANTHROPIC, OPENAI, Windows, cut_stream
from cratelm.records.paper.top_positions import TopPositions
from cratelm.records.record import record
from cratelm.records.recording import Recording
from cratelm.records.store import read_excerpts, read_units
from tests.shared import Shared

CONTEXT = 80


@pytest.fixture(scope="module", autouse=True)
def short_stream():
    """Anthropic's windows from a part of the stream, as in a text of the paper's length."""
    patch = pytest.MonkeyPatch()
    patch.setitem(windows.LIMITS, ANTHROPIC, 60 * CONTEXT)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def recorded(study: Path, tokens: Artifact, shared: Shared, quiet) -> tuple[Artifact, Artifact, RecordConfig]:
    """A trained model, its records by the paper's protocol, and how they were made."""
    model = open_artifact(study / "models" / "crate", "model")
    config = RecordConfig(protocol="paper", pool=600, histogram=8, batch=640, shard=2500)
    folder = shared.folder("paper-records", lambda out: record(config, model, tokens, out / "records", quiet))
    return model, open_artifact(folder / "records", "records"), config


@pytest.fixture(scope="module")
def everything(recorded, tokens) -> dict[int, np.ndarray]:
    """All activations, (tokens, units) of each layer, in the batches that the records used."""
    model, _, config = recorded
    recording = Recording(config, model.path / "model", tokens)
    kept: dict[int, list[np.ndarray]] = {0: [], 1: []}
    for shard in recording.shards:
        recording.run(shard, lambda batch, layer, x: kept[layer].append(x.flatten(0, 1).numpy().copy()), lambda: None)
    return {layer: np.concatenate(parts) for layer, parts in kept.items()}


def stream(tokens: Artifact) -> np.ndarray:
    """The explain side's tokens, then the score side's, in whole rows."""
    flat = np.concatenate([read_side(tokens, side).tokens for side in ("explain", "score")])
    return flat[: len(flat) // CONTEXT * CONTEXT].astype(np.int64)


@pytest.mark.parametrize("layer", [0, 1])
def test_windows_and_selections_are_those_of_keeping_and_sorting_everything(recorded, everything, tokens, layer):
    records, x, text = recorded[1], everything[layer], stream(tokens)
    assert len(x) == len(text)
    limits = {OPENAI: len(x), ANTHROPIC: 60 * CONTEXT}
    for length, limit in limits.items():
        half = length // 2
        for kind in ("top", "random") if length == OPENAI else ("top", "random", "interval"):
            found = read_excerpts(records, layer, "text", kind, excerpt=length)
            places = found.start[:, None] + np.arange(length)
            assert places.min() >= 0 and places.max() < limit
            assert np.array_equal(found.tokens, text[places])
            assert np.array_equal(found.activations, x[places, found.unit[:, None]])
            assert np.array_equal(found.place, found.start % CONTEXT)
        top = read_excerpts(records, layer, "text", "top", excerpt=length)
        random = read_excerpts(records, layer, "text", "random", excerpt=length)
        for unit in range(0, x.shape[1], 5):
            centres = x[half : limit - half + 1, unit]
            expected = np.lexsort((np.arange(len(centres)), -centres))[:50]
            assert top.start[top.unit == unit].tolist() == expected.tolist()
            assert len(set(random.start[random.unit == unit])) == 50


@pytest.mark.parametrize("layer", [0, 1])
def test_quantile_windows_lie_in_their_bins_of_rank_among_all_tokens(recorded, everything, layer) -> None:
    records, limit = recorded[1], 60 * CONTEXT
    x = everything[layer][:limit]
    found = read_excerpts(records, layer, "text", "interval", excerpt=ANTHROPIC)
    assert set(found.interval) == set(range(11))
    counts = np.zeros((x.shape[1], 11), int)
    np.add.at(counts, (found.unit, found.interval), 1)
    assert (counts == DRAWN).all()
    centre = found.activations[:, 4]
    for unit, interval, value in zip(found.unit, found.interval, centre, strict=True):
        below, at_most = (x[:, unit] < value).sum(), (x[:, unit] <= value).sum()
        # The published bin takes the ranks from int(N k / 12) to int(N (k + 1) / 12), from the lowest.
        first, last = limit * interval // 12, limit * (interval + 1) // 12 + 1
        assert at_most > first - 1 and below <= last
        if below + 1 == at_most:
            assert first - 1 <= below < last


def test_silent_windows_are_drawn_from_anywhere_in_the_text(recorded) -> None:
    """Ties have no order: what falls into a bin of silent positions comes from the whole text alike."""
    found = read_excerpts(recorded[1], 1, "text", "interval", excerpt=ANTHROPIC)
    silent = found.where(found.activations[:, 4] == 0)
    assert len(silent.start) > 500
    assert abs(np.mean(silent.start) / (60 * CONTEXT) - 0.5) < 0.05


def test_statistics_are_those_of_all_tokens(recorded, everything) -> None:
    found = read_units(recorded[1], 1, "text")
    x = everything[1]
    np.testing.assert_array_equal(found["firing_rate"], (x > 0).mean(0))
    np.testing.assert_array_equal(found["maximum"], x.max(0))
    np.testing.assert_allclose(found["variance"], x.var(0, dtype=np.float64), rtol=1e-6)
    pool = draw_pool(60 * CONTEXT - ANTHROPIC + 1, 600, 0, "text", ANTHROPIC) + 4
    assert np.array_equal(found["histogram"].sum(1), (x[pool] > 0).sum(0))
    assert np.isnan(found["token_share"]).all()  # there are no two parts of the documents under this protocol


def test_any_cut_into_shards_keeps_the_same_windows(recorded, tokens, tmp_path, quiet) -> None:
    model, records, config = recorded
    again = record(RecordConfig(**{**vars(config), "shard": 10**6}), model, tokens, tmp_path / "again", quiet)
    for layer in range(2):
        name = f"layer-{layer}.parquet"
        assert pq.read_table(again.path / name).equals(pq.read_table(records.path / name))


def test_what_the_paper_scores_can_be_explained_and_scored(recorded, tmp_path, capsys) -> None:
    records, out = str(recorded[1].path), str(tmp_path / "explanations")
    assert run(["explain", records, "--out", out, "--protocol", "paper"]) == 0
    capsys.readouterr()
    scores = ["--out", str(tmp_path / "scores"), "--replicates", "100", "--json"]
    assert run(["score", records, "--explanations", out, *scores]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["protocol"] for row in rows} == {"paper"}
    assert {row["metric"] for row in rows} == {"top-and-random", "random-only", "anthropic"}
    table = {row["metric"]: row for row in rows if row["explainer"] == "table" and row["layer"] == "all"}
    assert all(row["score"]["mean"] > 0.2 for row in table.values())
    assert run(["show", records, "0/3"]) == 0
    assert "interval 10 0, 8 tokens" in capsys.readouterr().out


def test_records_by_the_papers_protocol_export_their_windows(recorded, tmp_path) -> None:
    records = recorded[1]
    for name in ("neuron-record", "neuronpedia"):
        arguments = ["export", str(records.path), "--format", name, "--out", str(tmp_path / name)]
        assert run([*arguments, "--half", "text"]) == 0
    written = json.loads((tmp_path / "neuron-record" / "collated-activations" / "1" / "3.json").read_text())
    windows_of_3 = read_excerpts(records, 1, "text", "interval", [3], ANTHROPIC)
    by_bin = written["random_sample_by_quantile"]
    assert [len(bin_) for bin_ in by_bin] == np.bincount(windows_of_3.interval).tolist()
    assert by_bin[4][0]["activations"] == windows_of_3.activations[windows_of_3.interval == 4][0].tolist()
    top = read_excerpts(records, 1, "text", "top", [3])
    assert [one["activations"] for one in written["most_positive_activation_records"]] == top.activations.tolist()
    features = json.loads((tmp_path / "neuronpedia" / "1" / "batch-0.json").read_text())["features"]
    (feature,) = [feature for feature in features if feature["feature_index"] == 3]
    assert {one["bin_min"] for one in feature["activations"]} == {-1}
    assert len(feature["activations"]) == len(top.unit)


@given(st.data())
def test_top_positions_are_what_sorting_everything_gives_ties_and_silence_included(data) -> None:
    units, length, tokens = 2, 4, data.draw(st.integers(8, 60))
    values = data.draw(st.lists(st.integers(0, 2), min_size=tokens * units, max_size=tokens * units))
    x = np.array(values, np.float32).reshape(tokens, units)
    side = Side(np.zeros(tokens, np.uint16), np.array([tokens]))
    tiling = Windows(side, cut_stream([Side(np.zeros(64, np.uint16), np.array([64]))], 64).contexts, length, tokens)
    tops = [TopPositions(units, 5) for _ in range(2)]
    cut = data.draw(st.integers(0, tokens))
    for top, (begin, end) in zip(tops, ((0, cut), (cut, tokens)), strict=True):
        middle = (begin + end) // 2
        for first, last in ((begin, middle), (middle, end)):
            top.see(torch.from_numpy(x[first:last]), first, tiling)
    tops[0].add(tops[1].state())
    tops[0].settle()
    for unit in range(units):
        centres = np.arange(2, tokens - 1)
        expected = sorted(centres, key=lambda p, unit=unit: (-x[p, unit], p))[:5]
        assert tops[0].excerpt[tops[0].unit == unit].tolist() == expected


@given(st.lists(st.integers(0, 6), min_size=30, max_size=90), st.integers(2, 12))
def test_ranks_are_those_of_sorting_all_activations(values: list[int], size: int) -> None:
    x = np.array(values, np.float32)
    generator = np.random.default_rng(0)
    pool = np.sort(generator.choice(len(x), size, replace=False))
    known = x[None, pool]
    counts = np.bincount(np.searchsorted(np.sort(known[0]), x), minlength=size + 1)[None]
    share = silent_shares(1, pool, 0)
    ranks = exact_ranks(known, counts, share)[0]
    for place, rank in zip(pool, ranks, strict=True):
        silent = (x == 0).sum()
        assert rank == (x <= x[place]).sum() - 1 if x[place] > 0 else 0 <= rank < silent


def test_bins_are_cut_where_the_published_code_cuts_them() -> None:
    tokens = 1000
    quantiles = [1 - part / 12 for part in range(12)]
    descending = np.arange(tokens)[::-1]  # the ranks in descending order of activation
    bins = bin_of(np.arange(tokens), tokens)
    for number in range(11):
        start, end = int(tokens * quantiles[number + 1] + 1e-9), int(tokens * quantiles[number] + 1e-9)
        assert np.array_equal(np.sort(descending[start:end]), np.flatnonzero(bins == number))
    assert (bins == 11).sum() == 1000 // 12


def test_draws_within_a_bin_are_uniform_and_without_repetition() -> None:
    pool = np.arange(300)
    bins = np.broadcast_to(pool * 12 // 300, (4000, 300))
    unit, interval, rank, place = draw_quantiles(bins, pool, 0, "site")
    assert len(unit) == 4000 * 11 * DRAWN
    assert np.array_equal(bins[unit, place], interval) and rank.max() == DRAWN - 1
    assert len(set(zip(unit.tolist(), place.tolist(), strict=True))) == len(unit)
    assert stats.chisquare(np.bincount(place[interval == 4], minlength=300)[100:125]).pvalue > 0.01


def test_text_that_fills_no_row_is_refused() -> None:
    side = Side(np.zeros(50, np.uint16), np.array([50]))
    with pytest.raises(InputError, match="100 tokens fill no row of 128"):
        cut_stream([side, side], 128)
    with pytest.raises(InputError, match="does not fit a row of 32"):
        cut_stream([side], 32)


def test_a_study_is_not_made_by_the_papers_protocol(tmp_path, capsys) -> None:
    assert run(["study", "--preset", "smoke", "--out", str(tmp_path / "out"), "--records.protocol", "paper"]) == 2
    assert "For the paper's, use cratelm record --protocol paper" in " ".join(capsys.readouterr().err.split())
