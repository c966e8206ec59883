"""Whole-text is the correlation over the text sample, with its control, and its interval is that of documents."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cratelm.artifacts import Artifact, open_artifact
from cratelm.errors import InputError
from cratelm.explain.explain import read_explanations
from cratelm.explain.explainer import Explanations, simulate_all
from cratelm.explain.registry import EXPLAINERS
from cratelm.protocols import STRICT
from cratelm.records.store import read_tables, read_units
from cratelm.records.text_sample import FlatSample, read_flat_sample, read_text_sample
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.metrics import whole_text
from cratelm.score.metrics.whole_text import WHOLE_TEXT, simulate_text, sums_by_document
from cratelm.score.registry import ENDPOINT_METRICS, METRICS
from cratelm.score.replicates import layer_replicates
from cratelm.score.score import read_replicates, read_scores, replicates_key
from cratelm.stats import draw_weights

WITHOUT_WORDS = ("table", "graph", "table-full", "bigram-full", "trigram-full", "random")


def opened(study: Path, name: str) -> tuple[Artifact, Artifact, Artifact]:
    """Records, explanations and scores of a model."""
    records, explanations, scores = (
        open_artifact(study / stage / name, stage) for stage in ("records", "explanations", "scores")
    )
    return records, explanations, scores


@pytest.mark.parametrize("explainer", WITHOUT_WORDS)
@pytest.mark.parametrize("model", ["crate", "gpt2"])
def test_a_units_score_is_its_correlation_over_every_token_of_the_sample(study: Path, model: str, explainer: str):
    """A context at a time, as an excerpt of it would be simulated."""
    records, explanations, scores = opened(study, model)
    said = read_explanations(explanations, records, explainer, "openai", 1)
    sample, rows = read_text_sample(records, 1, "score"), read_scores(scores)
    mine = (rows["explainer"] == explainer) & (rows["metric"] == "whole-text") & (rows["layer"] == 1)
    assert mine.sum() >= 10
    assert set(rows["unit"][mine]) <= set(sample.units)
    for unit, score, status in zip(rows["unit"][mine], rows["score"][mine], rows["status"][mine], strict=True):
        truth, expected = [], []
        for row, length in enumerate(sample.length):
            truth.append(sample.activations[np.searchsorted(sample.units, unit), row, :length])
            given_text = sample.tokens[row : row + 1, :length], sample.place[row : row + 1]
            expected.append(said.simulate(np.array([unit]), *given_text)[0])
        series = np.concatenate(truth).astype(float), np.concatenate(expected)
        varies = all(np.ptp(of) > 0 for of in series)
        assert (status == "scored") == varies
        assert score == pytest.approx(np.corrcoef(series)[0, 1] if varies else 0.0, abs=1e-6)


@pytest.mark.parametrize("explainer", sorted(set(EXPLAINERS) - {"llm"}))
def test_what_is_simulated_of_many_units_on_one_text_is_what_each_row_gives(study, explainer) -> None:
    records, explanations, _ = opened(study, "gpt2")
    if explainer in explanations.config["explainer"].split(","):
        said = read_explanations(explanations, records, explainer, "openai", 0)
    else:
        said = EXPLAINERS[explainer].read(Path(), kept_nothing())
    sample = read_text_sample(records, 0, "score")
    equal = sample.length == np.bincount(sample.length).argmax()
    tokens, place = sample.tokens[equal][:, : sample.length[equal][0]], sample.place[equal] + 3
    # Texts of other places, a token that nobody has seen, and units that are not explained.
    tokens[0, :4] = 299
    units = np.unique(np.r_[sample.units, 0, 1, 2])
    together = simulate_all(said, units, tokens, place)
    for row, unit in enumerate(units):
        np.testing.assert_array_equal(together[row], said.simulate(np.full(len(tokens), unit), tokens, place))


def kept_nothing():
    """What a control is read with."""
    from cratelm.explain.explainer import Kept

    return Kept(Artifact(Path(), {}), 0, 300, 0)


class Planned:
    """Expects numbers that depend on the unit, the token and its place in the context."""

    def simulate(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Expected activations (rows, T)."""
        at = place[:, None] + np.arange(tokens.shape[1])
        return np.cos(tokens * (1 + unit[:, None]) + at)

    def describe(self, unit: int, texts) -> str:
        """Nothing."""
        return ""


def sample_of(lengths: list[int], documents: list[int], units: int, seed: int) -> FlatSample:
    generator = np.random.default_rng(seed)
    tokens = generator.integers(20, size=sum(lengths))
    activations = np.maximum(generator.normal(size=(units, len(tokens))), 0).astype(np.float32)
    place = generator.integers(9, size=len(lengths))
    return FlatSample(tokens, np.array(lengths), place, np.sort(documents), 3 * np.arange(units), activations)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=12), st.integers(1, 60))
def test_contexts_are_simulated_by_their_own_place_however_the_work_is_cut(pieces, at_once: int) -> None:
    text = sample_of([length for length, _ in pieces], [document for _, document in pieces], 4, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_text, "AT_ONCE", at_once)
        found = simulate_text(Planned(), text)
    first = 0
    for length, place in zip(text.length, text.place, strict=True):
        tokens = np.broadcast_to(text.tokens[first : first + length], (4, length))
        expected = Planned().simulate(text.units, tokens, np.full(4, place))
        np.testing.assert_allclose(found[:, first : first + length], expected, atol=1e-6)
        first += length


def test_scores_and_controls_are_correlations_and_leaving_a_document_out_leaves_all_its_contexts_out() -> None:
    text = sample_of([5, 7, 4, 6, 9, 3], [0, 0, 2, 2, 2, 5], 6, 1)
    simulated = simulate_text(Planned(), text)
    partner = np.array([3, 4, 5, 0, 1, 2])
    own, other = sums_by_document(text, simulated, partner)
    of_token = np.repeat(text.document, text.length)
    assert own.document[0].tolist() == [0, 2, 5]
    for left_out in (None, 0, 2, 5):
        kept = of_token != left_out
        weights = (own.document[0] != left_out).astype(float)[None, None]
        for sums, rows in ((own, np.arange(6)), (other, partner)):
            expected = [
                np.corrcoef(x[kept], y[kept])[0, 1] for x, y in zip(text.activations, simulated[rows], strict=True)
            ]
            np.testing.assert_allclose(sums.scores(weights)[0], expected, atol=1e-9)


def test_the_interval_is_that_of_documents_drawn_again() -> None:
    """Against scoring each replicate anew, documents weighted as they are drawn."""
    generator = np.random.default_rng(2)
    documents = np.repeat(np.arange(60), 2)
    text = sample_of([40] * 120, documents.tolist(), 8, 2)
    by_document = generator.normal(size=60)[np.repeat(documents, 40)]
    simulated = (text.activations + by_document + generator.normal(size=text.activations.shape)).astype(np.float32)
    own, _ = sums_by_document(text, simulated, np.roll(np.arange(8), 1))
    drawn = draw_weights(60, 2000, 0)
    _, of_documents = layer_replicates(own, drawn, draw_weights(8, 2000, 1))
    anew = own.scores(drawn[:, None, :]).mean(1)
    assert of_documents.std() == pytest.approx(anew.std(), rel=0.1)


def test_every_study_names_it_as_its_second_endpoint_with_an_interval(study: Path) -> None:
    assert "whole-text" in ENDPOINT_METRICS
    replicates = read_replicates(opened(study, "crate")[2])
    for explainer in ("table", "graph", "table-full", "trigram-full", "random"):
        for name in ("own", "shuffled", "documents"):
            assert np.ptp(replicates[replicates_key(0, explainer, "whole-text", name)]) > 0


def test_it_is_of_the_sampled_units_that_are_explained(study: Path) -> None:
    records, _, _ = opened(study, "crate")
    sampled = read_flat_sample(records, 0, "score").units
    units = np.unique(np.r_[sampled[[1, 4]], np.setdiff1d(np.arange(64), sampled)[:3]])
    scored = WHOLE_TEXT.compute(inputs_of(records, units))
    np.testing.assert_array_equal(scored.units, sampled[[1, 4]])
    nothing = WHOLE_TEXT.compute(inputs_of(records, np.setdiff1d(np.arange(64), sampled)[:3]))
    assert len(nothing.units) == len(nothing.score) == 0


def inputs_of(records: Artifact, units: np.ndarray) -> LayerInputs:
    said: dict[str, Explanations] = dict.fromkeys(STRICT.shown, Planned())
    return LayerInputs(records, 0, STRICT, said, units, seed=0)


def test_a_unit_that_is_not_finite_is_silent(study: Path, monkeypatch) -> None:
    records, _, _ = opened(study, "crate")
    units = read_flat_sample(records, 0, "score").units
    plain = read_flat_sample

    def damaged(*given) -> FlatSample:
        text = plain(*given)
        text.activations[2, 5] = np.nan
        return text

    monkeypatch.setattr(whole_text, "read_flat_sample", damaged)
    statistics = read_units(records, 0, "score")
    finite = statistics["finite"].copy()
    finite[units[2]] = False
    monkeypatch.setattr(whole_text, "read_units", lambda *given: statistics | {"finite": finite})
    scored = WHOLE_TEXT.compute(inputs_of(records, np.arange(64)))
    assert scored.status[2] == 2  # silent
    assert np.isfinite(scored.score).all() and np.isfinite(scored.shuffled).all()


def test_a_language_model_is_not_asked_to_read_it() -> None:
    assert not METRICS["whole-text"].applies(EXPLAINERS["llm"], STRICT)
    assert all(METRICS["whole-text"].applies(EXPLAINERS[name], STRICT) for name in WITHOUT_WORDS)


def test_records_of_an_earlier_version_are_said_to_lack_the_sample(study: Path, tmp_path: Path) -> None:
    records = open_artifact(study / "records" / "crate", "records")
    for read in (read_tables, read_flat_sample):
        with pytest.raises(InputError, match="earlier version"):
            read(type(records)(tmp_path, records.manifest), 0, "score")
