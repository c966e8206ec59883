"""Correlations of true and simulated activations over the excerpts that a protocol scores."""

from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.scored import Scored


def correlated(inputs: LayerInputs, name: str, evidence: str) -> Scored:
    """The correlation over the concatenation of a unit's excerpts, of ranks where the protocol says so."""
    own, other = inputs.pair(name, evidence)
    columns = {
        "pearson": own.pearson().scores(),
        "rsquared": own.rsquared(),
        "absolute_deviation_explained": own.absolute_deviation_explained(),
    }
    status, failed = inputs.status(own), own.failed
    if name in inputs.protocol.ranked:
        own, other = own.ranked(), other.ranked()
    return Scored.of_excerpts(inputs.units, own.pearson(), other.pearson(), status, failed=failed, columns=columns)
