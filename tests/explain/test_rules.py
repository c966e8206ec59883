"""Rules: conditions against a plain reading of their words, fits against brute force, and what is kept of them."""

import re
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cratelm.artifacts import Artifact, open_artifact
from cratelm.errors import InputError
from cratelm.explain.config import ExplainConfig
from cratelm.explain.explain import explain, read_explanations, read_sentences
from cratelm.explain.rules.candidate_matrix import CandidateMatrix
from cratelm.explain.rules.condition import Condition
from cratelm.explain.rules.file import read_rules, write_rules
from cratelm.explain.rules.fit import RARE, fit_excerpts, fit_sample
from cratelm.explain.rules.grow import CONDITIONS, TOKENS
from cratelm.explain.rules.grow import RULES as MOST_RULES
from cratelm.explain.rules.kinds import KINDS
from cratelm.explain.rules.pieces import of_sample
from cratelm.explain.rules.rule_lists import Rule, RuleLists
from cratelm.explain.rules.shorten import MAY_LOSE, shorten
from cratelm.explain.rules.split import TOWARDS_LEAF, Sums, best_split
from cratelm.explain.rules.text_view import TextView
from cratelm.records.excerpts import Excerpts
from cratelm.records.store import read_layers
from cratelm.records.text_sample import TextSample, activations_name, read_text_sample
from cratelm.score.score import read_scores

STAGES = ("records", "explanations", "scores")
TEXTS = ["\n", " the", "The", " (", ")", '"', "'", "'s", " 7", "7", ".", ",", " running", " singing", " ringing", " A"]
"""A small vocabulary with something of every class."""


def view_of(seed: int, rows: int = 6, width: int = 30) -> TextView:
    generator = np.random.default_rng(seed)
    return TextView(generator.integers(0, len(TEXTS), (rows, width)), generator.integers(0, 2, rows) * 64, TEXTS)


def said(view: TextView, row: int, column: int) -> list[str]:
    """The texts up to a token, itself included."""
    return [TEXTS[token] for token in view.tokens[row, : column + 1]]


def in_line(words: list[str], place: int) -> list[str] | None:
    """What stands before the last word in its line; None where the line began before the text."""
    before = words[:-1]
    for back, word in enumerate(reversed(before)):
        if "\n" in word:
            return before[len(before) - back :]
    return before if place == 0 else None


def open_brackets(words: list[str], opens: str, closes: str) -> int:
    depth = 0
    for character in "".join(words):
        depth = max(depth + (character == opens) - (character == closes), 0)
    return depth


PLAIN = {
    Condition("token", tokens=(1, 11)): lambda words, place: words[-1] in (" the", ","),
    Condition("token", 2, tokens=(3,)): lambda words, place: len(words) > 2 and words[-3] == " (",
    Condition("recent", window=4, tokens=(10,)): lambda words, place: "." in words[-5:-1],
    Condition("recent", tokens=(10,)): lambda words, place: "." in (in_line(words, place) or []),
    Condition("class", text="is a number"): lambda words, place: words[-1] in (" 7", "7"),
    Condition("class", 1, text="begins with a capital letter"): lambda words, place: words[-2:-1] in (["The"], [" A"]),
    Condition("ending", text="ing"): lambda words, place: words[-1].endswith("ing"),
    Condition("inside", text="round brackets"): lambda words, place: (
        min(open_brackets(words[:-1], "(", ")"), open_brackets(words, "(", ")")) > 0
    ),
    Condition("inside", text="double quotes"): lambda words, place: (
        words[-1] != '"' and "".join(words[:-1]).rpartition("\n")[2].count('"') % 2 == 1
    ),
    Condition("inside", text="single quotes"): lambda words, place: (
        words[-1] != "'" and "\0".join(["", *words[:-1]]).rpartition("\n")[2].split("\0").count("'") % 2 == 1
    ),
    Condition("seen", window=8): lambda words, place: words[-1] in words[-9:-1],
    Condition("seen", 1, 8): lambda words, place: len(words) > 1 and words[-2] in words[-10:-2],
    Condition("place", 2): lambda words, place: place + len(words) == 3,
    Condition("place", 64, 1): lambda words, place: place + len(words) > 64,
    Condition("place-in-line", 1): lambda words, place: (line := in_line(words, place)) is not None and len(line) == 1,
}


@pytest.mark.parametrize("condition", PLAIN, ids=str)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_condition_holds_where_its_words_say_so(condition: Condition, seed: int) -> None:
    view = view_of(seed)
    holds = KINDS[condition.kind].holds(condition, view, np.arange(len(view.tokens)))
    for row, column in np.ndindex(view.tokens.shape):
        assert holds[row, column] == PLAIN[condition](said(view, row, column), view.place[row]), (row, column)


@given(st.integers(0, 2**32 - 1))
def test_induction_holds_where_the_token_followed_the_one_before_it_the_last_time(seed: int) -> None:
    view = view_of(seed)
    holds = KINDS["as-before"].holds(Condition("as-before"), view, np.arange(len(view.tokens)))
    for row, tokens in enumerate(view.tokens.tolist()):
        followed_by: dict[int, int] = {}
        for column, (before, token) in enumerate(pairwise(tokens), start=1):
            assert holds[row, column] == (followed_by.get(before) == token)
            followed_by[before] = token


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1))
def test_candidates_are_each_where_their_condition_holds(kind: str, seed: int) -> None:
    view = view_of(seed)
    found = KINDS[kind].candidates(view)
    everywhere = np.arange(len(view.tokens))
    listed = np.zeros((len(found.conditions), view.tokens.size), int)
    np.add.at(listed, (found.condition, found.position), 1)
    for condition, where in zip(found.conditions, listed, strict=True):
        assert (where.reshape(view.tokens.shape) == KINDS[kind].holds(condition, view, everywhere)).all(), condition


def plain_gain(holds: np.ndarray, values: np.ndarray, part: np.ndarray) -> float:
    """How much lower the squared error is in each part with means of the others, by the definition."""
    gain = 0.0
    for number in np.unique(part):
        shown, tried = part != number, part == number
        leaf = values[shown].mean()
        expected = np.full(len(values), leaf)
        for side in (holds, ~holds):
            seen = values[shown & side]
            expected[side] = (seen.sum() + TOWARDS_LEAF * leaf) / (len(seen) + TOWARDS_LEAF)
        gain += ((values - leaf)[tried] ** 2).sum() - ((values - expected)[tried] ** 2).sum()
    return gain


@given(st.integers(0, 2**32 - 1))
def test_the_best_condition_is_the_one_that_predicts_other_documents_best(seed: int) -> None:
    generator = np.random.default_rng(seed)
    part = np.sort(np.r_[np.arange(3), generator.integers(0, 3, 60)])
    holds = generator.random((7, len(part))) < 0.3
    values = generator.normal(size=len(part)) + 2 * holds[3]
    by_part = np.eye(3)[part]
    everywhere = np.ones((1, len(part)))
    within, leaf = (Sums((of @ by_part).T, ((of * values) @ by_part).T) for of in (holds * 1.0, everywhere))
    best = best_split(within, leaf, [], 8)
    gains = [plain_gain(of, values, part) for of in holds]
    assert best is not None
    assert best.gain == pytest.approx(max(gains), abs=1e-3)
    assert gains[best.members[0]] == pytest.approx(max(gains), abs=1e-3)


@given(st.integers(0, 2**32 - 1))
def test_shorter_rules_explain_nearly_as_much(seed: int) -> None:
    generator = np.random.default_rng(seed)
    holds = generator.random((5, 200)) < 0.4
    values = generator.normal(size=200) + holds[0] + holds[1] * holds[2]
    rules = [((0,), (1,)), ((0,),), ((1,), (2,), (3,)), ((4,),), ()]

    def error(rule_of: np.ndarray) -> float:
        return sum(values[rule_of == rule].var() * (rule_of == rule).sum() for rule in np.unique(rule_of))

    def followed(rules: list) -> np.ndarray:
        return np.array([next(k for k, asked in enumerate(rules) if all(at[m] for (m,) in asked)) for at in holds.T])

    shorter, rule_of = shorten(rules, lambda members: holds[members[0]], values)
    assert (rule_of == followed(shorter)).all()
    assert sum(map(len, shorter)) <= sum(map(len, rules))
    assert error(rule_of) <= error(followed(rules)) + 4 * MAY_LOSE * values.var() * 200 + 1e-9


def drawn(seed: int, units: int = 3, contexts: int = 40, length: int = 64) -> TextSample:
    """A sample in which unit 2 fires on " the" inside brackets, 5 on numbers, and 9 in two contexts alone."""
    generator = np.random.default_rng(seed)
    tokens = generator.integers(0, len(TEXTS), (contexts, length))
    view = TextView(tokens, np.zeros(contexts, np.int64), TEXTS)
    inside = view.depth("(", ")") > 0
    activations = np.zeros((3, contexts, length), np.float32)
    activations[0] = 2 * inside * (tokens == 1) + 0.5 * (tokens == 2)
    activations[1] = np.isin(tokens, (8, 9))
    activations[2, : RARE - 1] = tokens[: RARE - 1] == 14
    index = np.arange(contexts)
    return TextSample(tokens, np.full(contexts, length), 0 * index, index, np.array([2, 5, 9]), activations)


def top_of(sample: TextSample, unit: int, count: int = 5, length: int = 32) -> Excerpts:
    """The first pieces of a sample as a unit's excerpts."""
    nothing, row = np.zeros(count, np.int64), np.searchsorted(sample.units, unit)
    cut = slice(0, length)
    return Excerpts(
        nothing + unit, np.arange(count), nothing - 1, sample.document[:count], nothing, nothing,
        sample.tokens[:count, cut].copy(), sample.activations[row, :count, cut],
    )  # fmt: skip


def every_top(sample: TextSample) -> Excerpts:
    return Excerpts.concatenate([top_of(sample, unit) for unit in sample.units.tolist()])


def test_a_sample_gives_the_rules_of_its_units() -> None:
    shown, held_out = drawn(0), drawn(1)
    made = RuleLists(fit_sample(shown, every_top(shown), TEXTS, 0), TEXTS)
    assert made.units.tolist() == [2, 5, 9]
    assert made.describe(5, TEXTS) == "the token is a number → 1 (100% of the unit); elsewhere → 0 (0% of the unit)"
    assert "the token is inside round brackets" in made.describe(2, TEXTS)
    simulated = made.simulate_all(np.array([2, 5]), held_out.tokens, held_out.place)
    for expected, truth in zip(simulated, held_out.activations, strict=False):
        assert np.corrcoef(expected.ravel(), truth.ravel())[0, 1] > 0.9


def test_a_unit_that_hardly_fires_in_the_sample_is_explained_from_its_excerpts_too() -> None:
    sample = drawn(0)
    sample.activations[2] = 0
    strong = top_of(sample, 9)
    strong.tokens[:, [7, 20]] = len(TEXTS)
    strong = replace(strong, activations=(strong.tokens == len(TEXTS)).astype(np.float32))
    others = [top_of(sample, unit) for unit in (2, 5)]
    made = fit_sample(sample, Excerpts.concatenate([*others, strong]), [*TEXTS, " zebra"], 0)
    assert made[9][0].conditions == (Condition("token", tokens=(len(TEXTS),)),)


def test_padding_is_no_text_that_rules_are_fitted_to() -> None:
    sample = replace(drawn(0), length=np.arange(40) + 25)
    pieces, activations = of_sample(sample, 32)
    assert pieces.known.sum() == sample.length.sum()
    assert activations.shape == (3, len(pieces.document), 32)
    row, column = np.nonzero(pieces.known)
    held = np.arange(64) < sample.length[:, None]
    assert pieces.tokens[pieces.known].tolist() == sample.tokens[held].tolist()
    at = np.stack([pieces.document[row], pieces.place[row] + column], axis=1)
    assert (at == np.argwhere(held)).all()
    nonsense = sample.tokens.copy()
    nonsense[np.arange(64) >= sample.length[:, None]] = 14
    left = replace(sample, activations=sample.activations * (np.arange(64) < sample.length[:, None]))
    made = [fit_sample(replace(left, tokens=tokens), every_top(left), TEXTS, 0) for tokens in (left.tokens, nonsense)]
    assert made[0][5] == made[1][5]


def test_a_unit_that_is_not_finite_spoils_no_other() -> None:
    sample = drawn(0)
    broken = replace(sample, activations=sample.activations.copy())
    broken.activations[0, 3, 5] = np.inf
    made, whole = (fit_sample(some, every_top(sample), TEXTS, 0) for some in (broken, sample))
    assert made[5] == whole[5]
    assert all(np.isfinite(rule.mean) for rule in made[2])


@given(st.integers(0, 2**32 - 1))
def test_rules_are_few_and_short_and_their_shares_make_one(seed: int) -> None:
    generator = np.random.default_rng(seed)
    tokens = generator.integers(0, len(TEXTS), (12, 40))
    activations = generator.gamma(0.3, size=tokens.shape).astype(np.float32) * generator.random(len(TEXTS))[tokens]
    index = np.arange(12)
    excerpts = Excerpts(0 * index, index, 0 * index - 1, index, 0 * index, 0 * index, tokens, activations)
    (rules,) = fit_excerpts(excerpts, TEXTS).values()
    assert len(rules) <= MOST_RULES + 1
    assert rules[-1].conditions == ()
    assert sum(rule.share for rule in rules) == pytest.approx(1)
    for rule in rules:
        assert len(rule.conditions) <= CONDITIONS
        assert sum(len(condition.tokens) for condition in rule.conditions) <= TOKENS
    assert fit_excerpts(excerpts, TEXTS) == {0: rules}


LISTS = RuleLists(
    {
        3: [
            Rule((Condition("ending", text="ing"), Condition("recent", window=8, tokens=(1,))), 2.3125, 0.34),
            Rule((Condition("token", 1, tokens=(3, 11)),), 1.0, 0.5),
            Rule((), 0.02, 0.16),
        ],
        7: [Rule((), 0.0, 0.0)],
        8: [Rule((), 0.5, 1.0)],
    },
    TEXTS,
)


def test_rules_read_as_english() -> None:
    assert LISTS.describe(3, TEXTS) == (
        "the token ends in \"ing\" and one of the last 8 tokens is ' the' → 2.31 (34% of the unit); "
        "otherwise, the token before is one of ' (', ',' → 1 (50% of the unit); elsewhere → 0.02 (16% of the unit)"
    )
    assert LISTS.describe(7, TEXTS) == LISTS.describe(99, TEXTS) == "never fires on the text it was shown"
    assert LISTS.describe(8, TEXTS) == "everywhere → 0.5 (100% of the unit)"


@pytest.mark.parametrize("kind", KINDS)
def test_every_candidate_has_a_sentence_of_its_own(kind: str) -> None:
    conditions = KINDS[kind].candidates(view_of(0)).conditions
    sentences = {KINDS[kind].words(condition, TEXTS) for condition in conditions}
    assert len(sentences) == len(conditions)
    assert all(re.match(r"(the|one|'|\")", sentence) for sentence in sentences)


@given(st.integers(0, 2**32 - 1))
def test_the_first_rule_that_holds_says_what_is_expected(seed: int) -> None:
    view = view_of(seed)
    unit = np.resize([8, 3, 7, 99], len(view.tokens))
    simulated = LISTS.simulate(unit, view.tokens, view.place)
    for row, column in np.ndindex(view.tokens.shape):
        words = said(view, row, column)
        if words[-1].endswith("ing") and " the" in words[-9:-1]:
            expected = 2.3125
        else:
            expected = 1.0 if words[-2:-1] in ([" ("], [","]) else 0.02
        assert simulated[row, column] == {3: expected, 8: 0.5}.get(unit[row], 0)
    units = np.array([3, 7, 8])
    every = LISTS.simulate_all(units, view.tokens, view.place)
    for row, number in enumerate(units):
        alone = LISTS.simulate(np.full(len(view.tokens), number), view.tokens, view.place)
        assert (every[row] == alone).all()


def test_rules_come_back_from_their_file(tmp_path) -> None:
    write_rules(LISTS.rules, tmp_path / "rules.parquet")
    assert read_rules(tmp_path / "rules.parquet") == LISTS.rules


def test_candidates_leave_padding_out_and_deal_documents_into_parts() -> None:
    view = view_of(0)
    known = np.arange(30) < np.arange(20, 26)[:, None]
    matrix = CandidateMatrix.of(view, np.array([0, 0, 1, 1, 2, 2]), known)
    assert sorted(matrix.order) == np.flatnonzero(known).tolist()
    rows = [set((matrix.order[begin:end] // 30).tolist()) for begin, end in pairwise(matrix.bounds)]
    assert rows == [{0, 1}, {2, 3}, {4, 5}]


def test_a_study_explains_and_scores_the_units_of_the_text_sample(study) -> None:
    records, explanations, scores = (open_artifact(study / stage / "gpt2", stage) for stage in STAGES)
    for layer, units in enumerate(read_layers(records)):
        sample = read_text_sample(records, layer, "explain")
        made = read_explanations(explanations, records, "rules", "openai", layer)
        assert made.units.tolist() == sample.units.tolist()
        sentences = read_sentences(explanations, layer, "rules")
        assert [unit for unit in range(units) if sentences[unit] is not None] == sample.units.tolist()
        rows = read_scores(scores)
        mine = (rows["explainer"] == "rules") & (rows["layer"] == layer)
        for metric in ("random-only", "anthropic", "whole-text"):
            assert rows["unit"][mine & (rows["metric"] == metric)].tolist() == sample.units.tolist()


def test_a_recording_without_a_text_sample_is_refused(study, tmp_path, quiet) -> None:
    shutil.copytree(study / "records" / "gpt2", tmp_path / "records")
    (tmp_path / "records" / activations_name("explain", 0)).unlink()
    records = Artifact(tmp_path / "records", open_artifact(study / "records" / "gpt2", "records").manifest)
    with pytest.raises(InputError, match="keep no text sample"):
        explain(ExplainConfig(explainer="rules"), records, tmp_path / "out", quiet)
