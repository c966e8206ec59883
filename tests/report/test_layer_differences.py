"""How much higher a layer of the first model scores than the same layer of another one."""

import numpy as np
import pytest

from cratelm.artifacts import open_artifact, read_json
from cratelm.score.score import read_replicates


def test_a_layers_difference_is_that_of_the_two_means_with_the_spread_of_paired_replicates(study):
    table = read_json(study / "report" / "table.json")
    means = {(row["model"], row["layer"], row["metric"]): row["score"]["mean"] for row in table["rows"]}
    crate, gpt2 = (read_replicates(open_artifact(study / "scores" / name, "scores")) for name in ("crate", "gpt2"))
    assert {(row["model"], row["rival"], row["layer"]) for row in table["layer_differences"]} == {
        ("crate", "gpt2", 0),
        ("crate", "gpt2", 1),
    }
    for row in table["layer_differences"]:
        at, found = (row["layer"], row["metric"]), row["difference"]
        assert found["mean"] == pytest.approx(means["crate", *at] - means["gpt2", *at])
        key = f"table/{row['metric']}/{row['layer']}/own"
        half = 1.959964 * np.std(crate[key] - gpt2[key], ddof=1)
        assert (found["low"], found["high"]) == pytest.approx((found["mean"] - half, found["mean"] + half), abs=1e-6)
