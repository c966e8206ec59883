"""The text sample: drawn uniformly without near-duplicates, exact in its places, and near in its activations."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cratelm.artifacts import Artifact, open_artifact
from cratelm.corpus.contexts import Contexts
from cratelm.corpus.read_tokens import Side
from cratelm.errors import InputError
from cratelm.records.draw_text import LONGEST, cut_pieces, draw_pieces
from cratelm.records.record import record
from cratelm.records.recording import Recording
from cratelm.records.store import read_excerpts, read_tables
from cratelm.records.text_sample import (
    TextSample,
    activations_name,
    read_text_sample,
    scale_of,
    text_name,
    to_half,
)
from cratelm.records.tiling import Half
from tests.records.test_records import Everything, recorded  # noqa: F401  a fixture

ROUNDING = 2.0**-11
"""Of a float16 with all its bits."""


def half_of(lengths: list[int], groups: list[int]) -> Half:
    """A document and a context of each length; documents of one group are near-duplicates."""
    ends = np.cumsum(np.array(lengths) + 1)
    side = Side(np.arange(ends[-1]).astype(np.uint32), ends, np.array(groups))
    contexts = Contexts(np.arange(len(lengths)), ends - np.array(lengths) - 1, np.array(lengths), 0)
    return Half("score", side, contexts, {})


def flat(sample: TextSample, values: np.ndarray) -> np.ndarray:
    """Values (..., contexts, T) without the padding: (..., tokens)."""
    return values[..., np.arange(values.shape[-1]) < sample.length[:, None]]


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", ["explain", "score"])
def test_a_sample_holds_the_places_of_its_draw_and_every_activation_is_near(
    recorded,  # noqa: F811
    tokens,
    small_study,
    layer,
    name,
) -> None:
    model, records = recorded
    every = Everything(records, model, tokens, small_study.records, name, layer)
    sample = read_text_sample(records, layer, name)
    contexts, pieces = every.half.contexts, draw_pieces(every.half, small_study.records.seed)
    assert (len(pieces.context) == len(contexts.start)) == (name == "explain")
    np.testing.assert_array_equal(sample.document, contexts.document[pieces.context])
    np.testing.assert_array_equal(sample.length, contexts.length[pieces.context])
    np.testing.assert_array_equal(sample.place, 0)
    drawn = np.isin(np.repeat(np.arange(len(contexts.start)), contexts.length), pieces.context)
    np.testing.assert_array_equal(flat(sample, sample.tokens), every.tokens[drawn])
    np.testing.assert_array_equal(sample.units, read_tables(records, layer, name)["units"])
    mine, truth = flat(sample, sample.activations), every.activations[drawn][:, sample.units].T
    np.testing.assert_allclose(mine, truth, rtol=ROUNDING)
    np.testing.assert_array_equal(mine > 0, truth > 0)
    assert sample.activations.sum() == pytest.approx(mine.sum())


def test_what_is_sampled_agrees_with_the_excerpts_of_the_same_places(recorded, tokens, small_study) -> None:  # noqa: F811
    """Other files, written by the other pass."""
    model, records = recorded
    sample = read_text_sample(records, 1, "score")
    half = Recording(small_study.records, model.path / "model", tokens).halves["score"]
    starts = half.contexts.start[draw_pieces(half, small_study.records.seed).context]
    excerpts = read_excerpts(records, 1, "score", "top")
    excerpts = excerpts.where(np.isin(excerpts.unit, sample.units) & np.isin(excerpts.start - excerpts.place, starts))
    assert len(excerpts.unit)
    row = np.searchsorted(starts, excerpts.start - excerpts.place)
    within = excerpts.place[:, None] + np.arange(excerpts.tokens.shape[1])
    unit = np.searchsorted(sample.units, excerpts.unit)
    np.testing.assert_array_equal(sample.tokens[row[:, None], within], excerpts.tokens)
    found = sample.activations[unit[:, None], row[:, None], within]
    np.testing.assert_allclose(found, excerpts.activations, rtol=ROUNDING)


def test_a_part_of_the_half_is_the_same_for_every_cut_into_shards(study: Path, small_study, tokens, tmp_path, quiet):
    """And a sample of fewer tokens than there are holds the places that the draw names."""
    from dataclasses import replace

    model = open_artifact(study / "models" / "crate", "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw_pieces, "__defaults__", (1500,))
        made = [
            record(replace(small_study.records, shard=size), model, tokens, tmp_path / str(size), quiet)
            for size in (640, 2**17)
        ]
        half = Recording(small_study.records, model.path / "model", tokens).halves["explain"]
        pieces = draw_pieces(half, small_study.records.seed)
    one, other = (read_text_sample(records, 1, "explain") for records in made)
    np.testing.assert_array_equal(one.activations, other.activations)
    np.testing.assert_array_equal(one.document, half.contexts.document[pieces.context])
    assert 1000 < one.length.sum() <= 1500 < half.contexts.length.sum()
    for name in (text_name("explain"), activations_name("explain", 1)):
        assert (made[0].path / name).read_bytes() == (made[1].path / name).read_bytes()


def test_a_few_units_are_read_alone(recorded) -> None:  # noqa: F811
    every = read_text_sample(recorded[1], 0, "score")
    some = read_text_sample(recorded[1], 0, "score", every.units[[2, 5]].tolist())
    np.testing.assert_array_equal(some.units, every.units[[2, 5]])
    np.testing.assert_array_equal(some.activations, every.activations[[2, 5]])


def test_records_of_before_name_the_missing_file_and_what_to_do(recorded, tmp_path) -> None:  # noqa: F811
    shutil.copytree(recorded[1].path, tmp_path / "records")
    (tmp_path / "records" / activations_name("score", 1)).unlink()
    records = Artifact(tmp_path / "records", {})
    with pytest.raises(InputError, match=r"text-score-1\.parquet is missing: records of an earlier version.*Record ag"):
        read_text_sample(records, 1, "score")
    assert len(read_text_sample(records, 0, "score").units)
    (tmp_path / "records" / text_name("score")).unlink()
    with pytest.raises(InputError, match=r"text-score\.parquet is missing"):
        read_text_sample(records, 0, "score")


@pytest.mark.parametrize("name", [text_name("score"), activations_name("score", 0)])
def test_a_damaged_sample_is_named(recorded, tmp_path, name) -> None:  # noqa: F811
    shutil.copytree(recorded[1].path, tmp_path / "records")
    (tmp_path / "records" / name).write_bytes((recorded[1].path / name).read_bytes()[:-40])
    with pytest.raises(InputError, match=f"{name} is damaged"):
        read_text_sample(Artifact(tmp_path / "records", {}), 0, "score")


def test_two_files_that_do_not_fit_each_other_are_named(recorded, tmp_path) -> None:  # noqa: F811
    shutil.copytree(recorded[1].path, tmp_path / "records")
    shutil.copyfile(recorded[1].path / text_name("explain"), tmp_path / "records" / text_name("score"))
    with pytest.raises(InputError, match=r"text-score-0\.parquet is damaged"):
        read_text_sample(Artifact(tmp_path / "records", {}), 0, "score")


POSITIVE = st.floats(0, 2.0**127, width=32)


@given(arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 20)), elements=POSITIVE))
def test_stored_activations_are_near_and_a_unit_that_fires_still_does(activations: np.ndarray) -> None:
    scale = scale_of(activations)
    read = to_half(activations, scale).astype(np.float64) * scale[:, None]
    assert np.array_equal(read > 0, activations > 0)
    largest = activations.max(axis=1, keepdims=True).astype(np.float64)
    error = np.abs(read - activations)
    assert (error <= np.maximum(ROUNDING * activations, 2.0**-38 * largest)).all()


def test_what_is_not_finite_stays_so_and_does_not_change_the_scale() -> None:
    values = np.array([[1.0, np.nan, np.inf, 3.0]], np.float32)
    stored = to_half(values, scale_of(values)).astype(np.float64) * scale_of(values)[:, None]
    np.testing.assert_array_equal(stored, values)


@given(st.lists(st.integers(1, 5 * LONGEST), min_size=1, max_size=20))
def test_pieces_tile_the_contexts_and_none_is_too_long(lengths: list[int]) -> None:
    pieces = cut_pieces(np.array(lengths))
    held = [(c, p + k) for c, p, n in zip(pieces.context, pieces.place, pieces.length, strict=True) for k in range(n)]
    assert held == [(context, place) for context, length in enumerate(lengths) for place in range(length)]
    assert pieces.length.max() <= LONGEST


@given(st.lists(st.tuples(st.integers(1, 900), st.integers(0, 5)), min_size=1, max_size=40), st.integers(1, 9000))
def test_a_draw_holds_one_document_of_a_group_and_no_more_tokens_than_asked_for(documents, most) -> None:
    half = half_of([length for length, _ in documents], [group for _, group in documents])
    pieces = draw_pieces(half, 0, most)
    drawn = half.contexts.document[pieces.context]
    groups = half.side.group[drawn]
    assert len(np.unique(groups)) == len(np.unique(drawn))
    assert pieces.length.sum() <= max(most, LONGEST)
    keys = pieces.context * 10_000 + pieces.place
    assert (np.diff(keys) > 0).all()
    every = draw_pieces(half, 0, 10**9)
    assert set(half.side.group[half.contexts.document[every.context]]) == set(half.side.group.tolist())
    left = np.setdiff1d(every.context * 10_000 + every.place, keys)
    assert not len(left) or pieces.length.sum() + every.length.max() > most


def test_every_token_is_drawn_as_often_as_every_other() -> None:
    half = half_of([64] * 30 + [900] * 10, list(range(40)))
    drawn = np.zeros(half.contexts.length.sum() + 40)
    for seed in range(400):
        pieces = draw_pieces(half, seed, 3000)
        for context, place, length in zip(pieces.context, pieces.place, pieces.length, strict=True):
            first = half.contexts.start[context] + place
            drawn[first : first + length] += 1
    places = zip(half.contexts.start, half.contexts.length, strict=True)
    shares = [drawn[start : start + length].mean() / 400 for start, length in places]
    assert np.mean(shares[:30]) == pytest.approx(np.mean(shares[30:]), rel=0.1)
