"""The numbers of a layer, out of the sums and the weights."""

import math
from typing import Any

import torch

from cratelm.analysis.config import AnalysisConfig
from cratelm.analysis.observe import LayerSums
from cratelm.analysis.parts import step_and_threshold
from cratelm.analysis.rates import coding_rate, orthonormal, subspace_overlap, subspace_rates
from cratelm.analysis.sparsity import coherence, largest_eigenvalue, lasso, solve_lasso


def layer_numbers(layers: list[LayerSums], final: torch.Tensor, heads: int, config: AnalysisConfig) -> list[dict]:
    """A row for each layer; see docs/analysis.md for the columns."""
    after = [*(sums.second_moments["before"] for sums in layers[1:]), final]
    return [
        {"layer": layer}
        | _rates(sums, behind, heads, config.epsilon)
        | _sparsity(sums)
        | coherence(sums.parts.atoms.detach().float())
        | _ista(sums)
        for layer, (sums, behind) in enumerate(zip(layers, after, strict=True))
    ]


def _rates(sums: LayerSums, behind: torch.Tensor, heads: int, epsilon: float) -> dict[str, Any]:
    """R and R^c before the layer, between its half-blocks and after it, all in the layer's own subspaces."""
    bases = orthonormal(sums.parts.projection.detach(), heads)
    numbers: dict[str, Any] = {}
    for place, moment in (*sums.second_moments.items(), ("after", behind)):
        covariance = moment / sums.tokens
        by_head = subspace_rates(covariance, bases, epsilon)
        numbers |= {f"rate_{place}": coding_rate(covariance, epsilon), f"compression_{place}": sum(by_head)}
        numbers[f"compression_{place}_by_head"] = by_head
    return numbers | {"subspace_overlap": subspace_overlap(bases), "chance_overlap": bases.shape[2] / bases.shape[1]}


def _sparsity(sums: LayerSums) -> dict[str, Any]:
    units = len(sums.parts.atoms)
    speaking = sums.tokens - sums.silent
    return {
        "active": sums.active / sums.tokens,
        "active_share": sums.active / sums.tokens / units,
        "hoyer": sums.hoyer / speaking if speaking else math.nan,
        "silent_tokens": sums.silent / sums.tokens,
    }


def _ista(sums: LayerSums) -> dict[str, Any]:
    """The objective by the number of steps, and what share of the way to its minimum the steps come, on a sample."""
    coding = sums.parts.coding
    if coding is None or sums.inputs is None:
        return {"objectives": None, "stability": None, "objective_reached": None}
    step, threshold = step_and_threshold(coding)
    dictionary = coding.dictionary.detach().float()
    x = sums.inputs
    complete = x.shape[-1] == len(dictionary)
    start = x if complete else torch.zeros(len(x), len(dictionary), device=x.device)
    codes = {"start": start, "found": _code_of(coding, x), "best": solve_lasso(x, dictionary, threshold)}
    value = {name: lasso(x, code, dictionary, threshold).double().mean().item() for name, code in codes.items()}
    way = value["start"] - value["best"]
    return {
        "objectives": [total / sums.tokens for total in sums.objectives],
        "objective_reached": (value["start"] - value["found"]) / way if way > 0 else math.nan,
        "stability": step.max().item() * largest_eigenvalue(dictionary),
    }


@torch.no_grad()
def _code_of(coding: Any, x: torch.Tensor) -> torch.Tensor:
    """The code that a sparse block finds for inputs (tokens, d)."""
    codes: list[torch.Tensor] = []
    # The block gives its output alone: the code is seen on its way.
    hook = coding.code.register_forward_hook(lambda module, inputs, output: codes.append(output))
    try:
        coding(x.to(coding.dictionary))
    finally:
        hook.remove()
    return codes[0].float()
