"""The study as a whole: its models, their layers, and the comparison."""

from typing import Any

from cratelm.report.comparison import EXPLAINER, PRIMARY_METRIC
from cratelm.viewer.study import Study

SUFFIX = "-untrained"


def study_document(study: Study) -> dict[str, Any]:
    """What there is to look at, and the report's numbers; all paths but the folder's name are left out."""
    return {
        "name": study.folder.name,
        "models": [
            {
                "name": model.name,
                "control": model.name.endswith(SUFFIX),
                "protocol": model.protocol_name,
                "explainers": model.explainers,
                "layers": [{"site": site.name, "units": site.units} for site in model.sites],
            }
            for model in study.models.values()
        ],
        "primary": {"explainer": EXPLAINER, "metric": PRIMARY_METRIC},
        "report": {name: study.table[name] for name in ("note", "models", "rows", "differences")},
    }
