"""A finished study, or a model that was measured."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cratelm.errors import InputError
from cratelm.interface.frames import repeated, to_frame
from cratelm.interface.opened_unit import Unit, open_unit
from cratelm.interface.score_table import score_table, together, with_model
from cratelm.viewer.measured_table import measured_table
from cratelm.viewer.overview import study_document
from cratelm.viewer.viewed_study import Study, ViewedModel

if TYPE_CHECKING:
    import pandas as pd

    from cratelm.interface.loaded_model import LoadedModel


class OpenedStudy:
    """What `cratelm study` or `cratelm measure` made: the comparison, every score, every unit.

    In a notebook it is shown as the comparison with its curves.

    >>> import cratelm
    >>> study = cratelm.open(STUDY)
    >>> study.models
    ['crate', 'gpt2', 'crate-untrained', 'gpt2-untrained']
    >>> list(study.scores.columns[:6])
    ['model', 'layer', 'unit', 'explainer', 'metric', 'score']
    """

    def __init__(self, folder: str | Path) -> None:
        """Raises InputError where `folder` holds no finished study."""
        self._study = Study(Path(folder))
        self.path: Path = self._study.folder
        """Where it is."""

    @property
    def models(self) -> list[str]:
        """The names of what was measured; `-untrained` are the same networks before training."""
        return list(self._study.models)

    @cached_property
    def comparison(self) -> dict[str, Any]:
        """The report's numbers: `rows` of mean scores with intervals, `differences` between models, `models`."""
        return self._study.table or measured_table(list(self._study.models.values()))

    @cached_property
    def table(self) -> pa.Table:
        """All scores as pyarrow has them: a row a model, layer, unit, explainer and metric."""
        return together([with_model(score_table(scores), name) for name, scores in self._scores()])

    def _scores(self) -> list[tuple[str, Any]]:
        viewed = self._study.models.items()
        judged = [(name, model.judged.scores) for name, model in viewed if model.judged]
        return [(name, model.scores) for name, model in viewed] + judged

    @cached_property
    def scores(self) -> "pd.DataFrame":
        """The same as a DataFrame. `low` and `high` are the ends of a unit's own interval, where it has one."""
        return to_frame(self.table)

    def search(self, question: str, count: int = 20, model: str | None = None) -> "pd.DataFrame":
        """The units whose explanations or top tokens are nearest in meaning to a question, the nearest first.

        `score` is a cosine of static embeddings (docs/python.md); `model` searches one model alone, which may be one
        before training. Raises InputError where the extra `search` is not installed, or the question is empty.
        """
        from cratelm.search.index import search_models

        if not question.strip():
            raise InputError(
                "the question is empty: say what the units should be about, such as 'negative adjectives'."
            )
        asked = list(self._study.models.values()) if model is None else [self._model(model)]
        hits = search_models(asked, question, count)
        columns = {
            "unit": [f"{hit.model}/{hit.layer}/{hit.unit}" for hit in hits],
            "score": [hit.score for hit in hits],
            "said_by": repeated([hit.said_by for hit in hits]),
            "explanation": [hit.text for hit in hits],
        }
        return to_frame(pa.table(columns))

    def unit(self, address: str) -> Unit:
        """The unit `model/layer/unit`, such as `crate/1/37`; InputError where there is none.

        >>> import cratelm
        >>> cratelm.open(STUDY).unit("crate/0/3").address
        'crate/0/3'
        """
        return open_unit(self.path, address, self._model(address.partition("/")[0]))

    def connections(self, address: str) -> dict[str, Any]:
        """Which units of the layer below feed a unit (`fed_by`) and which of the layer above it feeds (`feeds`).

        Each way has rows of layer, unit, weight, mean contribution and explanation, the strongest first, and None at
        the first or last layer. Means are over so many `tokens` of the recorded text (docs/circuits.md). The model is
        loaded for it. Raises InputError where there is no such unit, or its model cannot be taken apart.

        >>> import cratelm
        >>> found = cratelm.open(STUDY).connections("crate/1/3")
        >>> found["fed_by"][0]["layer"], found["feeds"]
        (0, None)
        """
        from cratelm.interface.at_work import without_bars
        from cratelm.viewer.networks import Networks, connections_of

        model, *place = self.unit(address).address.split("/")
        with without_bars():
            return connections_of(Networks(), self._model(model), *map(int, place))

    def model(self, name: str) -> "LoadedModel":
        """One of its models in memory, with its units as they were recorded.

        Raises InputError where there is none of that name, or its files have changed since.
        """
        from cratelm.interface.loaded_model import of_study

        return of_study(self._model(name))

    def _model(self, name: str) -> ViewedModel:
        found = self._study.model(name)
        if found is None:
            raise InputError(
                f"{self.path.name} has no model {name!r}, but {', '.join(self.models)}. A unit is model/layer/unit, "
                f"such as {self.models[0]}/0/3."
            )
        return found

    def __repr__(self) -> str:
        return f"<study of {', '.join(self.models)} in {self.path}>"

    def _repr_html_(self) -> str:
        from cratelm.notebook.study_view import study_view

        return study_view(study_document(self._study, None))
