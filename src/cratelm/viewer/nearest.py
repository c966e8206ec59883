"""The units of a layer that are nearest in meaning to a question, as a page shows them."""

from typing import Any

from cratelm.search.index import layer_index
from cratelm.viewer.viewed_study import ViewedModel

SHOWN = 8


def nearest_document(model: ViewedModel, layer: int, question: str) -> dict[str, Any]:
    """The nearest units of a layer, the nearest first: number, cosine, and what was said of each by whom."""
    hits = layer_index(model, layer).search(question, SHOWN)
    rows = [{"unit": hit.unit, "score": round(hit.score, 4), "by": hit.said_by, "text": hit.text} for hit in hits]
    return {"question": question, "units": rows}
