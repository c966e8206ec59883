"""What an explanation, or the language model that reads it, answers to the questions of questions.py."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from cratelm.explain.explainer import Explanations
from cratelm.judges import prompts
from cratelm.judges.sentences import Sentences
from cratelm.score.excerpt_sums import ExcerptSums, ratio
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.metric import OPENAI
from cratelm.score.questions import (
    MOST_SILENT,
    Asked,
    Trials,
    balanced_sums,
    best_thresholds,
    found_lowest,
    line_ups,
    strengths,
    whole_excerpts,
)
from cratelm.score.scored import DEAD, FAILED, ONE_SIDED, Scored
from cratelm.seeds import derive_seed
from cratelm.stats import places_in_group

Ask = Callable[[LayerInputs, str], Asked]
"""Makes the questions of one half of the text."""


def classified(inputs: LayerInputs, ask: Ask) -> Scored:
    """Detection or fuzzing: balanced accuracy over a unit's questions."""
    halves = inputs.protocol.scored_on, inputs.protocol.explained_on
    asked, shown = (inputs.once(ask, half) for half in halves)
    row, slot = inputs.row(asked.excerpts), places_in_group(asked.excerpts.unit)
    own, other = (_called(inputs, asked, shown, shuffled) for shuffled in (False, True))
    sums = [balanced_sums(asked, called, row, slot, len(inputs.units)) for called in (own, other)]
    return _scored(inputs, sums, row, own)


def _called(inputs: LayerInputs, asked: Asked, shown: Asked, shuffled: bool) -> np.ndarray:
    """The prediction of each row: 1 fires, 0 does not, NaN unknown; (rows,)."""
    explanations = _explanations(inputs)
    if isinstance(explanations, Sentences):
        unit = asked.excerpts.unit
        by = inputs.shuffled.partner[unit] if shuffled else unit
        return explanations.verdicts(by, asked.excerpts.tokens, asked.marked)
    fitted = best_thresholds(
        inputs.row(shown.excerpts), _strength(inputs, shown, shuffled), shown.fires, len(inputs.units)
    )
    threshold = fitted[inputs.row(asked.excerpts)]
    called = _strength(inputs, asked, shuffled) >= threshold
    return np.where(np.isnan(threshold), np.nan, called)  # without both kinds on the explain half: one-sided


def most_classified(marked: Sequence[bool], numbers: Iterator[int]) -> list[str]:
    """The most prompts of a unit for `classified`, with the tokens of each excerpt `marked` so.

    As many excerpts that fire as are silent, read with the unit's own words and with another's.
    """
    texts = (f"words about one thing or another, {number}" for number in islice(numbers, 4 * MOST_SILENT))
    return [prompts.detection(text, [" word"] * len(marked), marked) for text in texts]


def intruders(inputs: LayerInputs) -> Scored:
    """Intruder: in what share of a unit's line-ups the silent excerpt is found."""
    asked = inputs.once(whole_excerpts, inputs.protocol.scored_on)
    trials = inputs.once(_line_ups)
    explanations = _explanations(inputs)
    if isinstance(explanations, Sentences):
        # Whoever reads the excerpts themselves needs no explanation, and another's says nothing.
        own = explanations.intruders(asked.excerpts.tokens[trials.excerpt])
        other = np.full(len(own), 1 / trials.excerpt.shape[1])
    else:
        own, other = (found_lowest(_strength(inputs, asked, shuffled)[trials.excerpt]) for shuffled in (False, True))
    sums = [_trial_sums(inputs, asked, trials, answers) for answers in (own, other)]
    return _scored(inputs, sums, trials.row, own)


def _line_ups(inputs: LayerInputs) -> Trials:
    asked = inputs.once(whole_excerpts, inputs.protocol.scored_on)
    generator = np.random.default_rng(derive_seed(inputs.seed, "intruders", inputs.layer))
    return line_ups(inputs.row(asked.excerpts), asked.fires, generator)


def _scored(inputs: LayerInputs, sums: Sequence[ExcerptSums], row: np.ndarray, answers: np.ndarray) -> Scored:
    """Chance where a unit cannot be asked about; `answers` are those of its own explanations, at `row`."""
    own, other = sums
    # NaN of a simulation means that the unit lacks one of the two kinds; only a judge's means that it failed.
    useless = np.isnan(answers) & isinstance(_explanations(inputs), Sentences)
    failed = np.bincount(row[useless], minlength=len(inputs.units))
    usable = (own.sums != 0).any(-1).sum(1)
    lost = (failed > 0) & (failed >= usable)
    status = np.select([inputs.dead, lost, np.isnan(own.scores())], [DEAD, FAILED, ONE_SIDED], 0)
    return Scored.of_excerpts(inputs.units, own, other, status, failed=failed, lost_is_missing=True)


def _explanations(inputs: LayerInputs) -> Explanations:
    """Those from top excerpts of 64 tokens, so that the excerpts of 9 that fix a threshold are others."""
    return inputs.explanations[OPENAI]


def _strength(inputs: LayerInputs, asked: Asked, shuffled: bool) -> np.ndarray:
    simulated = inputs.for_all_metrics(_simulated, asked.half, shuffled)
    return strengths(simulated[asked.row], asked.marked)


def _simulated(inputs: LayerInputs, half: str, shuffled: bool) -> np.ndarray:
    """What is expected on the excerpts that detection asks about in a half: fuzzing and intruder ask about the same."""
    return inputs.simulate(_explanations(inputs), inputs.once(whole_excerpts, half).excerpts, shuffled)


def _trial_sums(inputs: LayerInputs, asked: Asked, trials: Trials, answers: np.ndarray) -> ExcerptSums:
    width = 1 + int(trials.slot.max(initial=0))
    document = np.zeros((len(inputs.units), width), np.int64)
    sums = np.zeros((len(inputs.units), width, 3))
    document[trials.row, trials.slot] = asked.excerpts.document[trials.excerpt[:, 0]]
    known = ~np.isnan(answers)
    sums[trials.row, trials.slot] = np.stack([np.nan_to_num(answers), known, known], axis=1)
    return ExcerptSums(document, sums, ratio)
