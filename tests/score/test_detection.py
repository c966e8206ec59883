"""Detection, fuzzing and intruder against brute force, and what they ask about against the records."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cratelm.artifacts import Artifact, open_artifact
from cratelm.corpus.read_tokens import read_tokenizer
from cratelm.corpus.token_text import token_texts
from cratelm.errors import InputError
from cratelm.explain.config import ExplainConfig
from cratelm.explain.explain import explain, read_explanations
from cratelm.explain.explainers.constant import Constant
from cratelm.explain.explainers.random import RandomNumbers
from cratelm.protocols import STRICT
from cratelm.records.store import read_excerpts, read_layers
from cratelm.score.config import ScoreConfig
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.questions import OTHERS, best_thresholds, found_lowest, fuzzed, line_ups
from cratelm.score.registry import METRICS
from cratelm.score.score import read_scores, score
from tests.explain.test_words import made
from tests.rule_judge import ByRule
from tests.shared import Shared

DETECTIONS = ("detection", "fuzzing", "intruder")
EXPLAINERS = ("table", "graph")


@pytest.fixture(scope="module")
def records(study: Path) -> Artifact:
    """Those of the study's second model."""
    return open_artifact(study / "records" / "gpt2", "records")


@pytest.fixture(scope="module")
def explanations(records: Artifact, shared: Shared, quiet) -> Artifact:
    """By two explainers."""
    config = ExplainConfig(explainer=",".join(EXPLAINERS))
    folder = shared.folder("explained-twice", lambda out: explain(config, records, out / "out", quiet))
    return open_artifact(folder / "out", "explanations")


@pytest.fixture(scope="module")
def scores(records: Artifact, explanations: Artifact, shared: Shared, quiet) -> dict[str, np.ndarray]:
    """All three metrics."""
    config = ScoreConfig(metric=",".join(DETECTIONS), replicates=100)
    folder = shared.folder("detected", lambda out: score(config, records, explanations, out / "out", quiet))
    return read_scores(open_artifact(folder / "out", "scores"))


def asked_of(records: Artifact, half: str, unit: int) -> list[tuple[np.ndarray, np.ndarray, int, bool]]:
    """Tokens, activations, place and answer of each excerpt that detection asks about, once each, in plain loops."""
    seen, found = set(), []
    for kind, count in (("interval", 2), ("random", 20), ("other", 30)):
        excerpts = read_excerpts(records, 0, half, kind, [unit], 9)
        left: dict[int, list[int]] = {}
        for row in np.lexsort((excerpts.rank, excerpts.interval)):
            if excerpts.start[row] not in seen:
                left.setdefault(int(excerpts.interval[row]), []).append(row)
        for row in [row for rows in left.values() for row in rows[:count]]:
            seen.add(excerpts.start[row])
            fires = bool((excerpts.activations[row] > 0).any())
            if kind == "interval" or not fires:
                found.append((excerpts.tokens[row], excerpts.activations[row], int(excerpts.place[row]), fires))
    firing, silent = [one for one in found if one[3]], [one for one in found if not one[3]]
    return firing + silent[:24]


def accuracy(values: np.ndarray, fires: np.ndarray, threshold: float) -> float:
    """Balanced, in one line."""
    return ((values[fires] >= threshold).mean() + (values[~fires] < threshold).mean()) / 2


def thresholds(values: np.ndarray) -> list[float]:
    """All that tell values apart in different ways, the highest first."""
    levels = sorted(set(values.tolist()))
    return [np.inf, *reversed([(a + b) / 2 for a, b in pairwise(levels)]), -np.inf]


@given(st.integers(0, 2**32 - 1))
def test_the_threshold_is_the_best_of_all_there_are(seed: int) -> None:
    generator = np.random.default_rng(seed)
    unit, value = generator.integers(0, 3, 12), generator.integers(0, 5, 12) / 4
    fires = generator.random(12) < 0.5
    found = best_thresholds(unit, value, fires, 3)
    for number in range(3):
        mine = unit == number
        if fires[mine].all() or not fires[mine].any():
            assert np.isnan(found[number])
        else:
            every = [accuracy(value[mine], fires[mine], threshold) for threshold in thresholds(value[mine])]
            assert accuracy(value[mine], fires[mine], found[number]) == pytest.approx(max(every))


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_detection_is_the_balanced_accuracy_of_plain_loops(records, explanations, scores, explainer) -> None:
    said = read_explanations(explanations, records, explainer, "openai", 0)
    rows = (scores["explainer"] == explainer) & (scores["metric"] == "detection") & (scores["layer"] == 0)
    compared = 0
    for unit, found, status in zip(*(scores[name][rows] for name in ("unit", "score", "status")), strict=True):
        halves = {}
        for half in ("explain", "score"):
            asked = asked_of(records, half, int(unit))
            values = [
                said.simulate(np.array([unit]), tokens[None], np.array([place])).max() for tokens, _, place, _ in asked
            ]
            halves[half] = np.array(values), np.array([fires for *_, fires in asked], bool)
        if any(fires.all() or not fires.any() for _, fires in halves.values()):
            assert status in ("dead", "one-sided")
            assert found == 0.5
            continue
        every = [accuracy(*halves["explain"], threshold) for threshold in thresholds(halves["explain"][0])]
        threshold = thresholds(halves["explain"][0])[int(np.argmax(np.round(every, 12)))]
        assert found == pytest.approx(accuracy(*halves["score"], threshold)), int(unit)
        compared += 1
    assert compared >= 5


@pytest.mark.parametrize(("metric", "chance"), zip(DETECTIONS, (0.5, 0.5, 0.2), strict=True))
def test_an_explanation_that_says_nothing_gets_what_chance_gets(records, metric, chance) -> None:
    units = np.arange(read_layers(records)[0])
    inputs = LayerInputs(records, 0, STRICT, dict.fromkeys(STRICT.shown, Constant()), units, seed=0)
    scored = METRICS[metric].compute(inputs)
    found = scored.score[scored.status == 0]
    assert len(found) >= 5
    np.testing.assert_allclose(found, chance)


def test_series_are_those_of_the_evidence_that_is_asked_for(records) -> None:
    said = {"openai": Constant(), "anthropic": RandomNumbers(300, 0)}
    inputs = LayerInputs(records, 0, STRICT, said, np.arange(read_layers(records)[0]), seed=0)
    constant, varying = (inputs.pair("random-only", evidence)[0].simulated for evidence in ("openai", "anthropic"))
    assert np.ptp(constant) == 0
    assert np.ptp(varying) > 0.5


def test_whole_text_is_of_the_units_that_are_explained(records) -> None:
    units = np.array([1, 4])
    said = dict.fromkeys(STRICT.shown, RandomNumbers(300, 0))
    scored = METRICS["whole-text"].compute(LayerInputs(records, 0, STRICT, said, units, seed=0))
    assert set(scored.units.tolist()) <= {1, 4} and len(scored.score) == len(scored.units) > 0


def test_metrics_that_apply_to_none_of_the_explainers_are_refused(records, tmp_path, quiet) -> None:
    explanations = explain(ExplainConfig(explainer="constant"), records, tmp_path / "explained", quiet)
    with pytest.raises(InputError, match="detection applies to none of constant"):
        score(ScoreConfig(metric="detection"), records, explanations, tmp_path / "scored", quiet)
    assert not (tmp_path / "scored").exists()


def test_every_number_lies_within_its_range_and_few_excerpts_give_no_interval(scores) -> None:
    asked = np.isin(scores["metric"], DETECTIONS)
    scored = asked & (scores["status"] == "scored")
    assert scored.any()
    assert ((scores["score"][asked] >= 0) & (scores["score"][asked] <= 1)).all()
    assert np.isnan(scores["low"][scored]).all() and np.isnan(scores["high"][scored]).all()


@given(st.integers(0, 2**32 - 1))
def test_fuzzing_marks_the_strongest_tokens_and_as_many_that_are_silent(seed: int) -> None:
    generator = np.random.default_rng(seed)
    activations = np.maximum(generator.normal(size=(6, 9)), 0).astype(np.float32)
    activations[0], activations[1] = 0, 1
    excerpt, marked, fires = fuzzed(activations, generator.random((6, 9)))
    half = len(fires) // 2
    assert set(excerpt.tolist()) == {unit for unit in range(6) if 0 < (activations[unit] > 0).sum() < 9}
    for right, wrong in zip(range(half), range(half, 2 * half), strict=True):
        values = activations[excerpt[right]]
        assert (fires[right], fires[wrong]) == (True, False)
        assert marked[right].sum() == marked[wrong].sum() == min((values > 0).sum(), (values <= 0).sum())
        assert (values[marked[right]] > 0).all()
        assert values[marked[right]].min() >= values[~marked[right]].max() or (values > 0).sum() > 4
        assert (activations[excerpt[wrong]][marked[wrong]] <= 0).all(), "verified silent"


@given(st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1))
def test_an_intruder_is_found_as_surely_as_it_is_alone_at_the_bottom(rows: list[list[int]]) -> None:
    expected = [(row[0] == min(row)) / row.count(min(row)) for row in rows]
    np.testing.assert_allclose(found_lowest(np.array(rows, float)), expected)


def test_a_line_up_has_one_silent_excerpt_and_others_of_the_same_unit_that_fire() -> None:
    unit = np.repeat([0, 1, 2], [8, 6, 9])
    fires = np.r_[np.ones(6), np.zeros(2), np.ones(3), np.zeros(3), np.ones(9)] > 0
    trials = line_ups(unit, fires, np.random.default_rng(0))
    assert trials.row.tolist() == [0, 0], "a unit needs enough of both kinds"
    assert trials.excerpt[:, 0].tolist() == [6, 7]
    for row in trials.excerpt:
        assert len(set(row.tolist())) == 1 + OTHERS
        assert fires[row[1:]].all()


class Finder(ByRule):
    """Knows which words its units fire on: says 1 where the text or its marked parts hold them."""

    def digits(self, prompts, places):
        for number, (prompt, at) in enumerate(zip(prompts, places, strict=True)):
            self.asked += 1
            text = prompt.rpartition("Text: ")[2]
            shares = [0.0] * 10
            if prompt.startswith("Below are five"):
                shares[1] = 1.0
            else:
                shares[int("film" in ("".join(part.partition(">>")[0] for part in text.split("<<")[1:]) or text))] = 1.0
            yield number, [shares] * len(at)


def test_a_language_model_is_asked_the_same_questions_and_believed(study, tmp_path, quiet) -> None:
    records = open_artifact(study / "records" / "gpt2", "records")
    scores = read_scores(made(records, Finder(), tmp_path, quiet, "detection,fuzzing,intruder"))
    rows = (scores["metric"] == "detection") & (scores["layer"] == 0)
    names = token_texts(read_tokenizer(records))
    for unit, found, status in zip(*(scores[name][rows] for name in ("unit", "score", "status")), strict=True):
        asked = asked_of(records, "score", int(unit))
        said = np.array(["film" in "".join(names[token] for token in tokens) for tokens, *_ in asked], float)
        fires = np.array([one[3] for one in asked], bool)
        if status == "scored":
            assert found == pytest.approx(accuracy(said, fires, 0.5))
    intruders = scores["metric"] == "intruder"
    np.testing.assert_allclose(scores["shuffled"][intruders], 0.2)
