"""The paper's figures, as the package holds them, give the table that the paper prints."""

import numpy as np
import pytest

from cratelm.models.build import build_model
from cratelm.reproduce.published import SIZES, as_printed, published, published_layers, with_every_layer
from cratelm.shapes import ShapeConfig

MODELS = ("crate", "gpt2")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("metric", "rounding"), [("top-and-random", 0.006), ("anthropic", 0.006), ("random-only", 0.12)]
)
def test_the_printed_means_and_variances_follow_from_the_layers(metric, model, rounding) -> None:
    printed = published()["table"][metric][model]
    found = np.array([as_printed(metric, model, size) for size in SIZES])
    np.testing.assert_allclose(found[:, 0], printed["mean"], atol=rounding)
    np.testing.assert_allclose(found[:, 1], printed["variance"], atol=rounding)


def test_with_its_last_layer_gpt2_wins_at_twelve_layers_by_anthropics_metric() -> None:
    crate, gpt2 = (with_every_layer("anthropic", model, "12L")[0] for model in MODELS)
    assert (round(crate, 2), round(gpt2, 2)) == (8.19, 8.38)
    assert as_printed("anthropic", "crate", "12L") > as_printed("anthropic", "gpt2", "12L")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", SIZES)
def test_the_printed_parameter_counts_are_ours_but_for_one_slip(model, size) -> None:
    width, heads, layers = published()["parameters"]["sizes"][size]
    built = build_model(model, ShapeConfig(layers=layers, width=width, heads=heads, context=1), 50304, 0, 0)
    count = sum(parameter.numel() for parameter in built.parameters()) - width  # the one position
    printed = published()["parameters"][model][size]
    if (model, size) == ("crate", "6L"):
        assert (count, printed) == (59_891_712, "55.9M")
    else:
        assert count == pytest.approx(1e6 * float(printed.removesuffix("M")), abs=60_000)


def test_every_published_layer_has_its_place() -> None:
    for metric, models in published()["scores"].items():
        for model, sizes in models.items():
            for size in sizes:
                assert len(published_layers(metric, model, size)) == int(size.removesuffix("L"))
