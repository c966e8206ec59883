"""Is CRATE easier to explain because it is white-box, or because it uses context less? What the other designs say.

A token share is the share of a unit's variance that its current token accounts for (docs/scoring.md). If a design's
score follows from its token share alone, whatever the design, then CRATE's lead is the lead that its share would give.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from cratelm.reproduce.gather import Results, loss, mean, of_scored, statistic
from cratelm.reproduce.matrix import PAIR, WINDOWS, windowed

NEEDED = 5
"""Designs beside the two, below which nothing is fitted."""


@dataclass(frozen=True)
class Design:
    """A design at L = 2, mean over layers and seeds."""

    model: str
    loss: float
    token_share: float
    score: float
    """Random-only, of the units that could be scored: the others have no token share."""


def designs(results: Results) -> list[Design]:
    """All that were run."""
    found = []
    for model in results.values("model"):
        cells = results.main(layers=2, model=model)
        if cells:
            numbers = (loss, statistic("token_share"), of_scored("table", "random-only"))
            found.append(Design(model, *(mean(cells, number) for number in numbers)))
    return found


def on_token_share(found: Sequence[Design]) -> str:
    """What of CRATE's lead over GPT-2 the other designs' token shares account for, in words; the pair's windowed forms,
    made to differ in token share, are not among them."""
    pair = {design.model: design for design in found if design.model in PAIR}
    kept = {windowed(model, window) for model in PAIR for window in (None, *WINDOWS)}
    others = [design for design in found if design.model not in kept]
    if len(others) < NEEDED or len(pair) < len(PAIR):
        return f"It takes {NEEDED} designs beside the pair to say more; {len(others)} have been run."
    shares, losses, scores = (
        np.array([getattr(design, name) for design in others]) for name in ("token_share", "loss", "score")
    )
    slope = float(np.polyfit(shares, scores, 1)[0])
    with_share, with_loss = (spearmanr(numbers, scores).statistic for numbers in (shares, losses))
    lead, more = (getattr(pair["crate"], name) - getattr(pair["gpt2"], name) for name in ("score", "token_share"))
    return f"""Among the {len(others)} designs at L = 2 other than CRATE and GPT-2, the random-only score (of the units
that could be scored) goes with the token share by a rank correlation of {with_share:+.2f}, and with the validation
loss by {with_loss:+.2f}. A straight line through them has {slope:+.3f} of score for 1 of token share. CRATE leads
GPT-2 by {lead:+.3f} in score and by {more:+.3f} in token share: by that line the share is worth {slope * more:+.3f},
and {lead - slope * more:+.3f} is left for whatever else CRATE is. So few designs bear no interval, and going together
is not causing."""
