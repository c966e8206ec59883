"""Whether the outputs of a site can be negative, as far as the kind of its module tells."""

from fnmatch import fnmatchcase

from torch import nn
from transformers import activations
from transformers.pytorch_utils import Conv1D

from cratelm.models.modeling_crate import CrateSparseCoding
from cratelm.models.modeling_crate_variant import CompleteSparseCoding, VariantSparseCoding
from cratelm.models.sparse_activations import PenalisedReLU, TopK
from cratelm.units.places import INPUT
from cratelm.units.sites import LATENTS

NEVER_NEGATIVE = (
    nn.ReLU,
    nn.ReLU6,
    nn.Sigmoid,
    nn.Hardsigmoid,
    nn.Softplus,
    nn.Softmax,
    TopK,
    PenalisedReLU,
    activations.ReLUSquaredActivation,
    activations.LaplaceActivation,
    activations.SqrtSoftplusActivation,
)
SIGNED_ACTIVATIONS = (
    nn.GELU,
    nn.SiLU,
    nn.Hardswish,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.Mish,
    nn.Tanh,
    activations.GELUActivation,
    activations.NewGELUActivation,
    activations.FastGELUActivation,
    activations.QuickGELUActivation,
    activations.AccurateGELUActivation,
    activations.ClippedGELUActivation,
    activations.GELUTanh,
    activations.SiLUActivation,
    activations.MishActivation,
    activations.LinearActivation,
)
ACTIVATIONS = (*NEVER_NEGATIVE, *SIGNED_ACTIVATIONS)
"""Functions of single numbers, and a few of all of a token's."""
SIGNED = (*SIGNED_ACTIVATIONS, nn.Linear, nn.LayerNorm, nn.RMSNorm, nn.Embedding, Conv1D)
CODINGS = (CrateSparseCoding, VariantSparseCoding, CompleteSparseCoding)
"""Modules whose codes, read at an nn.Identity, come out of a ReLU."""


def known_sign(model: nn.Module, name: str) -> bool | None:
    """True where a site's outputs can be negative, False where they never are, None where its class does not tell."""
    if name.endswith(INPUT):
        return None
    module = model.get_submodule(name)
    if isinstance(module, nn.Identity) and (_is_code(model, name) or fnmatchcase(name, LATENTS)):
        return False
    if isinstance(module, NEVER_NEGATIVE):
        return False
    return True if isinstance(module, SIGNED) else None


def _is_code(model: nn.Module, name: str) -> bool:
    """Whether a site is a code of our own: an earlier one lies two levels below its coding, the last one level."""
    parent = name.rpartition(".")[0]
    above = (parent, parent.rpartition(".")[0])
    return any(isinstance(model.get_submodule(place), CODINGS) for place in above)
