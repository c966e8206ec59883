"""Units of two models at equal token share and firing rate, compared with plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cratelm.reproduce import matching
from cratelm.reproduce.matching import FEWEST, adjusted, comparable, matched, paired_matched
from cratelm.reproduce.results import Results, score
from cratelm.reproduce.store import Result
from tests.cells import made_up, whole, with_one_bin

NUMBER = score("table", "random-only")


def some_units(data, count: int) -> dict[str, list]:
    shares = st.none() | st.integers(0, 6).map(lambda part: part / 40)
    rows = data.draw(st.lists(st.tuples(shares, st.none() | st.integers(0, 9)), min_size=count, max_size=2 * count))
    return {"token_share": [row[0] for row in rows], "random-only": [row[1] for row in rows]}


@given(st.data())
def test_units_are_compared_within_bins_each_as_heavy_as_the_smaller_share_of_units(data) -> None:
    one, other = (some_units(data, 30) for _ in range(2))
    bins = []
    for units in (one, other):
        rows = [
            (math.floor(20 * share + 1e-9), score)
            for share, score in zip(*units.values(), strict=True)
            if None not in (share, score)
        ]
        bins.append({bin: [score for at, score in rows if at == bin] for bin in {at for at, _ in rows}})
    common = bins[0].keys() & bins[1].keys()
    if min(sum(len(of[bin]) for bin in common) for of in bins) < FEWEST:
        assert all(map(math.isnan, matched(one, other, "random-only", ["token_share"])))
        return
    sizes = [sum(map(len, of.values())) for of in bins]
    weights = {bin: min(len(of[bin]) / size for of, size in zip(bins, sizes, strict=True)) for bin in common}
    differences = {bin: np.mean(bins[0][bin]) - np.mean(bins[1][bin]) for bin in common}
    expected = sum(weights[bin] * differences[bin] for bin in common) / sum(weights.values())
    assert matched(one, other, "random-only", ["token_share"]) == pytest.approx((expected, sum(weights.values())))


def test_two_models_that_differ_in_the_kinds_of_units_alone_do_not_differ_within_kinds() -> None:
    def of(many: float, few: float) -> dict[str, list]:
        shares = [many] * 80 + [few] * 40
        return {"token_share": shares, "firing_rate": [0.1] * 120, "random-only": [share / 2 for share in shares]}

    assert matched(of(0.92, 0.31), of(0.31, 0.92), "random-only", ["token_share"]) == pytest.approx((0, 2 / 3))
    assert matched(of(0.92, 0.31), of(0.92, 0.31), "random-only", ["token_share", "firing_rate"]) == pytest.approx(
        (0, 1)
    )


def test_seeds_without_units_are_left_out_of_the_comparison_of_units() -> None:
    units = {"token_share": [0.5] * 40, "random-only": [0.75] * 40}
    less = units | {"random-only": [0.5] * 40}
    cells = [made_up("crate", seed, {"1": (5.0, 0.5)}) for seed in range(3)]
    ones, others = (
        cells[:1] + [cell | {"units": units} for cell in cells[1:]],
        [cell | {"units": less} for cell in cells],
    )
    found, share = paired_matched(ones, others, "random-only", ["token_share"])
    assert (found.mean, found.seeds, share) == (0.25, 2, 1)


def test_units_measured_in_two_ways_are_not_compared_and_the_newest_way_counts() -> None:
    units = {"token_share": [0.5] * 40, "random-only": [0.75] * 40}
    new = {"units": units, "unit_statistics": "explain"}
    ones = [made_up("crate", seed, {"1": (5.0, 0.5)}) | {"units": units} | new for seed in range(3)]
    others = [cell | (new if seed else {}) for seed, cell in enumerate(ones)]
    others[0] = others[0] | {"unit_statistics": "score"}
    assert [cell["cell"]["seed"] for cell in comparable(ones, others)[0]] == [1, 2]
    assert comparable(ones[:1], others[:1]) == ([], [])


@given(st.integers(0, 2**32 - 1))
def test_a_regression_gives_back_the_lead_that_was_put_into_scores_that_follow_share_and_layer(seed: int) -> None:
    generator = np.random.default_rng(seed)

    def units(lead: float, shares: np.ndarray) -> dict[str, list]:
        layer, rate = np.arange(60) % 2, 10 ** generator.uniform(-3, 0, 60)
        score = lead + 0.7 * shares - 0.1 * layer + 0.05 * np.log10(rate)
        columns = {"layer": layer, "token_share": shares, "firing_rate": rate, "random-only": score}
        return {name: column.tolist() for name, column in columns.items()}

    one, other = units(0.04, generator.uniform(0.6, 1, 60)), units(0.0, generator.uniform(0.2, 0.7, 60))
    assert adjusted(one, other, "random-only", ["token_share", "firing_rate"]) == pytest.approx(0.04, abs=1e-9)
    few = {name: column[:10] for name, column in other.items()}
    assert math.isnan(adjusted(one, few, "random-only", ["token_share"]))


def test_the_table_of_alike_units_has_each_model_beside_gpt2_by_the_seeds_that_have_units_alone() -> None:
    scores = {"gpt2": 0.5, "crate": 0.75, "crate-alpha": 0.6}
    with_units = [with_one_bin(model, 0, score) for model, score in scores.items()]
    without = [whole(model, 1, 5.0, 0.9) for model in scores]
    head, rows = matching.by_model(Results([*with_units, *without]))
    assert len(head) == 13
    assert [row[2:4] for row in rows] == [["crate", "0.250 (one seed)"], ["crate-alpha", "0.100 (one seed)"]]
    assert rows[0][4:] == ["0.250 (one seed)", "1.00", "0.250 (one seed)"] * 3
    assert matching.by_model(Results(without))[1] == []


def test_alike_units_are_compared_by_each_metric_of_its_own_scores() -> None:
    rows = matching.by_metric(Results([with_one_bin("crate", 0, 0.8), with_one_bin("gpt2", 0, 0.5)]))[1]
    less = {row[2]: row[7] for row in rows}
    assert less == {"random-only": "0.300 (one seed)"} | dict.fromkeys(
        ("top-and-random", "anthropic"), "0.150 (one seed)"
    )


def test_where_the_lead_lies_is_told_layer_by_layer_of_both_models() -> None:
    def of(model: str, by_layer: list[float]) -> Result:
        made = with_one_bin(model, 0, 0.5, layers=len(by_layer))
        made["cell"] |= {"layers": len(by_layer)}
        made["units"] = {name: column * len(by_layer) for name, column in made["units"].items()}
        made["units"] |= {"layer": [at for at in range(len(by_layer)) for _ in range(40)]}
        made["units"] |= {"random-only": [by_layer[at] for at in made["units"]["layer"]]}
        return made

    head, rows = matching.by_layer(Results([of("crate", [0.75, 0.5]), of("gpt2", [0.25, 0.5])]))
    shown = {row[2]: dict(zip(head, row, strict=True)) for row in rows}
    assert {(mine, layer): shown[layer][f"CRATE's layer {mine}"] for mine in (0, 1) for layer in ("0", "1")} == {
        (0, "0"): "0.500 (one seed)",
        (0, "1"): "0.250 (one seed)",
        (1, "0"): "0.250 (one seed)",
        (1, "1"): "0.000 (one seed)",
    }
    assert [shown[layer]["all of CRATE's"] for layer in shown] == [
        f"{less} (one seed)" for less in (0.375, 0.125, "0.250")
    ]
    assert matching.by_layer(Results([of("crate", [0.75]), of("gpt2", [0.25])]))[1] == []
