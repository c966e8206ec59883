"""Numbers as the report and the terminal word them."""

import numpy as np
import pytest

from cratelm.report.number_text import p_value
from cratelm.sae.quality import _loss_figures


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "p < 0.001"), (4e-9, "p < 0.001"), (0.0012, "p = 0.001"), (0.2, "p = 0.200"), (None, "p = –")],
)
def test_a_p_value_is_never_said_to_be_nothing(value, said) -> None:
    assert p_value(value) == said


def test_no_loss_is_recovered_where_zeros_cost_nothing_that_is_sure() -> None:
    generator = np.random.default_rng(0)
    tokens = np.full(40, 100.0)
    clean = 300 + generator.normal(size=40)
    noise = generator.normal(size=40)
    losses = {"sae": clean + 5, "mean": clean, "zero": clean + noise}
    assert _loss_figures(clean, losses, tokens)["loss_recovered"] is None
    assert _loss_figures(clean, losses | {"zero": clean - 20}, tokens)["loss_recovered"] is None
    assert _loss_figures(clean, losses | {"zero": clean + 20}, tokens)["loss_recovered"] == pytest.approx(0.75)
