"""The families of models whose code is here: one registration each.

A family whose base has no names is imported, not trained. Classes are named by where they are, so that reading the list
takes no PyTorch.
"""

from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any

Settings = dict[str, bool | int | float | str]

ALPHA: Settings = {"residual": True, "decoupled": True}


@dataclass(frozen=True)
class Family:
    """An architecture."""

    model_type: str
    """Of its configuration; the name that transformers knows it by."""
    base: str
    """What the names of its models begin with. Of families with one base, the first whose configuration knows all
    settings is taken."""
    configuration: str
    """`module:class`, like the next two."""
    model: str
    causal_lm: str
    sites: str
    """A glob over the modules whose outputs are its units."""
    layer_parts: str
    """`module:function`, which names in a layer what the theory speaks of (analysis/parts.py)."""
    purpose: str
    """What the card in a model's folder says."""
    names: dict[str, Settings] = field(default_factory=dict)
    """Models by name, and the settings in which each differs from the base."""

    def load(self, what: str) -> Any:
        """The class, or function, that a field names."""
        return resolve_name(getattr(self, what))


FAMILIES = (
    Family(
        model_type="crate",
        base="crate",
        configuration="cratelm.models.configuration_crate:CrateConfig",
        model="cratelm.models.modeling_crate:CrateModel",
        causal_lm="cratelm.models.modeling_crate:CrateForCausalLM",
        sites="model.layers.*.coding.code",
        layer_parts="cratelm.analysis.parts:crate_parts",
        purpose="CRATE-LM (Bai & Ma, arXiv 2410.16443): a language model with sparse coding in every layer. The units "
        "of layer N pass through the module `model.layers.N.coding.code`.",
        names={
            "crate": {},
            "crate-1step": {"ista_steps": 1},
            "crate-4step": {"ista_steps": 4},
            "crate-learned": {"learned": True},
            "crate-residual": {"residual": True},
            "crate-decoupled": {"decoupled": True},
            "crate-alpha": ALPHA,
            "crate-query": {"attention": "low-rank-query"},
            "crate-untied": {"attention": "separate-query"},
            "crate-separate": {"attention": "separate"},
            "crate-alpha-query": ALPHA | {"attention": "low-rank-query"},
            "crate-alpha-separate": ALPHA | {"attention": "separate"},
            "crate-complete": {"complete": True, "ista_steps": 1},
            "crate-rotary": {"rotary": True},
            "crate-alpha-rotary": ALPHA | {"rotary": True},
        },
    ),
    Family(
        model_type="crate-variant",
        base="crate",
        configuration="cratelm.models.configuration_crate_variant:CrateVariantConfig",
        model="cratelm.models.modeling_crate_variant:CrateVariantModel",
        causal_lm="cratelm.models.modeling_crate_variant:CrateVariantForCausalLM",
        sites="model.layers.*.coding.code",
        layer_parts="cratelm.analysis.parts:crate_parts",
        purpose="A relative of CRATE-LM (Bai & Ma, arXiv 2410.16443), with sparse coding in every layer; `config.json` "
        "says what differs. The units of layer N pass through the module `model.layers.N.coding.code`.",
    ),
    Family(
        model_type="gpt2-baseline",
        base="gpt2",
        configuration="cratelm.models.configuration_baseline:BaselineConfig",
        model="cratelm.models.modeling_baseline:BaselineModel",
        causal_lm="cratelm.models.modeling_baseline:BaselineForCausalLM",
        sites="model.layers.*.mlp.hidden",
        layer_parts="cratelm.analysis.parts:mlp_parts",
        purpose="GPT-2 as a baseline for CRATE-LM (Bai & Ma, arXiv 2410.16443). The units of layer N pass through the "
        "module `model.layers.N.mlp.hidden`.",
        names={
            "gpt2": {},
            "gpt2-topk": {"activation": "topk"},
            "gpt2-l1": {"l1_penalty": 1e-3},
            "gpt2-mssa": {"attention": "mssa"},
        },
    ),
    Family(
        model_type="nanochat-crate",
        base="nanochat-crate",
        configuration="cratelm.models.configuration_nanochat_crate:NanochatCrateConfig",
        model="cratelm.models.modeling_nanochat_crate:NanochatCrateModel",
        causal_lm="cratelm.models.modeling_nanochat_crate:NanochatCrateForCausalLM",
        sites="model.layers.*.coding.code",
        layer_parts="cratelm.analysis.parts:one_step_parts",
        purpose="CRATE-alpha (arXiv 2405.20299) as a language model in nanochat's frame, imported from a checkpoint of "
        "nanochat-crate-a. The units of layer N pass through the module `model.layers.N.coding.code`.",
    ),
)
MODELS = {name: settings for family in FAMILIES for name, settings in family.names.items()}
"""Each name's settings."""


def family_of(model_type: str) -> Family | None:
    """The family of a configuration's model type; None for somebody else's."""
    return next((family for family in FAMILIES if family.model_type == model_type), None)
