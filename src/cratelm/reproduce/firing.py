"""The paper's reason: that CRATE's units fire consistently and distinctively on the tokens that matter to them."""

from collections.abc import Sequence

from cratelm.reproduce.gather import Result, Results, above_control, mean, paired, score, shuffled, statistic
from cratelm.reproduce.matrix import BEYOND, PAIR
from cratelm.reproduce.numerals import decimal, with_interval
from cratelm.reproduce.tables import Table, pairs


def reasons(results: Results) -> Table:
    """AUROC, consistency and specificity of each model's units, their shuffled control, and CRATE minus GPT-2."""
    rows = []
    for corpus, layers, cells in pairs(results):
        named = [corpus, str(layers)]
        rows += [[*named, model, *_row(of)] for model, of in zip(PAIR, cells, strict=True)]
        for how, of in (("", score), (", above the control", above_control)):
            less = [with_interval(paired(*cells, of("table", metric))) for metric in BEYOND]
            rate = with_interval(paired(*cells, statistic("firing_rate"))) if of is score else ""
            rows.append([*named, f"crate minus gpt2{how}", *less, rate])
    return ["corpus", "L", "model", *BEYOND, "firing rate"], rows


def _row(cells: Sequence[Result]) -> list[str]:
    """Means over seeds, in brackets those of another unit's explanation."""
    of = [(mean(cells, score("table", metric)), mean(cells, shuffled("table", metric))) for metric in BEYOND]
    found = [f"{decimal(value)} ({decimal(control)})" for value, control in of]
    return [*found, decimal(mean(cells, statistic("firing_rate")))]
