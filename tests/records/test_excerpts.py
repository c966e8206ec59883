"""What records are made of, each against its plain definition: kept excerpts, draws, moments, cuts, clamped sites."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cratelm.corpus.read_tokens import Side
from cratelm.errors import InputError
from cratelm.models.build import build_model
from cratelm.records.choose_excerpts import first_of_each_passage
from cratelm.records.hash_sampling import draw_pool, draw_random, mix, priorities
from cratelm.records.moments import Moments
from cratelm.records.reservoir import LowestPriorities
from cratelm.records.tiling import cut_batches, cut_half, cut_shards
from cratelm.records.top import TopExcerpts
from cratelm.seeds import derive_seed
from cratelm.shapes import ShapeConfig
from cratelm.units.sites import at_sites, find_sites


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


def test_moments_equal_scipys() -> None:
    generator = torch.Generator().manual_seed(0)
    activations = torch.relu(torch.randn(2000, 5, generator=generator)) * torch.tensor([0.0, 1e-3, 1, 10, 1000])
    activations[:, 0] = 0
    moments, other = Moments(5), Moments(5)
    moments.update(activations[:600].view(2, 300, 5))
    other.update(activations[600:].view(1, 1400, 5))
    moments.add(other.state())
    found, x = moments.statistics(), activations.double().numpy()
    np.testing.assert_array_equal(found["maximum"], x.max(0))
    np.testing.assert_allclose(found["mean"], x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found["variance"], x.var(0), rtol=1e-9)
    np.testing.assert_allclose(found["skewness"][1:], stats.skew(x[:, 1:]), rtol=1e-8)
    np.testing.assert_allclose(found["kurtosis"][1:], stats.kurtosis(x[:, 1:], fisher=False), rtol=1e-8)
    np.testing.assert_array_equal(found["firing_rate"], (x > 0).mean(0))
    assert np.isnan(found["skewness"][0])


def test_the_maximum_of_a_unit_that_is_minus_zero_everywhere_has_no_sign() -> None:
    moments = Moments(64)  # of two zeros torch takes the second where it works on many at once
    moments.update(torch.full((2, 3, 64), -0.0))
    assert not np.signbit(moments.statistics()["maximum"]).any()


@pytest.mark.parametrize(("mean", "spread"), [(3.0, 1e-5), (1e4, 0.1), (0.0, 1.0)])
def test_moments_of_a_small_spread_on_a_large_mean_do_not_cancel(mean: float, spread: float) -> None:
    x = (mean + spread * np.random.default_rng(1).exponential(size=(6000, 1))).astype(np.float32)
    moments = Moments(1)
    for part in np.array_split(x, 7):
        moments.update(torch.from_numpy(part)[None])
    found, exact = moments.statistics(), x.astype(np.float64)
    assert found["skewness"][0] == pytest.approx(stats.skew(exact)[0], rel=1e-6)
    assert found["kurtosis"][0] == pytest.approx(stats.kurtosis(exact, fisher=False)[0], rel=1e-6)


def test_of_excerpts_that_repeat_a_passage_the_strongest_is_kept() -> None:
    passage = [7, 3, 9, 4, 8, 2, 6, 5]
    documents = [[1] * at + passage + [1] * (63 - at) for at in range(0, 40, 2)]  # the peak lies on the passage's end
    documents.append([2] * 30 + [9] + passage[1:] + [2] * 33)  # another token, eight before the peak
    tokens = np.array([token for document in documents for token in (*document, 0)], np.uint16)
    side = Side(tokens, np.cumsum([len(document) + 1 for document in documents]))
    half = cut_half("score", side, context=65)
    blocks = np.zeros((len(documents), 1, 64, 1), np.float32)
    for row, document in enumerate(documents):
        blocks[row, 0, document.index(5), 0] = 1 + row
    top = TopExcerpts(1, 50)
    every = np.arange(len(documents))
    top.update(torch.from_numpy(blocks), torch.from_numpy(blocks).amax(2), every, every)
    top.settle()
    kept, rank = first_of_each_passage(top, half.tilings[64])
    assert top.excerpt[kept].tolist() == [20, 19] and rank.tolist() == [0, 1]


def test_an_excerpt_longer_than_the_context_is_refused() -> None:
    side = Side(np.zeros(60, np.uint16), np.array([60]))
    with pytest.raises(InputError, match="do not fit a context of 64"):
        cut_half("score", side, context=64)
    said = (
        r"no document of the score side is 64 tokens long\. The longest of 1 has 59\. .* short\. .* larger shares: --ex"
    )
    with pytest.raises(InputError, match=said):
        cut_half("score", side, context=256)
    with pytest.raises(InputError, match=r"--records\.tokens 59: the first document of the score side has 60"):
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


def test_a_units_random_excerpts_are_the_pools_first_by_hash() -> None:
    pool, units = draw_pool(1000, 300, 1, "score"), 150
    own = mix(np.arange(units) + np.int64(derive_seed(1, "random", "site")))
    expected = pool[np.argsort(mix(own[:, None] ^ mix(pool)), axis=1, kind="stable")]
    assert np.array_equal(draw_random(pool, units, 10, 1, "site"), expected[:, :10])
    assert np.array_equal(draw_random(pool, units, 300, 1, "site"), expected)


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
