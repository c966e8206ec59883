"""Pattern graphs, against a plain reading of their rules, and on units whose rule is known."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cratelm.explain.explainers.graph import CHAINS, MUST_GAIN, OF_TOKENS, PATTERNS, PLACE, PatternGraphs, _Shown


def fixed_at(pattern, tokens, place, column):
    """What a pattern fixes at one position of one excerpt; None where it reaches out of it."""
    if any(offset > column for offset in pattern if offset != PLACE):
        return None
    return tuple(place + column if offset == PLACE else tokens[column - offset] for offset in pattern)


def brute_chain(tokens, activations, place) -> int:
    """One unit's chain: each excerpt predicted from the others, with dictionaries."""
    errors = []
    for number, chain in enumerate(CHAINS):
        error = 0.0
        for row in range(len(tokens)):
            seen = defaultdict(list)
            for other in range(len(tokens)):
                for column in range(tokens.shape[1]):
                    for pattern in chain:
                        fixed = fixed_at(pattern, tokens[other], place[other], column)
                        if other != row and fixed is not None:
                            seen[pattern, fixed].append(activations[other, column])
            for column in range(tokens.shape[1]):
                expected = 0.0
                for pattern in chain:
                    found = seen.get((pattern, fixed_at(pattern, tokens[row], place[row], column)))
                    expected = float(np.mean(found)) if found else expected
                error += (activations[row, column] - expected) ** 2
        errors.append(error * (1 - MUST_GAIN if number < OF_TOKENS else 1))
    return int(np.argmin(np.round(errors, 9)))


@given(st.integers(0, 2**32 - 1))
def test_a_units_graph_is_the_one_that_predicts_each_excerpt_best_from_the_others(seed: int) -> None:
    generator = np.random.default_rng(seed)
    unit = np.repeat([2, 7], 4)
    tokens, activations = generator.integers(0, 4, (8, 6)), generator.random((8, 6)).astype(np.float32)
    place = generator.integers(0, 2, 8) * 6
    shown = _Shown(unit, tokens, activations, place)
    for row, number in enumerate((2, 7)):
        mine = unit == number
        expected = brute_chain(tokens[mine], activations[mine].astype(float), place[mine])
        assert CHAINS[shown.chain[row]] == CHAINS[expected]


RULES = {
    "a token": lambda tokens, place: tokens == 3,
    "a bigram": lambda tokens, place: (tokens == 3) & (np.roll(tokens, 1, 1) == 5) & (np.arange(40) > 0),
    "a token after the next but one": lambda tokens, place: (
        (tokens == 3) & (np.roll(tokens, 2, 1) == 5) & (np.arange(40) > 1)
    ),
    "whatever follows a token": lambda tokens, place: (np.roll(tokens, 1, 1) == 5) & (np.arange(40) > 0),
    "a place": lambda tokens, place: place[:, None] + np.arange(40) == 2,
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_of_tokens_or_places_is_found_and_holds_on_other_text(name: str) -> None:
    generator = np.random.default_rng(0)
    shown, held_out = generator.integers(0, 12, (2, 30, 40))
    place = np.tile([0, 40], 15)
    unit = np.full(30, 4)
    activations = 2.0 * RULES[name](shown, place)
    graphs = PatternGraphs.explain(unit, shown, activations, place)
    truth = 2.0 * RULES[name](held_out, place)
    simulated = graphs.simulate(unit, held_out, place)
    assert np.corrcoef(truth.ravel(), simulated.ravel())[0, 1] > 0.9


def test_an_explanation_reads_as_english() -> None:
    texts = ["a", " of", " the", "\n", "b", "c"]
    made = PatternGraphs.of(
        np.array([0, 0, 1, 2]),
        np.array([PATTERNS.index(pattern) for pattern in ((0, 1), (), (1,), (PLACE,))]),
        np.array([[2, 1, -2], [-2, -2, -2], [3, -2, -2], [0, -2, -2]]),
        np.array([4.0, 1.0, 2.0, 3.0]),
    )
    assert made.describe(0, texts) == "fires on ' the' after ' of' 1.00; elsewhere 0.25"
    assert made.describe(1, texts) == "fires on any token after '\\n' 1.00; elsewhere 0.00"
    assert made.describe(2, texts) == "fires at place 0 of the text 1.00; elsewhere 0.00"
    assert made.describe(9, texts) == "never fires on the text it was shown"


def test_a_unit_without_excerpts_is_expected_to_be_silent() -> None:
    nothing = np.empty((0, 4), np.int64)
    graphs = PatternGraphs.explain(np.empty(0, np.int64), nothing, nothing.astype(float), np.empty(0, np.int64))
    assert (graphs.simulate(np.array([3]), np.array([[1, 2, 3, 4]]), np.array([0])) == 0).all()
