"""The explainer that sees context and is still read by a person: up to eight rules a unit, fitted to a sample of text.

A rule is a conjunction of conditions about the token and the text before it (explain/rules/). The first rule that
holds says what is expected.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cratelm.explain.explainer import Evidence, Explainer, Explanations, Kept
from cratelm.explain.rules.file import read_rules, write_rules
from cratelm.explain.rules.fit import fit_excerpts, fit_sample
from cratelm.explain.rules.rule_lists import RuleLists
from cratelm.protocols import PROTOCOLS
from cratelm.records.excerpts import Excerpts
from cratelm.records.store import read_protocol
from cratelm.records.text_sample import read_text_sample


class RulesExplainer(Explainer):
    """Rules from the text sample of the explain half; of a unit that hardly fires there, from its excerpts as well."""

    name = "rules"
    help = "up to eight rules about the token and the text before it, fitted to a sample of the explain half"
    order = 25
    sees = "text"
    recovers = 10

    def of_excerpts(self, excerpts: Excerpts, texts: Sequence[str], seed: int) -> RuleLists:
        """The rules of the units of some excerpts, from these alone."""
        return RuleLists(fit_excerpts(excerpts, texts), texts)

    def explain(self, evidence: Evidence) -> RuleLists:
        """The rules of the units in the text sample. Raises InputError where the recording keeps none."""
        protocol = PROTOCOLS[read_protocol(evidence.records)]
        sample = read_text_sample(evidence.records, evidence.layer, protocol.explained_on)
        shown = evidence.excerpts_of(sample.units.tolist())
        return RuleLists(fit_sample(sample, shown, evidence.texts, evidence.seed), evidence.texts)

    def write(self, made: Explanations, path: Path) -> None:
        """A rule a row."""
        assert isinstance(made, RuleLists)
        write_rules(made.rules, path)

    def read(self, path: Path, kept: Kept) -> RuleLists:
        """What was written."""
        return RuleLists(read_rules(path), kept.texts)

    def units(self, read: Explanations) -> np.ndarray:
        """Those in the text sample."""
        assert isinstance(read, RuleLists)
        return read.units

    def sentences(self, made: Explanations, units: int, texts: Sequence[str]) -> list[str | None]:
        """None for a unit that is not in the text sample."""
        assert isinstance(made, RuleLists)
        return [made.describe(unit, texts) if unit in made.rules else None for unit in range(units)]


RULES = RulesExplainer()
