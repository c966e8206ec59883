"""The metrics that there are."""

from collections.abc import Callable

from cratelm.registry import chosen, registered
from cratelm.score.metric import Metric

METRICS: dict[str, Metric] = registered("cratelm.score.metrics", Metric, "cratelm.metrics")
"""By name, in the order in which tables show them."""

_INSTALLED = frozenset(METRICS)


def metrics_named(names: str) -> list[Metric]:
    """The metrics of some names with commas between them; InputError names one that there is not."""
    return chosen(names, METRICS, "metric")


def known_to_other_processes(names: str) -> bool:
    """Whether a process that is started finds the metrics of these names: not those that a session added for itself."""
    return all(metric.name in _INSTALLED for metric in metrics_named(names))


def _names(kept: Callable[[Metric], bool]) -> tuple[str, ...]:
    return tuple(metric.name for metric in METRICS.values() if kept(metric))


# By the function's module: the metrics of other packages are instances of our class too.
DEFAULT_METRICS = _names(lambda metric: metric.compute.__module__.startswith("cratelm."))
"""What is measured by default: not those of other packages, so that installing one changes no study."""
HEADLINE_METRICS = _names(lambda metric: metric.headline)
"""The metrics of the main tables and figures: the paper's three correlations, and the one over whole contexts."""
ENDPOINT_METRICS = _names(lambda metric: metric.endpoint)
"""The metrics that models are compared by."""
