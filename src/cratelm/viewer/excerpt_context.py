"""What a model read when an excerpt was recorded: the excerpt's context up to the excerpt's end."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from cratelm.artifacts import MANIFEST, Artifact, open_unhashed, read_json
from cratelm.corpus.read_tokens import Side, read_side
from cratelm.errors import InputError
from cratelm.viewer.viewed_study import ViewedModel

SIDES_KEPT = 8


def context_tokens(model: ViewedModel, half: str, start: int, count: int) -> np.ndarray:
    """The `count` tokens of a half's text from place `start`, (count,) int64.

    Raises InputError where the half's text is gone, is another than was recorded, or has no such place.
    """
    folder = model.folder / "tokens"
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} is missing: what the model read before this excerpt is not known.")
    tokens = open_unhashed(folder, "tokens")
    if tokens.sha256 != model.records.manifest["inputs"]["tokens"]:
        raise InputError(f"{folder} holds another text than the one that was recorded.")
    halves = {model.protocol.explained_on, model.protocol.scored_on}
    if half not in halves & read_json(folder / "counts.json")["sides"].keys():
        raise InputError(
            f"the text {half[:40]!r} of these records is not kept as one side of the corpus, so that what the model "
            "read before an excerpt cannot be found. Give the excerpt as a text of your own in Try."
        )
    side = _side(folder, half, tokens.sha256)
    if start < 0 or count < 1 or start + count > len(side.tokens):
        raise InputError(f"the {half} half has {len(side.tokens):,} tokens: there are no {count} from place {start}.")
    return np.asarray(side.tokens[start : start + count], np.int64)


@lru_cache(maxsize=SIDES_KEPT)
def _side(tokens: Path, half: str, sha256: str) -> Side:
    return read_side(Artifact(tokens, {}), half)
