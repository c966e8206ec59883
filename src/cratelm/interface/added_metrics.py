"""Metrics that a program or a notebook adds to those that there are."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import TypeVar, overload

import numpy as np

from cratelm.errors import InputError
from cratelm.explain.registry import EXPLAINERS
from cratelm.protocols import STRICT
from cratelm.registry import require_name
from cratelm.score.excerpt_sums import ExcerptSums, Series, ratio
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.metric import Metric
from cratelm.score.registry import METRICS
from cratelm.score.scored import Scored

F = TypeVar("F", bound=FunctionType)
"""True and simulated activations of a unit on an excerpt, (T,) each, to a number."""
metrics = METRICS
explainers = EXPLAINERS


@overload
def metric(function: F) -> F: ...


@overload
def metric(*, name: str | None = None, excerpts: str = "random-only", chance: float = 0.0) -> Callable[[F], F]: ...


def metric(
    function: F | None = None, *, name: str | None = None, excerpts: str = "random-only", chance: float = 0.0
) -> F | Callable[[F], F]:
    """Add a metric, from a function of a unit's true and simulated activations on one excerpt, (T,) each.

    Write `@cratelm.metric` above the function, or `@cratelm.metric(name="mine")` with settings; the function stays what
    it is. A unit's score is the mean over its excerpts. A layer's mean gets its interval and its shuffled control as
    that of any other metric. `excerpts` are those that a metric of ours draws (`random-only`, `top-and-random`,
    `anthropic`); `chance` is what a unit that cannot be scored counts as. The first line of the docstring says what a
    high score means. Adding one of the same name takes its place, unless it came with cratelm or an installed package.

    Raises InputError for a name that is taken, and for excerpts that there are not.

    >>> import cratelm, numpy as np
    >>> @cratelm.metric
    ... def closeness(true, simulated):
    ...     '''one less the mean absolute error, in maxima of the excerpt'''
    ...     return 1 - np.abs(true - simulated).mean() / max(true.max(), 1e-9)
    >>> cratelm.metrics["closeness"].help
    'one less the mean absolute error, in maxima of the excerpt'
    """

    def add(given: F) -> F:
        named = _free(name or given.__name__.replace("_", "-"))
        METRICS[named] = _made(given, named, excerpts, chance)
        return given

    return add if function is None else add(function)


def _free(name: str) -> str:
    require_name(name, "a metric")
    if name in METRICS and not isinstance(METRICS[name].compute, MeanOverExcerpts):
        raise InputError(f"there is a metric {name!r} already. Choose another name.")
    return name


def _made(function: FunctionType, name: str, excerpts: str, chance: float) -> Metric:
    if excerpts not in STRICT.scored:
        raise InputError(f"there are no excerpts {excerpts!r}: choose from {', '.join(STRICT.scored)}.")
    return Metric(
        name=name,
        help=(function.__doc__ or f"the mean of {name} over excerpts").strip().splitlines()[0],
        compute=MeanOverExcerpts(function, excerpts),
        order=200,
        excerpts=excerpts,
        chance=chance,
        version=fingerprint(function.__code__),
    )


@dataclass(frozen=True)
class MeanOverExcerpts:
    """A unit's score as the mean over its excerpts of a function of each."""

    function: FunctionType
    excerpts: str

    def __call__(self, inputs: LayerInputs) -> Scored:
        """The scores of a layer's units; InputError where the function gives no number."""
        length = inputs.protocol.scored[self.excerpts][0].length
        evidence = inputs.protocol.evidence_of(length)
        assert evidence is not None
        own, other = inputs.pair(self.excerpts, evidence)
        sums = self._sums(own), self._sums(other)
        return Scored.of_excerpts(inputs.units, *sums, inputs.status(own), failed=own.failed)

    def _sums(self, series: Series) -> ExcerptSums:
        document, (cells, begins) = series.positions.document, series.positions.excerpts
        sums = np.zeros((document.size, 3))
        ends = np.append(begins[1:], len(series.truth))
        for cell, first, end in zip(cells, begins, ends, strict=False):  # where there are no excerpts, one end is left
            sums[cell] = self._value(series.truth[first:end], series.simulated[first:end]), 1, 1
        return ExcerptSums(document, sums.reshape(*document.shape, 3), ratio)

    def _value(self, true: np.ndarray, simulated: np.ndarray) -> float:
        value = float(self.function(true, simulated))
        if not np.isfinite(value):
            raise InputError(
                f"the metric {self.function.__name__} gave {value} on an excerpt (true maximum {true.max():g}, "
                f"simulated {simulated.max():g}). Let it give a number for excerpts that do not vary too."
            )
        return value


def fingerprint(code: CodeType) -> str:
    """What a function computes, in 16 digits: its own code and constants, not those of what it calls."""
    return hashlib.sha256(_described(code).encode()).hexdigest()[:16]


def _described(constant: object) -> str:
    if isinstance(constant, CodeType):
        inner = ", ".join(map(_described, constant.co_consts))
        return f"{constant.co_code.hex()} {constant.co_names} {inner}"
    # A set has another order in another process.
    return repr(sorted(constant, key=repr) if isinstance(constant, frozenset) else constant)
