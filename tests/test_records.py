"""Records are exact: compared with keeping everything and sorting."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cratelm.artifacts import Artifact
from cratelm.corpus.tokens import Side
from cratelm.errors import InputError
from cratelm.models.build import build_model
from cratelm.models.shapes import ShapeConfig
from cratelm.presets import StudyConfig
from cratelm.records import second_pass
from cratelm.records.config import LONG, SHORT
from cratelm.records.draws import draw_pool, draw_random, priorities
from cratelm.records.halves import cut_batches, cut_half, cut_shards
from cratelm.records.lowest import LowestPriorities
from cratelm.records.moments import Moments
from cratelm.records.pairs import batch_pairs, pairs_of
from cratelm.records.record import record
from cratelm.records.recording import Recording
from cratelm.records.store import read_excerpts, read_layers, read_tables, read_units
from cratelm.records.top import TopExcerpts
from cratelm.seeds import derive_seed
from cratelm.training.config import TrainConfig
from cratelm.training.train import train
from cratelm.units.sites import at_sites, find_sites

CPU = torch.device("cpu")


def small_numbers(data, *shape: int) -> np.ndarray:
    """Few distinct values, so that ties are the rule."""
    size = int(np.prod(shape))
    return np.array(data.draw(st.lists(st.integers(-1, 3), min_size=size, max_size=size)), np.float32).reshape(shape)


@given(st.data())
def test_top_excerpts_are_what_sorting_everything_gives(data) -> None:
    units, count, tokens = 3, data.draw(st.integers(1, 4)), 2
    documents = np.array(sorted(data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=12))))  # of each context
    per_context = data.draw(st.integers(1, 3))
    activations = small_numbers(data, len(documents), per_context, tokens, units)
    order = np.array(data.draw(st.permutations(range(len(documents)))))
    parts = [TopExcerpts(units, count) for _ in range(2)]
    for number, batch in enumerate(np.array_split(order, data.draw(st.integers(1, 6)))):
        if len(batch):
            blocks = torch.from_numpy(activations[batch])
            parts[number % 2].update(blocks, blocks.amax(2), batch * per_context, documents[batch])
    parts[0].add(parts[1].state())
    parts[0].settle()
    top = parts[0]
    flat = activations.reshape(-1, tokens, units)
    for unit in range(units):
        expected, seen = [], set()
        for excerpt in sorted(range(len(flat)), key=lambda e: (-flat[e, :, unit].max(), e)):
            document = documents[excerpt // per_context]
            if flat[excerpt, :, unit].max() > 0 and document not in seen and len(expected) < count:
                seen.add(document)
                expected.append(excerpt)
        assert top.excerpt[top.unit == unit].tolist() == expected
        assert top.rank[top.unit == unit].tolist() == list(range(len(expected)))
        assert top.peak[top.unit == unit].tolist() == [int(flat[e, :, unit].argmax()) for e in expected]


@given(st.data())
def test_the_lowest_priorities_of_each_group_are_kept_in_any_order_and_cut(data) -> None:
    groups, count = 3, data.draw(st.integers(1, 3))
    rows = data.draw(st.lists(st.tuples(st.integers(0, 2), st.integers(-2, 2)), max_size=30))
    group, priority = (np.array([row[part] for row in rows], dtype=np.int32) for part in (0, 1))
    excerpt = np.arange(len(rows))
    activations = np.arange(len(rows) * 2, dtype=np.float32).reshape(-1, 2)
    parts = [LowestPriorities(groups, count, 2) for _ in range(2)]
    order = np.array(data.draw(st.permutations(range(len(rows)))), dtype=np.int64)
    for number, part in enumerate(np.array_split(order, data.draw(st.integers(1, 5)))):
        # An excerpt may be offered twice at once.
        offered = np.r_[part, part[:2]]
        parts[number % 2].update(group[offered], priority[offered], excerpt[offered], activations[offered])
    parts[0].add(parts[1].state())
    found_group, rank, found, found_activations = parts[0].rows()
    for number in range(groups):
        mine = sorted((p, e) for g, p, e in zip(group, priority, excerpt, strict=True) if g == number)[:count]
        assert found[found_group == number].tolist() == [e for _, e in mine]
        assert rank[found_group == number].tolist() == list(range(len(mine)))
    assert np.array_equal(found_activations, activations[found])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_a_share_is_the_correlation_over_all_pairs_of_one_token_in_different_documents(places) -> None:
    token, document = (np.array([[place[part] for place in places]], dtype=np.int64) for part in (0, 1))
    x = np.random.default_rng(len(places)).random((len(places), 3)).astype(np.float32)
    moments = Moments(3)
    moments.update(torch.from_numpy(x)[None], batch_pairs(token, document, CPU))
    ends, weights = [], []
    for value in range(5):
        mine = [i for i, place in enumerate(places) if place[0] == value]
        pairs = [(i, j) for i in mine for j in mine if places[i][1] != places[j][1]]
        ends += pairs
        weights += [len(mine) / len(pairs) for _ in pairs]
    assert moments.pairs[0] == round(sum(weights))
    found = moments.statistics()["token_share"]
    if not ends:
        assert np.isnan(found).all()
        return
    left, right = (x[[pair[end] for pair in ends]].astype(np.float64) for end in (0, 1))
    covariance = [np.cov(left[:, unit], right[:, unit], aweights=weights, bias=True) for unit in range(3)]
    np.testing.assert_allclose(found, [of[0, 1] / of[0, 0] for of in covariance], atol=1e-4)


def no_pairs(length: int) -> dict:
    """Of so many places, each with a token and in a document of its own."""
    return dict.fromkeys(("token", "position"), pairs_of(np.arange(length), np.arange(length)))


def test_moments_equal_scipys() -> None:
    generator = torch.Generator().manual_seed(0)
    activations = torch.relu(torch.randn(2000, 5, generator=generator)) * torch.tensor([0.0, 1e-3, 1, 10, 1000])
    activations[:, 0] = 0
    moments, other = Moments(5), Moments(5)
    moments.update(activations[:600].view(2, 300, 5), no_pairs(600))
    other.update(activations[600:].view(1, 1400, 5), no_pairs(1400))
    moments.add(other.state())
    found, x = moments.statistics(), activations.double().numpy()
    np.testing.assert_array_equal(found["maximum"], x.max(0))
    np.testing.assert_allclose(found["mean"], x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found["variance"], x.var(0), rtol=1e-9)
    np.testing.assert_allclose(found["skewness"][1:], stats.skew(x[:, 1:]), rtol=1e-8)
    np.testing.assert_allclose(found["kurtosis"][1:], stats.kurtosis(x[:, 1:], fisher=False), rtol=1e-8)
    np.testing.assert_array_equal(found["firing_rate"], (x > 0).mean(0))
    assert np.isnan(found["skewness"][0])


def test_token_and_position_share_are_one_for_a_function_of_either_and_none_for_noise() -> None:
    generator = np.random.default_rng(0)
    contexts, length = 60, 100
    token, document = generator.integers(0, 20, (contexts, length)), np.repeat(np.arange(30), 2)
    of_token, of_position = generator.normal(size=20)[token], np.tile(generator.normal(size=length), (contexts, 1))
    noise = generator.normal(size=(contexts, length))
    columns = [part / part.std() for part in (of_token, of_position, noise)]
    columns.append(columns[0] + columns[2])
    activations = torch.from_numpy(np.stack(columns, axis=2).astype(np.float32))
    moments = Moments(4)
    moments.update(activations, batch_pairs(token, np.broadcast_to(document[:, None], token.shape), CPU))
    found = moments.statistics()
    np.testing.assert_allclose(found["token_share"], [1, 0, 0, 0.5], atol=0.03)
    np.testing.assert_allclose(found["position_share"], [0, 1, 0, 0], atol=0.03)


def test_an_excerpt_longer_than_the_context_is_refused() -> None:
    side = Side(np.zeros(60, np.uint16), np.array([60]))
    with pytest.raises(InputError, match="do not fit a context of 64"):
        cut_half("score", side, context=64)
    with pytest.raises(InputError, match="no document of the score side is 64 tokens long"):
        cut_half("score", side, context=256)
    with pytest.raises(InputError, match="--tokens 59: the first document of the score side has 60"):
        cut_half("score", side, context=256, tokens=59)


def test_excerpts_tile_contexts_and_a_token_limit_takes_whole_documents() -> None:
    side = Side(np.arange(1000, dtype=np.uint16), np.array([300, 350, 700, 1000]))
    half = cut_half("score", side, context=200, tokens=750)
    assert half.contexts.start.tolist() == [0, 192, 350, 542]
    assert half.contexts.length.tolist() == [192, 64, 192, 128]
    assert half.contexts.dropped == 299 - 256 + 49 + 349 - 320
    for length, tiling in half.tilings.items():
        everything = tiling.tokens_of(np.arange(tiling.count))
        expected = [
            [start + k * length + place for place in range(length)]
            for start, size in zip(half.contexts.start, half.contexts.length, strict=True)
            for k in range(size // length)
        ]
        assert everything.tolist() == expected
        assert tiling.document_of(np.arange(tiling.count)).tolist() == [0 if row[0] < 300 else 2 for row in expected]


def test_batches_and_shards_hold_every_context_once_and_equally_long_within_a_batch() -> None:
    generator = np.random.default_rng(0)
    ends = np.cumsum(generator.integers(30, 700, 80))
    half = cut_half("score", Side(np.zeros(ends[-1], np.uint16), ends), context=257)
    batches = cut_batches(half, 1000, seed=0)
    assert sorted(np.concatenate(batches)) == list(range(len(half.contexts.start)))
    assert all(len(set(half.contexts.length[batch])) == 1 for batch in batches)
    shards = list(cut_shards(half, batches, 4000))
    assert len(shards) > 3
    assert [batch.tolist() for shard in shards for batch in shard.batches] == [batch.tolist() for batch in batches]


def test_a_units_random_excerpts_come_from_the_pool_without_repetition() -> None:
    pool = draw_pool(124, 50, 1, "score")
    assert len(set(pool)) == 50
    drawn = draw_random(pool, 7, 10, 1, "site", "score")
    assert set(drawn.ravel()) <= set(pool)
    assert all(len(set(row)) == 10 for row in drawn)
    assert np.array_equal(drawn[:3], draw_random(pool, 3, 10, 1, "site", "score"))
    assert not np.array_equal(drawn, draw_random(pool, 7, 10, 1, "other site", "score"))


def test_draws_by_hash_are_uniform() -> None:
    pool = np.arange(100)
    of_random = np.bincount(draw_random(pool, 4000, 10, 0, "site").ravel(), minlength=100)
    # A unit's rotation moves the order of all excerpts: each is among the lowest ten as often as any other.
    rotated = priorities(pool, 1) + priorities(np.arange(4000), 2)[:, None]
    of_rotation = np.bincount(np.argsort(rotated, axis=1)[:, :10].ravel(), minlength=100)
    assert stats.chisquare(of_random).pvalue > 0.01
    # Excerpts near each other in the order are drawn together, so the counts vary as sums of ten gaps do.
    assert of_rotation.mean() == 400
    assert of_rotation.std() == pytest.approx(400 / np.sqrt(10), rel=0.3)


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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(second_pass, "AT_ONCE", 10_000)  # so that every batch is cut
        return model, record(small_study.records, model, tokens, out / "records", quiet)


class Everything:
    """All activations of one half, kept: the brute-force reference, in the batches that the records used."""

    def __init__(self, records: Artifact, model: Artifact, tokens: Artifact, config, name: str, layer: int):
        recording = Recording(config, model.path / "model", tokens)
        self.config, self.half = config, recording.halves[name]
        self.site = recording.sites[layer]
        contexts = self.half.contexts
        kept: list[np.ndarray] = [np.empty(0)] * len(contexts.start)
        for shard in recording.shards:
            if shard.half.name == name:

                def see(batch: np.ndarray, at: int, x: torch.Tensor) -> None:
                    if at == layer:
                        for row, context in enumerate(batch):
                            kept[context] = x[row].numpy().copy()

                recording.run(shard, see, lambda: None)
        self.activations = np.concatenate(kept)  # (tokens, units)
        self.tokens = np.concatenate(
            [self.half.side.tokens[a : a + n] for a, n in zip(contexts.start, contexts.length, strict=True)]
        ).astype(np.int64)

        def tiles(length: int) -> np.ndarray:
            return np.concatenate([x[: len(x) // length * length].reshape(-1, length, x.shape[1]) for x in kept])

        self.excerpts = {length: tiles(length) for length in (LONG, SHORT)}  # (excerpts, length, units)

    def top(self, length: int, unit: int, count: int) -> list[int]:
        """The excerpts with the highest maxima, one a document, ties to the earlier."""
        maxima, best, seen = self.excerpts[length][:, :, unit].max(1), [], set()
        documents = self.half.tilings[length].document_of(np.arange(len(maxima)))
        for excerpt in np.lexsort((np.arange(len(maxima)), -maxima)):
            if maxima[excerpt] > 0 and documents[excerpt] not in seen and len(best) < count:
                seen.add(documents[excerpt])
                best.append(int(excerpt))
        return best

    def lowest(self, unit: int, allowed: np.ndarray, count: int) -> list[int]:
        """Those of the allowed excerpts that are drawn first."""
        own = priorities(np.array([unit]), derive_seed(self.config.seed, "rotations", self.half.name, self.site.name))
        order = priorities(allowed, derive_seed(self.config.seed, "priorities", self.half.name)) + own
        return allowed[np.argsort(order, kind="stable")][:count].tolist()


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", ["explain", "score"])
def test_records_equal_keeping_everything(recorded, tokens, small_study, layer, name) -> None:
    model, records = recorded
    config = small_study.records
    explain = Everything(records, model, tokens, config, "explain", layer)
    every = explain if name == "explain" else Everything(records, model, tokens, config, name, layer)
    statistics = read_units(records, layer, name)
    np.testing.assert_array_equal(statistics["maximum"], every.activations.max(0))
    np.testing.assert_allclose(statistics["mean"], every.activations.mean(0, dtype=np.float64), rtol=1e-9)
    np.testing.assert_array_equal(statistics["firing_rate"], (every.activations > 0).mean(0))
    assert statistics["finite"].all()
    stored = {
        (length, kind): read_excerpts(records, layer, name, kind, excerpt=length)
        for length, kinds in ((LONG, ("top", "random")), (SHORT, ("top", "random", "interval", "other")))
        for kind in kinds
    }
    by_start = {
        length: {start: k for k, start in enumerate(tiling.start_of(np.arange(tiling.count)).tolist())}
        for length, tiling in every.half.tilings.items()
    }
    for (length, _), found in stored.items():
        excerpt = np.array([by_start[length][start] for start in found.start])
        tiling = every.half.tilings[length]
        assert np.array_equal(found.tokens, tiling.tokens_of(excerpt))
        assert np.array_equal(found.document, tiling.document_of(excerpt))
        assert np.array_equal(found.activations, every.excerpts[length][excerpt, :, found.unit])
    for unit in range(0, every.activations.shape[1], 7):
        mine = {
            key: [by_start[key[0]][start] for start in found.start[found.unit == unit]] for key, found in stored.items()
        }
        for length in (LONG, SHORT):
            assert mine[length, "top"] == every.top(length, unit, config.top)
        assert len(mine[LONG, "random"]) == len(set(mine[LONG, "random"])) == config.random
        assert len(mine[SHORT, "random"]) == len(set(mine[SHORT, "random"])) == config.short_random
        near = every.top(SHORT, unit, 50)
        maxima, highest = (
            every.excerpts[SHORT][:, :, unit].max(1).astype(np.float64),
            explain.activations[:, unit].max(),
        )
        expected = []
        for interval in range(12):
            above = maxima * 12 > interval * np.float64(highest)
            below = (maxima * 12 <= (interval + 1) * np.float64(highest)) | (interval == 11)
            allowed = np.setdiff1d(np.flatnonzero(above & below & (highest > 0)), near[:10])
            expected += every.lowest(unit, allowed, config.interval)
        assert mine[SHORT, "interval"] == expected
        best = explain.top(SHORT, unit, 10)
        held = explain.half.tilings[SHORT].tokens_of(np.array(best, dtype=np.int64))
        peaks = held[np.arange(len(best)), explain.excerpts[SHORT][best, :, unit].argmax(1)]
        holds = np.isin(every.half.tilings[SHORT].tokens_of(np.arange(len(maxima))), peaks).any(1)
        assert mine[SHORT, "other"] == every.lowest(unit, np.setdiff1d(np.flatnonzero(holds), near), config.other)


def test_an_excerpts_highest_activation_is_the_units_maximum_to_the_last_bit(recorded) -> None:
    records = recorded[1]
    for layer, units in enumerate(read_layers(records)):
        top = read_excerpts(records, layer, "score", "top")
        first = top.where(top.rank == 0)
        found = np.zeros(units)
        found[first.unit] = first.activations.max(1)
        assert np.array_equal(found, read_units(records, layer, "score")["maximum"])


def test_the_histogram_counts_what_fires_in_the_pool(recorded, tokens, small_study) -> None:
    model, records = recorded
    every = Everything(records, model, tokens, small_study.records, "score", 0)
    pool = draw_pool(len(every.excerpts[LONG]), small_study.records.pool, small_study.records.seed, "score", LONG)
    values = every.excerpts[LONG][pool].reshape(-1, every.activations.shape[1])
    histogram = read_units(records, 0, "score")["histogram"]
    assert np.array_equal(histogram.sum(1), (values > 0).sum(0))
    edges = np.linspace(0, every.activations[:, 3].max(), small_study.records.histogram + 1)
    assert np.array_equal(histogram[3], np.histogram(values[values[:, 3] > 0, 3], edges)[0])


def test_full_tables_hold_the_mean_of_every_token(recorded, tokens, small_study) -> None:
    model, records = recorded
    every = Everything(records, model, tokens, small_study.records, "explain", 0)
    stored = read_tables(records, 0)
    for token in np.unique(every.tokens)[::5]:
        here = every.tokens == token
        assert stored["counts"][token] == here.sum()
        expected = every.activations[here][:, stored["units"]].mean(0, dtype=np.float64)
        np.testing.assert_allclose(stored["means"][:, token], expected, rtol=1e-9)


def test_one_unit_can_be_read_alone(recorded) -> None:
    records = recorded[1]
    everything = read_excerpts(records, 1, "score", "random")
    alone = read_excerpts(records, 1, "score", "random", [5])
    expected = everything.where(everything.unit == 5)
    assert np.array_equal(alone.activations, expected.activations)
    assert np.array_equal(alone.tokens, expected.tokens)


def test_any_cut_into_shards_keeps_the_same_excerpts(recorded, tokens, small_study, tmp_path, quiet) -> None:
    model, records = recorded
    again = record(dataclasses.replace(small_study.records, shard=1500), model, tokens, tmp_path / "again", quiet)
    for layer in range(2):
        name = f"layer-{layer}.parquet"
        assert pq.read_table(again.path / name).equals(pq.read_table(records.path / name))
        for column, values in read_units(records, layer, "explain").items():
            np.testing.assert_allclose(read_units(again, layer, "explain")[column], values, rtol=1e-9)
