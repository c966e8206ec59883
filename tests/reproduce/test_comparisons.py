"""What the page of the reproduction says of results, compared with scipy and with plain arithmetic."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cratelm.reproduce.amount_of_text import by_amount_of_text
from cratelm.reproduce.context import (
    Design,
    ablations,
    by_tokens,
    by_window,
    on_the_edge,
    on_token_share,
    without_a_price,
    worth,
)
from cratelm.reproduce.pair import by_explainer, reasons
from cratelm.reproduce.results import (
    Difference,
    Results,
    at_loss,
    of_scored,
    paired,
    paired_at_loss,
    score,
    variance,
    with_interval,
)
from cratelm.reproduce.store import Key, Result, Value
from cratelm.reproduce.verdicts import Claim, corrected, verdict
from tests.cells import made_up, of_cell, scored, whole, with_one_bin

NUMBER = score("table", "random-only")


def test_units_that_could_not_be_scored_count_as_nothing_where_the_rest_is_asked_for() -> None:
    numbers = scored(0.3, layer=0, dead=0.5, silent=0.1, constant=0.0)
    numbers |= scored(0.4, layer=1, dead=0.0, silent=0.0, constant=0.2)
    numbers |= scored(0.35, dead=0.25, silent=0.05, constant=0.1)
    assert of_scored("table", "random-only")(of_cell("crate", 0, numbers), "1") == pytest.approx((0.75 + 0.5) / 2)


def test_differences_are_those_of_a_paired_t_test_over_the_seeds_that_both_have() -> None:
    a, b = [0.6, 0.5, 0.7, 0.9], [0.5, 0.45, 0.62]
    ones = [made_up("crate", seed, {"1": (5.0, value)}) for seed, value in enumerate(a)]
    others = [made_up("gpt2", seed, {"1": (4.0, value)}) for seed, value in enumerate(b)]
    found = paired(ones, others, NUMBER)
    test = stats.ttest_rel(a[:3], b)
    expected = test.confidence_interval(0.95)
    assert found[:3] == pytest.approx((np.mean(np.subtract(a[:3], b)), expected.low, expected.high))
    assert (found.seeds, found.p, found.of_text) == (3, pytest.approx(test.pvalue), False)


def test_an_interval_over_seeds_contains_the_documents_that_all_seeds_share() -> None:
    """Documents weigh on both models alike, but for a part that stays however many seeds there are."""
    generator = np.random.default_rng(0)
    shared, apart = generator.normal(scale=0.1, size=200), generator.normal(scale=0.03, size=200)

    def of(model: str, seed: int) -> Result:
        made = made_up(model, seed, {"1": (5.0, 0.5 + (model == "crate") * (0.1 + seed / 1000))})
        drawn = (shared + (model == "crate") * apart).tolist()
        made["numbers"][Key("draws", explainer="table", metric="random-only", layer="all")] = drawn
        return made

    ones, others = ([of(model, seed) for seed in range(3)] for model in ("crate", "gpt2"))
    found = paired(ones, others, NUMBER)
    assert found.of_text and found.high - found.mean == pytest.approx(1.96 * np.std(apart, ddof=1), rel=0.01)
    assert not paired(ones, [*others[:2], made_up("gpt2", 2, {"1": (5.0, 0.5)})], NUMBER).of_text
    assert " †" in with_interval(found)


@pytest.mark.parametrize(
    ("higher", "found", "p", "expected"),
    [
        (True, (0.1, 0.05, 0.15, 3), 0.01, "**holds**"),
        (True, (0.1, 0.05, 0.15, 3), 0.06, "undecided"),
        (True, (0.1, -0.05, 0.25, 3), 0.2, "undecided"),
        (True, (-0.1, -0.15, -0.05, 3), 0.01, "**the opposite holds**"),
        (False, (-0.1, -0.15, -0.05, 3), 0.01, "**holds**"),
        (False, (0.1, 0.05, 0.15, 3), 0.01, "**the opposite holds**"),
        (True, (0.1, math.nan, math.nan, 1), math.nan, "as claimed"),
        (False, (0.1, math.nan, math.nan, 1), math.nan, "against it"),
        (True, (math.nan, math.nan, math.nan, 3), math.nan, "not comparable"),
        (False, (0.005, -0.005, 0.015, 3), 0.2, "absent"),
        (False, (0.005, -0.015, 0.025, 3), 0.6, "undecided"),
    ],
)
def test_a_claim_is_judged_by_its_corrected_p_value_and_by_a_margin(higher, found, p, expected) -> None:
    assert verdict(Claim("", paired, higher), Difference(*found), p) == expected


def test_where_no_margin_was_named_nothing_is_called_absent() -> None:
    assert verdict(Claim("", paired, margin=None), Difference(0.0, -0.001, 0.001, 3), 1.0) == "undecided"


def test_primary_claims_are_corrected_by_holm_and_the_rest_by_benjamini_and_hochberg() -> None:
    asked = [Claim("", paired, primary=True), Claim("", paired), Claim("", paired)]
    p_values = [[0.01, 0.03], [0.04, math.nan], [0.02, 0.5]]
    found = [[Difference(0.1, 0.0, 0.2, 3, p) for p in row] for row in p_values]
    expected = [[0.02, 0.03], [0.06, math.nan], [0.06, 0.5]]
    for row, wanted in zip(corrected(asked, found), expected, strict=True):
        assert row == pytest.approx(wanted, nan_ok=True)


def test_a_control_that_a_cell_lacks_has_a_dash_and_no_difference_above_it() -> None:
    cells = [whole("crate", 0, 5.0, 0.9), whole("gpt2", 0, 4.5, 0.6)]
    for cell in cells:
        for metric in ("auroc", "consistency", "specificity"):
            cell["numbers"] |= scored(0.75, metric, shuffled=math.nan if metric == "consistency" else 0.5)
    head, rows = reasons(Results(cells))
    shown = {row[2]: row[head.index("consistency")] for row in rows}
    assert shown["crate"] == "0.750 (–)"
    assert shown["crate minus gpt2, above the control"] == "–"


def test_what_token_share_accounts_for_is_what_a_line_through_the_other_designs_gives() -> None:
    others = [Design(f"m{n}", 5 - n, 0.5 + n / 10, 0.1 + 0.4 * (0.5 + n / 10)) for n in range(5)]
    pair = [Design("crate", 5, 0.9, 0.6), Design("gpt2", 4, 0.7, 0.45)]
    text = " ".join(on_token_share([*others, *pair]).split())
    assert "5 designs" in text and "rank correlation of +1.00" in text and "validation loss by -1.00" in text
    assert "has +0.400 of score" in text
    assert "leads GPT-2 by +0.150" in text
    assert "worth +0.080, and +0.070 is left" in text
    assert "1 have been run" in on_token_share([others[0], *pair])


def test_a_model_is_compared_at_the_point_where_it_loses_as_much() -> None:
    gpt2 = made_up("gpt2", 0, {"0": (8.0, 0.1), "0.5": (6.0, 0.3), "1": (4.0, 0.5)})
    assert at_loss(gpt2, 5.0, NUMBER) == pytest.approx(0.4)
    assert math.isnan(at_loss(gpt2, 3.9, NUMBER))
    crate = made_up("crate", 0, {"1": (5.0, 0.55)})
    assert paired_at_loss([crate], [gpt2], NUMBER)[0] == pytest.approx(0.15)


def test_what_stands_above_the_control_is_compared_beside_what_was_measured() -> None:
    def of(model: str, value: float, control: float) -> Result:
        made = whole(model, 0, 5.0, value) | {"unit_statistics": "explain"}
        for metric in ("auroc", "consistency", "specificity"):
            made["numbers"] |= scored(value, metric, shuffled=control)
        return made

    head, rows = reasons(Results([of("crate", 0.9, 0.8), of("gpt2", 0.6, 0.55)]))
    by_model = {row[2]: dict(zip(head, row, strict=True)) for row in rows}
    assert by_model["crate"]["specificity"] == "0.900 (0.800)"
    assert by_model["crate minus gpt2"]["specificity"] == "0.300 (one seed)"
    assert by_model["crate minus gpt2, above the control"]["specificity"] == "0.050 (one seed)"


def test_a_design_stands_beside_what_gpt2_loses_and_scores() -> None:
    cells = [whole("gpt2", 0, 4.5, 0.5), whole("crate-1step", 0, 5.0, 0.75)]
    head, rows = ablations(Results(cells))
    shown = {row[1]: dict(zip(head, row, strict=True)) for row in rows}
    assert shown["crate-1step"]["nats minus gpt2's"] == "0.500 (one seed)"
    assert shown["crate-1step"]["random-only minus gpt2's"] == "0.250 (one seed)"
    assert shown["gpt2"]["nats minus gpt2's"] == ""


def test_a_design_on_a_second_corpus_is_compared_with_gpt2_on_that_corpus() -> None:
    first = [whole("gpt2", 0, 4.5, 0.5), whole("crate-1step", 0, 5.0, 0.75)]
    second = [whole("gpt2", 0, 3.0, 0.625), whole("crate-1step", 0, 3.25, 0.75)]
    for cell in second:
        cell["cell"] |= {"corpus": "python-source"}
    assert {row[0] for row in ablations(Results(first + second))[1]} == {"reviews"}
    second[1]["cell"] |= {"group": "ablations"}
    head, rows = ablations(Results(first + second))
    shown = {(row[0], row[1]): dict(zip(head, row, strict=True)) for row in rows}
    assert shown["python-source", "crate-1step"]["nats minus gpt2's"] == "0.250 (one seed)"
    assert shown["python-source", "crate-1step"]["random-only minus gpt2's"] == "0.125 (one seed)"
    assert shown["reviews", "crate-1step"]["random-only minus gpt2's"] == "0.250 (one seed)"


def test_each_explainer_has_its_own_scores_and_its_own_difference() -> None:
    scores = {"crate": (0.6, 0.7, 0.9), "gpt2": (0.5, 0.4, 0.7)}
    cells = [whole(model, 0, 5.0, 0.1) for model in scores]
    for cell in cells:
        named = zip(("table", "graph", "table-full"), scores[cell["cell"]["model"]], strict=True)
        for explainer, value in named:
            cell["numbers"] |= scored(value, explainer=explainer)
    head, rows = by_explainer(Results(cells))
    shown = {row[2]: dict(zip(head, row, strict=True)) for row in rows}
    assert [shown["crate"][of] for of in ("table", "graph", "table-full")] == ["0.600", "0.700", "0.900"]
    assert shown["crate minus gpt2"]["table-full"] == "0.200 (one seed)"
    assert shown["crate minus gpt2"]["graph"] == "0.300 (one seed)"


def test_what_was_trained_for_longer_is_compared_by_itself_and_counts_nowhere_else() -> None:
    pair = [whole("crate", 0, 5.0, 0.6), whole("gpt2", 0, 4.5, 0.5)]
    longer = [whole("crate", 0, 4.6, 0.52), whole("gpt2", 0, 4.3, 0.45), whole("crate+sliding_window=1", 0, 4.9, 0.6)]
    for cells, group, tokens in ((pair, "sizes", 8_000_000), (longer, "longer", 24_000_000)):
        for cell in cells:
            cell["cell"] |= {"group": group, "tokens": tokens}
    results = Results([*longer, *pair])
    head, rows = by_tokens(results)
    less = {row[0]: row[head.index("random-only")] for row in rows if row[1] == "crate minus gpt2"}
    assert less == {"8,000,000": "0.100 (one seed)", "24,000,000": "0.070 (one seed)"}
    assert worth(results)[1] == [["reviews", "crate, trained for longer", "0.300 (one seed)", "–"]]
    assert results.of(model="crate") == [pair[0]] and results.of(model="crate+sliding_window=1") == []
    assert by_tokens(Results(pair))[1] == []


def test_few_excerpts_and_the_whole_text_stand_side_by_side_for_cells_that_have_both() -> None:
    def of(model: str, seed: int, few: float, whole_text: float, of_latents: float | None = None) -> Result:
        made = with_one_bin(model, seed, few)
        made["cell"] |= {"layers": 1}
        made["units"] |= {"whole-text": [whole_text, None] * 20}
        for layer in (0, "all"):
            made["numbers"] |= scored(whole_text, "whole-text", layer)
        if of_latents is not None:
            made["autoencoders"] = ["1x-k32"]
            made["numbers"] |= {Key("firing_rate", "1x-k32", layer="all"): few}
            for metric in ("random-only", "whole-text"):
                made["numbers"] |= scored(of_latents, metric, source="1x-k32")
        return made

    old = [with_one_bin(model, 1, 0.9) for model in ("crate", "gpt2")]
    for cell in old:
        cell["cell"] |= {"layers": 1}
    both = [of("crate", 0, 0.75, 0.875), of("gpt2", 0, 0.25, 0.625, of_latents=0.5)]
    head, rows = by_amount_of_text(Results([*both, *old]))
    shown = {(row[2], row[3]): dict(zip(head, row, strict=True)) for row in rows}
    assert shown["gpt2", "0"]["whole-text"] == "0.625" and shown["gpt2", "0"]["random-only"] == "0.250"
    for name in ("crate minus gpt2", "crate minus gpt2, at equal token share"):
        less = shown[name, "all"]
        assert (less["random-only"], less["seeds"]) == ("0.500 (one seed)", "1")
    assert shown["crate minus gpt2", "all"]["whole-text"] == "0.250 (one seed)"
    latents = [shown["crate minus gpt2's latents, 1x-k32", "all"][name] for name in ("random-only", "whole-text")]
    assert latents == ["0.250 (one seed)", "0.375 (one seed)"]
    assert by_amount_of_text(Results(old))[1] == []


def test_what_is_left_of_the_lead_at_a_window_is_the_difference_paired_by_seed_there() -> None:
    lead = {1: [0.01, 0.03], 2: [0.05, 0.06]}
    cells = [
        whole(f"{model}+sliding_window={window}", seed, 5.0, 0.5 + (model == "crate") * lead[window][seed])
        for window in (1, 2)
        for seed in (0, 1)
        for model in ("crate", "gpt2")
    ]
    head, rows = by_window(Results(cells))
    less = {row[1]: row for row in rows if row[2] == "crate minus gpt2"}
    for window, values in lead.items():
        interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        expected = f"{np.mean(values):.3f} [{interval.low:.3f}, {interval.high:.3f}]"
        assert all(less[str(window)][head.index(name)] == expected for name in ("random-only", "token share"))
    assert [row[:5] for row in rows if row[2] == "gpt2"] == [
        ["reviews", window, "gpt2", "5.000 [5.000, 5.000]", "2"] for window in ("1", "2")
    ]
    whole_pair = [whole("crate", 0, 5.0, 0.6), whole("gpt2", 0, 4.0, 0.5)]
    assert [row[1] for row in by_window(Results([*cells, *whole_pair]))[1][-3:]] == ["all before"] * 3
    assert by_window(Results(whole_pair))[1] == []
    rows = worth(Results([*cells, *whole_pair]))[1]
    assert [row[:2] for row in rows] == [["reviews", "crate"], ["reviews", "gpt2"]]
    assert [row[2:] for row in rows] == [["0.000 (one seed)"] * 2, ["1.000 (one seed)"] * 2]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6))
def test_on_the_edge_is_every_design_that_no_other_beats_in_both(points) -> None:
    found = on_the_edge(Results([made_up(f"m{n}", 0, {"1": (float(a), float(b))}) for n, (a, b) in enumerate(points)]))
    for number, (a, b) in enumerate(points):
        beaten = any(c <= a and d >= b and (c, d) != (a, b) for c, d in points)
        assert (f"m{number}" in found) != beaten


def test_without_a_price_is_a_design_that_loses_no_more_than_gpt2_and_scores_no_less_than_crate() -> None:
    points = {"crate": (5.0, 0.6), "gpt2": (4.0, 0.5), "free": (4.0, 0.6), "dear": (4.1, 0.7), "dull": (3.0, 0.55)}
    cells = [made_up(model, 0, {"1": point}) for model, point in points.items()]
    assert without_a_price(Results(cells)) == ["free"]
    assert without_a_price(Results(cells[1:])) is None


def test_one_layer_has_no_variance_over_layers_and_two_have_a_quarter_of_their_squared_distance() -> None:
    def of(*scores: float) -> Result:
        numbers: dict[Key, Value] = {}
        for layer, value in enumerate(scores):
            numbers |= scored(value, "anthropic", layer)
        return of_cell("crate", 0, numbers, layers=len(scores))

    assert math.isnan(variance("anthropic")(of(0.5), "1"))
    assert variance("anthropic")(of(0.5, 0.7), "1") == pytest.approx(0.01)
