"""An explanation of one's own on a unit's excerpts: what it expects of each token, and where its words occur."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from cratelm.records.one_unit import Group, read_groups
from cratelm.viewer.json_numbers import significant
from cratelm.viewer.simulated_excerpts import correlations
from cratelm.viewer.user_explanation import OwnWords
from cratelm.viewer.viewed_study import ViewedModel


def own_excerpts(model: ViewedModel, layer: int, unit: int, words: OwnWords) -> dict[str, Any]:
    """What the words expect of a unit's excerpts, in the order of the unit's document, and Pearson's r of each.

    `words` holds for each word in how many of the `excerpts` of the scored half it occurs.
    """
    groups = read_groups(model.records, layer, [unit])
    expected = [words.simulate(group.excerpts.unit, group.excerpts.tokens, group.excerpts.place) for group in groups]
    pairs = list(zip(groups, expected, strict=True))
    scored = [group for group in groups if group.half == model.protocol.scored_on]
    return {
        "simulated": list(chain.from_iterable(significant(values) for values in expected)),
        "correlation": [
            r for group, values in pairs for r in significant(correlations(group.excerpts.activations, values), 2)
        ],
        "words": _occurrences(scored, words),
        "excerpts": sum(len(group.excerpts.unit) for group in scored),
    }


def _occurrences(groups: Sequence[Group], words: OwnWords) -> dict[str, int]:
    found = [words.found_in(row) for group in groups for row in group.excerpts.tokens.tolist()]
    return {word: sum(word in row for row in found) for word in words.strengths}
