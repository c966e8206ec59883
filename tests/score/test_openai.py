"""Our arithmetic is OpenAI's: the same records, scored by their own package in an environment of its own."""

import json
import subprocess

import numpy as np
import pytest

from cratelm.artifacts import open_artifact
from cratelm.explain.explain import read_explanations
from cratelm.protocols import PROTOCOLS
from tests.foreign import environment
from tests.test_study import drawn_excerpts, scores_of

SCORE = """
import json, sys
from neuron_explainer.activations.activations import get_slices_for_splits
from neuron_explainer.explanations.explanations import ActivationScale, ScoredSequenceSimulation, SequenceSimulation
from neuron_explainer.explanations.scoring import aggregate_scored_sequence_simulations

def scored(excerpt):
    simulation = SequenceSimulation(
        tokens=excerpt["tokens"], expected_activations=excerpt["simulated"],
        activation_scale=ActivationScale.NEURON_ACTIVATIONS, distribution_values=[], distribution_probabilities=[],
    )
    return ScoredSequenceSimulation(simulation=simulation, true_activations=excerpt["truth"], ev_correlation_score=0,
                                    rsquared_score=0, absolute_dev_explained_score=0)

def score(unit):
    found = aggregate_scored_sequence_simulations([scored(excerpt) for excerpt in unit])
    return [found.ev_correlation_score, found.rsquared_score, found.absolute_dev_explained_score]

units = json.load(sys.stdin)
splits = {name: [s.start, s.stop, s.step] for name, s in get_slices_for_splits(["train", "valid"], 5).items()}
print(json.dumps({"scores": [score(unit) for unit in units], "splits": splits}))
"""


@pytest.fixture(scope="module")
def theirs(request, study):
    """Some units of the study, and what OpenAI's package makes of them."""
    python = environment(request.config, "automated-interpretability==0.0.24")
    records = open_artifact(study / "records" / "crate", "records")
    explanations = open_artifact(study / "explanations" / "crate", "explanations")
    rows = [
        row
        for row in scores_of(study, "crate")
        if row["metric"] in ("top-and-random", "random-only")
        and row["explainer"] in ("table", "graph")
        and row["status"] == "scored"
    ][::7]
    units = []
    for row in rows:
        made = read_explanations(explanations, records, row["explainer"], "openai", row["layer"])
        units.append(
            [
                {
                    "tokens": [str(token) for token in tokens],
                    "truth": activations.astype(float).tolist(),
                    "simulated": made.simulate(np.array([row["unit"]]), tokens[None], np.array([place]))[0].tolist(),
                }
                for tokens, activations, place in drawn_excerpts(records, row["layer"], row["unit"], row["metric"])
            ]
        )
    said = subprocess.run([python, "-c", SCORE], input=json.dumps(units), capture_output=True, text=True, check=True)
    return rows, json.loads(said.stdout)


@pytest.mark.foreign
@pytest.mark.parametrize(("column", "place"), [("score", 0), ("rsquared", 1), ("absolute_deviation_explained", 2)])
def test_scores_are_those_of_openais_package(theirs, column: str, place: int) -> None:
    rows, found = theirs
    assert len(rows) > 20
    for row, expected in zip(rows, found["scores"], strict=True):
        assert row[column] == pytest.approx(expected[place], abs=1e-6)


@pytest.mark.foreign
def test_the_papers_top_excerpts_are_split_as_openais_package_interleaves_two_splits(theirs) -> None:
    splits = {name: list(range(*bounds)) for name, bounds in theirs[1]["splits"].items()}
    paper = PROTOCOLS["paper"]
    assert list(paper.shown["openai"][0].ranks) == splits["train"]
    assert list(paper.scored["top-and-random"][1].ranks) == splits["valid"]
    assert list(paper.scored["random-only"][0].ranks) == splits["train"]
