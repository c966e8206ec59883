"""The correlation over the whole half, without keeping it, is the one of all activations side by side."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cratelm.artifacts import open_artifact
from cratelm.corpus.contexts import context_tokens
from cratelm.errors import InputError
from cratelm.explain.explain import read_explanations
from cratelm.models.subject import model_folder
from cratelm.records.recording import Recording
from cratelm.records.store import read_tables
from cratelm.score.metrics.whole_text import correlations
from cratelm.score.score import read_scores

VOCABULARY = 7


@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_sums_by_token_give_the_correlation_of_all_tokens(seed: int, length: int) -> None:
    generator = np.random.default_rng(seed)
    tokens = generator.integers(VOCABULARY, size=length)
    truth = np.maximum(generator.normal(size=(3, length)), 0)
    expected = generator.normal(size=(3, VOCABULARY)) * [[1], [1], [0]]
    counts = np.bincount(tokens, minlength=VOCABULARY)
    means = np.stack([np.bincount(tokens, of, VOCABULARY) for of in truth]) / np.maximum(counts, 1)
    found = correlations(means, truth.var(1), expected, counts)
    for unit in range(3):
        series = truth[unit], expected[unit][tokens]
        varies = all(np.ptp(of) > 0 for of in series)
        assert found[unit] == pytest.approx(np.corrcoef(series)[0, 1] if varies else 0.0, abs=1e-9)


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-5])
def test_a_correlation_of_values_far_from_0_is_that_of_what_they_differ_by(spread: float) -> None:
    generator = np.random.default_rng(0)
    tokens = generator.integers(VOCABULARY, size=4000)
    expected = generator.normal(size=(1, VOCABULARY))
    truth = 3 + spread * (expected[0][tokens] + generator.normal(size=4000))
    counts = np.bincount(tokens, minlength=VOCABULARY)
    means = (np.bincount(tokens, truth, VOCABULARY) / counts).astype(np.float32)[None]  # as tables are kept
    (found,) = correlations(means, np.array([truth.var()]), expected, counts)
    assert found == pytest.approx(np.corrcoef(truth, expected[0][tokens])[0, 1], abs=0.02)


@pytest.mark.parametrize("explainer", ["table", "table-full"])
def test_a_units_whole_text_score_is_its_correlation_over_every_token_of_the_score_half(
    study: Path, small_study, explainer: str
) -> None:
    model = open_artifact(study / "models" / "crate", "model")
    records, explanations, scores = (
        open_artifact(study / name / "crate", name) for name in ("records", "explanations", "scores")
    )
    recording = Recording(small_study.records, model_folder(model), open_artifact(study / "tokens", "tokens"))
    texts, kept = [], []
    for shard in recording.shards:
        if shard.half.name == "score":

            def see(batch, layer, activations, half=shard.half) -> None:
                if layer == 1:
                    texts.append(context_tokens(half.side, half.contexts, batch).ravel().astype(np.int64))
                    kept.append(activations.flatten(0, 1).double().numpy().copy())

            recording.run(shard, see, lambda: None)
    tokens, activations = np.concatenate(texts), np.concatenate(kept)
    said = read_explanations(explanations, records, explainer, "openai", 1)
    rows = read_scores(scores)
    mine = (rows["explainer"] == explainer) & (rows["metric"] == "whole-text") & (rows["layer"] == 1)
    assert np.array_equal(rows["unit"][mine], read_tables(records, 1, "score")["units"])
    for unit, score, status in zip(rows["unit"][mine], rows["score"][mine], rows["status"][mine], strict=True):
        expected = said.simulate(np.array([unit]), tokens[None], np.zeros(1, np.int64))[0]
        varies = np.ptp(expected) > 0 and np.ptp(activations[:, unit]) > 0
        assert (status == "scored") == varies
        assert score == pytest.approx(np.corrcoef(activations[:, unit], expected)[0, 1] if varies else 0.0, abs=1e-6)


def test_records_of_an_earlier_version_are_said_to_lack_the_tables(study: Path, tmp_path: Path) -> None:
    records = open_artifact(study / "records" / "crate", "records")
    with pytest.raises(InputError, match="earlier version"):
        read_tables(type(records)(tmp_path, records.manifest), 0, "score")
