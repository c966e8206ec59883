"""The units that are nearest in meaning to a question, of a layer or of the whole study, as a page shows them."""

from collections.abc import Sequence
from typing import Any

from cratelm.search.index import Hit, layer_index, search_models
from cratelm.viewer.viewed_study import Study, ViewedModel

SHOWN = 8
SHOWN_OF_STUDY = 120
"""Many of them are found by words too, and listed there."""


def nearest_document(model: ViewedModel, layer: int, question: str) -> dict[str, Any]:
    """The nearest units of a layer, the nearest first: address, cosine, and what was said of each by whom."""
    return _document(question, layer_index(model, layer).search(question, SHOWN))


def nearest_of_study(study: Study, question: str) -> dict[str, Any]:
    """The same of all layers of the trained models together."""
    return _document(question, search_models(list(study.models.values()), question, SHOWN_OF_STUDY))


def _document(question: str, hits: Sequence[Hit]) -> dict[str, Any]:
    rows = [
        {"model": hit.model, "layer": hit.layer, "unit": hit.unit, "score": round(hit.score, 4)}
        | {"by": hit.said_by, "text": hit.text}
        for hit in hits
    ]
    return {"question": question, "units": rows}
