"""Records are exact: compared with keeping everything and sorting."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cratelm.artifacts import Artifact
from cratelm.corpus.contexts import Contexts
from cratelm.corpus.tokens import Side, read_side
from cratelm.errors import InputError
from cratelm.models.build import build_model
from cratelm.models.load import load_model
from cratelm.models.shapes import ShapeConfig
from cratelm.presets import StudyConfig
from cratelm.records.halves import cut_half, draw_pool, draw_random, same_token_pairs
from cratelm.records.moments import Moments
from cratelm.records.record import record
from cratelm.records.store import read_excerpts, read_layers, read_tables, read_units
from cratelm.records.top import TopExcerpts
from cratelm.training.config import TrainConfig
from cratelm.training.train import train
from cratelm.units.sites import at_sites, find_sites


@given(st.data())
def test_top_excerpts_are_what_sorting_everything_gives(data) -> None:
    units, count = 3, data.draw(st.integers(1, 4))
    documents = np.array(sorted(data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=25))))
    excerpts = len(documents)
    # Few distinct values, so that ties are the rule.
    cell = st.integers(-1, 3)
    maxima = np.array(data.draw(st.lists(cell, min_size=excerpts * units, max_size=excerpts * units)), np.float32)
    maxima = maxima.reshape(excerpts, units)
    order = np.array(data.draw(st.permutations(range(excerpts))))
    top = TopExcerpts(units, count, documents)
    for batch in np.array_split(order, data.draw(st.integers(1, 6))):
        if len(batch):
            top.update(maxima[batch], batch)
    for unit in range(units):
        expected, seen = [], set()
        for excerpt in sorted(range(excerpts), key=lambda e: (-maxima[e, unit], e)):
            if maxima[excerpt, unit] > 0 and documents[excerpt] not in seen and len(expected) < count:
                seen.add(documents[excerpt])
                expected.append(excerpt)
        assert top.excerpt[top.unit == unit].tolist() == expected
        assert top.rank[top.unit == unit].tolist() == list(range(len(expected)))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=60))
def test_pairs_share_a_token_never_a_document_and_use_each_place_once_a_side(places) -> None:
    token, document = (
        (np.array(column, dtype=np.int64) for column in zip(*places, strict=True))
        if places
        else (
            np.empty(0, np.int64),
            np.empty(0, np.int64),
        )
    )
    left, right = same_token_pairs(token, document)
    assert (token[left] == token[right]).all()
    assert (document[left] != document[right]).all()
    assert sorted(left) == sorted(right)
    assert len(set(left)) == len(left)
    # As many places as can be: all of a token, unless one document has more than half of them.
    for value in set(token):
        counts = np.bincount(document[token == value])
        assert (token[left] == value).sum() == min(counts.sum(), 2 * (counts.sum() - counts.max()))


def test_moments_equal_scipys() -> None:
    generator = torch.Generator().manual_seed(0)
    activations = torch.relu(torch.randn(2000, 5, generator=generator)) * torch.tensor([0.0, 1e-3, 1, 10, 1000])
    activations[:, 0] = 0
    moments = Moments(5)
    nothing = torch.empty(0, dtype=torch.int64)
    for block in activations.split(700):
        moments.update(block, nothing, nothing)
    found, x = moments.statistics(), activations.double().numpy()
    np.testing.assert_allclose(found["mean"], x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found["variance"], x.var(0), rtol=1e-9)
    np.testing.assert_allclose(found["skewness"][1:], stats.skew(x[:, 1:]), rtol=1e-8)
    np.testing.assert_allclose(found["kurtosis"][1:], stats.kurtosis(x[:, 1:], fisher=False), rtol=1e-8)
    np.testing.assert_array_equal(found["firing_rate"], (x > 0).mean(0))
    assert np.isnan(found["skewness"][0])


def test_token_share_is_one_for_a_function_of_the_token_and_none_for_noise() -> None:
    generator = np.random.default_rng(0)
    token, document = generator.integers(0, 20, 6000), generator.integers(0, 30, 6000)
    of_token = generator.normal(size=20)[token]
    noise = generator.normal(size=6000)
    noise *= of_token.std() / noise.std()
    activations = torch.from_numpy(np.stack([of_token, noise, of_token + noise], axis=1).astype(np.float32))
    left, right = same_token_pairs(token, document)
    moments = Moments(3)
    moments.update(activations, torch.from_numpy(left), torch.from_numpy(right))
    np.testing.assert_allclose(moments.statistics()["token_share"], [1, 0, 0.5], atol=0.03)


def test_an_excerpt_longer_than_the_context_is_refused() -> None:
    side = Side(np.zeros(100, np.uint16), np.array([100]))
    with pytest.raises(InputError, match="do not fit a context of 64"):
        cut_half("score", side, context=64, excerpt=64)
    with pytest.raises(InputError, match="no document of the score side is 128 tokens long"):
        cut_half("score", side, context=256, excerpt=128)


def test_a_units_random_excerpts_come_from_the_pool_without_repetition() -> None:
    side = Side(np.zeros(2000, np.uint16), np.arange(100, 2001, 100))
    half = cut_half("score", side, context=33, excerpt=16)
    pool = draw_pool(half, 50, seed=1)
    drawn = draw_random(pool, 7, 10, 1, "site", "score")
    assert set(drawn.ravel()) <= set(pool)
    assert all(len(set(row)) == 10 for row in drawn)
    assert np.array_equal(drawn[:3], draw_random(pool, 3, 10, 1, "site", "score"))
    assert not np.array_equal(drawn, draw_random(pool, 7, 10, 1, "other site", "score"))


def test_a_clamped_site_changes_what_follows_and_reading_changes_nothing() -> None:
    model = build_model("crate", ShapeConfig(width=16, heads=2, context=12), 50, 0, seed=1).eval()
    ids = torch.arange(12)[None]
    before = model(input_ids=ids).logits
    seen: dict[str, torch.Tensor] = {}
    sites = find_sites(model)
    assert sites == ["model.layers.0.coding.code", "model.layers.1.coding.code"]
    with at_sites(model, sites, lambda name, output: seen.update({name: output})):
        assert torch.equal(model(input_ids=ids).logits, before)
    assert all(output.shape == (1, 12, 64) and (output >= 0).all() for output in seen.values())
    with at_sites(model, sites[1:], lambda name, output: torch.zeros_like(output)):
        silenced = model(input_ids=ids).logits
    # With no code in the last layer nothing is left but the final norm's bias, which begins at 0.
    assert torch.equal(silenced, torch.zeros_like(before))
    assert torch.equal(model(input_ids=ids).logits, before)


def test_a_glob_that_matches_nothing_lists_what_there_is() -> None:
    model = build_model("gpt2", ShapeConfig(width=16, heads=2, context=12), 50, 0, seed=1)
    with pytest.raises(InputError, match=r"no site matches 'nothing\.\*'.*model\.layers\.0\.mlp\.hidden"):
        find_sites(model, "nothing.*")


@pytest.fixture(scope="module", params=["crate", "gpt2"])
def recorded(request, small_study: StudyConfig, tokens: Artifact, tmp_path_factory, quiet) -> tuple[Artifact, Artifact]:
    """A trained model and its records."""
    out: Path = tmp_path_factory.mktemp(request.param)
    config = TrainConfig(model=request.param, shape=small_study.shape, training=small_study.training)
    model = train(config, tokens, out / "model", quiet)
    return model, record(small_study.records, model, tokens, out / "records", quiet)


class Everything:
    """All activations of one half, kept: the brute-force reference."""

    def __init__(self, model: Artifact, tokens: Artifact, name: str, layer: int, excerpt: int):
        network = load_model(model)
        self.half = cut_half(name, read_side(tokens, name), network.config.max_position_embeddings, excerpt)
        site = find_sites(network)[layer]
        kept: list[torch.Tensor] = []
        contexts: Contexts = self.half.contexts
        for start, length in zip(contexts.start, contexts.length, strict=True):
            ids = torch.tensor([[network.config.bos_token_id, *self.half.side.tokens[start : start + length].tolist()]])
            with torch.no_grad(), at_sites(network, [site], lambda _, output: kept.append(output[0, 1:].clone())):
                network(input_ids=ids)
        self.activations = torch.cat(kept).numpy()  # (tokens, units)
        self.excerpts = self.activations.reshape(-1, excerpt, self.activations.shape[1])
        self.tokens = self.half.tokens_of(np.arange(len(self.half.context_of)))


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("half", ["explain", "score"])
def test_records_equal_keeping_everything(recorded, tokens, small_study, layer, half) -> None:
    model, records = recorded
    every = Everything(model, tokens, half, layer, small_study.records.excerpt)
    statistics = read_units(records, layer, half)
    np.testing.assert_allclose(statistics["maximum"], every.activations.max(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(statistics["mean"], every.activations.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(statistics["firing_rate"], (every.activations > 0).mean(0), atol=2e-3)
    maxima, documents = every.excerpts.max(1), every.half.document_of
    top = read_excerpts(records, layer, half, "top")
    for unit in range(maxima.shape[1]):
        best = [maxima[documents == document, unit].max() for document in np.unique(documents)]
        expected = sorted((value for value in best if value > 0), reverse=True)[: small_study.records.top]
        mine = top.where(top.unit == unit)
        np.testing.assert_allclose(mine.activations.max(1), expected, rtol=1e-3, atol=1e-5)
        assert len(set(mine.document)) == len(mine.document)
    stored = pq.read_table(records.path / f"layer-{layer}.parquet", filters=[("half", "=", half)]).to_pylist()
    by_start = {start: k for k, start in enumerate(every.half.start_of(np.arange(len(documents))))}
    for row in stored[::7]:
        excerpt = by_start[row["start"]]
        assert row["tokens"] == every.tokens[excerpt].tolist()
        assert row["document"] == documents[excerpt]
        np.testing.assert_allclose(row["activations"], every.excerpts[excerpt, :, row["unit"]], rtol=1e-3, atol=1e-5)


def test_an_excerpts_highest_activation_is_the_units_maximum_to_the_last_bit(recorded) -> None:
    records = recorded[1]
    for layer, units in enumerate(read_layers(records)):
        top = read_excerpts(records, layer, "score", "top")
        first = top.where(top.rank == 0)
        found = np.zeros(units)
        found[first.unit] = first.activations.max(1)
        assert np.array_equal(found, read_units(records, layer, "score")["maximum"])


def test_full_tables_hold_the_mean_of_every_token(recorded, tokens, small_study) -> None:
    model, records = recorded
    every = Everything(model, tokens, "explain", 0, small_study.records.excerpt)
    stored = read_tables(records, 0)
    flat_tokens = every.tokens.ravel()
    for token in np.unique(flat_tokens)[::5]:
        here = flat_tokens == token
        assert stored["counts"][token] == here.sum()
        expected = every.activations[here][:, stored["units"]].mean(0)
        np.testing.assert_allclose(stored["means"][:, token], expected, rtol=1e-3, atol=1e-6)


def test_one_unit_can_be_read_alone(recorded) -> None:
    records = recorded[1]
    everything = read_excerpts(records, 1, "score", "random")
    alone = read_excerpts(records, 1, "score", "random", [5])
    expected = everything.where(everything.unit == 5)
    assert np.array_equal(alone.activations, expected.activations)
    assert np.array_equal(alone.tokens, expected.tokens)
