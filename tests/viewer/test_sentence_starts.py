"""Which units fire on the start of a sentence, against a count excerpt by excerpt."""

import numpy as np

from cratelm.records.store import read_excerpts
from cratelm.viewer.sentence_starts import sentence_starts
from cratelm.viewer.viewed_study import Study


def starts_by_hand(texts: list[str], tokens: list[int], activations: list[float], place: int) -> bool:
    strongest = activations.index(max(activations))
    if strongest == 0:
        return place == 0
    before = texts[tokens[strongest - 1]]
    return "\n" in before or before.rstrip().rstrip("\"'”’)]").endswith((".", "!", "?"))


def test_the_share_counts_top_excerpts_whose_strongest_token_follows_the_end_of_a_sentence(study) -> None:
    model = Study(study).models["crate"]
    excerpts = read_excerpts(model.records, 1, model.protocol.explained_on, "top")
    counted: dict[int, list[bool]] = {}
    for row, unit in enumerate(excerpts.unit.tolist()):
        tokens, activations = excerpts.tokens[row].tolist(), excerpts.activations[row].tolist()
        counted.setdefault(unit, []).append(starts_by_hand(model.texts, tokens, activations, int(excerpts.place[row])))
    shares = sentence_starts(model, 1)
    assert len(shares) == model.sites[1].units
    for unit, share in enumerate(shares):
        assert np.isnan(share) if unit not in counted else np.isclose(share, np.mean(counted[unit]))
